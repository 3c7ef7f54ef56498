// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/comparison.h"

#include <fmt/format.h>

#include <algorithm>

#include "attend/report/json.h"
#include "attend/report/text.h"
#include "json_text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;
using Pairs = std::vector<std::pair<int64_t, int64_t>>;

constexpr int64_t kWindow = 4000;  // units; the table below has its square, at a byte each

// A longest common subsequence of first[a0, a1) and second[b0, b1), by the table of lengths. Only
// the direction of the best step is kept: 16 MB for the largest window.
void common_subsequence(const std::vector<Unit>& first, int64_t a0, int64_t a1,
                        const std::vector<Unit>& second, int64_t b0, int64_t b1, Pairs& pairs) {
  const int64_t rows = a1 - a0, columns = b1 - b0;
  if (rows == 0 || columns == 0) return;
  enum Step : uint8_t { kTake, kSkipFirst, kSkipSecond };
  std::vector<uint8_t> steps(rows * columns);
  // From the end, so that reading from the beginning yields the pairs in order.
  std::vector<int32_t> below(columns + 1, 0), here(columns + 1, 0);
  for (int64_t r = rows - 1; r >= 0; --r) {
    for (int64_t c = columns - 1; c >= 0; --c) {
      if (first[a0 + r].text == second[b0 + c].text) {
        here[c] = below[c + 1] + 1;
        steps[r * columns + c] = kTake;
      } else {
        const bool skip_first = below[c] >= here[c + 1];
        here[c] = skip_first ? below[c] : here[c + 1];
        steps[r * columns + c] = skip_first ? kSkipFirst : kSkipSecond;
      }
    }
    std::swap(below, here);
  }
  for (int64_t r = 0, c = 0; r < rows && c < columns;) {
    const auto step = static_cast<Step>(steps[r * columns + c]);
    if (step == kTake) pairs.emplace_back(a0 + r, b0 + c);
    r += step != kSkipSecond ? 1 : 0;
    c += step != kSkipFirst ? 1 : 0;
  }
}

Pairs pairs_of(const std::vector<Unit>& first, const std::vector<Unit>& second) {
  auto a = static_cast<int64_t>(first.size()), b = static_cast<int64_t>(second.size());
  Pairs pairs, ending;
  int64_t begin = 0;
  for (; begin < std::min(a, b) && first[begin].text == second[begin].text; ++begin) {
    pairs.emplace_back(begin, begin);
  }
  while (a > begin && b > begin && first[a - 1].text == second[b - 1].text) {
    ending.emplace_back(--a, --b);
  }
  for (int64_t i = begin, j = begin; i < a || j < b; i += kWindow, j += kWindow) {
    common_subsequence(first, std::min(i, a), std::min(i + kWindow, a), second, std::min(j, b),
                       std::min(j + kWindow, b), pairs);
  }
  pairs.insert(pairs.end(), ending.rbegin(), ending.rend());
  return pairs;
}

}  // namespace

Comparison compare(Explanation first, Explanation second) {
  check_explanation(first);
  check_explanation(second);
  Pairs pairs = pairs_of(first.units, second.units);
  return {std::move(first), std::move(second), std::move(pairs)};
}

std::string comparison_to_tsv(const Comparison& comparison) {
  const Explanation& first = comparison.first;
  const Explanation& second = comparison.second;
  const std::vector<MethodPair> methods = shared_methods(comparison);
  std::string out = "first_index\tfirst_text\tsecond_index\tsecond_text";
  for (const MethodPair& method : methods) {
    const std::string name = tsv_escaped(method.first->method);
    out += fmt::format("\t{0} first\t{0} second\t{0} difference", name);
  }
  out += '\n';
  const auto row = [&](int64_t a, int64_t b) {
    const auto side = [](const Explanation& e, int64_t i) {
      return i < 0 ? "\t" : fmt::format("{}\t{}", i, tsv_escaped(e.units[i].text));
    };
    out += side(first, a) + '\t' + side(second, b);
    for (const MethodPair& method : methods) {
      out += '\t' + (a < 0 ? "" : json_number(method.first->scores[a]));
      out += '\t' + (b < 0 ? "" : json_number(method.second->scores[b]));
      const bool both = a >= 0 && b >= 0;
      out += '\t' + (both ? json_number(method.second->scores[b] - method.first->scores[a]) : "");
    }
    out += '\n';
  };
  int64_t a = 0, b = 0;
  const auto singles_until = [&](int64_t last_a, int64_t last_b) {
    for (; a < last_a; ++a) row(a, -1);
    for (; b < last_b; ++b) row(-1, b);
  };
  for (const auto& [i, j] : comparison.pairs) {
    singles_until(i, j);
    row(a++, b++);
  }
  singles_until(static_cast<int64_t>(first.units.size()),
                static_cast<int64_t>(second.units.size()));
  return out;
}

}  // namespace attend
