// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "attend/explain/explanation.h"
#include "svg_canvas.h"

// The blocks that SVG figures are made of. Each draws from (x, y) downwards and returns the size it
// took. Private to the report layer.
namespace attend::report {

constexpr std::string_view kInk = "#181c24";
constexpr std::string_view kMuted = "#5b6472";

struct Extent {
  double width = 0;
  double height = 0;
};

/// A ramp with its ends written below it.
void draw_ramp(SvgCanvas& canvas, double x, double y, double width, bool is_signed, double scale);

/// A labelled heat map of any kind.
struct Heat {
  int64_t rows = 0, columns = 0;
  std::function<std::string(int64_t)> row_label, column_label;  ///< not yet visible_text
  std::function<double(int64_t, int64_t)> value;
  std::function<std::string(int64_t, int64_t)> shown;  ///< text of a cell that is large enough
  bool is_signed = false;
  double scale = 0;             ///< end of the colour scale
  double most_cell = 36;        ///< px
  int64_t grey_column = -1;     ///< a column without a colour
  bool frame_heaviest = false;  ///< a frame around the largest value of each row
  std::string column_title, row_title;
};
/// Without the ramp.
Extent draw_heat(SvgCanvas& canvas, const Heat& heat, double x, double y, double width);

/// A bold line and muted lines below it; returns the height.
double draw_heading(SvgCanvas& canvas, const std::string& title, const std::string& rule, double x,
                    double y, double width);

Extent draw_prediction(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);
/// One method's units as boxes that flow like text, on a scale that ends at `scale`.
Extent draw_method(SvgCanvas& canvas, const Explanation& e, const Attribution& attribution,
                   double scale, double x, double y, double width);
Extent draw_highlight(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);
Extent draw_matrix(SvgCanvas& canvas, const Explanation& e, const AttentionMap& map, double x,
                   double y, double width);
Extent draw_heads(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);
Extent draw_alignment(SvgCanvas& canvas, const Explanation& e, const Alignment& alignment, double x,
                      double y, double width);
Extent draw_curves(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);
Extent draw_overlay(SvgCanvas& canvas, const Explanation& e, const Attribution& attribution,
                    double x, double y, double width);
Extent draw_layer(SvgCanvas& canvas, const Explanation& e, const LayerSummary& layer, double x,
                  double y, double width);
Extent draw_effects(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);

/// Model, target and command in small print; notices before them.
Extent draw_caption(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);

}  // namespace attend::report
