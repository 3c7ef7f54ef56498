// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "svg_canvas.h"

#include <fmt/format.h>

#include <cmath>

#include "attend/report/text.h"
#include "base64.h"
#include "png.h"

namespace attend::report {
namespace {

constexpr std::string_view kFonts =
    "system-ui, 'Noto Sans CJK SC', 'Microsoft YaHei', 'PingFang SC', sans-serif";
constexpr std::string_view kMonoFonts =
    "ui-monospace, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', monospace";

// Coordinates need no more than a hundredth of a pixel.
std::string px(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string visible_xml(std::string_view text) { return xml_escaped(visible_text(text)); }

}  // namespace

// The advances of DejaVu Sans, the broadest of the usual fonts: a guess that errs leaves air, not
// an overlap.
double text_width(std::string_view text, double size) {
  double width = 0;
  for (const std::string& grapheme : graphemes(text)) {
    const char c = grapheme[0];
    const bool narrow = grapheme.size() == 1 &&
                        std::string_view("iljtfr.,:;'|!()[] ").find(c) != std::string_view::npos;
    const bool broad =
        grapheme.size() == 1 && std::string_view("mwMW@%").find(c) != std::string_view::npos;
    const double em = narrow ? 0.4 : broad ? 0.98 : display_width(grapheme) == 2 ? 1.0 : 0.635;
    width += (display_width(grapheme) == 0 ? 0 : em) * size;
  }
  return width;
}

void SvgCanvas::text(double x, double y, std::string_view content, const SvgText& look) {
  body_ += fmt::format(R"(<text x="{}" y="{}" font-size="{}" fill="{}")", px(x), px(y),
                       px(look.size), look.fill);
  if (look.anchor != "start") body_ += fmt::format(R"( text-anchor="{}")", look.anchor);
  if (look.bold) body_ += R"( font-weight="600")";
  if (look.mono) body_ += fmt::format(R"( font-family="{}")", kMonoFonts);
  if (look.rotate != 0) {
    body_ += fmt::format(R"x( transform="rotate({} {} {})")x", px(look.rotate), px(x), px(y));
  }
  body_ += fmt::format(">{}</text>\n", visible_xml(content));
}

void SvgCanvas::rectangle(double x, double y, double width, double height, Rgb fill,
                          std::string_view title, double radius) {
  body_ += fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" fill="{}")", px(x), px(y),
                       px(width), px(height), to_hex(fill));
  if (radius > 0) body_ += fmt::format(R"( rx="{}")", px(radius));
  if (title.empty()) {
    body_ += "/>\n";
  } else {
    body_ += fmt::format("><title>{}</title></rect>\n", visible_xml(title));
  }
}

void SvgCanvas::line(double x1, double y1, double x2, double y2, std::string_view stroke) {
  body_ += fmt::format(R"(<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}"/>)", px(x1), px(y1),
                       px(x2), px(y2), stroke);
  body_ += '\n';
}

void SvgCanvas::path(const std::vector<Point>& points, const PathLook& look,
                     std::string_view title) {
  std::string d;
  if (look.curved && points.size() == 2) {
    const std::string middle = px((points[0].y + points[1].y) / 2);
    d = fmt::format("M{} {}C{} {} {} {} {} {}", px(points[0].x), px(points[0].y), px(points[0].x),
                    middle, px(points[1].x), middle, px(points[1].x), px(points[1].y));
  } else {
    for (const Point& point : points) {
      d += fmt::format("{}{} {}", d.empty() ? "M" : "L", px(point.x), px(point.y));
    }
    if (!look.fill.empty()) d += 'Z';
  }
  body_ += fmt::format(R"(<path d="{}" fill="{}")", d, look.fill.empty() ? "none" : look.fill);
  if (!look.stroke.empty()) {
    body_ += fmt::format(R"( stroke="{}" stroke-width="{}")", look.stroke, px(look.width));
  }
  if (!look.dash.empty()) body_ += fmt::format(R"( stroke-dasharray="{}")", look.dash);
  if (look.opacity < 1) body_ += fmt::format(R"( opacity="{}")", px(look.opacity));
  body_ += title.empty() ? std::string("/>\n")
                         : fmt::format("><title>{}</title></path>\n", visible_xml(title));
}

void SvgCanvas::picture(double x, double y, double width, double height, int64_t columns,
                        int64_t rows, const std::vector<uint8_t>& pixels) {
  body_ +=
      fmt::format(R"(<image x="{}" y="{}" width="{}" height="{}" preserveAspectRatio="none" )"
                  R"(style="image-rendering:pixelated" href="data:image/png;base64,{}"/>)",
                  px(x), px(y), px(width), px(height), to_base64(png_of(columns, rows, pixels)));
  body_ += '\n';
}

void SvgCanvas::frame(double x, double y, double width, double height, std::string_view stroke,
                      double radius) {
  body_ +=
      fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="{}" rx="{}"/>)",
                  px(x), px(y), px(width), px(height), stroke, px(radius));
  body_ += '\n';
}

std::string SvgCanvas::card(double width, double height, std::string_view title) const {
  const std::string w = px(std::ceil(width)), h = px(std::ceil(height));
  return fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}" font-family="{2}" role="img">
<title>{3}</title>
<rect x="0.5" y="0.5" width="{4}" height="{5}" rx="10" fill="#ffffff" stroke="#d5dae3"/>
{6}</svg>
)",
      w, h, kFonts, visible_xml(title), px(std::ceil(width) - 1), px(std::ceil(height) - 1), body_);
}

std::vector<std::string> text_lines(std::string_view text, double size, double width,
                                    std::size_t most_lines) {
  std::vector<std::string> lines(1);
  double used = 0;
  for (const std::string& grapheme : graphemes(text)) {
    const double next = text_width(grapheme, size);
    if (used + next > width && !lines.back().empty()) {
      if (lines.size() == most_lines) {
        lines.back() += "…";
        return lines;
      }
      // Move the word that was begun to the new line, if the line holds more than this word.
      const std::size_t space = lines.back().rfind(' ');
      std::string word;
      if (grapheme != " " && space != std::string::npos && space > lines.back().size() / 2) {
        word = lines.back().substr(space + 1);
        lines.back().resize(space);
      }
      used = text_width(word, size);
      lines.push_back(std::move(word));
      if (grapheme == " ") continue;
    }
    lines.back() += grapheme;
    used += next;
  }
  return lines;
}

}  // namespace attend::report
