// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Merging a model's units into the units a person thinks in (characters into words, words into
// phrases): one rule for every method and map. Scores are summed. The weight on a group of keys is
// the sum over its keys, the weight from a group of queries the mean over its queries, so that rows
// that summed to 1 still do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attend/data/unit.h"
#include "attend/explain/explanation.h"

namespace attend {

/// Consecutive model units shown as one: [begin, end) indices, in order, without gaps or overlap.
struct UnitGroup {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool operator==(const UnitGroup&) const = default;
};

/// One group per unit.
std::vector<UnitGroup> single_groups(int64_t units);

/// Groups the units of `input` by words (ICU; Chinese words by dictionary). A unit that reaches
/// across a word boundary joins the words it touches.
std::vector<UnitGroup> word_groups(const std::string& input, const std::vector<Unit>& units);

/// The groups that a user names, commas between (see select_units()); every other unit is alone.
/// Throws Error(kUsage) when two of them overlap.
std::vector<UnitGroup> span_groups(const std::string& spans, const std::string& input,
                                   const std::vector<Unit>& units);

/// The units of the groups: from the first unit's begin to the last one's end, with the original
/// text between.
std::vector<Unit> merged_units(const std::string& input, const std::vector<Unit>& units,
                               const std::vector<UnitGroup>& groups);

/// Scores of groups: the sum of their units' scores, so that totals are kept.
std::vector<double> merged_scores(const std::vector<double>& scores,
                                  const std::vector<UnitGroup>& groups);

}  // namespace attend
