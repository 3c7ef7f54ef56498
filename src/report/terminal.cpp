// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "ansi.h"
#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

int terminal_width(int fd) {
  constexpr int kLeast = 20, kDefault = 80, kMost = 1000;
  int width = std::atoi(std::string(environment("COLUMNS")).c_str());
  winsize size{};
  if (width <= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0) width = size.ws_col;
  return width <= 0 ? kDefault : std::clamp(width, kLeast, kMost);
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value(environment(name));
    if (value.empty()) continue;
    std::transform(value.begin(), value.end(), value.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

// A bar of `share` of `width` columns, in eighths of a column where the terminal can.
std::string bar(double share, int width, const TerminalStyle& style) {
  const double length = std::clamp(share, 0.0, 1.0) * width;
  if (!style.unicode) return std::string(static_cast<std::size_t>(std::lround(length)), '#');
  constexpr std::string_view kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::lround(length * 8));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  return out + std::string(kEighths[eighths % 8]);
}

}  // namespace

TerminalStyle detect_terminal(int fd) {
  TerminalStyle style;
  const std::string_view term = environment("TERM");
  style.color =
      isatty(fd) == 1 && environment("NO_COLOR").empty() && !term.empty() && term != "dumb";
  style.width = terminal_width(fd);
  style.unicode = locale_is_utf8();
  const std::string_view depth = environment("COLORTERM");
  style.truecolor = depth == "truecolor" || depth == "24bit";
  return style;
}

std::string terminal_prediction(const Explanation& explanation, const TerminalStyle& style,
                                std::size_t limit) {
  check_explanation(explanation);
  const auto& outputs = explanation.outputs;
  const std::size_t shown = std::min(limit, outputs.size());
  int label_width = 0;
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < shown; ++i) {
    const std::string label = visible_text(outputs[i].label, style.unicode);
    labels.push_back(truncate_to_width(label, std::max(8, style.width / 3), style.unicode));
    label_width = std::max(label_width, display_width(labels.back()));
  }
  constexpr int kMargins = 11;  // marker, probability and the spaces between
  const int bar_width = std::clamp(style.width - label_width - kMargins, 4, 40);
  std::string out = "prediction\n";
  for (std::size_t i = 0; i < shown; ++i) {
    std::string line =
        fmt::format("{} {}  {:.3f}  {}", outputs[i].label == explanation.target ? '>' : ' ',
                    pad_to_width(labels[i], label_width), outputs[i].probability,
                    bar(outputs[i].probability, bar_width, style));
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  if (shown < outputs.size()) {
    double rest = 0;
    for (std::size_t i = shown; i < outputs.size(); ++i) rest += outputs[i].probability;
    out += fmt::format("  {} more, together {:.3f}\n", outputs.size() - shown, rest);
  }
  return out;
}

std::string terminal_evidence(const Explanation& explanation, const TerminalStyle& style) {
  check_explanation(explanation);
  if (!explanation.evidence) return "";
  const Span span = *explanation.evidence;
  const std::string_view input = explanation.input;
  const auto visible = [&](std::string_view text) { return visible_text(text, style.unicode); };
  std::vector<StyledText> parts;
  const auto add = [&](std::string_view text, const std::string& before) {
    for (const std::string& grapheme : graphemes(visible(text)))
      parts.push_back({grapheme, before});
  };
  add(input.substr(0, span.begin), "");
  const std::string_view inside = input.substr(span.begin, span.end - span.begin);
  if (style.color) {
    // One part, so that the underline is not switched off and on between characters.
    parts.push_back({visible(inside), "\x1b[1;4m"});
  } else {
    parts.push_back({style.unicode ? "⟦" : "[["});
    add(inside, "");
    parts.push_back({style.unicode ? "⟧" : "]]"});
  }
  add(input.substr(span.end), "");
  return fmt::format("evidence for {}\n", visible(explanation.target)) +
         wrapped(parts, "  ", 2, style.width);
}

std::string terminal_report(const Explanation& explanation, const TerminalStyle& style) {
  std::string out = terminal_prediction(explanation, style);
  if (!explanation.output.empty()) {
    out += wrapped_sentence(visible_text(explanation.output, style.unicode), "output: ", 8,
                            style.width);
  }
  const auto add_block = [&](const std::string& block) {
    if (!block.empty()) out += '\n' + block;
  };
  add_block(terminal_evidence(explanation, style));
  if (!explanation.attributions.empty()) add_block(terminal_highlight(explanation, style));
  add_block(terminal_effects(explanation, style));
  if (explanation.surface && !explanation.attributions.empty()) {
    add_block(terminal_overlay(explanation, 0, style));
  }
  if (!explanation.alignments.empty()) add_block(terminal_alignment(explanation, 0, style));
  if (!explanation.layers.empty()) {
    add_block(terminal_long(explanation, explanation.layers.size() - 1, style));
  }
  if (!explanation.attention.empty()) {
    add_block(terminal_matrix(explanation, default_map_index(explanation), style));
  }
  std::string notes;
  for (const std::string& notice : explanation.notices) {
    notes += wrapped_sentence(visible_text(notice, style.unicode), "note: ", 6, style.width);
  }
  add_block(notes);
  if (!explanation.command.empty()) {
    add_block(fmt::format("made by: {}\n", visible_text(explanation.command, style.unicode)));
  }
  return out;
}

}  // namespace attend
