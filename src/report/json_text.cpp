// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "json_text.h"

#include <fmt/format.h>
#include <unicode/utf8.h>

#include <charconv>
#include <cmath>
#include <cstdint>

namespace attend::report {
namespace {

template <class Number>
std::string shortest(Number value) {
  if (value == 0)
    return std::signbit(value) ? "-0.0" : "0";  // a bare -0 would be read as an integer
  char buffer[40];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, result.ptr};
}

}  // namespace

std::string json_number(double value) { return shortest(value); }
std::string json_number(float value) { return shortest(value); }

std::string json_string(std::string_view text, bool for_script) {
  std::string out = "\"";
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < size;) {
    const int64_t begin = i;
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    const bool script_end = c == '<' || c == '>' || c == '&' || c == 0x2028 || c == 0x2029;
    if (c < 0) {
      out += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7F || (for_script && script_end)) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += text.substr(begin, i - begin);
    }
  }
  return out + '"';
}

}  // namespace attend::report
