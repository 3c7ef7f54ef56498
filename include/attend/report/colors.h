// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace attend {

/// An sRGB colour, 8 bits per channel.
struct Rgb {
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;

  bool operator==(const Rgb&) const = default;
};

/// The surface a scale is drawn on: zero is the colour of that surface, so that "nothing" looks
/// like nothing.
enum class Theme { kLight, kDark };

/// The scale of unsigned scores (attention): one hue, indigo blue. `t` is clamped to [0, 1];
/// lightness changes monotonically with t, so the order survives a greyscale print.
Rgb sequential_color(double t, Theme theme = Theme::kLight);

/// The scale of signed scores (attribution): -1 orange (against) .. 0 surface .. +1 blue (for).
/// `t` is clamped to [-1, 1]. Hues are Okabe and Ito's, told apart under every common colour
/// blindness, and differ from the indigo of attention.
Rgb diverging_color(double t, Theme theme = Theme::kLight);

/// WCAG 2 contrast ratio of two colours, in [1, 21]; 4.5 is the least for body text.
double contrast_ratio(Rgb a, Rgb b);

/// Ink for text on `background`: near-black or white, whichever reads better; always a ratio of at
/// least 4.5.
Rgb text_color_on(Rgb background);

/// "#rrggbb".
std::string to_hex(Rgb color);

/// The nearest colour of xterm's 256 (the 6x6x6 cube and the grey ramp; never the 16 colours that
/// users theme).
int to_xterm256(Rgb color);

}  // namespace attend
