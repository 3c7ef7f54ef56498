// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/scatter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <regex>

namespace attend {
namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(ScatterSvg, DrawsEveryPointWithItsNumbers) {
  ScatterPlot plot;
  plot.title = "a < b";
  plot.mark_label = "frontier";
  plot.points = {{0.1, 20, "one", "T 0.8", true},
                 {0.4, 60, "one", "T 1", false},
                 {0.2, 40, "two", "", false},
                 {std::nan(""), 1, "two", "lost", true}};
  const std::string svg = scatter_svg(plot);
  EXPECT_EQ(count(svg, "<title>one T 0.8: 0.1, 20</title>"), 1u);
  EXPECT_EQ(count(svg, "<title>two : 0.2, 40</title>"), 1u);
  EXPECT_EQ(count(svg, "lost"), 0u);
  EXPECT_EQ(count(svg, "a &lt; b"), 2u);       // shown and as the file's title
  EXPECT_EQ(count(svg, "fill=\"none\""), 2u);  // one ring, and the one that explains it
  EXPECT_EQ(count(svg, "a < b"), 0u);
}

// A point that lies higher stands higher.
TEST(ScatterSvg, AxesKeepTheOrder) {
  ScatterPlot plot;
  plot.points = {{1, 5, "s", "low", false}, {3, 9, "s", "high", false}};
  const std::string svg = scatter_svg(plot);
  const auto place = [&](const std::string& label) {
    std::smatch match;
    EXPECT_TRUE(std::regex_search(
        svg, match, std::regex("<text x=\"([0-9.]+)\" y=\"([0-9.]+)\"[^>]*>" + label + "<")));
    return std::pair(std::stod(match[1]), std::stod(match[2]));
  };
  EXPECT_LT(place("low").first, place("high").first);
  EXPECT_GT(place("low").second, place("high").second);
}

TEST(ScatterSvg, NothingToDrawIsNoError) {
  EXPECT_NE(scatter_svg({}).find("</svg>"), std::string::npos);
  ScatterPlot same;
  same.points = {{2, 2, "s", "", false}, {2, 2, "s", "", false}};
  EXPECT_EQ(scatter_svg(same).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace attend
