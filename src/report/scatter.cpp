// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/scatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "svg_canvas.h"

namespace attend {
namespace {

using report::SvgCanvas;
using report::SvgText;

constexpr double kPlotWidth = 720, kPlotHeight = 420, kLeft = 72, kTop = 52, kRight = 190;
constexpr const char* kInk = "#181c24";
constexpr const char* kGrey = "#5b6472";
constexpr const char* kRule = "#d5dae3";
// Okabe and Ito's colours, told apart under every common colour blindness.
constexpr Rgb kColors[] = {{0, 114, 178},   {213, 94, 0},   {0, 158, 115},
                           {204, 121, 167}, {86, 180, 233}, {230, 159, 0}};

struct Axis {
  double low = 0, high = 1, step = 1;

  double share(double value) const { return (value - low) / (high - low); }
};

// Round numbers around the values: steps of 1, 2 or 5 times a power of ten.
Axis axis_of(std::vector<double> values) {
  Axis axis;
  if (values.empty()) return axis;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double spread = *high > *low ? *high - *low : std::max(std::abs(*high), 1.0) * 0.1;
  const double rough = spread / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  axis.step = power * (rough / power > 5 ? 10 : rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1);
  axis.low = std::floor((*low - 0.05 * spread) / axis.step) * axis.step;
  axis.high = std::ceil((*high + 0.05 * spread) / axis.step) * axis.step;
  return axis;
}

std::string number(double value, double step) {
  const int decimals = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9));
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::string scatter_svg(const ScatterPlot& plot) {
  std::vector<ScatterPoint> points = plot.points;
  std::erase_if(points, [](const ScatterPoint& point) {
    return !std::isfinite(point.x) || !std::isfinite(point.y);
  });
  std::vector<std::string> series;
  std::vector<double> xs, ys;
  for (const ScatterPoint& point : points) {
    xs.push_back(point.x);
    ys.push_back(point.y);
    if (std::find(series.begin(), series.end(), point.series) == series.end()) {
      series.push_back(point.series);
    }
  }
  const Axis x_axis = axis_of(xs), y_axis = axis_of(ys);
  const double inner_width = kPlotWidth - kLeft - kRight, inner_height = kPlotHeight - kTop - 60;
  const auto x_of = [&](double value) { return kLeft + x_axis.share(value) * inner_width; };
  const auto y_of = [&](double value) { return kTop + (1 - y_axis.share(value)) * inner_height; };
  SvgCanvas canvas;
  const auto text = [&](double x, double y, const std::string& content, const SvgText& look) {
    canvas.text(x, y, content, look);
  };
  SvgText heading;
  heading.size = 15;
  heading.bold = true;
  text(20, 30, plot.title, heading);
  SvgText tick;
  tick.size = 11;
  tick.fill = kGrey;
  tick.anchor = "middle";
  for (double value = x_axis.low; value <= x_axis.high + x_axis.step / 2; value += x_axis.step) {
    canvas.line(x_of(value), kTop, x_of(value), kTop + inner_height, kRule);
    text(x_of(value), kTop + inner_height + 16, number(value, x_axis.step), tick);
  }
  SvgText y_tick = tick;
  y_tick.anchor = "end";
  for (double value = y_axis.low; value <= y_axis.high + y_axis.step / 2; value += y_axis.step) {
    canvas.line(kLeft, y_of(value), kLeft + inner_width, y_of(value), kRule);
    text(kLeft - 8, y_of(value) + 4, number(value, y_axis.step), y_tick);
  }
  SvgText name;
  name.size = 12;
  name.fill = kInk;
  name.anchor = "middle";
  text(kLeft + inner_width / 2, kTop + inner_height + 38, plot.x_label, name);
  name.rotate = -90;
  text(22, kTop + inner_height / 2, plot.y_label, name);

  SvgText small;
  small.size = 10.5;
  small.fill = kGrey;
  std::vector<std::pair<double, double>>
      labelled;  // where a label stands; one on another is left out
  for (size_t s = 0; s < series.size(); ++s) {
    const Rgb color = kColors[s % std::size(kColors)];
    const ScatterPoint* previous = nullptr;
    for (const ScatterPoint& point : points) {
      if (point.series != series[s]) continue;
      if (previous) {
        canvas.line(x_of(previous->x), y_of(previous->y), x_of(point.x), y_of(point.y),
                    to_hex(color));
      }
      previous = &point;
    }
    for (const ScatterPoint& point : points) {
      if (point.series != series[s]) continue;
      const std::string hover =
          fmt::format("{} {}: {:.4g}, {:.4g}", point.series, point.label, point.x, point.y);
      if (point.marked) {
        canvas.frame(x_of(point.x) - 8, y_of(point.y) - 8, 16, 16, kInk, 8);
      }
      canvas.rectangle(x_of(point.x) - 4.5, y_of(point.y) - 4.5, 9, 9, color, hover, 4.5);
      const double x = x_of(point.x) + 9, y = y_of(point.y) - 6;
      const bool taken = std::any_of(labelled.begin(), labelled.end(), [&](const auto& other) {
        return std::abs(other.first - x) < 34 && std::abs(other.second - y) < 11;
      });
      if (taken) continue;  // the point says it when pointed at
      text(x, y, point.label, small);
      labelled.emplace_back(x, y);
    }
    const double row = kTop + 8 + 20 * static_cast<double>(s);
    canvas.rectangle(kPlotWidth - kRight + 18, row - 8, 9, 9, color, "", 4.5);
    SvgText legend;
    legend.size = 11.5;
    text(kPlotWidth - kRight + 34, row, series[s], legend);
  }
  if (!plot.mark_label.empty()) {
    const double row = kTop + 8 + 20 * static_cast<double>(series.size());
    canvas.frame(kPlotWidth - kRight + 15, row - 11, 15, 15, kInk, 7.5);
    SvgText legend;
    legend.size = 11.5;
    text(kPlotWidth - kRight + 34, row, plot.mark_label, legend);
  }
  double y = kPlotHeight + 4;
  for (const std::string& line : report::text_lines(plot.caption, 11, kPlotWidth - 40, 8)) {
    if (line.empty()) continue;
    text(20, y, line, small);
    y += 15;
  }
  return canvas.card(kPlotWidth, y + 2, plot.title);
}

}  // namespace attend
