// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace attend {

/// Untrusted text made fit for a one-line message on a terminal: control characters, bytes that are
/// not UTF-8 and characters that reorder or break the line are written as \n, \t or \xNN, and more
/// than `limit` bytes are cut with "...". Other UTF-8 stays as it is.
std::string printable(std::string_view text, std::size_t limit = 200);

/// Length in bytes of the UTF-8 character at the start of `text`, 0 if there is none: strict, so no
/// overlong forms, surrogates or code points above U+10FFFF.
std::size_t utf8_length(std::string_view text);

}  // namespace attend
