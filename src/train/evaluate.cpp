// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "attend/train/batches.h"

namespace attend {

void for_each_batch(Task& task, const Dataset& data, int64_t batch_size,
                    const std::function<void(const std::vector<int64_t>&, const Batch&,
                                             const TaskOutput&)>& visit) {
  torch::NoGradGuard no_grad;
  const bool was_training = task.model()->is_training();
  task.model()->eval();
  for (const auto& rows : plan_by_length(data, batch_size)) {
    if (interrupted()) break;
    const Batch batch = task.collate(data, rows);
    visit(rows, batch, task.forward(batch, {}));
  }
  task.model()->train(was_training);
}

std::unique_ptr<Metrics> evaluate(Task& task, const Dataset& data, int64_t batch_size,
                                  std::unique_ptr<Metrics> metrics) {
  if (!metrics) metrics = task.new_metrics();
  for_each_batch(
      task, data, batch_size,
      [&](const std::vector<int64_t>& rows, const Batch& batch, const TaskOutput& output) {
        metrics->add_examples(data, rows, batch, output);
      });
  return metrics;
}

std::map<std::string, double> metric_values(const Metrics& metrics) {
  std::vector<int64_t> all(static_cast<size_t>(metrics.examples()));
  std::iota(all.begin(), all.end(), int64_t{0});
  return metrics.compute(all);
}

std::map<std::string, Interval> bootstrap_intervals(const Metrics& metrics, int64_t resamples,
                                                    uint64_t seed) {
  const auto examples = static_cast<uint64_t>(metrics.examples());
  std::map<std::string, Interval> intervals;
  if (examples == 0) return intervals;
  Random random(seed);
  std::map<std::string, std::vector<double>> draws;
  std::vector<int64_t> sample(examples);
  for (int64_t resample = 0; resample < resamples; ++resample) {
    for (auto& index : sample) index = static_cast<int64_t>(random.below(examples));
    for (const auto& [name, value] : metrics.compute(sample)) draws[name].push_back(value);
  }
  for (auto& [name, values] : draws) {
    std::sort(values.begin(), values.end());
    // clang cannot yet capture a structured binding, hence the name of its own.
    const auto at = [&sorted = values](double share) {
      return sorted[static_cast<size_t>(
          std::lround(share * static_cast<double>(sorted.size() - 1)))];
    };
    intervals[name] = {at(0.025), at(0.975)};
  }
  return intervals;
}

}  // namespace attend
