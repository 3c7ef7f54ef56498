// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The methods behind explain(). Each returns one score per group of units.
#pragma once

#include <string>
#include <vector>

#include "attend/explain/explain.h"
#include "attend/explain/grouping.h"

namespace attend {

/// What every method looks at.
struct MethodInput {
  Task& task;
  const Dataset& data;
  int64_t row;
  const Target& target;
  const std::vector<UnitGroup>& groups;
  const ExplainOptions& options;
  const TaskOutput& output;  // of the untouched example, all attention weights traced
};

/// Throws Error(kUsage) for a method it does not know.
Attribution attribute(const std::string& method, const MethodInput& input);

/// Log-odds of the target, `[batch]`: unlike the probability they do not saturate where the model
/// is sure.
torch::Tensor log_odds(const Task& task, const TaskOutput& output, const Target& target);

/// Leave-one-out scores of the groups.
std::vector<double> occlusion_scores(Task& task, const Dataset& data, int64_t row,
                                     const Target& target,
                                     const std::vector<UnitGroup>& groups, Removal removal);

}  // namespace attend
