// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
// Figures of more than one explanation: comparisons and data sets.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/report/json.h"
#include "attend/report/svg.h"
#include "attend/report/text.h"
#include "layout.h"
#include "svg_blocks.h"

namespace attend {
namespace {

using namespace report;

constexpr double kSheetMargin = 24, kSheetWidth = 860;

std::string side_name(const Comparison& both, int side) {
  const Explanation& e = side == 0 ? both.first : both.second;
  return both.first.model != both.second.model ? e.model : fmt::format("input {}", side + 1);
}

// The default map of the first that the second has, too; null where none is shared.
std::vector<MapPair> map_to_compare(const Comparison& both) {
  std::vector<MapPair> shared = shared_maps(both);
  const auto mean = std::find_if(shared.begin(), shared.end(),
                                 [](const MapPair& pair) { return pair.first->head < 0; });
  if (shared.empty()) return {};
  return {mean == shared.end() ? shared.front() : *mean};
}

double draw_maps(SvgCanvas& canvas, const Comparison& both, const MapPair& maps, double y) {
  const double third = (kSheetWidth - 40) / 3;
  const double scale = std::max(range_of(*maps.first).high, range_of(*maps.second).high);
  double most = 0;
  const auto panel = [&](int place, const std::string& title, Heat& heat) {
    const double x = kSheetMargin + place * (third + 20);
    const double heading = draw_heading(canvas, title, "", x, y, third);
    heat.most_cell = 26;
    heat.shown = [&heat](int64_t r, int64_t c) { return percent_text(heat.value(r, c)); };
    most = std::max(most, heading + draw_heat(canvas, heat, x, y + heading, third).height);
  };
  for (const int side : {0, 1}) {
    const Explanation& e = side == 0 ? both.first : both.second;
    const AttentionMap& map = side == 0 ? *maps.first : *maps.second;
    constexpr int64_t kMostCells = 60;
    const PooledMap small = pooled(map, kMostCells, kMostCells);
    Heat heat;
    heat.rows = small.map.rows;
    heat.columns = small.map.columns;
    heat.row_label = [&](int64_t r) { return row_label(e, map, r * small.row_block); };
    heat.column_label = [&](int64_t c) { return e.units[c * small.column_block].text; };
    heat.value = [&](int64_t r, int64_t c) { return small.map.weights[r * small.map.columns + c]; };
    heat.scale = scale;
    panel(side, map_label(map) + ", " + side_name(both, side), heat);
  }
  constexpr std::size_t kMostPairs = 60;
  const auto& pairs = both.pairs;
  if (!pairs.empty() && pairs.size() <= kMostPairs) {
    const bool one_row = maps.first->rows == 1;
    Heat heat;
    heat.rows = one_row ? 1 : static_cast<int64_t>(pairs.size());
    heat.columns = static_cast<int64_t>(pairs.size());
    heat.row_label = [&](int64_t r) {
      return one_row ? map_label(*maps.second) : both.second.units[pairs[r].second].text;
    };
    heat.column_label = [&](int64_t c) { return both.second.units[pairs[c].second].text; };
    heat.value = [&](int64_t r, int64_t c) {
      const auto weight = [&](const AttentionMap& map, int64_t row, int64_t column) {
        return static_cast<double>(map.weights[(one_row ? 0 : row) * map.columns + column]);
      };
      return weight(*maps.second, pairs[r].second, pairs[c].second) -
             weight(*maps.first, pairs[r].first, pairs[c].first);
    };
    heat.is_signed = true;
    for (int64_t r = 0; r < heat.rows; ++r) {
      for (int64_t c = 0; c < heat.columns; ++c) {
        heat.scale = std::max(heat.scale, std::abs(heat.value(r, c)));
      }
    }
    panel(2, "difference (second minus first)", heat);
  }
  return most;
}

}  // namespace

std::string compare_svg(const Comparison& both) {
  check_explanation(both.first, "first");
  check_explanation(both.second, "second");
  SvgCanvas canvas;
  double y = kSheetMargin;
  const double half = (kSheetWidth - 40) / 2;
  double tallest = 0;
  for (const int side : {0, 1}) {
    const Explanation& e = side == 0 ? both.first : both.second;
    const double x = kSheetMargin + side * (half + 40);
    double height = draw_heading(canvas, side_name(both, side), visible_text(e.input), x, y, half);
    height += draw_prediction(canvas, e, x, y + height, half).height;
    tallest = std::max(tallest, height);
  }
  y += tallest + 24;
  for (const MethodPair& pair : shared_methods(both)) {
    const double scale = std::max(scale_of(*pair.first), scale_of(*pair.second));
    for (const int side : {0, 1}) {
      Attribution row = side == 0 ? *pair.first : *pair.second;
      row.method += ", " + side_name(both, side);
      row.faithfulness.reset();
      if (side == 0) row.meaning.clear();
      y += draw_method(canvas, side == 0 ? both.first : both.second, row, scale, kSheetMargin, y,
                       kSheetWidth)
               .height;
    }
    Attribution change{pair.first->method + ", change", true,
                       "second minus first, on the units that correspond",
                       std::vector<double>(both.second.units.size(), 0.0), 0};
    for (const auto& [i, j] : both.pairs) {
      change.scores[j] = pair.second->scores[j] - pair.first->scores[i];
    }
    y += draw_method(canvas, both.second, change, scale_of(change), kSheetMargin, y, kSheetWidth)
             .height +
         8;
  }
  for (const MapPair& maps : map_to_compare(both)) y += draw_maps(canvas, both, maps, y) + 14;
  y += draw_caption(canvas, both.first, kSheetMargin, y, kSheetWidth).height;
  y += draw_caption(canvas, both.second, kSheetMargin, y, kSheetWidth).height;
  return canvas.card(kSheetWidth + 2 * kSheetMargin, y + kSheetMargin - 12,
                     fmt::format("{} and {}", side_name(both, 0), side_name(both, 1)));
}

std::string dataset_svg(const DatasetReport& report, const std::string& method) {
  check_dataset(report);
  const auto chosen = std::find(report.methods.begin(), report.methods.end(), method);
  if (!method.empty() && chosen == report.methods.end()) {
    throw usage_error(fmt::format("--method {}: this report has {}", printable(method),
                                  fmt::join(report.methods, ", ")));
  }
  SvgCanvas canvas;
  double y = kSheetMargin;
  int64_t right = 0, with_gold = 0;
  for (const DatasetRow& row : report.rows) {
    with_gold += row.gold.empty() ? 0 : 1;
    right += !row.gold.empty() && row.gold == row.prediction ? 1 : 0;
  }
  const std::string summary = with_gold > 0
                                  ? fmt::format("{} inputs, {} of {} predicted as labelled",
                                                report.rows.size(), right, with_gold)
                                  : fmt::format("{} inputs without labels", report.rows.size());
  y += draw_heading(canvas, report.data, summary, kSheetMargin, y, kSheetWidth) + 6;
  const Confusion confusion = confusion_of(report);
  constexpr std::size_t kMostLabels = 60;
  if (with_gold > 0 && confusion.labels.size() <= kMostLabels) {
    const auto n = static_cast<int64_t>(confusion.labels.size());
    Heat heat;
    heat.rows = heat.columns = n;
    heat.row_label = [&](int64_t r) { return confusion.labels[r]; };
    heat.column_label = heat.row_label;
    heat.value = [&](int64_t r, int64_t c) {
      return static_cast<double>(confusion.counts[r * n + c]);
    };
    heat.shown = [&](int64_t r, int64_t c) { return std::to_string(confusion.counts[r * n + c]); };
    for (const int64_t count : confusion.counts) {
      heat.scale = std::max(heat.scale, static_cast<double>(count));
    }
    heat.column_title = "predicted →";
    heat.row_title = "← gold";
    y += draw_heat(canvas, heat, kSheetMargin, y, kSheetWidth).height + 30;
  }
  const std::string shown = !method.empty() || report.methods.empty() ? method : report.methods[0];
  std::vector<const ClassUnits*> classes;
  double scale = 0;
  for (const ClassUnits& each : report.classes) {
    if (each.method != shown) continue;
    classes.push_back(&each);
    for (const auto& unit : each.units) scale = std::max(scale, std::abs(unit.score));
  }
  if (!classes.empty()) {
    y += draw_heading(canvas, "units that weigh most, by " + shown,
                      "score as a share of the largest of its input, summed over the inputs "
                      "explained for this output and divided by their number",
                      kSheetMargin, y, kSheetWidth);
    const bool is_signed =
        report.is_signed[std::find(report.methods.begin(), report.methods.end(), shown) -
                         report.methods.begin()];
    constexpr std::size_t kColumns = 3;
    const double column = kSheetWidth / kColumns;
    double tallest = 0;
    for (std::size_t i = 0; i < classes.size(); ++i) {
      if (i > 0 && i % kColumns == 0) {
        y += tallest + 16;
        tallest = 0;
      }
      const double x = kSheetMargin + static_cast<double>(i % kColumns) * column;
      canvas.text(
          x, y + 12,
          text_lines(fmt::format("{} ({})", visible_text(classes[i]->label), classes[i]->inputs),
                     13 * kBoldFactor, column - 12, 1)[0],
          {.bold = true});
      double top = y + 20;
      for (const auto& unit : classes[i]->units) {
        canvas.text(x, top + 12, text_lines(visible_text(unit.text), 12, column * 0.4, 1)[0],
                    {.size = 12});
        const double share = scale > 0 ? std::abs(unit.score) / scale : 0;
        canvas.rectangle(x + column * 0.45, top + 2, std::max(1.0, share * column * 0.3), 13,
                         score_color(is_signed, unit.score, scale),
                         fmt::format("{}: {}, in {} inputs", unit.text, unit.score, unit.inputs));
        canvas.text(x + column * 0.78, top + 12, number_text(unit.score, scale, is_signed),
                    {.size = 10.5, .fill = kMuted});
        top += 19;
      }
      tallest = std::max(tallest, top - y);
    }
    y += tallest + 14;
  }
  Explanation caption;
  caption.model = report.model;
  caption.task = report.task;
  caption.command = report.command;
  caption.notices = report.notices;
  y += draw_caption(canvas, caption, kSheetMargin, y, kSheetWidth).height;
  return canvas.card(kSheetWidth + 2 * kSheetMargin, y + kSheetMargin - 12,
                     fmt::format("{}, {}", report.data, report.model));
}

}  // namespace attend
