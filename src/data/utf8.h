// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attend::internal {

inline constexpr char32_t kReplacement = 0xFFFD;

/// One step through a text: the code point at `position` and how many bytes it takes. An ill-formed
/// sequence gives U+FFFD and the length of its maximal subpart (at least 1), with `valid` false.
struct CodePoint {
  char32_t value = 0;
  int32_t length = 1;
  bool valid = true;
};

CodePoint next_code_point(std::string_view text, size_t position);

void append_utf8(char32_t value, std::string& out);

inline bool is_cjk_ideograph(char32_t c) { return c >= 0x4E00 && c <= 0x9FFF; }

/// A text in the form that ICU's iterators read fastest, with the way back.
struct Utf16Text {
  std::u16string text;
  std::vector<int32_t> offset;  ///< byte offset of each 16-bit unit; one more entry for the end
};

Utf16Text to_utf16(std::string_view text);

}  // namespace attend::internal
