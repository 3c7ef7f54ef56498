// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attend/report/text.h"
#include "layout.h"
#include "svg_blocks.h"

namespace attend::report {
namespace {

constexpr double kNameColumn = 176;
constexpr std::size_t kMostNumberedUnits = 32;  // more would be too small to read

// A ramp with its ends written beside it.
void draw_ramp(SvgCanvas& canvas, double x, double y, double width, bool is_signed, double scale) {
  constexpr int kSteps = 48;
  const double low = is_signed ? -1 : 0;
  for (int i = 0; i < kSteps; ++i) {
    const double t = low + (1 - low) * i / (kSteps - 1);
    // A hair of overlap, or antialiasing draws seams between the steps.
    canvas.rectangle(x + width * i / kSteps, y, width / kSteps + (i + 1 < kSteps ? 0.4 : 0), 7,
                     is_signed ? diverging_color(t) : sequential_color(t));
  }
  canvas.frame(x, y, width, 7, "#c9cfd9");
  const SvgText small{.size = 10, .fill = kMuted};
  canvas.text(x, y + 18, number_text(low * scale, scale, is_signed), small);
  if (is_signed) {
    canvas.text(x + width / 2, y + 18, "0", {.size = 10, .fill = kMuted, .anchor = "middle"});
  }
  canvas.text(x + width, y + 18, number_text(scale, scale, is_signed),
              {.size = 10, .fill = kMuted, .anchor = "end"});
}

struct Row {
  const Attribution& attribution;
  double scale;
  bool numbered;
};

// The units of one method, flowing like text; returns the height of the flow.
double draw_units(SvgCanvas& canvas, const std::vector<Piece>& pieces, const Row& row, double left,
                  double top, double width) {
  constexpr double kSize = 15, kBox = 26, kGapBetween = 2;
  const double line_height = kBox + (row.numbered ? 20 : 8);
  double x = left, y = top;
  for (const Piece& piece : pieces) {
    const std::string text = visible_text(piece.text);
    if (piece.unit == Piece::kGap && text.find_first_not_of(' ') == std::string::npos) {
      x += 3;
      continue;
    }
    const bool is_unit = piece.unit != Piece::kGap;
    const double score = is_unit ? row.attribution.scores[piece.unit] : 0;
    const std::string number = number_text(score, row.scale, row.attribution.is_signed);
    double box = text_width(text, kSize) + (is_unit ? 8 : 2);
    if (is_unit && row.numbered) box = std::max(box, text_width(number, 9.5) + 5);
    std::string shown = text;
    if (box > width) {
      box = width;
      shown = text_lines(text, kSize, width - 24, 1).front();
    }
    if (x + box > left + width) {
      x = left;
      y += line_height;
    }
    Rgb fill{255, 255, 255};
    if (is_unit) {
      fill = score_color(row.attribution.is_signed, score, row.scale);
      canvas.rectangle(x, y, box, kBox, fill,
                       fmt::format("{} · {} {}", text, row.attribution.method, score), 3);
      // Pale units would melt into the card: a hairline keeps their extent visible.
      canvas.frame(x, y, box, kBox, "#e1e5ec", 3);
    }
    const std::string ink = to_hex(text_color_on(fill));
    canvas.text(x + box / 2, y + 18.5, shown,
                {.size = kSize, .fill = is_unit ? ink : std::string(kMuted), .anchor = "middle"});
    if (is_unit && row.numbered) {
      canvas.text(x + box / 2, y + kBox + 11, number,
                  {.size = 9.5, .fill = kMuted, .anchor = "middle"});
    }
    x += box + kGapBetween;
  }
  return y - top + line_height;
}

}  // namespace

Extent draw_prediction(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
  constexpr std::size_t kMost = 5;
  const std::size_t shown = std::min(kMost, e.outputs.size());
  const double bar_left = x + kNameColumn, bar_width = width - kNameColumn - 60;
  double top = y;
  for (std::size_t i = 0; i < shown; ++i) {
    const OutputScore& output = e.outputs[i];
    const bool is_target = output.label == e.target;
    const double share = std::clamp(output.probability, 0.0, 1.0);
    canvas.text(x, top + 12.5,
                text_lines(visible_text(output.label), 13 * kBoldFactor, kNameColumn - 24, 1)[0],
                {.bold = is_target});
    canvas.rectangle(bar_left, top + 2, bar_width, 13, {238, 241, 246}, "", 2);
    canvas.rectangle(
        bar_left, top + 2, std::max(1.0, share * bar_width), 13,
        is_target ? Rgb{58, 66, 82} : Rgb{158, 167, 181},
        fmt::format("{}: probability {}, logit {}", output.label, output.probability, output.logit),
        2);
    canvas.text(x + width, top + 12.5, fmt::format("{:.3f}", output.probability),
                {.size = 12, .anchor = "end", .bold = is_target});
    top += 21;
  }
  if (shown < e.outputs.size()) {
    double rest = 0;
    for (std::size_t i = shown; i < e.outputs.size(); ++i) rest += e.outputs[i].probability;
    canvas.text(bar_left, top + 10,
                fmt::format("{} more, together {:.3f}", e.outputs.size() - shown, rest),
                {.size = 11, .fill = kMuted});
    top += 16;
  }
  return {width, top - y};
}

Extent draw_highlight(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
  const std::vector<Piece> pieces = pieces_of(e);
  double top = y;
  for (const Family family : {Family::kAttention, Family::kAttribution, Family::kBaseline}) {
    bool headed = false;
    for (const Attribution& attribution : e.attributions) {
      if (family_of(attribution) != family) continue;
      if (!headed) {
        std::string heading(family_heading(family));
        heading[0] = static_cast<char>(heading[0] - 'a' + 'A');
        canvas.text(x, top + 11, heading, {.size = 11.5, .fill = kMuted, .bold = true});
        top += 24;
        headed = true;
      }
      const Row row{attribution, scale_of(attribution), e.units.size() <= kMostNumberedUnits};
      canvas.text(
          x, top + 13,
          text_lines(visible_text(attribution.method), 13 * kBoldFactor, kNameColumn - 16, 1)[0],
          {.bold = true});
      draw_ramp(canvas, x, top + 21, kNameColumn - 46, attribution.is_signed, row.scale);
      double height = draw_units(canvas, pieces, row, x + kNameColumn, top, width - kNameColumn);
      std::string meaning = visible_text(attribution.meaning);
      if (attribution.is_signed) {
        meaning += fmt::format("{}blue: for {}, orange: against", meaning.empty() ? "" : " · ",
                               visible_text(e.target));
      }
      for (const std::string& line : text_lines(meaning, 10.5, width - kNameColumn, 2)) {
        canvas.text(x + kNameColumn, top + height + 8, line, {.size = 10.5, .fill = kMuted});
        height += 14;
      }
      top += std::max(height, 42.0) + 16;
    }
  }
  return {width, top - y};
}

Extent draw_matrix(SvgCanvas& canvas, const Explanation& e, const AttentionMap& map, double x,
                   double y, double width) {
  constexpr int64_t kMostCells = 160;
  const PooledMap small = pooled(map, kMostCells, kMostCells);
  const AttentionMap& shown = small.map;
  const bool is_pooled = small.row_block > 1 || small.column_block > 1;
  const auto label_of = [&](int64_t unit) {
    return text_lines(visible_text(e.units[unit].text), 12, 110, 1)[0];
  };
  double row_width = 0, column_width = 0;
  for (const Unit& unit : e.units) {
    column_width = std::max(column_width, std::min(118.0, text_width(visible_text(unit.text), 12)));
  }
  row_width = map.rows == static_cast<int64_t>(e.units.size()) ? column_width : 118;
  const double left = x + row_width + 30;
  const double cell =
      std::clamp((width - (left - x)) / std::max<int64_t>(1, shown.columns), 3.0, 36.0);
  // Upright labels where they fit over a cell, else leaning ones, which need more height.
  const bool upright = column_width <= cell - 2;
  const double header = upright ? 18 : column_width * 0.78 + 14;
  canvas.text(x, y + 13, text_lines(visible_text(map_label(map)), 13 * kBoldFactor, width, 1)[0],
              {.bold = true});
  std::string rule =
      "attention weights in percent; rows = queries, columns = keys, each row sums to 100";
  if (is_pooled) {
    rule =
        fmt::format("{} x {} weights pooled: one cell is the mass that {} queries give to {} keys",
                    map.rows, map.columns, small.row_block, small.column_block);
  }
  double top = y + 30;
  for (const std::string& line : text_lines(rule, 11, width, 2)) {
    canvas.text(x, top, line, {.size = 11, .fill = kMuted});
    top += 15;
  }
  canvas.text(left, top + 6, "keys (looked at) →", {.size = 10.5, .fill = kMuted});
  top += 12 + header;
  if (shown.rows > 2) {
    canvas.text(x + 10, top, "← queries (looking)",
                {.size = 10.5, .fill = kMuted, .anchor = "end", .rotate = -90});
  }
  // Where cells are smaller than the letters, only every n-th label is drawn.
  const auto stride = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(12 / cell)));
  for (int64_t c = 0; c < shown.columns; c += stride) {
    const double center = left + (c + 0.5) * cell;
    const std::string label = label_of(c * small.column_block);
    canvas.text(
        upright ? center : center + 3, top - 5, label,
        upright ? SvgText{.size = 12, .anchor = "middle"} : SvgText{.size = 12, .rotate = -50});
  }
  const double scale = range_of(shown).high;
  const double pad = cell >= 8 ? 0.5 : 0;
  for (int64_t r = 0; r < shown.rows; ++r) {
    const double cell_top = top + r * cell;
    const int64_t query = r * small.row_block;
    const std::string query_label = row_label(e, map, query);
    if (r % stride == 0) {
      canvas.text(left - 6, cell_top + cell / 2 + 4.2,
                  text_lines(visible_text(query_label), 12, 110, 1)[0],
                  {.size = 12, .anchor = "end"});
    }
    for (int64_t c = 0; c < shown.columns; ++c) {
      const double weight = shown.weights[r * shown.columns + c];
      const Rgb fill = score_color(false, weight, scale);
      canvas.rectangle(left + c * cell + pad, cell_top + pad, cell - 2 * pad, cell - 2 * pad, fill,
                       fmt::format("{} → {}: {:.6g}", query_label,
                                   e.units[c * small.column_block].text, weight));
      if (cell >= 22) {
        canvas.text(left + (c + 0.5) * cell, cell_top + cell / 2 + 3.8, percent_text(weight),
                    {.size = 10.5, .fill = to_hex(text_color_on(fill)), .anchor = "middle"});
      }
    }
  }
  canvas.frame(left, top, cell * shown.columns, cell * shown.rows, "#c9cfd9");
  const double below = top + cell * shown.rows + 14;
  draw_ramp(canvas, left, below, std::min(180.0, std::max(90.0, cell * shown.columns)), false,
            scale);
  const double used = std::max(width, left - x + cell * shown.columns);
  return {used, below + 24 - y};
}

Extent draw_caption(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
  double top = y;
  canvas.line(x, top, x + width, top, "#e1e5ec");
  top += 18;
  const auto lines = [&](const std::string& text, const SvgText& look) {
    for (const std::string& line : text_lines(text, look.size * (look.mono ? 1.06 : 1), width, 4)) {
      canvas.text(x, top, line, look);
      top += 15;
    }
  };
  for (const std::string& notice : e.notices) {
    lines("note: " + visible_text(notice), {.size = 11, .fill = "#8a4b00"});
  }
  lines(fmt::format("model {} · task {} · target {}", visible_text(e.model), visible_text(e.task),
                    visible_text(e.target)),
        {.size = 11, .fill = kMuted});
  lines(visible_text(e.command), {.size = 10.5, .fill = kMuted, .mono = true});
  return {width, top - y};
}

}  // namespace attend::report
