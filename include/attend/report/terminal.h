// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "attend/explain/explanation.h"

namespace attend {

/// What a terminal can show. detect_terminal() fills it in; tests and `--color` set it.
struct TerminalStyle {
  bool color = false;      ///< ANSI background colours
  int width = 80;          ///< columns
  bool unicode = true;     ///< shades, bars and ellipses outside ASCII
  bool truecolor = false;  ///< 24-bit colours; otherwise xterm's 256
};

/// Asks the file descriptor and the environment: colour only on a terminal, unless NO_COLOR is set
/// (to anything but "") or TERM is "dumb" or missing; width from COLUMNS, else the terminal, else
/// 80 (at least 20); unicode if LC_ALL, LC_CTYPE or LANG (the first that is set) names UTF-8;
/// truecolor if COLORTERM says so.
TerminalStyle detect_terminal(int fd);

// Each renderer returns lines that end in '\n' and never contain a control character of the input.
// All of them check the explanation first (check_explanation) and throw Error(kData) if it is
// broken.

/// The predictions, best first, with a probability bar; at most `limit`, and what was left out.
std::string terminal_prediction(const Explanation& explanation, const TerminalStyle& style,
                                std::size_t limit = 5);

/// The input once per attribution method, each unit on a background that shows its score, the text
/// between units as it was; then the scale and what one number means. Without colour: word[0.31].
std::string terminal_highlight(const Explanation& explanation, const TerminalStyle& style);

/// One attention map as a labelled heat map, rows = queries. Wider than the terminal: a half-block
/// map, two rows to a line; wider than that: pooled, and it says so.
std::string terminal_matrix(const Explanation& explanation, std::size_t map_index,
                            const TerminalStyle& style);

/// The input with the evidence span underlined; "" if there is none.
std::string terminal_evidence(const Explanation& explanation, const TerminalStyle& style);

/// Everything above for a person: prediction, evidence, highlight, the default map, notices,
/// command.
std::string terminal_report(const Explanation& explanation, const TerminalStyle& style);

}  // namespace attend
