// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/colors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <span>

namespace attend {
namespace {

struct Stop {
  double at;
  Rgb color;
};

// Stops instead of a formula: print and screen need a pale, long low end (most weights are small),
// which a straight line between two colours does not give.
constexpr std::array<Stop, 6> kIndigoLight = {{{0.00, {255, 255, 255}},
                                               {0.12, {228, 231, 249}},
                                               {0.35, {186, 193, 239}},
                                               {0.60, {128, 137, 221}},
                                               {0.80, {76, 81, 193}},
                                               {1.00, {42, 35, 144}}}};
constexpr std::array<Stop, 5> kIndigoDark = {{{0.00, {22, 26, 34}},
                                              {0.25, {42, 44, 92}},
                                              {0.50, {70, 72, 163}},
                                              {0.78, {120, 122, 224}},
                                              {1.00, {190, 192, 255}}}};
constexpr std::array<Stop, 5> kBlueLight = {{{0.00, {255, 255, 255}},
                                             {0.15, {211, 232, 245}},
                                             {0.45, {134, 191, 227}},
                                             {0.75, {51, 145, 204}},
                                             {1.00, {0, 98, 158}}}};
constexpr std::array<Stop, 5> kOrangeLight = {{{0.00, {255, 255, 255}},
                                               {0.15, {253, 228, 208}},
                                               {0.45, {246, 180, 124}},
                                               {0.75, {226, 124, 40}},
                                               {1.00, {184, 76, 0}}}};
constexpr std::array<Stop, 5> kBlueDark = {{{0.00, {22, 26, 34}},
                                            {0.20, {20, 52, 76}},
                                            {0.50, {26, 104, 156}},
                                            {0.78, {60, 159, 220}},
                                            {1.00, {154, 212, 251}}}};
constexpr std::array<Stop, 5> kOrangeDark = {{{0.00, {22, 26, 34}},
                                              {0.20, {70, 42, 22}},
                                              {0.50, {148, 78, 20}},
                                              {0.78, {220, 122, 44}},
                                              {1.00, {255, 186, 122}}}};

Rgb interpolate(std::span<const Stop> stops, double t) {
  std::size_t upper = 1;
  while (upper + 1 < stops.size() && t > stops[upper].at) ++upper;
  const Stop& a = stops[upper - 1];
  const Stop& b = stops[upper];
  const double part = (t - a.at) / (b.at - a.at);
  const auto mix = [part](uint8_t x, uint8_t y) {
    return static_cast<uint8_t>(std::lround(x + part * (y - x)));
  };
  return {mix(a.color.red, b.color.red), mix(a.color.green, b.color.green),
          mix(a.color.blue, b.color.blue)};
}

double relative_luminance(Rgb color) {
  const auto linear = [](uint8_t channel) {
    const double c = channel / 255.0;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(color.red) + 0.7152 * linear(color.green) + 0.0722 * linear(color.blue);
}

// A score that is not a number must not become an undefined cast; it is drawn as zero.
double clamp_or_zero(double t, double low) { return std::isnan(t) ? 0 : std::clamp(t, low, 1.0); }

}  // namespace

Rgb sequential_color(double t, Theme theme) {
  const double value = clamp_or_zero(t, 0);
  return theme == Theme::kLight ? interpolate(kIndigoLight, value)
                                : interpolate(kIndigoDark, value);
}

Rgb diverging_color(double t, Theme theme) {
  const double value = clamp_or_zero(t, -1);
  if (theme == Theme::kLight) {
    return value >= 0 ? interpolate(kBlueLight, value) : interpolate(kOrangeLight, -value);
  }
  return value >= 0 ? interpolate(kBlueDark, value) : interpolate(kOrangeDark, -value);
}

double contrast_ratio(Rgb a, Rgb b) {
  const double first = relative_luminance(a);
  const double second = relative_luminance(b);
  return (std::max(first, second) + 0.05) / (std::min(first, second) + 0.05);
}

Rgb text_color_on(Rgb background) {
  // Black or white always reaches sqrt(21) = 4.58; the softer ink does not on middle tones, so it
  // is only used where it reads well.
  constexpr Rgb kInk = {24, 28, 36};
  constexpr Rgb kWhite = {255, 255, 255};
  constexpr Rgb kBlack = {0, 0, 0};
  if (contrast_ratio(kInk, background) >= 7) return kInk;
  if (contrast_ratio(kWhite, background) >= 4.5) return kWhite;
  return kBlack;
}

std::string to_hex(Rgb color) {
  return fmt::format("#{:02x}{:02x}{:02x}", color.red, color.green, color.blue);
}

int to_xterm256(Rgb color) {
  constexpr std::array<int, 6> kLevels = {0, 95, 135, 175, 215, 255};
  const auto nearest_level = [&](int channel) {
    int best = 0;
    for (int i = 1; i < 6; ++i) {
      if (std::abs(kLevels[i] - channel) < std::abs(kLevels[best] - channel)) best = i;
    }
    return best;
  };
  const auto distance = [&](int red, int green, int blue) {
    const int dr = red - color.red, dg = green - color.green, db = blue - color.blue;
    return dr * dr + dg * dg + db * db;
  };
  const int r = nearest_level(color.red), g = nearest_level(color.green),
            b = nearest_level(color.blue);
  const int mean = (color.red + color.green + color.blue) / 3;
  const int grey_step = std::clamp((mean - 8 + 5) / 10, 0, 23);
  const int grey = 8 + 10 * grey_step;
  if (distance(grey, grey, grey) < distance(kLevels[r], kLevels[g], kLevels[b])) {
    return 232 + grey_step;
  }
  return 16 + 36 * r + 6 * g + b;
}

}  // namespace attend
