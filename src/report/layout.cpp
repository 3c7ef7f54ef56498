// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attend/base/error.h"

namespace attend::report {

std::vector<Piece> pieces_of(const Explanation& explanation) {
  std::vector<Piece> pieces;
  const std::string_view input = explanation.input;
  int64_t shown = 0;  // everything before this byte is in `pieces`
  for (std::size_t i = 0; i < explanation.units.size(); ++i) {
    const Unit& unit = explanation.units[i];
    const bool placed = unit.span.end > unit.span.begin && unit.span.begin >= shown;
    if (!placed) {
      pieces.push_back({unit.text, i});
      continue;
    }
    if (unit.span.begin > shown) {
      pieces.push_back({std::string(input.substr(shown, unit.span.begin - shown)), Piece::kGap});
    }
    pieces.push_back(
        {std::string(input.substr(unit.span.begin, unit.span.end - unit.span.begin)), i});
    shown = unit.span.end;
  }
  if (shown < static_cast<int64_t>(input.size())) {
    pieces.push_back({std::string(input.substr(shown)), Piece::kGap});
  }
  return pieces;
}

Family family_of(const Attribution& attribution) {
  const std::string_view method = attribution.method;
  if (method.starts_with("random")) return Family::kBaseline;
  // Norms of what is carried and value zeroing measure mixing too: neither looks at the output.
  for (const std::string_view prefix :
       {"attention", "attn", "rollout", "flow", "norm", "value-zeroing"}) {
    if (method.starts_with(prefix) && !attribution.is_signed) return Family::kAttention;
  }
  return Family::kAttribution;
}

std::string_view family_heading(Family family) {
  switch (family) {
    case Family::kAttention:
      return "attention: where information was mixed";
    case Family::kAttribution:
      return "attribution: what changed the output";
    case Family::kBaseline:
      return "baseline: what chance looks like";
  }
  return "";
}

double scale_of(const Attribution& attribution) {
  double scale = 0;
  for (const double score : attribution.scores) scale = std::max(scale, std::abs(score));
  return scale;
}

Rgb score_color(bool is_signed, double score, double scale, Theme theme) {
  const double t = scale > 0 ? score / scale : 0;
  return is_signed ? diverging_color(t, theme) : sequential_color(t, theme);
}

std::string number_text(double value, double scale, bool with_sign) {
  const double magnitude = std::abs(scale);
  if (magnitude > 0 && (magnitude < 1e-5 || magnitude >= 1e6)) {
    return with_sign ? fmt::format("{:+.1e}", value) : fmt::format("{:.1e}", value);
  }
  int decimals = 2;
  if (magnitude > 0 && magnitude < 0.1) {
    decimals = 1 + static_cast<int>(std::ceil(-std::log10(magnitude)));
  } else if (magnitude >= 100) {
    decimals = 0;
  }
  // A negative zero, or a number that rounds to zero, has no sign worth showing.
  const double half_unit = 0.5 * std::pow(10.0, -decimals);
  if (std::abs(value) < half_unit) return fmt::format("{:.{}f}", 0.0, decimals);
  return with_sign ? fmt::format("{:+.{}f}", value, decimals)
                   : fmt::format("{:.{}f}", value, decimals);
}

std::string faithfulness_text(const Faithfulness& f) {
  return fmt::format(
      "comprehensiveness {:.3f} · sufficiency {:.3f} · deletion {:.3f} · insertion {:.3f}",
      f.comprehensiveness, f.sufficiency, f.deletion, f.insertion);
}

const Attribution* random_row(const Explanation& explanation) {
  for (const Attribution& row : explanation.attributions) {
    if (row.method.starts_with("random") && row.faithfulness) return &row;
  }
  return nullptr;
}

bool has_curves(const Explanation& explanation) {
  return explanation.test && explanation.test->steps.size() > 1 &&
         std::any_of(explanation.attributions.begin(), explanation.attributions.end(),
                     [](const Attribution& row) {
                       return row.faithfulness && !row.faithfulness->deletion_curve.empty() &&
                              !row.faithfulness->insertion_curve.empty();
                     });
}

std::string removal_text(const FaithfulnessTest& test) {
  if (test.removal == "delete") return "deleting them";
  if (test.removal == "mask") return "masking them";
  if (test.removal == "mean") return "putting the mean embedding in their place";
  return test.removal;
}

double area_under(const std::vector<int64_t>& steps, const std::vector<double>& values) {
  double area = 0;
  const auto last = static_cast<double>(steps.empty() ? 1 : std::max<int64_t>(1, steps.back()));
  for (std::size_t i = 0; i + 1 < std::min(steps.size(), values.size()); ++i) {
    area += (values[i] + values[i + 1]) / 2 * static_cast<double>(steps[i + 1] - steps[i]) / last;
  }
  return area;
}

std::string percent_text(double share) { return fmt::format("{:.0f}", 100 * share); }

std::span<const Unit> query_units(const Explanation& explanation, const AttentionMap& map) {
  const bool of_output = map.role == "decoder" || map.role == "cross";
  const auto& units = of_output ? explanation.output_units : explanation.units;
  if (map.rows != static_cast<int64_t>(units.size()) || map.role == "pooling") return {};
  return units;
}

std::span<const Unit> key_units(const Explanation& explanation, const AttentionMap& map) {
  return map.role == "decoder" ? explanation.output_units : explanation.units;
}

std::string row_label(const Explanation& explanation, const AttentionMap& map, int64_t row) {
  const std::span<const Unit> units = query_units(explanation, map);
  return units.empty() ? map_label(map) : units[row].text;
}

const AttentionMap& map_at(const Explanation& explanation, std::size_t index) {
  const std::size_t count = explanation.attention.size();
  if (index < count) return explanation.attention[index];
  if (count == 0) {
    throw usage_error(
        "this explanation holds no attention map; was the input too long to keep one?");
  }
  throw usage_error(
      fmt::format("attention map {} does not exist; choose one from 0 to {}", index, count - 1));
}

std::string map_label(const AttentionMap& map) {
  if (!map.label.empty()) return map.label;
  const std::string layer = map.layer < 0 ? "mean of layers" : fmt::format("layer {}", map.layer);
  const std::string head = map.head < 0 ? "mean of heads" : fmt::format("head {}", map.head);
  return layer + ", " + head;
}

std::vector<MethodPair> shared_methods(const Comparison& comparison) {
  std::vector<MethodPair> shared;
  for (const Attribution& first : comparison.first.attributions) {
    const auto& others = comparison.second.attributions;
    const auto second = std::find_if(others.begin(), others.end(), [&](const Attribution& other) {
      return other.method == first.method;
    });
    if (second != others.end()) shared.push_back({&first, &*second});
  }
  return shared;
}

std::vector<MapPair> shared_maps(const Comparison& comparison) {
  std::vector<MapPair> shared;
  for (const AttentionMap& first : comparison.first.attention) {
    if (first.role != "self" && first.role != "pooling") continue;
    const auto& others = comparison.second.attention;
    const auto second = std::find_if(others.begin(), others.end(), [&](const AttentionMap& other) {
      return other.layer == first.layer && other.head == first.head && other.role == first.role;
    });
    if (second != others.end()) shared.push_back({&first, &*second});
  }
  return shared;
}

PooledMap pooled(const AttentionMap& map, int64_t most_rows, int64_t most_columns) {
  const auto blocks_for = [](int64_t size, int64_t most) {
    return most > 0 && size > most ? (size + most - 1) / most : int64_t{1};
  };
  PooledMap result{blocks_for(map.rows, most_rows), blocks_for(map.columns, most_columns), {}};
  if (result.row_block == 1 && result.column_block == 1) {
    result.map = map;
    return result;
  }
  AttentionMap& small = result.map;
  small.layer = map.layer;
  small.head = map.head;
  small.label = map.label;
  small.role = map.role;
  small.rows = (map.rows + result.row_block - 1) / result.row_block;
  small.columns = (map.columns + result.column_block - 1) / result.column_block;
  std::vector<double> mass(small.rows * small.columns, 0.0);
  for (int64_t row = 0; row < map.rows; ++row) {
    const int64_t first = row / result.row_block * result.row_block;
    const int64_t rows_in_block = std::min(result.row_block, map.rows - first);
    for (int64_t column = 0; column < map.columns; ++column) {
      mass[row / result.row_block * small.columns + column / result.column_block] +=
          map.weights[row * map.columns + column] / static_cast<double>(rows_in_block);
    }
  }
  small.weights.assign(mass.begin(), mass.end());
  return result;
}

Range range_of(const AttentionMap& map) {
  if (map.weights.empty()) return {};
  const auto [low, high] = std::minmax_element(map.weights.begin(), map.weights.end());
  return {*low, *high};
}

}  // namespace attend::report
