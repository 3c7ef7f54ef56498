// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/text.h"

#include <fmt/format.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>

namespace attend {
namespace {

constexpr UChar32 kReplacement = 0xFFFD;
constexpr UChar32 kEmojiSelector = 0xFE0F;
constexpr UChar32 kSoftHyphen = 0xAD;

struct CloseIterator {
  void operator()(UBreakIterator* iterator) const { ubrk_close(iterator); }
};
struct CloseText {
  void operator()(UText* text) const { utext_close(text); }
};

// Opening an iterator loads ICU's rules; one per thread is enough.
UBreakIterator* grapheme_iterator() {
  thread_local const std::unique_ptr<UBreakIterator, CloseIterator> iterator = [] {
    UErrorCode status = U_ZERO_ERROR;
    UBreakIterator* opened = ubrk_open(UBRK_CHARACTER, "", nullptr, 0, &status);
    if (U_FAILURE(status)) throw std::runtime_error("ICU has no grapheme rules");
    return std::unique_ptr<UBreakIterator, CloseIterator>(opened);
  }();
  return iterator.get();
}

// Calls visit(code point) for each; invalid bytes arrive as U+FFFD.
template <class Visit>
void for_each_code_point(std::string_view text, Visit visit) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int64_t>(text.size());
  int64_t i = 0;
  while (i < size) {
    UChar32 c;
    U8_NEXT(bytes, i, size, c);
    visit(c < 0 ? kReplacement : c);
  }
}

void append(std::string& out, UChar32 c) {
  uint8_t bytes[U8_MAX_LENGTH];
  int32_t length = 0;
  UBool failed = false;
  U8_APPEND(bytes, length, U8_MAX_LENGTH, c, failed);
  if (failed) return append(out, kReplacement);
  out.append(reinterpret_cast<const char*>(bytes), length);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

int code_point_width(UChar32 c) {
  if (c == kSoftHyphen) return 1;
  switch (u_charType(c)) {
    case U_NON_SPACING_MARK:
    case U_ENCLOSING_MARK:
    case U_FORMAT_CHAR:
    case U_CONTROL_CHAR:
      return 0;
    default:
      break;
  }
  // The vowels and finals of a decomposed Hangul syllable are drawn inside their leading consonant.
  if (c >= 0x1160 && c <= 0x11FF) return 0;
  const auto width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
  return width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
}

int grapheme_width(std::string_view grapheme) {
  int width = 0;
  bool emoji = false;
  for_each_code_point(grapheme, [&](UChar32 c) {
    width += code_point_width(c);
    emoji |= c == kEmojiSelector || u_hasBinaryProperty(c, UCHAR_EMOJI_PRESENTATION);
  });
  return emoji ? 2 : std::min(width, 2);
}

// Characters that have no picture of their own but change how their neighbours look: direction
// overrides could show a text in another order than the model read it. The joiners are part of
// emoji and of Indic and Persian spelling.
bool is_hidden_format(UChar32 c) {
  constexpr UChar32 kNonJoiner = 0x200C, kJoiner = 0x200D;
  if (c == kNonJoiner || c == kJoiner) return false;
  const auto type = u_charType(c);
  if (type == U_LINE_SEPARATOR || type == U_PARAGRAPH_SEPARATOR) return true;
  return type == U_FORMAT_CHAR && (u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) ||
                                   u_hasBinaryProperty(c, UCHAR_BIDI_CONTROL));
}

template <class Visit>
void for_each_grapheme(std::string_view text, Visit visit) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UText, CloseText> source(
      utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &status));
  UBreakIterator* iterator = grapheme_iterator();
  ubrk_setUText(iterator, source.get(), &status);
  if (U_FAILURE(status)) throw std::runtime_error("ICU cannot read a text of this size");
  int32_t begin = ubrk_first(iterator);
  for (int32_t end = ubrk_next(iterator); end != UBRK_DONE; end = ubrk_next(iterator)) {
    visit(text.substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace

int display_width(std::string_view text) {
  if (is_ascii(text)) return static_cast<int>(text.size());
  int width = 0;
  for_each_grapheme(text, [&](std::string_view grapheme) { width += grapheme_width(grapheme); });
  return width;
}

std::vector<std::string> graphemes(std::string_view text) {
  std::vector<std::string> parts;
  for_each_grapheme(text, [&](std::string_view grapheme) { parts.emplace_back(grapheme); });
  return parts;
}

std::string truncate_to_width(std::string_view text, int width, bool unicode) {
  if (width <= 0) return "";
  if (display_width(text) <= width) return std::string(text);
  std::string out;
  int used = 0;
  bool full = false;
  for_each_grapheme(text, [&](std::string_view grapheme) {
    const int next = grapheme_width(grapheme);
    full |= used + next > width - 1;  // one column is the ellipsis'
    if (full) return;
    out += grapheme;
    used += next;
  });
  return out + (unicode ? "…" : "~");
}

std::string pad_to_width(std::string_view text, int width, Align align) {
  const int missing = std::max(0, width - display_width(text));
  const std::string spaces(missing, ' ');
  return align == Align::kLeft ? std::string(text) + spaces : spaces + std::string(text);
}

std::string visible_text(std::string_view text, bool unicode) {
  if (is_ascii(text)) return std::string(text);
  std::string out;
  for_each_code_point(text, [&](UChar32 c) {
    const bool has_picture = c < 0x20 || c == 0x7F;
    if (has_picture && unicode) {
      append(out, c == 0x7F ? 0x2421 : 0x2400 + c);
    } else if (has_picture) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (u_charType(c) == U_CONTROL_CHAR || is_hidden_format(c)) {
      out += fmt::format("<U+{:04X}>", static_cast<uint32_t>(c));
    } else {
      append(out, c);
    }
  });
  return out;
}

std::string xml_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_code_point(text, [&](UChar32 c) {
    switch (c) {
      case '&':
        out += "&amp;";
        return;
      case '<':
        out += "&lt;";
        return;
      case '>':
        out += "&gt;";
        return;
      case '"':
        out += "&quot;";
        return;
      case '\'':
        out += "&#39;";
        return;
      default:
        break;
    }
    const bool blank = c == '\t' || c == '\n' || c == '\r';
    const bool forbidden =
        (c < 0x20 && !blank) || (c >= 0x7F && c < 0xA0) || (c & 0xFFFE) == 0xFFFE;
    append(out, forbidden ? kReplacement : c);
  });
  return out;
}

std::string tsv_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace attend
