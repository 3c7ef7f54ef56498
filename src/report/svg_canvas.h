// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "attend/report/colors.h"

// A small writer of SVG. Private to the report layer.
namespace attend::report {

struct SvgText {
  double size = 13;  ///< px
  std::string_view fill = "#181c24";
  std::string_view anchor = "start";  ///< start, middle or end of the text stands at x
  bool bold = false;
  double rotate = 0;  ///< degrees around (x, y)
  bool mono = false;
};

/// Bold letters are about so much broader.
constexpr double kBoldFactor = 1.1;

/// Width in px that a text takes at most in the usual fonts.
double text_width(std::string_view text, double size);

/// Collects elements; card() wraps them into a file.
class SvgCanvas {
 public:
  /// Text with its baseline at y. Control and direction characters are made visible.
  void text(double x, double y, std::string_view content, const SvgText& look = {});

  /// `title`: shown on hover, "" for none.
  void rectangle(double x, double y, double width, double height, Rgb fill,
                 std::string_view title = "", double radius = 0);

  void line(double x1, double y1, double x2, double y2, std::string_view stroke);

  /// A line through `points`, or with `fill` the area inside.
  struct Point {
    double x, y;
  };
  struct PathLook {
    std::string stroke = {};  ///< "" for none
    double width = 1.5;
    std::string dash = {};  ///< "6 3", or "" for a solid line
    std::string fill = {};  ///< "" for none
    double opacity = 1;
    bool curved = false;  ///< two points: a curve that leaves and arrives upright
  };
  void path(const std::vector<Point>& points, const PathLook& look, std::string_view title = "");

  /// A picture of 24-bit RGB pixels, stretched over the rectangle.
  void picture(double x, double y, double width, double height, int64_t columns, int64_t rows,
               const std::vector<uint8_t>& pixels);

  /// A frame without a fill.
  void frame(double x, double y, double width, double height, std::string_view stroke,
             double radius = 0);

  /// Everything drawn so far with a title and a card of the given size behind it, as a file.
  std::string card(double width, double height, std::string_view title) const;

 private:
  std::string body_;
};

/// `text` in lines of at most `width` px, broken at spaces or, for texts without, between
/// graphemes; at most `most_lines`, the last one cut with an ellipsis.
std::vector<std::string> text_lines(std::string_view text, double size, double width,
                                    std::size_t most_lines);

}  // namespace attend::report
