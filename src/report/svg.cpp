// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/svg.h"

#include <fmt/format.h>

#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/text.h"
#include "layout.h"
#include "svg_blocks.h"

namespace attend {
namespace {

using namespace report;

constexpr double kMargin = 24;

std::string figure_title(const Explanation& e, std::string_view what) {
  return fmt::format("{}: {}, target {}", what, e.model, e.target);
}

// The input as a headline, at most three lines.
double draw_input(SvgCanvas& canvas, const Explanation& e, double y, double width) {
  double top = y;
  for (const std::string& line : text_lines(visible_text(e.input), 17 * kBoldFactor, width, 3)) {
    canvas.text(kMargin, top + 17, line, {.size = 17, .bold = true});
    top += 24;
  }
  return top;
}

}  // namespace

std::string matrix_svg(const Explanation& explanation, std::size_t map_index) {
  check_explanation(explanation);
  SvgCanvas canvas;
  const AttentionMap& map = map_at(explanation, map_index);
  constexpr double kWidth = 560;
  const Extent matrix = draw_matrix(canvas, explanation, map, kMargin, kMargin, kWidth);
  double y = kMargin + matrix.height + 14;
  y += draw_caption(canvas, explanation, kMargin, y, matrix.width).height;
  return canvas.card(matrix.width + 2 * kMargin, y + kMargin - 12,
                     figure_title(explanation, "attention, " + map_label(map)));
}

std::string highlight_svg(const Explanation& explanation) {
  check_explanation(explanation);
  SvgCanvas canvas;
  constexpr double kWidth = 760;
  double y = kMargin;
  y += draw_highlight(canvas, explanation, kMargin, y, kWidth).height;
  y += draw_caption(canvas, explanation, kMargin, y, kWidth).height;
  return canvas.card(kWidth + 2 * kMargin, y + kMargin - 12,
                     figure_title(explanation, "scores of each unit"));
}

std::string overview_svg(const Explanation& explanation) {
  check_explanation(explanation);
  SvgCanvas canvas;
  double width = 760;
  double y = draw_input(canvas, explanation, kMargin - 4, width) + 8;
  y += draw_prediction(canvas, explanation, kMargin, y, width).height + 22;
  y += draw_highlight(canvas, explanation, kMargin, y, width).height;
  if (!explanation.attention.empty()) {
    const AttentionMap& map = explanation.attention[default_map_index(explanation)];
    y += 8;
    const Extent matrix = draw_matrix(canvas, explanation, map, kMargin, y, width);
    y += matrix.height + 14;
    width = matrix.width;
  }
  y += draw_caption(canvas, explanation, kMargin, y, width).height;
  return canvas.card(width + 2 * kMargin, y + kMargin - 12,
                     figure_title(explanation, "explanation"));
}

}  // namespace attend
