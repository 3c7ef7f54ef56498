// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/colors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace attend {
namespace {

constexpr int kSteps = 400;

TEST(Colors, TextReadsOnEveryColourOfEveryScale) {
  for (const Theme theme : {Theme::kLight, Theme::kDark}) {
    for (int i = -kSteps; i <= kSteps; ++i) {
      const double t = static_cast<double>(i) / kSteps;
      for (const Rgb color : {sequential_color(t, theme), diverging_color(t, theme)}) {
        EXPECT_GE(contrast_ratio(text_color_on(color), color), 4.5) << to_hex(color);
      }
    }
  }
}

TEST(Colors, EveryCornerOfTheCubeHasReadableText) {
  for (int r = 0; r < 256; r += 5) {
    for (int g = 0; g < 256; g += 5) {
      for (int b = 0; b < 256; b += 5) {
        const Rgb color{static_cast<uint8_t>(r), static_cast<uint8_t>(g), static_cast<uint8_t>(b)};
        ASSERT_GE(contrast_ratio(text_color_on(color), color), 4.5) << to_hex(color);
      }
    }
  }
}

TEST(Colors, LightnessIsMonotonic) {
  const Rgb white{255, 255, 255};
  for (int i = 1; i <= kSteps; ++i) {
    const double before = static_cast<double>(i - 1) / kSteps;
    const double t = static_cast<double>(i) / kSteps;
    EXPECT_GE(contrast_ratio(sequential_color(t), white),
              contrast_ratio(sequential_color(before), white));
    EXPECT_GE(contrast_ratio(diverging_color(t), white),
              contrast_ratio(diverging_color(before), white));
    EXPECT_GE(contrast_ratio(diverging_color(-t), white),
              contrast_ratio(diverging_color(-before), white));
    EXPECT_LE(contrast_ratio(sequential_color(t, Theme::kDark), white),
              contrast_ratio(sequential_color(before, Theme::kDark), white));
  }
}

TEST(Colors, ZeroIsTheSurfaceAndEndsDiffer) {
  EXPECT_EQ(to_hex(sequential_color(0)), "#ffffff");
  EXPECT_EQ(to_hex(diverging_color(0)), "#ffffff");
  EXPECT_EQ(sequential_color(0, Theme::kDark), diverging_color(0, Theme::kDark));
  EXPECT_GT(diverging_color(1).blue, diverging_color(1).red);
  EXPECT_GT(diverging_color(-1).red, diverging_color(-1).blue);
  EXPECT_FALSE(sequential_color(1) == diverging_color(1)) << "attention and attribution share none";
}

TEST(Colors, OutOfRangeIsClamped) {
  EXPECT_EQ(sequential_color(7), sequential_color(1));
  EXPECT_EQ(sequential_color(-7), sequential_color(0));
  EXPECT_EQ(diverging_color(-7), diverging_color(-1));
  EXPECT_EQ(diverging_color(std::numeric_limits<double>::quiet_NaN()), diverging_color(0));
}

TEST(Colors, ContrastRatioOfKnownPairs) {
  EXPECT_NEAR(contrast_ratio({0, 0, 0}, {255, 255, 255}), 21, 1e-9);
  EXPECT_NEAR(contrast_ratio({119, 119, 119}, {255, 255, 255}), 4.478, 0.001);
  EXPECT_NEAR(contrast_ratio({1, 2, 3}, {1, 2, 3}), 1, 1e-12);
}

TEST(Colors, XtermIndices) {
  EXPECT_EQ(to_xterm256({0, 0, 0}), 16);
  EXPECT_EQ(to_xterm256({255, 255, 255}), 231);
  EXPECT_EQ(to_xterm256({255, 0, 0}), 196);
  EXPECT_EQ(to_xterm256({128, 128, 128}), 244);
  EXPECT_EQ(to_xterm256({8, 8, 8}), 232);
}

}  // namespace
}  // namespace attend
