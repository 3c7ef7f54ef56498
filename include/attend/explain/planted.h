// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Explanations against the truth: a small model is trained on examples of which one unit is known
// to decide, and every method is asked for that unit.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "attend/explain/explain.h"
#include "attend/explain/score.h"

namespace attend {

/// "text", "items", "entities", "patches".
std::vector<std::string> planted_kinds();

/// A trained model with test examples and the unit that decides each.
struct PlantedModelAndData {
  std::unique_ptr<Task> task;  ///< in eval mode
  std::shared_ptr<Dataset> test;
  std::vector<int64_t> deciding;  ///< index into Task::units, one per example; -1: no unit
  double accuracy = 0;            ///< on the test examples
};

/// Makes the examples and trains on them, a few seconds. Throws Error(kUsage) for an unknown kind.
PlantedModelAndData train_planted(const std::string& kind, int64_t test_examples = 200,
                                  uint64_t seed = 1);

struct PlantedTable {
  std::string kind;
  std::string unit_kind;
  std::string removal;  ///< how occlusion took units out
  double accuracy = 0;
  int64_t examples = 0;  ///< those that a unit decides and the model classifies right
  double chance = 0;     ///< mean of 1 / units
  /// Per method: the share of the examples whose highest score is on the deciding unit.
  std::vector<std::pair<std::string, Estimate>> hits;
  double seconds = 0;  ///< training included
};

/// Top-1 hit rates of `methods` ("random" is added if missing).
PlantedTable planted_hits(const std::string& kind, std::vector<std::string> methods,
                          int64_t test_examples = 200, uint64_t seed = 1);

}  // namespace attend
