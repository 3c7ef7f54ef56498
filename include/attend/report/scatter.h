// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace attend {

/// One point of a scatter plot.
struct ScatterPoint {
  double x = 0;
  double y = 0;
  std::string series;   ///< points of one series share a colour and are joined in their order
  std::string label;    ///< beside the point, and on hover; may be empty
  bool marked = false;  ///< drawn with a ring
};

struct ScatterPlot {
  std::string title;
  std::string x_label, y_label;
  std::string mark_label;  ///< what a ring means; empty: nothing is marked
  std::string caption;     ///< below the plot, wrapped: what was measured, by which command
  std::vector<ScatterPoint> points;
};

/// A stand-alone SVG 1.1 file of the plot. Points that are not finite are left out; without any
/// point the plot is empty.
std::string scatter_svg(const ScatterPlot& plot);

}  // namespace attend
