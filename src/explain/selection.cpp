// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Units as a user names them: by number, by range, by text.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "attend/base/error.h"
#include "attend/explain/grouping.h"
#include "attend/explain/steering.h"

namespace attend {
namespace {

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value >= 0 ? std::optional(value) : std::nullopt;
}

// "3" or "3-5".
std::optional<UnitGroup> index_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = whole_number(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : whole_number(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  return UnitGroup{*first, *last + 1};
}

std::vector<UnitGroup> units_of_text(std::string_view text, const std::string& input,
                                     const std::vector<Unit>& units) {
  std::vector<UnitGroup> found;
  for (size_t at = input.find(text); !text.empty() && at != std::string::npos;
       at = input.find(text, at + text.size())) {
    const auto begin = static_cast<int64_t>(at), end = begin + static_cast<int64_t>(text.size());
    UnitGroup range{-1, -1};
    for (size_t u = 0; u < units.size(); ++u) {
      if (units[u].span.begin >= end || units[u].span.end <= begin) continue;
      if (range.begin < 0) range.begin = static_cast<int64_t>(u);
      range.end = static_cast<int64_t>(u) + 1;
    }
    const bool again = !found.empty() && range.begin < found.back().end;
    if (range.begin >= 0 && !again) found.push_back(range);
  }
  return found;
}

}  // namespace

std::vector<UnitGroup> select_units(const std::string& selection, const std::string& input,
                                    const std::vector<Unit>& units) {
  const bool literal = selection.starts_with('=');
  if (!literal) {
    if (const auto range = index_range(selection)) {
      if (range->begin < range->end && range->end <= static_cast<int64_t>(units.size())) {
        return {*range};
      }
      throw usage_error(fmt::format(
          "units \"{0}\": this input has units 0 to {1}; for the text \"{0}\" write \"={0}\"",
          selection, units.size() - 1));
    }
  }
  const std::string text = literal ? selection.substr(1) : selection;
  std::vector<UnitGroup> found = units_of_text(text, input, units);
  if (found.empty()) {
    std::string list;
    constexpr size_t kShown = 20;
    for (size_t u = 0; u < std::min(units.size(), kShown); ++u) {
      list += fmt::format(" {}:{}", u, units[u].text);
    }
    if (units.size() > kShown) list += " ...";
    throw usage_error(
        fmt::format("units \"{}\" do not occur in the input; its units are{}", text, list));
  }
  return found;
}

std::vector<UnitGroup> span_groups(const std::string& spans, const std::string& input,
                                   const std::vector<Unit>& units) {
  std::vector<UnitGroup> named;
  for (size_t begin = 0; begin <= spans.size();) {
    const size_t comma = std::min(spans.find(',', begin), spans.size());
    const std::string one = spans.substr(begin, comma - begin);
    const std::vector<UnitGroup> found = select_units(one, input, units);
    named.insert(named.end(), found.begin(), found.end());
    begin = comma + 1;
  }
  std::sort(named.begin(), named.end(),
            [](const UnitGroup& a, const UnitGroup& b) { return a.begin < b.begin; });
  std::vector<UnitGroup> groups;
  int64_t next = 0;  // unit
  const auto singles_up_to = [&](int64_t end) {
    for (; next < end; ++next) groups.push_back({next, next + 1});
  };
  for (const UnitGroup& group : named) {
    if (group.begin < next) {
      throw usage_error(fmt::format(
          "--spans {}: unit {} is in two spans; a unit can be in one only", spans, group.begin));
    }
    singles_up_to(group.begin);
    groups.push_back(group);
    next = group.end;
  }
  singles_up_to(static_cast<int64_t>(units.size()));
  return groups;
}

}  // namespace attend
