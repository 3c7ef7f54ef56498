// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "attend/report/text.h"
#include "layout.h"
#include "svg_blocks.h"

namespace attend::report {
namespace {

constexpr std::string_view kBand = "#e3e6ec";
constexpr std::string_view kLine = "#e1e5ec";

// Told apart by colour and by dash, so that neither is needed alone.
constexpr std::array<std::string_view, 6> kSeries = {"#0b5fa5", "#c05a00", "#6d3f9e",
                                                     "#3a4252", "#0090b0", "#a0527a"};
constexpr std::array<std::string_view, 6> kDashes = {"", "7 3", "2 3", "9 3 2 3", "4 4", "1 2"};

// Beyond six lines colours come again, each time with another dash.
std::string dash_of(std::size_t series) {
  return std::string(kDashes[(series + series / kSeries.size()) % kDashes.size()]);
}

struct Panel {
  double left, top, width, height;
  const std::vector<int64_t>& steps;

  SvgCanvas::Point at(std::size_t step, double value) const {
    const double last = static_cast<double>(std::max<int64_t>(1, steps.back()));
    return {left + static_cast<double>(steps[step]) / last * width, top + (1 - value) * height};
  }
  std::vector<SvgCanvas::Point> line(const std::vector<double>& values) const {
    std::vector<SvgCanvas::Point> points;
    for (std::size_t i = 0; i < values.size(); ++i) points.push_back(at(i, values[i]));
    return points;
  }
};

void draw_axes(SvgCanvas& canvas, const Panel& panel, const std::string& title) {
  canvas.text(panel.left, panel.top - 10, title, {.size = 12, .bold = true});
  for (const double value : {0.0, 0.5, 1.0}) {
    const double y = panel.top + (1 - value) * panel.height;
    canvas.line(panel.left, y, panel.left + panel.width, y, kLine);
    canvas.text(panel.left - 6, y + 4, fmt::format("{:g}", value),
                {.size = 10.5, .fill = kMuted, .anchor = "end"});
    canvas.text(panel.left + value * panel.width, panel.top + panel.height + 15,
                fmt::format("{:.0f} %", 100 * value),
                {.size = 10.5, .fill = kMuted, .anchor = "middle"});
  }
}

// A line over all units, binned: mean or largest of each bin.
double draw_strip(SvgCanvas& canvas, const std::vector<double>& values, bool largest,
                  const std::string& title, double x, double y, double width) {
  constexpr double kHeight = 50;
  const auto bins = std::min<std::size_t>(values.size(), static_cast<std::size_t>(width));
  std::vector<double> drawn;
  for (std::size_t b = 0; b < bins; ++b) {
    const std::size_t first = b * values.size() / bins;
    const std::size_t last = std::max(first + 1, (b + 1) * values.size() / bins);
    double total = 0, top = 0;
    for (std::size_t i = first; i < last; ++i) {
      total += values[i];
      top = std::max(top, values[i]);
    }
    drawn.push_back(largest ? top : total / static_cast<double>(last - first));
  }
  const double scale = drawn.empty() ? 0 : *std::max_element(drawn.begin(), drawn.end());
  canvas.text(x, y + 10, title, {.size = 11, .fill = kMuted});
  canvas.text(x + width, y + 10, fmt::format("largest {:.4g}", scale),
              {.size = 11, .fill = kMuted, .anchor = "end"});
  const double base = y + 18 + kHeight;
  std::vector<SvgCanvas::Point> area = {{x, base}};
  for (std::size_t b = 0; b < drawn.size(); ++b) {
    const double share = scale > 0 ? drawn[b] / scale : 0;
    // Square root for sums: one heavy key would flatten all others.
    area.push_back({x + (static_cast<double>(b) + 0.5) * width / static_cast<double>(bins),
                    base - (largest ? std::sqrt(share) : share) * kHeight});
  }
  area.push_back({x + width, base});
  canvas.path(area, {.stroke = "", .fill = to_hex(sequential_color(0.55))});
  canvas.line(x, base, x + width, base, kLine);
  return base + 12 - y;
}

}  // namespace

Extent draw_curves(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
  constexpr double kAxis = 30, kGap = 40, kHeight = 220;
  const FaithfulnessTest& test = *e.test;
  const double heading = draw_heading(
      canvas, "faithfulness on this input",
      fmt::format("probability of {} when units are taken out (by {}) from the heaviest down, and "
                  "when only they are kept; band: 95 % of random orders",
                  visible_text(e.target), removal_text(test)),
      x, y, width);
  const double panel_width = (width - kAxis - kGap) / 2, top = y + heading + 24;
  const std::array<Panel, 2> panels = {
      Panel{x + kAxis, top, panel_width, kHeight, test.steps},
      Panel{x + kAxis + panel_width + kGap, top, panel_width, kHeight, test.steps}};
  const std::array<std::pair<const std::vector<double>*, const std::vector<double>*>, 2> bands = {
      {{&test.random_deletion_low, &test.random_deletion_high},
       {&test.random_insertion_low, &test.random_insertion_high}}};
  for (std::size_t p = 0; p < 2; ++p) {
    if (bands[p].first->empty() || bands[p].second->empty()) continue;
    std::vector<SvgCanvas::Point> outline = panels[p].line(*bands[p].second);
    const auto low = panels[p].line(*bands[p].first);
    outline.insert(outline.end(), low.rbegin(), low.rend());
    canvas.path(outline, {.stroke = "", .fill = std::string(kBand)}, "95 % of random orders");
  }
  draw_axes(canvas, panels[0], "deletion: without the top units");
  draw_axes(canvas, panels[1], "insertion: with only the top units");
  double legend = top + kHeight + 40;
  std::size_t series = 0;
  for (const Attribution& row : e.attributions) {
    if (!row.faithfulness || row.faithfulness->deletion_curve.empty()) continue;
    const SvgCanvas::PathLook look{.stroke = std::string(kSeries[series % kSeries.size()]),
                                   .width = 2,
                                   .dash = dash_of(series),
                                   .fill = ""};
    canvas.path(panels[0].line(row.faithfulness->deletion_curve), look, row.method);
    canvas.path(panels[1].line(row.faithfulness->insertion_curve), look, row.method);
    canvas.path({{x + kAxis, legend - 4}, {x + kAxis + 34, legend - 4}}, look);
    const std::string text =
        fmt::format("{}: deletion area {:.3f}, insertion area {:.3f}{}", visible_text(row.method),
                    row.faithfulness->deletion, row.faithfulness->insertion,
                    row.method == e.best_method ? " ★ most faithful on dev data" : "");
    canvas.text(x + kAxis + 42, legend, text, {.size = 12, .bold = row.method == e.best_method});
    legend += 18;
    ++series;
  }
  if (!test.random_deletion_low.empty() && !test.random_insertion_low.empty()) {
    canvas.rectangle(x + kAxis, legend - 10, 34, 12, {227, 230, 236});
    canvas.text(x + kAxis + 42, legend,
                fmt::format("random orders: deletion area {:.3f} to {:.3f}, insertion area {:.3f} "
                            "to {:.3f}",
                            area_under(test.steps, test.random_deletion_low),
                            area_under(test.steps, test.random_deletion_high),
                            area_under(test.steps, test.random_insertion_low),
                            area_under(test.steps, test.random_insertion_high)),
                {.size = 12});
    legend += 18;
  }
  return {width, legend - y};
}

Extent draw_overlay(SvgCanvas& canvas, const Explanation& e, const Attribution& attribution,
                    double x, double y, double width) {
  constexpr double kMostHeight = 480, kHeat = 0.8;
  const Surface& surface = *e.surface;
  const double heading =
      draw_heading(canvas, attribution.method + " over the picture",
                   visible_text(attribution.meaning) +
                       (attribution.is_signed
                            ? fmt::format("; blue: for {}, orange: against", visible_text(e.target))
                            : ""),
                   x, y, width);
  const double axis = surface.y_axis.empty() ? 0 : 22;
  const double zoom = std::min((width - axis) / static_cast<double>(surface.width),
                               kMostHeight / static_cast<double>(surface.height));
  const double left = x + axis, top = y + heading;
  const double shown_width = zoom * static_cast<double>(surface.width);
  const double shown_height = zoom * static_cast<double>(surface.height);
  // Grey: heat is told apart from the picture by its hue.
  std::vector<uint8_t> grey;
  grey.reserve(3 * surface.width * surface.height);
  for (std::size_t at = 0; at < surface.pixels.size(); at += surface.channels) {
    const auto* pixel = &surface.pixels[at];
    const double light =
        surface.channels == 1 ? pixel[0] : 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
    grey.insert(grey.end(), 3, static_cast<uint8_t>(std::lround(light)));
  }
  canvas.picture(left, top, shown_width, shown_height, surface.width, surface.height, grey);
  const double scale = scale_of(attribution);
  for (std::size_t i = 0; i < e.units.size(); ++i) {
    const Surface::Box& box = surface.boxes[i];
    const double t = scale > 0 ? attribution.scores[i] / scale : 0;
    const double x0 = left + zoom * static_cast<double>(box.x);
    const double y0 = top + zoom * static_cast<double>(box.y);
    const double x1 = x0 + zoom * static_cast<double>(box.width);
    const double y1 = y0 + zoom * static_cast<double>(box.height);
    const double strong = std::copysign(0.6 + 0.4 * std::abs(t), t);
    canvas.path({{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}},
                {.stroke = "",
                 .fill = to_hex(score_color(attribution.is_signed, strong, 1)),
                 .opacity = kHeat * std::pow(std::abs(t), 0.6)},
                fmt::format("{}: {}", e.units[i].text, attribution.scores[i]));
  }
  canvas.frame(left, top, shown_width, shown_height, "#c9cfd9");
  double below = top + shown_height;
  if (!surface.x_axis.empty()) {
    canvas.text(left + shown_width / 2, below += 16, visible_text(surface.x_axis),
                {.size = 11, .fill = kMuted, .anchor = "middle"});
  }
  if (!surface.y_axis.empty()) {
    canvas.text(x + 14, top + shown_height / 2, visible_text(surface.y_axis),
                {.size = 11, .fill = kMuted, .anchor = "middle", .rotate = -90});
  }
  draw_ramp(canvas, x, below + 14, 140, attribution.is_signed, scale);
  return {width, below + 38 - y};
}

Extent draw_layer(SvgCanvas& canvas, const Explanation& e, const LayerSummary& layer, double x,
                  double y, double width) {
  constexpr std::size_t kMostArcs = 300;
  const auto n = static_cast<double>(e.units.size());
  double received = 0, pooled_mass = 0, entropy = 0;
  for (const double mass : layer.received) received += mass;
  for (const double mass : layer.pooled) pooled_mass += mass;
  for (const double value : layer.entropy) entropy += value;
  const double first = layer.received.empty() ? 0 : layer.received[0];
  const double heading = draw_heading(
      canvas, layer.label.empty() ? fmt::format("layer {}", layer.layer) : layer.label,
      fmt::format("exact sums over {} units (means over heads): keys received {:.6g} in all, the "
                  "first unit {:.1f} % of it; mean entropy {:.3g} nats of {:.3g} at most",
                  e.units.size(), received, received > 0 ? 100 * first / received : 0, entropy / n,
                  std::log(n)),
      x, y, width);
  double top = y + heading;
  top += draw_strip(canvas, layer.entropy, false, "entropy of each query (nats; mean of a bin)", x,
                    top, width);
  top += draw_strip(canvas, layer.received, true,
                    "mass that each key receives (largest of a bin, square-root scale)", x, top,
                    width);
  std::vector<AttentionLink> links = layer.links;
  std::stable_sort(links.begin(), links.end(),
                   [](const auto& a, const auto& b) { return a.weight > b.weight; });
  const std::size_t arcs = std::min(kMostArcs, links.size());
  canvas.text(x, top + 10, fmt::format("the {} heaviest links: query above, key below", arcs),
              {.size = 11, .fill = kMuted});
  const double from = top + 18, to = from + 80;
  for (std::size_t i = arcs; i-- > 0;) {
    const auto place = [&](int64_t unit) {
      return x + (static_cast<double>(unit) + 0.5) * width / n;
    };
    const double share = links[0].weight > 0 ? links[i].weight / links[0].weight : 0;
    canvas.path(
        {{place(links[i].query), from}, {place(links[i].key), to}},
        {.stroke = to_hex(sequential_color(0.4 + 0.6 * share)),
         .width = 1,
         .fill = "",
         .opacity = 0.6,
         .curved = true},
        fmt::format("{} ({}) → {} ({}): {:.4g}", e.units[links[i].query].text, links[i].query,
                    e.units[links[i].key].text, links[i].key, links[i].weight));
  }
  canvas.line(x, from, x + width, from, kLine);
  canvas.line(x, to, x + width, to, kLine);
  top = to + 18;
  if (!layer.pooled.empty()) {
    const double side = std::min(width, 480.0);
    const double height =
        side * static_cast<double>(layer.pooled_rows) / static_cast<double>(layer.pooled_columns);
    canvas.text(
        x, top + 10,
        fmt::format("pooled map, {} x {} blocks: sums of the weights, {:.6g} in all; rows = "
                    "queries, columns = keys",
                    layer.pooled_rows, layer.pooled_columns, pooled_mass),
        {.size = 11, .fill = kMuted});
    top += 18;
    const double scale = *std::max_element(layer.pooled.begin(), layer.pooled.end());
    std::vector<uint8_t> pixels;
    for (const double mass : layer.pooled) {
      const Rgb color = score_color(false, mass, scale);
      pixels.insert(pixels.end(), {color.red, color.green, color.blue});
    }
    canvas.picture(x, top, side, height, layer.pooled_columns, layer.pooled_rows, pixels);
    canvas.frame(x, top, side, height, "#c9cfd9");
    draw_ramp(canvas, x, top + height + 12, 140, false, scale);
    top += height + 36;
  }
  return {width, top - y};
}

Extent draw_effects(SvgCanvas& canvas, const Explanation& e, double x, double y, double width) {
  const double heading =
      draw_heading(canvas, "steered",
                   fmt::format("output before and after, and the change of the probability of {}",
                               visible_text(e.target)),
                   x, y, width);
  double most = 0, top = y + heading;
  for (const Effect& effect : e.effects) most = std::max(most, std::abs(effect.change));
  const auto best = [](const Prediction& outputs) {
    if (outputs.empty()) return std::string();
    return fmt::format("{} {:.3f}", visible_text(outputs[0].label), outputs[0].probability);
  };
  const auto fitted = [](const std::string& text, double room) {
    return text_lines(text, 12, room, 1)[0];
  };
  for (const Effect& effect : e.effects) {
    canvas.text(x, top + 13, fitted(visible_text(effect.edit), width * 0.36),
                {.size = 12, .bold = true});
    canvas.text(x + width * 0.4, top + 13,
                fitted(best(effect.before) + " → " + best(effect.after), width * 0.44),
                {.size = 12});
    const Rgb fill = score_color(true, effect.change, most);
    canvas.rectangle(x + width - 70, top, 70, 19, fill, "", 3);
    canvas.text(x + width - 35, top + 13.5, number_text(effect.change, most, true),
                {.size = 11, .fill = to_hex(text_color_on(fill)), .anchor = "middle"});
    top += 24;
  }
  return {width, top - y};
}

}  // namespace attend::report
