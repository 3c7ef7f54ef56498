// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The methods behind explain(). Each returns one score per group of units.
#pragma once

#include "attend/nn/torch.h"

#include <memory>
#include <string>
#include <vector>

#include "attend/explain/explain.h"
#include "attend/explain/grouping.h"
#include "passes.h"

namespace attend {

/// What every method looks at. Keep one per input: methods share the passes they need.
struct MethodInput {
  Task& task;
  const Dataset& data;
  int64_t row;
  const Target& target;
  const std::vector<UnitGroup>& groups;
  const ExplainOptions& options;
  const TaskOutput& output;  // of the untouched example
  mutable std::shared_ptr<Passes> passes = nullptr;

  Passes& shared() const {
    if (!passes) passes = std::make_shared<Passes>(task, data, row, options.max_map_units);
    return *passes;
  }
};

/// Throws Error(kUsage) for a method it does not know, or one that this input is too long for.
Attribution attribute(const std::string& method, const MethodInput& input);

/// Work of a method for an input, in the measure of ExplainOptions::max_positions; infinite where
/// it cannot be done.
double method_work(const std::string& method, const MethodInput& input);

/// Log-odds of the target, `[batch]`: unlike the probability they do not saturate where the model
/// is sure.
torch::Tensor log_odds(const Task& task, const TaskOutput& output, const Target& target);

/// The log-odds of each target for the example with only some units kept, [keep, targets], batched.
torch::Tensor log_odds_of_kept(Task& task, const Dataset& data, int64_t row,
                               const std::vector<Target>& targets,
                               const std::vector<std::vector<bool>>& keep, Removal removal);

/// The log-odds that each target loses without each group, [groups, targets].
torch::Tensor occlusion_drops(Task& task, const Dataset& data, int64_t row,
                              const std::vector<Target>& targets,
                              const std::vector<UnitGroup>& groups, Removal removal);

/// Leave-one-out scores of the groups.
std::vector<double> occlusion_scores(Task& task, const Dataset& data, int64_t row,
                                     const Target& target, const std::vector<UnitGroup>& groups,
                                     Removal removal);

/// Input positions [.., leading + units] -> [.., groups]: leading positions cut off, units summed.
torch::Tensor merged_positions(const torch::Tensor& positions, int64_t leading,
                               const std::vector<UnitGroup>& groups);

}  // namespace attend
