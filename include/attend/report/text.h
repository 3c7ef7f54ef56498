// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace attend {

enum class Align { kLeft, kRight };

/// Columns that `text` (UTF-8) takes on a terminal: East Asian wide and emoji 2, combining marks
/// and other zero-width characters 0, the rest 1. A flag, a keycap and an emoji joined by ZWJ count
/// as one emoji. Ambiguous-width characters count as 1.
int display_width(std::string_view text);

/// The grapheme clusters (user-perceived characters) of `text`, in order.
std::vector<std::string> graphemes(std::string_view text);

/// `text` cut to at most `width` columns, between graphemes, with an ellipsis ("…", or "~" without
/// unicode) where something was cut.
std::string truncate_to_width(std::string_view text, int width, bool unicode = true);

/// `text` filled with spaces to `width` columns; longer text is returned as it is.
std::string pad_to_width(std::string_view text, int width, Align align = Align::kLeft);

/// `text` made safe to print on a terminal: control characters (so no escape sequence survives) as
/// their pictures ("␛", or "\x1b" without unicode), direction overrides and other invisible format
/// characters as "<U+202E>", invalid UTF-8 as U+FFFD. Newlines and tabs become pictures, too.
std::string visible_text(std::string_view text, bool unicode = true);

/// `text` made safe inside XML and HTML text and attribute values: & < > " ' escaped, characters
/// that XML forbids replaced by U+FFFD, invalid UTF-8 likewise.
std::string xml_escaped(std::string_view text);

/// `text` as one TSV field: backslash, tab, newline and carriage return become \\ \t \n \r.
std::string tsv_escaped(std::string_view text);

}  // namespace attend
