// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ansi.h"
#include "attend/base/error.h"
#include "attend/report/json.h"
#include "attend/report/terminal.h"
#include "attend/report/text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

// Sums of blocks, so that the whole stays the whole.
std::vector<double> smaller(const LayerSummary& layer, int64_t rows, int64_t columns) {
  std::vector<double> sums(rows * columns, 0.0);
  for (int64_t r = 0; r < layer.pooled_rows; ++r) {
    for (int64_t c = 0; c < layer.pooled_columns; ++c) {
      sums[r * rows / layer.pooled_rows * columns + c * columns / layer.pooled_columns] +=
          layer.pooled[r * layer.pooled_columns + c];
    }
  }
  return sums;
}

Rgb mixed(Rgb below, Rgb above, double opacity) {
  const auto mix = [opacity](uint8_t a, uint8_t b) {
    return static_cast<uint8_t>(std::lround(a + opacity * (b - a)));
  };
  return {mix(below.red, above.red), mix(below.green, above.green), mix(below.blue, above.blue)};
}

}  // namespace

std::string terminal_long(const Explanation& explanation, std::size_t index,
                          const TerminalStyle& style) {
  check_explanation(explanation);
  if (index >= explanation.layers.size()) {
    throw usage_error("this explanation holds no summaries of a long input");
  }
  constexpr std::size_t kMostLinks = 6;
  const LayerSummary& layer = explanation.layers[index];
  const auto n = static_cast<int64_t>(explanation.units.size());
  double received = 0, entropy = 0, most_received = 0;
  for (const double mass : layer.received) {
    received += mass;
    most_received = std::max(most_received, mass);
  }
  for (const double value : layer.entropy) entropy += value;
  const double most_entropy = std::log(static_cast<double>(std::max<int64_t>(2, n)));
  const int room = std::max(8, style.width - 2);
  std::string out = wrapped_sentence(
      fmt::format("{}: exact sums over {} units (means over heads); keys received {:.6g} in all, "
                  "the first unit {:.1f} % of it; mean entropy {:.3g} of at most {:.3g} nats",
                  layer.label.empty() ? fmt::format("layer {}", layer.layer)
                                      : visible_text(layer.label, style.unicode),
                  n, received, received > 0 ? 100 * layer.received[0] / received : 0,
                  n > 0 ? entropy / static_cast<double>(n) : 0, most_entropy),
      "", 0, style.width);
  const auto caption = [&](const std::string& text) {
    out += wrapped_sentence(text, "  ", 2, style.width);
  };
  caption("entropy of the queries (full height: equal weights)");
  out += "  " + sparkline(layer.entropy, most_entropy, room, style) + '\n';
  std::vector<double> roots;
  for (const double mass : layer.received) roots.push_back(std::sqrt(mass));
  caption(fmt::format("mass that keys receive (square-root scale, largest {:.4g})", most_received));
  out += "  " + sparkline(roots, std::sqrt(most_received), room, style) + '\n';
  if (!layer.pooled.empty()) {
    const int64_t side = std::min<int64_t>({layer.pooled_columns, room, 64});
    const int64_t rows = std::min<int64_t>(layer.pooled_rows, style.color ? side : side / 2 + 1);
    const std::vector<double> sums = smaller(layer, rows, side);
    const double scale = *std::max_element(sums.begin(), sums.end());
    caption(fmt::format("pooled map, {} x {} blocks: rows = queries, columns = keys", rows, side));
    const auto share = [&](int64_t r, int64_t c) {
      return scale > 0 ? sums[r * side + c] / scale : 0;
    };
    out += half_block_map(
        {rows, side, share, [&](int64_t r, int64_t c) { return sequential_color(share(r, c)); }},
        style);
  }
  std::vector<AttentionLink> links = layer.links;
  std::stable_sort(links.begin(), links.end(),
                   [](const auto& a, const auto& b) { return a.weight > b.weight; });
  const auto name = [&](int64_t unit) {
    return fmt::format("{} ({})",
                       truncate_to_width(visible_text(explanation.units[unit].text, style.unicode),
                                         std::clamp((style.width - 32) / 2, 4, 30), style.unicode),
                       unit);
  };
  if (!links.empty()) out += "  heaviest links\n";
  for (std::size_t i = 0; i < std::min(kMostLinks, links.size()); ++i) {
    out += fmt::format("    {:.3f}  {} {} {}\n", links[i].weight, name(links[i].query),
                       style.unicode ? "→" : "->", name(links[i].key));
  }
  return out;
}

std::string terminal_overlay(const Explanation& explanation, std::size_t index,
                             const TerminalStyle& style) {
  check_explanation(explanation);
  if (!explanation.surface || index >= explanation.attributions.size()) {
    throw usage_error("this explanation holds no picture with scores");
  }
  constexpr int64_t kMostLines = 20;
  const Surface& surface = *explanation.surface;
  const Attribution& attribution = explanation.attributions[index];
  const double scale = scale_of(attribution);
  // A half block is about as high as it is wide; a shade alone is twice as high.
  const bool halves = style.color && style.unicode;
  const double aspect = halves ? 1 : 0.5;
  const double most_rows = halves ? 2 * kMostLines : kMostLines;
  double columns = std::min<double>(style.width - 2, static_cast<double>(surface.width));
  double rows =
      columns * aspect * static_cast<double>(surface.height) / static_cast<double>(surface.width);
  if (rows > most_rows) {
    columns *= most_rows / rows;
    rows = most_rows;
  }
  BlockMap map;
  map.rows = std::max<int64_t>(1, std::llround(rows));
  map.columns = std::max<int64_t>(1, std::llround(columns));
  const auto pixel = [&](int64_t r, int64_t c) {
    return std::pair{(2 * r + 1) * surface.height / (2 * map.rows),
                     (2 * c + 1) * surface.width / (2 * map.columns)};
  };
  const auto score_at = [&](int64_t y, int64_t x) {
    for (std::size_t i = 0; i < surface.boxes.size(); ++i) {
      const Surface::Box& box = surface.boxes[i];
      if (x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height) {
        return scale > 0 ? attribution.scores[i] / scale : 0;
      }
    }
    return 0.0;
  };
  map.share = [&](int64_t r, int64_t c) {
    const auto [y, x] = pixel(r, c);
    return std::abs(score_at(y, x));
  };
  map.color = [&](int64_t r, int64_t c) {
    const auto [y, x] = pixel(r, c);
    const uint8_t* at = &surface.pixels[(y * surface.width + x) * surface.channels];
    const double light =
        surface.channels == 1 ? at[0] : 0.299 * at[0] + 0.587 * at[1] + 0.114 * at[2];
    const auto grey = static_cast<uint8_t>(std::lround(light));
    const double t = score_at(y, x);
    return mixed({grey, grey, grey},
                 score_color(attribution.is_signed, std::copysign(0.6 + 0.4 * std::abs(t), t), 1),
                 0.8 * std::pow(std::abs(t), 0.6));
  };
  return wrapped_sentence(visible_text(fmt::format("{} over the picture: {}{}", attribution.method,
                                                   attribution.meaning,
                                                   attribution.is_signed && style.color
                                                       ? "; blue speaks for the target, orange "
                                                         "against it"
                                                       : ""),
                                       style.unicode),
                          "", 0, style.width) +
         half_block_map(map, style);
}

}  // namespace attend
