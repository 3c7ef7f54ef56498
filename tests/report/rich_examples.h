// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "examples.h"

// Explanations with everything that a view can show: faithfulness, heads, alignments, surfaces,
// long inputs, effects.
namespace attend::testing {

/// A curve from `from` to `to` over `steps` points; `bend` > 1 moves late, < 1 early.
inline std::vector<double> curve_of(std::size_t steps, double from, double to, double bend) {
  std::vector<double> values;
  for (std::size_t i = 0; i < steps; ++i) {
    const double t = static_cast<double>(i) / static_cast<double>(steps - 1);
    values.push_back(from + (to - from) * std::pow(t, bend));
  }
  return values;
}

inline double area_of(const std::vector<double>& curve) {
  double area = 0;
  for (std::size_t i = 0; i + 1 < curve.size(); ++i) area += (curve[i] + curve[i + 1]) / 2;
  return area / static_cast<double>(curve.size() - 1);
}

/// Adds a faithfulness test to `e`: earlier methods are more faithful, "random" lies in the band.
inline void add_faithfulness(Explanation& e) {
  FaithfulnessTest test;
  test.removal = "delete";
  for (std::size_t i = 0; i <= e.units.size(); ++i) test.steps.push_back(static_cast<int64_t>(i));
  const std::size_t steps = test.steps.size();
  test.random_deletion_low = curve_of(steps, 0.97, 0.1, 0.7);
  test.random_deletion_high = curve_of(steps, 0.97, 0.1, 2.5);
  test.random_insertion_low = curve_of(steps, 0.1, 0.97, 2.5);
  test.random_insertion_high = curve_of(steps, 0.1, 0.97, 0.7);
  double bend = 0.15;
  for (Attribution& attribution : e.attributions) {
    if (attribution.method == "random") bend = 1.4;
    Faithfulness f;
    f.deletion_curve = curve_of(steps, 0.97, 0.1, bend);
    f.insertion_curve = curve_of(steps, 0.1, 0.97, bend);
    f.deletion = area_of(f.deletion_curve);
    f.insertion = area_of(f.insertion_curve);
    f.comprehensiveness = 0.97 - f.deletion;
    f.sufficiency = 0.97 - f.insertion;
    attribution.faithfulness = f;
    bend += 0.12;
  }
  e.test = test;
}

/// Heads of `layers` layers, and where `maps` is set their maps and the means.
inline void add_heads(Explanation& e, int64_t layers, int64_t heads) {
  const auto n = static_cast<int64_t>(e.units.size());
  e.attention.clear();
  for (int64_t layer = 0; layer < layers; ++layer) {
    AttentionMap mean{layer, -1, "layer " + std::to_string(layer) + ", mean of heads",
                      n,     n,  std::vector<float>(n * n, 0.0F)};
    for (int64_t head = 0; head < heads; ++head) {
      AttentionMap map = map_of(n, layer, head, 1 + (layer + head) % 3);
      map.label = "layer " + std::to_string(layer) + ", head " + std::to_string(head);
      for (std::size_t i = 0; i < mean.weights.size(); ++i) {
        mean.weights[i] += map.weights[i] / static_cast<float>(heads);
      }
      const auto place = static_cast<double>(layer * heads + head);
      const auto count = static_cast<double>(layers * heads);
      HeadSummary summary{layer, head, 0.3 + 0.69 * place / count, 0.5 + place / 2, 0.1, 0.2,
                          0.05,  0.3,  0.04 * std::sin(place)};
      e.heads.push_back(summary);
      e.attention.push_back(map);
    }
    e.attention.push_back(mean);
  }
  AttentionMap pooling{layers, -1, "read-out", 1, n, {}, "pooling"};
  for (int64_t i = 0; i < n; ++i) pooling.weights.push_back(1.0F / static_cast<float>(n));
  e.attention.push_back(pooling);
}

/// A sentence with all that a classifier's explanation can hold.
inline Explanation rich() {
  Explanation e = realistic(true);
  add_faithfulness(e);
  add_heads(e, 2, 4);
  e.attributions[2].note = "completeness residual 0.3 %";
  e.best_method = "occlusion";
  e.verdict = "occlusion is the most faithful row here; attention is no better than random";
  e.effects = {{"emphasize 热爱:2", e.outputs, {{"阅读", 0.6, 2.0}, {"编程", 0.4, 1.6}}, -0.57},
               {"uniform", e.outputs, {{"编程", 0.95, 5.0}, {"阅读", 0.05, 2.0}}, -0.02}};
  e.notices = {"the input was cut after 512 units"};
  return e;
}

/// A translation: output units, alignments and a decoder's maps.
inline Explanation translation() {
  Explanation e = explanation_of({"Ich", " ", "mag", " ", "Tee"});
  e.task = "translate";
  e.model = "runs/german";
  e.command = "attend explain runs/german 'Ich mag Tee' --out why.html";
  e.unit_kind = "word";
  e.units.erase(e.units.begin() + 3);
  e.units.erase(e.units.begin() + 1);
  e.output = "I like tea";
  e.output_units = {{"I", {0, 1}}, {"like", {2, 6}}, {"tea", {7, 10}}, {"</s>", {10, 10}}};
  e.target = "like";
  e.target_position = 1;
  e.outputs = {{"like", 0.8, 2}, {"love", 0.2, 0.5}};
  e.attributions = {{"cross-attention", false, "share of attention", {0.1, 0.8, 0.1}, 0.001}};
  e.alignments = {{"cross-attention",
                   false,
                   "share of attention",
                   {0.9, 0.05, 0.05, 0.1, 0.8, 0.1, 0.02, 0.08, 0.9, 0.3, 0.3, 0.4}},
                  {"occlusion",
                   true,
                   "log-odds of the output unit with the unit minus without it",
                   {2.1, -0.2, 0.1, 0.3, 3.2, -0.4, 0.1, 0.2, 4.5, 0.01, 0.02, 0.03}}};
  const auto weights = [](const std::vector<double>& scores) {
    return std::vector<float>(scores.begin(), scores.end());
  };
  e.attention = {map_of(3, 0, 0, 1),
                 {1,
                  0,
                  "decoder layer, head 0",
                  4,
                  4,
                  {1, 0, 0, 0, 0.5, 0.5, 0, 0, 0.25, 0.25, 0.5, 0, 0.25, 0.25, 0.25, 0.25},
                  "decoder"},
                 {2, 0, "cross layer, head 0", 4, 3, weights(e.alignments[0].scores), "cross"}};
  e.attention[0].label = "encoder layer, head 0";
  return e;
}

/// A picture of 12 x 8 patches of 8 pixels: a bright disc on a gradient.
inline Explanation picture() {
  Explanation e;
  e.task = "image-class";
  e.model = "runs/digits";
  e.command = "attend explain runs/digits disc.png --out disc.html";
  e.input = "disc.png";
  e.unit_kind = "patch";
  e.target = std::string("disc");
  e.outputs = {{"disc", 0.9, 3}, {"ring", 0.1, 0.8}};
  Surface surface;
  surface.width = 96;
  surface.height = 64;
  surface.channels = 3;
  for (int64_t y = 0; y < surface.height; ++y) {
    for (int64_t x = 0; x < surface.width; ++x) {
      const bool inside = std::hypot(static_cast<double>(x - 58), static_cast<double>(y - 30)) < 16;
      surface.pixels.push_back(static_cast<uint8_t>(inside ? 235 : 40 + x));
      surface.pixels.push_back(static_cast<uint8_t>(inside ? 225 : 60 + y));
      surface.pixels.push_back(static_cast<uint8_t>(inside ? 190 : 90));
    }
  }
  Attribution attention{"attention", false, "share of attention of the patch", {}, 0.002};
  Attribution occlusion{"occlusion", true, "log-odds with the patch minus without it", {}, 0.05};
  for (int64_t row = 0; row < 8; ++row) {
    for (int64_t column = 0; column < 12; ++column) {
      e.units.push_back({std::to_string(row) + "," + std::to_string(column), {}});
      surface.boxes.push_back({column * 8, row * 8, 8, 8});
      const double distance =
          std::hypot(static_cast<double>(column) - 6.8, static_cast<double>(row) - 3.3);
      attention.scores.push_back(std::exp(-distance * distance / 6) / 18);
      occlusion.scores.push_back(2.4 * std::exp(-distance * distance / 4) -
                                 0.4 * std::exp(-std::pow(distance - 4, 2)));
    }
  }
  e.attributions = {attention, occlusion};
  e.surface = surface;
  return e;
}

/// An input of `n` units without matrices: two layers of sums, and one tile.
inline Explanation long_input(int64_t n) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < n; ++i) {
    texts.push_back((i % 7 == 0 ? "remember " : "word ") + std::to_string(i) + " ");
  }
  Explanation e = explanation_of(texts);
  e.unit_kind = "token";
  Attribution occlusion{"occlusion", true, "log-odds with the unit minus without it", {}, 1.5};
  for (int64_t i = 0; i < n; ++i) {
    occlusion.scores.push_back(std::sin(static_cast<double>(i) * 0.37) * (i % 97 == 0 ? 3.0 : 0.2));
  }
  e.attributions = {occlusion};
  for (int64_t l = 0; l < 2; ++l) {
    LayerSummary layer;
    layer.layer = l;
    layer.label = "layer " + std::to_string(l);
    layer.received.assign(n, 0.3);
    for (int64_t i = 0; i < n; ++i) {
      layer.entropy.push_back(std::log(static_cast<double>(n)) *
                              (0.55 + 0.4 * std::sin(static_cast<double>(i) * 0.01 + l)));
      const int64_t key = (i * 7 + 13 * l) % n;
      layer.links.push_back({i, key, 0.5});
      layer.links.push_back({i, 0, 0.2});
      layer.received[key] += 0.5;
      layer.received[0] += 0.2;
    }
    layer.pooled_rows = layer.pooled_columns = std::min<int64_t>(64, n);
    const int64_t side = layer.pooled_rows;
    const double per_row = static_cast<double>(n) / static_cast<double>(side);
    for (int64_t r = 0; r < side; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < side; ++c) sum += std::exp(-std::abs(r - c) / 6.0);
      for (int64_t c = 0; c < side; ++c) {
        layer.pooled.push_back(per_row * std::exp(-std::abs(r - c) / 6.0) / sum);
      }
    }
    e.layers.push_back(layer);
  }
  const int64_t side = std::min<int64_t>(48, n);
  AttentionTile tile{0, -1, 0, side, 0, side, {}};
  for (int64_t r = 0; r < side; ++r) {
    for (int64_t c = 0; c < side; ++c) {
      tile.weights.push_back(static_cast<float>(0.4 * std::exp(-std::abs(r - c) / 3.0)));
    }
  }
  e.tiles = {tile};
  e.notices = {std::to_string(n) + " units: matrices are summed up, not stored"};
  return e;
}

}  // namespace attend::testing
