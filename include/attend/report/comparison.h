// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "attend/explain/explanation.h"

namespace attend {

/// Two explanations side by side: two runs on one input, or one run on two inputs.
struct Comparison {
  Explanation first;
  Explanation second;
  /// Units that correspond, ascending on both sides: a longest common subsequence of the units'
  /// texts, so for one input cut alike it is every unit.
  std::vector<std::pair<int64_t, int64_t>> pairs;
};

/// Pairs the units. Inputs of more than 4,000 units on both sides, after what they begin and end
/// with alike, are paired in windows of that size. Throws Error(kData) if either is broken.
Comparison compare(Explanation first, Explanation second);

/// One row per pair of units, and per unit without a partner: index and text on both sides ("" for
/// none), then per method that both have: first, second, second - first.
std::string comparison_to_tsv(const Comparison& comparison);

}  // namespace attend
