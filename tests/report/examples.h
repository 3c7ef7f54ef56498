// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "attend/explain/explanation.h"

// Explanations to render in tests.
namespace attend::testing {

/// One unit per character of `texts`, standing one after another in the input.
inline Explanation explanation_of(const std::vector<std::string>& texts) {
  Explanation e;
  e.task = "text-class";
  e.model = "runs/demo";
  e.command = "attend explain runs/demo TEXT";
  e.unit_kind = "character";
  e.target = std::string("A");  // a plain "A" trips a false warning of GCC 12
  for (const std::string& text : texts) {
    const auto begin = static_cast<int64_t>(e.input.size());
    e.input += text;
    e.units.push_back({text, {begin, static_cast<int64_t>(e.input.size())}});
  }
  e.outputs = {{"A", 0.75, 1.5}, {"B", 0.25, 0.5}};
  return e;
}

/// A map of n x n weights whose rows sum to 1: query i looks mostly at key (i * step) % n.
inline AttentionMap map_of(int64_t n, int64_t layer, int64_t head, int64_t step) {
  AttentionMap map{layer, head, "", n, n, {}};
  for (int64_t row = 0; row < n; ++row) {
    double sum = 0;
    std::vector<double> weights;
    for (int64_t column = 0; column < n; ++column) {
      const auto distance = static_cast<double>(std::abs((row * step + head) % n - column));
      weights.push_back(std::exp(-0.8 * distance) + 0.02);
      sum += weights.back();
    }
    for (const double weight : weights) map.weights.push_back(static_cast<float>(weight / sum));
  }
  return map;
}

/// What a classifier of activities could say about "我是一个热爱编程的人".
inline Explanation realistic(bool by_word) {
  Explanation e =
      by_word ? explanation_of({"我", "是", "一个", "热爱", "编程", "的", "人"})
              : explanation_of({"我", "是", "一", "个", "热", "爱", "编", "程", "的", "人"});
  e.model = "runs/hobby";
  e.command = "attend explain runs/hobby '我是一个热爱编程的人' --out look.html";
  e.unit_kind = by_word ? "word" : "character";
  e.target = "编程";
  e.outputs = {{"编程", 0.97, 6.1},  {"阅读", 0.015, 1.9},  {"运动", 0.008, 1.3},
               {"音乐", 0.004, 0.6}, {"旅行", 0.002, -0.1}, {"美食", 0.001, -0.8}};
  e.evidence = Span{12, 24};  // 热爱编程
  if (by_word) {
    e.attributions = {
        {"attention",
         false,
         "share of attention that the read-out gives the unit",
         {0.06, 0.04, 0.05, 0.22, 0.51, 0.07, 0.05},
         0.001},
        {"occlusion",
         true,
         "log-odds of the target with the unit minus without it",
         {-0.05, 0.02, -0.11, 0.84, 4.42, 0.07, -0.62},
         0.004},
        {"gradient-x-input",
         true,
         "first-order change of the target's logit",
         {0.03, -0.08, 0.05, 0.61, 2.9, -0.12, -0.4},
         0.002},
        {"random", false, "uniform random numbers", {0.31, 0.72, 0.05, 0.44, 0.18, 0.93, 0.6}, 0}};
  } else {
    e.attributions = {{"attention",
                       false,
                       "share of attention that the read-out gives the unit",
                       {0.06, 0.04, 0.02, 0.03, 0.08, 0.14, 0.24, 0.27, 0.07, 0.05},
                       0.001},
                      {"occlusion",
                       true,
                       "log-odds of the target with the unit minus without it",
                       {-0.05, 0.02, -0.07, -0.04, 0.36, 0.48, 2.31, 2.11, 0.07, -0.62},
                       0.004},
                      {"gradient-x-input",
                       true,
                       "first-order change of the target's logit",
                       {0.03, -0.08, 0.02, 0.03, 0.21, 0.4, 1.3, 1.6, -0.12, -0.4},
                       0.002},
                      {"random",
                       false,
                       "uniform random numbers",
                       {0.31, 0.72, 0.05, 0.44, 0.18, 0.93, 0.6, 0.11, 0.83, 0.27},
                       0}};
  }
  const auto n = static_cast<int64_t>(e.units.size());
  AttentionMap mean{0, -1, "layer 0, mean of heads", n, n, std::vector<float>(n * n, 0.0F)};
  for (int64_t head = 0; head < 4; ++head) {
    e.attention.push_back(map_of(n, 0, head, head + 1));
    e.attention.back().label = std::string("layer 0, head ").append(std::to_string(head));
    for (std::size_t i = 0; i < mean.weights.size(); ++i) {
      mean.weights[i] += e.attention.back().weights[i] / 4;
    }
  }
  e.attention.push_back(mean);
  return e;
}

/// Text that tries to break out of every format that attend writes.
inline const std::string& hostile_text() {
  static const std::string text =
      "</script><script>alert(1)</script>\x1b[31m\x07\"'&<b>\t\n\\ ]]>\xE2\x80\xAE"
      "abc\xE2\x80\xA8{{data}}\x7F\xC2\x85\xEF\xBF\xBE";
  return text;
}

/// hostile_text() in every field that a renderer shows.
inline Explanation hostile() {
  const std::string& text = hostile_text();
  Explanation e = explanation_of({text, "b"});
  e.task = e.model = e.command = e.unit_kind = e.target = text;
  e.outputs = {{text, 0.9, 1}, {"B", 0.1, 0}};
  e.evidence = Span{0, static_cast<int64_t>(text.size())};
  e.attributions = {{text, true, text, {0.5, -0.25}, 0}};
  e.attention = {map_of(2, 0, 0, 1)};
  e.attention[0].label = text;
  e.notices = {text};
  return e;
}

}  // namespace attend::testing
