// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

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

Extent draw_prediction(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);
Extent draw_highlight(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);
Extent draw_matrix(SvgCanvas& canvas, const Explanation& e, const AttentionMap& map, double x,
                   double y, double width);

/// Model, target and command in small print; notices before them.
Extent draw_caption(SvgCanvas& canvas, const Explanation& e, double x, double y, double width);

}  // namespace attend::report
