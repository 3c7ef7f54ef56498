// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/grouping.h"

#include "attend/data/unicode.h"

namespace attend {

std::vector<UnitGroup> single_groups(int64_t units) {
  std::vector<UnitGroup> groups;
  for (int64_t unit = 0; unit < units; ++unit) groups.push_back({unit, unit + 1});
  return groups;
}

std::vector<UnitGroup> word_groups(const std::string& input, const std::vector<Unit>& units) {
  const std::vector<Span> words = word_spans(input);
  std::vector<UnitGroup> groups;
  size_t word = 0;
  for (size_t unit = 0; unit < units.size(); ++unit) {
    const Span& span = units[unit].span;
    const auto index = static_cast<int64_t>(unit);
    while (word < words.size() && words[word].end <= span.begin) ++word;
    // The unit continues the word of the one before if that word reaches into it.
    const bool continues = !groups.empty() && word < words.size() &&
                           words[word].begin < units[unit - 1].span.end &&
                           span.begin < words[word].end;
    if (continues) {
      groups.back().end = index + 1;
    } else {
      groups.push_back({index, index + 1});
    }
  }
  return groups;
}

std::vector<Unit> merged_units(const std::string& input, const std::vector<Unit>& units,
                               const std::vector<UnitGroup>& groups) {
  std::vector<Unit> merged;
  merged.reserve(groups.size());
  for (const UnitGroup& group : groups) {
    Unit unit = units[static_cast<size_t>(group.begin)];
    if (group.end - group.begin > 1) {
      unit.span.end = units[static_cast<size_t>(group.end - 1)].span.end;
      unit.text = input.substr(static_cast<size_t>(unit.span.begin),
                               static_cast<size_t>(unit.span.end - unit.span.begin));
    }
    merged.push_back(std::move(unit));
  }
  return merged;
}

std::vector<double> merged_scores(const std::vector<double>& scores,
                                  const std::vector<UnitGroup>& groups) {
  std::vector<double> merged;
  merged.reserve(groups.size());
  for (const UnitGroup& group : groups) {
    double sum = 0;
    for (int64_t unit = group.begin; unit < group.end; ++unit) {
      sum += scores[static_cast<size_t>(unit)];
    }
    merged.push_back(sum);
  }
  return merged;
}

}  // namespace attend
