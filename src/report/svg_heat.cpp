// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attend/report/text.h"
#include "layout.h"
#include "svg_blocks.h"

namespace attend::report {
namespace {

constexpr double kMostLabel = 118;

std::string label_of(const std::string& text) {
  return text_lines(visible_text(text), 12, kMostLabel - 8, 1)[0];
}

}  // namespace

double draw_heading(SvgCanvas& canvas, const std::string& title, const std::string& rule, double x,
                    double y, double width) {
  canvas.text(x, y + 13, text_lines(visible_text(title), 13 * kBoldFactor, width, 1)[0],
              {.bold = true});
  double top = y + 30;
  if (rule.empty()) return top - y - 8;
  for (const std::string& line : text_lines(rule, 11, width, 3)) {
    canvas.text(x, top, line, {.size = 11, .fill = kMuted});
    top += 15;
  }
  return top - y;
}

Extent draw_heat(SvgCanvas& canvas, const Heat& heat, double x, double y, double width) {
  const auto widest = [](int64_t count, const auto& label) {
    double most = 0;
    for (int64_t i = 0; i < count; ++i) {
      most = std::max(most, std::min(kMostLabel, text_width(visible_text(label(i)), 12)));
    }
    return most;
  };
  const double row_width = widest(heat.rows, heat.row_label);
  const double column_width = widest(heat.columns, heat.column_label);
  const double left = x + row_width + 30;
  const double cell =
      std::clamp((width - (left - x)) / std::max<int64_t>(1, heat.columns), 3.0, heat.most_cell);
  // Upright labels where they fit over a cell, else leaning ones, which need more height.
  const bool upright = column_width <= cell - 2;
  double top = y;
  canvas.text(left, top + 6, heat.column_title, {.size = 10.5, .fill = kMuted});
  top += 12 + (upright ? 18 : column_width * 0.78 + 14);
  if (heat.rows > 2) {
    canvas.text(x + 10, top, heat.row_title,
                {.size = 10.5, .fill = kMuted, .anchor = "end", .rotate = -90});
  }
  // Where cells are smaller than the letters, only every n-th label is drawn.
  const auto stride = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(12 / cell)));
  for (int64_t c = 0; c < heat.columns; c += stride) {
    const double center = left + (c + 0.5) * cell;
    canvas.text(
        upright ? center : center + 3, top - 5, label_of(heat.column_label(c)),
        upright ? SvgText{.size = 12, .anchor = "middle"} : SvgText{.size = 12, .rotate = -50});
  }
  const double pad = cell >= 8 ? 0.5 : 0;
  for (int64_t r = 0; r < heat.rows; ++r) {
    const double cell_top = top + r * cell;
    const std::string row = heat.row_label(r);
    if (r % stride == 0) {
      canvas.text(left - 6, cell_top + cell / 2 + 4.2, label_of(row),
                  {.size = 12, .anchor = "end"});
    }
    int64_t heaviest = 0;
    for (int64_t c = 0; c < heat.columns; ++c) {
      const double value = heat.value(r, c);
      if (value > heat.value(r, heaviest)) heaviest = c;
      const Rgb fill = c == heat.grey_column ? Rgb{236, 239, 244}
                                             : score_color(heat.is_signed, value, heat.scale);
      canvas.rectangle(left + c * cell + pad, cell_top + pad, cell - 2 * pad, cell - 2 * pad, fill,
                       fmt::format("{} → {}: {:.6g}", row, heat.column_label(c), value));
      if (cell >= 22) {
        canvas.text(left + (c + 0.5) * cell, cell_top + cell / 2 + 3.8, heat.shown(r, c),
                    {.size = 10.5, .fill = to_hex(text_color_on(fill)), .anchor = "middle"});
      }
    }
    if (heat.frame_heaviest && heat.columns > 0) {
      canvas.frame(left + heaviest * cell + 1, cell_top + 1, cell - 2, cell - 2, kInk);
    }
  }
  canvas.frame(left, top, cell * heat.columns, cell * heat.rows, "#c9cfd9");
  const double lean = upright ? 0 : column_width * 0.64;
  return {left - x + cell * heat.columns + lean, top + cell * heat.rows - y};
}

Extent draw_matrix(SvgCanvas& canvas, const Explanation& e, const AttentionMap& map, double x,
                   double y, double width) {
  constexpr int64_t kMostCells = 160;
  const PooledMap small = pooled(map, kMostCells, kMostCells);
  const bool is_pooled = small.row_block > 1 || small.column_block > 1;
  std::string rule =
      "attention weights in percent; rows = queries, columns = keys, each row sums to 100";
  if (is_pooled) {
    rule =
        fmt::format("{} x {} weights pooled: one cell is the mass that {} queries give to {} keys",
                    map.rows, map.columns, small.row_block, small.column_block);
  }
  const double heading = draw_heading(canvas, map_label(map), rule, x, y, width);
  const std::span<const Unit> keys = key_units(e, map);
  Heat heat;
  heat.rows = small.map.rows;
  heat.columns = small.map.columns;
  heat.row_label = [&](int64_t r) { return row_label(e, map, r * small.row_block); };
  heat.column_label = [&](int64_t c) { return keys[c * small.column_block].text; };
  heat.value = [&](int64_t r, int64_t c) { return small.map.weights[r * small.map.columns + c]; };
  heat.shown = [&](int64_t r, int64_t c) { return percent_text(heat.value(r, c)); };
  heat.scale = range_of(small.map).high;
  heat.column_title = "keys (looked at) →";
  heat.row_title = "← queries (looking)";
  const Extent drawn = draw_heat(canvas, heat, x, y + heading, width);
  const double below = y + heading + drawn.height + 14;
  draw_ramp(canvas, x, below, 140, false, heat.scale);
  return {std::max(width, drawn.width), below + 24 - y};
}

Extent draw_alignment(SvgCanvas& canvas, const Explanation& e, const Alignment& alignment, double x,
                      double y, double width) {
  double scale = 0;
  for (const double score : alignment.scores) scale = std::max(scale, std::abs(score));
  const double heading = draw_heading(
      canvas, "alignment by " + alignment.method,
      visible_text(alignment.meaning) +
          "; rows = units of the output, columns = units of the input; framed: the heaviest",
      x, y, width);
  Heat heat;
  heat.rows = static_cast<int64_t>(e.output_units.size());
  heat.columns = static_cast<int64_t>(e.units.size());
  heat.row_label = [&](int64_t r) { return e.output_units[r].text; };
  heat.column_label = [&](int64_t c) { return e.units[c].text; };
  heat.value = [&](int64_t r, int64_t c) { return alignment.scores[r * heat.columns + c]; };
  heat.shown = [&](int64_t r, int64_t c) { return number_text(heat.value(r, c), scale); };
  heat.is_signed = alignment.is_signed;
  heat.scale = scale;
  heat.most_cell = 42;
  heat.frame_heaviest = true;
  heat.column_title = "input →";
  heat.row_title = "← output";
  const Extent drawn = draw_heat(canvas, heat, x, y + heading, width);
  const double below = y + heading + drawn.height + 14;
  draw_ramp(canvas, x, below, 140, alignment.is_signed, scale);
  return {std::max(width, drawn.width), below + 24 - y};
}

// One tile per head: its map, and entropy, distance and importance below it.
Extent draw_heads(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
  constexpr double kLeft = 62, kGap = 10, kUniform = 0.95;
  constexpr int64_t kMostPixels = 48;
  int64_t columns = 1;
  double most_importance = 0;
  bool measured = false;
  std::vector<int64_t> layers;
  for (const HeadSummary& head : e.heads) {
    columns = std::max(columns, head.head + 1);
    if (head.importance) {
      measured = true;
      most_importance = std::max(most_importance, std::abs(*head.importance));
    }
    if (std::find(layers.begin(), layers.end(), head.layer) == layers.end()) {
      layers.push_back(head.layer);
    }
  }
  std::sort(layers.begin(), layers.end());
  const double heading = draw_heading(
      canvas, "attention heads",
      fmt::format("entropy as a share of that of equal weights (uniform from {}); mean distance in "
                  "units{}",
                  kUniform, measured ? "; importance = drop of the metric without the head" : ""),
      x, y, width);
  const double side =
      std::clamp((width - kLeft) / static_cast<double>(columns) - kGap, 56.0, 110.0);
  const double tall = side + 22 + (measured ? 28 : 14) + kGap;
  for (const HeadSummary& head : e.heads) {
    const auto row = std::find(layers.begin(), layers.end(), head.layer) - layers.begin();
    const double left = x + kLeft + static_cast<double>(head.head) * (side + kGap);
    const double top = y + heading + static_cast<double>(row) * tall;
    if (head.head == 0) {
      canvas.text(x, top + side / 2, fmt::format("layer {}", head.layer),
                  {.size = 11.5, .fill = kMuted});
    }
    const auto map = std::find_if(e.attention.begin(), e.attention.end(), [&](const auto& each) {
      return each.layer == head.layer && each.head == head.head;
    });
    if (map != e.attention.end()) {
      const PooledMap small = pooled(*map, kMostPixels, kMostPixels);
      const double scale = range_of(small.map).high;
      std::vector<uint8_t> pixels;
      for (const float weight : small.map.weights) {
        const Rgb color = score_color(false, weight, scale);
        pixels.insert(pixels.end(), {color.red, color.green, color.blue});
      }
      canvas.picture(left, top, side, side, small.map.columns, small.map.rows, pixels);
    }
    canvas.frame(left, top, side, side, "#c9cfd9");
    const Rgb fill = sequential_color(head.entropy);
    canvas.rectangle(
        left, top + side, side, 17, fill,
        fmt::format("layer {}, head {}: entropy {}", head.layer, head.head, head.entropy));
    canvas.text(left + side / 2, top + side + 12.5,
                fmt::format("{:.2f}{}", head.entropy, head.entropy >= kUniform ? " uniform" : ""),
                {.size = 10.5, .fill = to_hex(text_color_on(fill)), .anchor = "middle"});
    canvas.text(left, top + side + 30, fmt::format("head {} · {:.1f}", head.head, head.distance),
                {.size = 10.5, .fill = kMuted});
    if (head.importance) {
      const Rgb color = score_color(true, *head.importance, most_importance);
      canvas.rectangle(left, top + side + 35, 10, 10, color);
      canvas.text(left + 14, top + side + 44, number_text(*head.importance, most_importance, true),
                  {.size = 10.5, .fill = kMuted});
    }
  }
  const double used = kLeft + static_cast<double>(columns) * (side + kGap);
  return {std::max(width, used), heading + static_cast<double>(layers.size()) * tall};
}

}  // namespace attend::report
