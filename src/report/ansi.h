// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "attend/report/colors.h"
#include "attend/report/terminal.h"

// Pieces that the terminal renderers share. Private to the report layer.
namespace attend::report {

/// `text` (already visible_text) on `background`, with ink that can be read on it; as it is without
/// colour.
std::string painted(std::string_view text, Rgb background, const TerminalStyle& style);

/// `text` in `color` on `background`; as it is without colour.
std::string ink(std::string_view text, Rgb background, Rgb color, const TerminalStyle& style);

/// Like painted() for two colours of a half block.
std::string painted_half_block(Rgb upper, Rgb lower, const TerminalStyle& style);

/// A map of `rows` x `columns` values in half blocks, two rows to a line (a shade per cell without
/// colour or unicode), made smaller by means of blocks to fit `width` columns; every line begins
/// with two spaces.
struct BlockMap {
  int64_t rows = 0, columns = 0;
  std::function<double(int64_t, int64_t)> share;  ///< of the largest, for shades
  std::function<Rgb(int64_t, int64_t)> color;
};
std::string half_block_map(const BlockMap& map, const TerminalStyle& style);

/// One character per bin of `values` (largest of each, as a share of `scale`), "▁▂▃▄▅▆▇█".
std::string sparkline(const std::vector<double>& values, double scale, int width,
                      const TerminalStyle& style);

/// A number in a cell of colour, right-aligned to `width`; with a shade before it without colour.
std::string number_cell(const std::string& number, Rgb color, double share, int width,
                        const TerminalStyle& style);

/// A shade character for t in [0, 1]: " ░▒▓█", or " .:+#" without unicode.
std::string_view shade(double t, const TerminalStyle& style);

/// Text with one look, e.g. a unit on its background.
struct StyledText {
  std::string text;         ///< already visible_text
  std::string before = {};  ///< escape sequence that switches the look on; "" for none
};

/// The escape sequence that painted() would put before a text; "" without colour.
std::string paint(Rgb background, const TerminalStyle& style);

/// Lays `parts` out in lines of `width` columns, breaking between parts where it can and inside a
/// part only if the part alone is longer than a line. Every line ends in '\n' and is self-contained
/// (no look runs over a line end). `first` opens the first line, `indent` spaces every other.
std::string wrapped(const std::vector<StyledText>& parts, std::string_view first, int indent,
                    int width);

/// The words of `sentence`, each with the space after it.
std::vector<StyledText> words_of(std::string_view sentence);

/// A sentence, wrapped at spaces.
std::string wrapped_sentence(std::string_view sentence, std::string_view first, int indent,
                             int width);

}  // namespace attend::report
