// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// One example made ready to be explained and measured, without the pictures of an Explanation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "attend/explain/explain.h"
#include "attend/explain/faithfulness.h"
#include "methods.h"

namespace attend {

struct Subject {
  Task& task;
  const Dataset& data;
  int64_t row;
  std::vector<Unit> units;  ///< those of the model
  std::vector<UnitGroup> groups;
  std::shared_ptr<Passes> passes;  ///< over the untouched example, shared by methods
  Target target;

  ExplainedInput input() const { return {task, data, row, target, groups}; }

  /// The scores of a method, with its time. The random row differs from example to example.
  Attribution attribute(const std::string& method, ExplainOptions options) const;
};

/// `target`: as Task::find_target. Throws Error(kUsage) for a kind of units it cannot give.
Subject make_subject(Task& task, const Dataset& data, int64_t row, const std::string& units,
                     const std::string& target = "");

/// The methods of `asked`, each once, with "random" behind them if it is not among them. "all"
/// stands for every method whose work (see ExplainOptions::max_positions) on the longest of `rows`
/// is affordable; `left_out` gets the names of the others.
std::vector<std::string> methods_for(Task& task, const Dataset& data,
                                     const std::vector<int64_t>& rows,
                                     const std::vector<std::string>& asked, std::string& left_out);

}  // namespace attend
