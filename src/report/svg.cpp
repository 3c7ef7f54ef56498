// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/svg.h"

#include <fmt/format.h>

#include <algorithm>

#include "attend/base/error.h"
#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/text.h"
#include "layout.h"
#include "svg_blocks.h"

namespace attend {
namespace {

using namespace report;

constexpr double kFigureMargin = 24;
constexpr double kFigureWidth = 760;

std::string figure_title(const Explanation& e, std::string_view what) {
  return fmt::format("{}: {}, target {}", what, e.model, e.target);
}

// The input as a headline, at most three lines.
double draw_input(SvgCanvas& canvas, const Explanation& e, double y, double width) {
  double top = y;
  for (const std::string& line : text_lines(visible_text(e.input), 17 * kBoldFactor, width, 3)) {
    canvas.text(kFigureMargin, top + 17, line, {.size = 17, .bold = true});
    top += 24;
  }
  return top;
}

// A card with `draw`'s picture and the caption below it.
template <class Draw>
std::string figure(const Explanation& e, std::string_view what, double wanted, Draw draw) {
  SvgCanvas canvas;
  const Extent drawn = draw(canvas, kFigureMargin, wanted);
  const double width = std::max(wanted, drawn.width);
  double y = kFigureMargin + drawn.height + 14;
  y += draw_caption(canvas, e, kFigureMargin, y, width).height;
  return canvas.card(width + 2 * kFigureMargin, y + kFigureMargin - 12, figure_title(e, what));
}

void need(bool there, std::string_view missing) {
  if (there) return;
  throw usage_error(
      fmt::format("this explanation holds {}; `attend render FILE` shows what it has", missing));
}

}  // namespace

std::string matrix_svg(const Explanation& explanation, std::size_t map_index) {
  check_explanation(explanation);
  const AttentionMap& map = map_at(explanation, map_index);
  return figure(explanation, "attention, " + map_label(map), 560,
                [&](SvgCanvas& canvas, double y, double width) {
                  return draw_matrix(canvas, explanation, map, kFigureMargin, y, width);
                });
}

std::string highlight_svg(const Explanation& explanation) {
  check_explanation(explanation);
  return figure(explanation, "scores of each unit", kFigureWidth,
                [&](SvgCanvas& canvas, double y, double width) {
                  return draw_highlight(canvas, explanation, kFigureMargin, y, width);
                });
}

std::string heads_svg(const Explanation& explanation) {
  check_explanation(explanation);
  need(!explanation.heads.empty(), "no summaries of attention heads");
  return figure(explanation, "attention heads", kFigureWidth,
                [&](SvgCanvas& canvas, double y, double width) {
                  return draw_heads(canvas, explanation, kFigureMargin, y, width);
                });
}

std::string alignment_svg(const Explanation& explanation, std::size_t index) {
  check_explanation(explanation);
  need(index < explanation.alignments.size(), "no alignment of an output");
  const Alignment& alignment = explanation.alignments[index];
  return figure(explanation, "alignment by " + alignment.method, 560,
                [&](SvgCanvas& canvas, double y, double width) {
                  return draw_alignment(canvas, explanation, alignment, kFigureMargin, y, width);
                });
}

std::string overlay_svg(const Explanation& explanation, std::size_t index) {
  check_explanation(explanation);
  need(explanation.surface && index < explanation.attributions.size(), "no picture with scores");
  const Attribution& attribution = explanation.attributions[index];
  return figure(explanation, attribution.method + " over the picture", 640,
                [&](SvgCanvas& canvas, double y, double width) {
                  return draw_overlay(canvas, explanation, attribution, kFigureMargin, y, width);
                });
}

std::string long_svg(const Explanation& explanation, std::size_t index) {
  check_explanation(explanation);
  need(index < explanation.layers.size(), "no summaries of a long input");
  const LayerSummary& layer = explanation.layers[index];
  return figure(explanation, "long input", kFigureWidth,
                [&](SvgCanvas& canvas, double y, double width) {
                  return draw_layer(canvas, explanation, layer, kFigureMargin, y, width);
                });
}

std::string curve_svg(const Explanation& explanation) {
  check_explanation(explanation);
  need(has_curves(explanation), "no faithfulness curves");
  return figure(explanation, "faithfulness curves", kFigureWidth,
                [&](SvgCanvas& canvas, double y, double width) {
                  return draw_curves(canvas, explanation, kFigureMargin, y, width);
                });
}

std::string overview_svg(const Explanation& explanation) {
  check_explanation(explanation);
  return figure(
      explanation, "explanation", kFigureWidth, [&](SvgCanvas& canvas, double begin, double width) {
        double y = draw_input(canvas, explanation, begin - 4, width) + 8;
        y += draw_prediction(canvas, explanation, kFigureMargin, y, width).height + 22;
        y += draw_highlight(canvas, explanation, kFigureMargin, y, width).height;
        Extent used{width, 0};
        if (!explanation.attention.empty()) {
          const AttentionMap& map = explanation.attention[default_map_index(explanation)];
          used = draw_matrix(canvas, explanation, map, kFigureMargin, y + 8, width);
          y += used.height + 8;
        }
        if (!explanation.effects.empty()) {
          y += draw_effects(canvas, explanation, kFigureMargin, y + 14, width).height + 14;
        }
        return Extent{std::max(width, used.width), y - begin};
      });
}

}  // namespace attend
