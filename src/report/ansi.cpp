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
