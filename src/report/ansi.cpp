// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "ansi.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "attend/report/text.h"

namespace attend::report {
namespace {

constexpr std::string_view kReset = "\x1b[0m";

std::string color_code(int plane, Rgb color, const TerminalStyle& style) {
  if (style.truecolor) {
    return fmt::format("{};2;{};{};{}", plane, color.red, color.green, color.blue);
  }
  return fmt::format("{};5;{}", plane, to_xterm256(color));
}

}  // namespace

std::string paint(Rgb background, const TerminalStyle& style) {
  if (!style.color) return "";
  return fmt::format("\x1b[{};{}m", color_code(48, background, style),
                     color_code(38, text_color_on(background), style));
}

std::string painted(std::string_view text, Rgb background, const TerminalStyle& style) {
  if (!style.color) return std::string(text);
  return fmt::format("{}{}{}", paint(background, style), text, kReset);
}

std::string ink(std::string_view text, Rgb background, Rgb color, const TerminalStyle& style) {
  if (!style.color) return std::string(text);
  return fmt::format("\x1b[{};{}m{}{}", color_code(48, background, style),
                     color_code(38, color, style), text, kReset);
}

std::string painted_half_block(Rgb upper, Rgb lower, const TerminalStyle& style) {
  return fmt::format("\x1b[{};{}m▀{}", color_code(38, upper, style), color_code(48, lower, style),
                     kReset);
}

std::string_view shade(double t, const TerminalStyle& style) {
  constexpr std::array<std::string_view, 5> kShades = {" ", "░", "▒", "▓", "█"};
  constexpr std::array<std::string_view, 5> kAscii = {" ", ".", ":", "+", "#"};
  const auto level = static_cast<std::size_t>(std::lround(std::clamp(t, 0.0, 1.0) * 4));
  return style.unicode ? kShades[level] : kAscii[level];
}

std::string half_block_map(const BlockMap& map, const TerminalStyle& style) {
  const bool halves = style.color && style.unicode;
  const int64_t step = halves ? 2 : 1;
  std::string out;
  for (int64_t row = 0; row < map.rows; row += step) {
    out += "  ";
    for (int64_t column = 0; column < map.columns; ++column) {
      if (halves) {
        const bool has_lower = row + 1 < map.rows;
        out +=
            painted_half_block(map.color(row, column),
                               has_lower ? map.color(row + 1, column) : sequential_color(0), style);
      } else if (style.color) {
        out += painted(" ", map.color(row, column), style);
      } else {
        out += shade(map.share(row, column), style);
      }
    }
    if (!style.color) out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
  return out;
}

std::string sparkline(const std::vector<double>& values, double scale, int width,
                      const TerminalStyle& style) {
  constexpr std::array<std::string_view, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const auto bins = std::min<std::size_t>(values.size(), static_cast<std::size_t>(width));
  std::string out;
  for (std::size_t b = 0; b < bins; ++b) {
    const std::size_t first = b * values.size() / bins;
    const std::size_t last = std::max(first + 1, (b + 1) * values.size() / bins);
    double top = 0;
    for (std::size_t i = first; i < last; ++i) top = std::max(top, values[i]);
    const double share = scale > 0 ? std::clamp(top / scale, 0.0, 1.0) : 0;
    out += style.unicode ? kBars[static_cast<std::size_t>(std::lround(share * 7))]
                         : shade(share, style);
  }
  return out;
}

std::string number_cell(const std::string& number, Rgb color, double share, int width,
                        const TerminalStyle& style) {
  if (style.color) return painted(pad_to_width(number, width, Align::kRight), color, style);
  return std::string(shade(share, style)) + pad_to_width(number, width - 1, Align::kRight);
}

std::string wrapped(const std::vector<StyledText>& parts, std::string_view first, int indent,
                    int width) {
  std::string out(first);
  const int room = std::max(4, width - indent);
  int used = 0;
  const auto new_line = [&] {
    // Spaces at a line's end show nothing, and linters of captured output dislike them.
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n' + std::string(indent, ' ');
    used = 0;
  };
  const auto put = [&](std::string_view text, const std::string& before) {
    out += before;
    out += text;
    if (!before.empty()) out += kReset;
  };
  for (const StyledText& part : parts) {
    const int needed = display_width(part.text);
    if (needed <= room) {
      if (used + needed > room) new_line();
      put(part.text, part.before);
      used += needed;
      continue;
    }
    std::string line;  // the stretch of this part that stands on the current line
    for (const std::string& grapheme : graphemes(part.text)) {
      const int next = display_width(grapheme);
      if (used + next > room) {
        if (!line.empty()) put(line, part.before);
        line.clear();
        new_line();
      }
      line += grapheme;
      used += next;
    }
    if (!line.empty()) put(line, part.before);
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + '\n';
}

std::vector<StyledText> words_of(std::string_view sentence) {
  std::vector<StyledText> words;
  std::size_t begin = 0;
  while (begin < sentence.size()) {
    const std::size_t space = std::min(sentence.find(' ', begin), sentence.size() - 1);
    words.push_back({std::string(sentence.substr(begin, space + 1 - begin))});
    begin = space + 1;
  }
  return words;
}

std::string wrapped_sentence(std::string_view sentence, std::string_view first, int indent,
                             int width) {
  return wrapped(words_of(sentence), first, indent, width);
}

}  // namespace attend::report
