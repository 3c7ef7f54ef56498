// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "attend/tasks/search.h"
#include "attend/tasks/task.h"
#include "bleu.h"

namespace attend {

/// What the metrics of translation need of the task.
struct TranslationScoring {
  BleuTokenizer tokenizer = BleuTokenizer::k13a;
  int64_t sentences = -1;  ///< only rows below it are translated; -1: all
  /// The translation of each of the batch's examples.
  std::function<std::vector<std::string>(const Batch&)> translate;
  /// [batch, length], 0 at padding.
  std::function<torch::Tensor(const TaskOutput&, const Batch&)> gold_log_probabilities;
  std::string search;  ///< how it was searched, for the details: "beam 5, length penalty 1"
};

/// bleu (lower case), sacrebleu (as it is), chrf, loss (nats per token of the first reference, the
/// end counted).
std::unique_ptr<Metrics> new_translation_metrics(TranslationScoring scoring);

}  // namespace attend
