// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attend/explain/explanation.h"
#include "attend/tasks/task.h"

namespace attend {

/// The methods that explain() knows, in the order it shows them:
/// "attention": weights of the last layer, averaged over heads, read out the way the model's head
///   reads its positions (r = q A, q = read-out vector); says where information was mixed.
///   Unsigned.
/// "occlusion": leave one out: log-odds of the target with the unit minus without it. Signed.
/// "gradient-x-input": sum over dimensions of embedding times gradient of the target's logit, plus
///   what the unit's n-grams add to it directly. Signed.
/// "random": uniform random scores, the row that every other has to beat.
std::vector<std::string> explanation_methods();

struct ExplainOptions {
  std::vector<std::string> methods = explanation_methods();
  std::string target;                  ///< the output to explain; empty: the predicted one
  std::string units;                   ///< "word" merges units into words; empty: the model's own
  Removal removal = Removal::kDelete;  ///< how occlusion takes a unit out
  int64_t max_map_units = 256;         ///< beyond so many units no attention matrix is kept
  uint64_t seed = 1;                   ///< of the random row
  bool faithfulness = true;            ///< measure how far each row can be trusted on this input
  std::string best_method;             ///< most faithful for this model on dev data; empty: unknown
  bool best_beats_random = true;       ///< and whether it is better there than random orders
};

/// Explains the output of `task` for example `row`. The model must be in eval mode. Throws
/// Error(kUsage) for an unknown method, target or kind of unit.
Explanation explain(Task& task, const Dataset& data, int64_t row,
                    const ExplainOptions& options = {});

/// The prediction of one example with the stretch of its input that carries it, without the rest of
/// an explanation. Nothing for an input of a single unit.
std::optional<Span> evidence_span(Task& task, const Dataset& data, int64_t row,
                                  const Target& target);

/// The consecutive units whose scores, each less a tenth of the largest, have the largest sum
/// (Bentley's maximum segment): indices [first, last], or nothing if no score is above zero.
std::optional<std::pair<int64_t, int64_t>> strongest_segment(const std::vector<double>& scores);

}  // namespace attend
