// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "attend/tasks/kneser_ney.h"
#include "attend/tasks/task.h"
#include "language_model.h"

namespace attend {

struct GenerateMetricsOptions {
  bool prompts = false;  ///< sequences have a prompt, behind which stands the first separator
  std::function<const KneserNey&()> peer;  ///< the model to compare with; empty: none
};

/// How well a language model foresees texts; see GenerateTask::new_metrics.
class GenerateMetrics : public Metrics {
 public:
  GenerateMetrics(LanguageModel model, GenerateMetricsOptions options)
      : model_(std::move(model)), options_(std::move(options)) {}

  void add(const TaskOutput& output, const Batch& batch) override;
  int64_t examples() const override { return static_cast<int64_t>(outcomes_.size()); }
  std::map<std::string, double> compute(std::span<const int64_t> sample) const override;
  nlohmann::json details() const override;

 private:
  struct Outcome {
    double alone = 0;        // negative log likelihood without the prompt, nats
    double with_prompt = 0;  // and with it
    double peer = 0;
    int64_t tokens = 0;  // predicted, ends included
    int64_t unknown = 0;
    int64_t characters = 0;
  };

  LanguageModel model_;
  GenerateMetricsOptions options_;
  std::vector<Outcome> outcomes_;
};

}  // namespace attend
