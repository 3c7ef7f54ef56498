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

Extent draw_method(SvgCanvas& canvas, const Explanation& e, const Attribution& attribution,
                   double scale, double x, double y, double width) {
  const Row row{attribution, scale, e.units.size() <= kMostNumberedUnits};
  canvas.text(
      x, y + 13,
      text_lines(visible_text(attribution.method), 13 * kBoldFactor, kNameColumn - 16, 1)[0],
      {.bold = true});
  draw_ramp(canvas, x, y + 21, kNameColumn - 46, attribution.is_signed, row.scale);
  double height = draw_units(canvas, pieces_of(e), row, x + kNameColumn, y, width - kNameColumn);
  std::string meaning = visible_text(attribution.meaning);
  if (attribution.is_signed) {
    meaning += fmt::format("{}blue: for {}, orange: against", meaning.empty() ? "" : " · ",
                           visible_text(e.target));
  }
  if (!attribution.note.empty()) meaning += " · " + visible_text(attribution.note);
  const auto lines = [&](const std::string& text) {
    for (const std::string& line : text_lines(text, 10.5, width - kNameColumn, 2)) {
      canvas.text(x + kNameColumn, y + height + 8, line, {.size = 10.5, .fill = kMuted});
      height += 14;
    }
  };
  lines(meaning);
  if (attribution.faithfulness) lines(faithfulness_text(*attribution.faithfulness));
  return {width, std::max(height, 42.0) + 16};
}

Extent draw_highlight(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
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
      top += draw_method(canvas, e, attribution, scale_of(attribution), x, top, width).height;
    }
  }
  return {width, top - y};
}

Extent draw_caption(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
  double top = y;
  canvas.line(x, top, x + width, top, "#e1e5ec");
  top += 18;
  const auto lines = [&](const std::string& text, const SvgText& look) {
    const double wider = look.mono ? 1.06 : look.bold ? kBoldFactor : 1;
    for (const std::string& line : text_lines(text, look.size * wider, width, 4)) {
      canvas.text(x, top, line, look);
      top += 15;
    }
  };
  if (!e.verdict.empty()) {
    lines(visible_text(e.verdict), {.size = 11.5, .bold = true});
  }
  for (const std::string& notice : e.notices) {
    lines("note: " + visible_text(notice), {.size = 11, .fill = "#8a4b00"});
  }
  const std::string target = e.target.empty() ? "" : " · target " + visible_text(e.target);
  lines(fmt::format("model {} · task {}{}", visible_text(e.model), visible_text(e.task), target),
        {.size = 11, .fill = kMuted});
  lines(visible_text(e.command), {.size = 10.5, .fill = kMuted, .mono = true});
  return {width, top - y};
}

}  // namespace attend::report
