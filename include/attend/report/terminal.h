// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "attend/explain/explanation.h"
#include "attend/report/comparison.h"
#include "attend/report/dataset.h"

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

/// Layers by heads: entropy, mean distance and, where measured, importance.
std::string terminal_heads(const Explanation& explanation, const TerminalStyle& style);

/// A line per output unit with the units that weigh most in it, by alignments[index].
std::string terminal_alignment(const Explanation& explanation, std::size_t index,
                               const TerminalStyle& style);

/// Deletion and insertion curves in braille over the band of random orders; a table of both without
/// unicode.
std::string terminal_curve(const Explanation& explanation, const TerminalStyle& style);

/// Sums of layers[index] of a long input: totals, strips, pooled map, heaviest links.
std::string terminal_long(const Explanation& explanation, std::size_t index,
                          const TerminalStyle& style);

/// The surface made small, with the scores of attributions[index] over it.
std::string terminal_overlay(const Explanation& explanation, std::size_t index,
                             const TerminalStyle& style);

/// What each steering did: output before, after, change.
std::string terminal_effects(const Explanation& explanation, const TerminalStyle& style);

/// Both predictions and, for every shared method, both rows and their difference.
std::string terminal_comparison(const Comparison& comparison, const TerminalStyle& style);

/// How many inputs, the confusion matrix, the top units per class (by `method`, the first if
/// empty) and the least sure wrong inputs.
std::string terminal_dataset(const DatasetReport& report, const TerminalStyle& style,
                             const std::string& method = "");

/// For a person: prediction, evidence, scores of units with their faithfulness, what steering did,
/// then what the explanation has of picture, alignment, long-input sums and the default map;
/// notices, command.
std::string terminal_report(const Explanation& explanation, const TerminalStyle& style);

}  // namespace attend
