// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/report/json.h"

namespace attend {
namespace {

// Sums of softmax outputs in float, and means of them, may end a little above 1.
constexpr double kMostShare = 1.0 + 1e-4;

class Checker {
 public:
  Checker(const Explanation& explanation, std::string_view origin)
      : explanation_(explanation), origin_(origin) {}

  void check() const {
    check_units();
    check_outputs();
    check_attributions();
    for (std::size_t i = 0; i < explanation_.attention.size(); ++i) check_map(i);
  }

 private:
  template <class... Args>
  [[noreturn]] void fail(const std::string& path, fmt::format_string<Args...> rule,
                         Args&&... args) const {
    throw data_error(fmt::format("{}: $.{}: {}", printable(origin_), path,
                                 fmt::format(rule, std::forward<Args>(args)...)));
  }

  void check_units() const {
    const auto& units = explanation_.units;
    for (std::size_t i = 0; i < units.size(); ++i) {
      check_span(fmt::format("units[{}].span", i), units[i].span);
    }
    if (explanation_.evidence) check_span("evidence", *explanation_.evidence);
  }

  void check_span(const std::string& path, Span span) const {
    const auto size = static_cast<int64_t>(explanation_.input.size());
    if (span.begin < 0) fail(path, "begins at {}, before the input", span.begin);
    if (span.end < span.begin)
      fail(path, "ends at {}, before it begins at {}", span.end, span.begin);
    if (span.end > size) fail(path, "ends at {}, past the input's {} bytes", span.end, size);
    for (const int64_t at : {span.begin, span.end}) {
      const bool inside = at < size && (explanation_.input[at] & 0xC0) == 0x80;
      if (inside) fail(path, "byte {} is inside a UTF-8 character, not between two", at);
    }
  }

  void check_finite(const std::string& path, double value) const {
    if (!std::isfinite(value)) fail(path, "{} is not a finite number", value);
  }

  void check_share(const std::string& path, double value) const {
    check_finite(path, value);
    if (value < 0 || value > kMostShare) fail(path, "{} is not between 0 and 1", value);
  }

  void check_outputs() const {
    for (std::size_t i = 0; i < explanation_.outputs.size(); ++i) {
      const std::string path = fmt::format("outputs[{}]", i);
      check_share(path + ".probability", explanation_.outputs[i].probability);
      check_finite(path + ".logit", explanation_.outputs[i].logit);
    }
  }

  void check_attributions() const {
    const std::size_t units = explanation_.units.size();
    for (std::size_t i = 0; i < explanation_.attributions.size(); ++i) {
      const Attribution& attribution = explanation_.attributions[i];
      const std::string path = fmt::format("attributions[{}]", i);
      if (attribution.scores.size() != units) {
        fail(path + ".scores", "{} scores for {} units; give one per unit",
             attribution.scores.size(), units);
      }
      for (std::size_t k = 0; k < units; ++k) {
        if (std::isfinite(attribution.scores[k])) continue;
        check_finite(fmt::format("{}.scores[{}]", path, k), attribution.scores[k]);
      }
      check_finite(path + ".seconds", attribution.seconds);
      if (attribution.seconds < 0) fail(path + ".seconds", "is negative");
    }
  }

  void check_map(std::size_t index) const {
    const AttentionMap& map = explanation_.attention[index];
    const auto units = static_cast<int64_t>(explanation_.units.size());
    const std::string path = fmt::format("attention[{}]", index);
    if (map.columns != units) {
      fail(path + ".columns", "{} columns for {} units; give one per unit", map.columns, units);
    }
    if (map.rows != units && map.rows != 1) {
      fail(path + ".rows", "{} rows for {} units; give one per unit, or a single one", map.rows,
           units);
    }
    const auto weights = static_cast<int64_t>(map.weights.size());
    if (weights != map.rows * map.columns) {
      fail(path + ".weights", "{} weights for {} x {}", weights, map.rows, map.columns);
    }
    for (int64_t i = 0; i < weights; ++i) {
      const float weight = map.weights[i];
      if (weight >= 0 && weight <= kMostShare) continue;
      check_share(fmt::format("{}.weights[{}][{}]", path, i / map.columns, i % map.columns),
                  weight);
    }
  }

  const Explanation& explanation_;
  std::string_view origin_;
};

}  // namespace

void check_explanation(const Explanation& explanation, std::string_view origin) {
  Checker(explanation, origin).check();
}

}  // namespace attend
