// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "utf8.h"

#include <unicode/uchar.h>

#include <cassert>
#include <limits>

#include "attend/base/error.h"
#include "attend/data/unicode.h"

namespace attend {
namespace internal {

CodePoint next_code_point(std::string_view text, size_t position) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(position);
  if (lead < 0x80) return {lead, 1, true};

  // The second byte's range rules out over-long forms, surrogates and values above U+10FFFF
  // (Unicode standard, table 3-7), so no check of the value is needed afterwards.
  int trail = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    trail = 1;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    trail = 2;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    trail = 3;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {kReplacement, 1, false};
  }
  char32_t value = lead & (0x3F >> trail);
  for (int i = 1; i <= trail; ++i) {
    const size_t at = position + static_cast<size_t>(i);
    if (at >= text.size() || byte(at) < low || byte(at) > high) return {kReplacement, i, false};
    value = (value << 6) | (byte(at) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {value, trail + 1, true};
}

void append_utf8(char32_t value, std::string& out) {
  if (value < 0x80) {
    out += static_cast<char>(value);
  } else if (value < 0x800) {
    out += static_cast<char>(0xC0 | (value >> 6));
    out += static_cast<char>(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    out += static_cast<char>(0xE0 | (value >> 12));
    out += static_cast<char>(0x80 | ((value >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (value & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (value >> 18));
    out += static_cast<char>(0x80 | ((value >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((value >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (value & 0x3F));
  }
}

Utf16Text to_utf16(std::string_view text) {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw data_error("a text of " + std::to_string(text.size()) +
                     " bytes: one text must be below 2 GiB; split it");
  Utf16Text result;
  result.text.reserve(text.size());
  result.offset.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = next_code_point(text, at);
    const auto offset = static_cast<int32_t>(at);
    if (c.value < 0x10000) {
      result.text += static_cast<char16_t>(c.value);
    } else {
      result.text += static_cast<char16_t>(0xD7C0 + (c.value >> 10));
      result.text += static_cast<char16_t>(0xDC00 | (c.value & 0x3FF));
      result.offset.push_back(offset);
    }
    result.offset.push_back(offset);
    at += static_cast<size_t>(c.length);
  }
  result.offset.push_back(static_cast<int32_t>(text.size()));
  return result;
}

}  // namespace internal

std::optional<int64_t> first_utf8_fault(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const internal::CodePoint c = internal::next_code_point(text, at);
    if (!c.valid) return static_cast<int64_t>(at);
    at += static_cast<size_t>(c.length);
  }
  return std::nullopt;
}

std::string repair_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const internal::CodePoint c = internal::next_code_point(text, at);
    if (c.valid)
      result.append(text.substr(at, static_cast<size_t>(c.length)));
    else
      internal::append_utf8(internal::kReplacement, result);
    at += static_cast<size_t>(c.length);
  }
  return result;
}

bool is_blank(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const internal::CodePoint c = internal::next_code_point(text, at);
    if (!u_isUWhiteSpace(static_cast<UChar32>(c.value))) return false;
    at += static_cast<size_t>(c.length);
  }
  return true;
}

std::string_view trim(std::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    const internal::CodePoint c = internal::next_code_point(text, begin);
    if (!u_isUWhiteSpace(static_cast<UChar32>(c.value))) break;
    begin += static_cast<size_t>(c.length);
  }
  size_t end = text.size();
  while (end > begin) {
    // Step back to the lead byte of the last character: at most three continuation bytes.
    size_t start = end - 1;
    while (start > begin && end - start < 4 &&
           (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80)
      --start;
    const internal::CodePoint c = internal::next_code_point(text, start);
    if (start + static_cast<size_t>(c.length) != end ||
        !u_isUWhiteSpace(static_cast<UChar32>(c.value)))
      break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

}  // namespace attend
