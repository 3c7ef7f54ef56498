// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Units of text. All cutting is done on the original text, never on a normalised one, so that units
// cannot overlap: a ligature or a full-width letter is one unit that is normalised by itself later.
#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf16.h>

#include <array>
#include <memory>

#include "attend/base/error.h"
#include "attend/data/unicode.h"
#include "utf8.h"

namespace attend {
namespace {

using internal::CodePoint;
using internal::next_code_point;
using internal::Utf16Text;

enum class Boundary { kCharacter, kWord, kSentence };

icu::BreakIterator* make_iterator(Boundary boundary, UErrorCode& status) {
  const icu::Locale& locale = icu::Locale::getRoot();
  switch (boundary) {
    case Boundary::kCharacter:
      return icu::BreakIterator::createCharacterInstance(locale, status);
    case Boundary::kWord:
      return icu::BreakIterator::createWordInstance(locale, status);
    case Boundary::kSentence:
      break;
  }
  return icu::BreakIterator::createSentenceInstance(locale, status);
}

// An ICU iterator holds its text and position, so each thread keeps its own; making one takes as
// long as cutting thousands of words.
icu::BreakIterator& iterator(Boundary boundary) {
  thread_local std::array<std::unique_ptr<icu::BreakIterator>, 3> kept;
  auto& instance = kept[static_cast<size_t>(boundary)];
  if (instance == nullptr) {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::BreakIterator> made(make_iterator(boundary, status));
    if (U_FAILURE(status)) {
      throw model_error("ICU has no rules to cut text by; install the package libicu72 or newer");
    }
    instance = std::move(made);
  }
  return *instance;
}

// Adds the original range of units [begin, end) of `text` without the white space at its ends.
void add_trimmed(const Utf16Text& text, int32_t begin, int32_t end, std::vector<Span>& spans) {
  const char16_t* units = text.text.data();
  while (begin < end) {
    UChar32 c;
    int32_t next = begin;
    U16_NEXT(units, next, end, c);
    if (!u_isUWhiteSpace(c)) break;
    begin = next;
  }
  while (end > begin) {
    UChar32 c;
    int32_t previous = end;
    U16_PREV(units, begin, previous, c);
    if (!u_isUWhiteSpace(c)) break;
    end = previous;
  }
  if (begin < end)
    spans.push_back(
        {text.offset[static_cast<size_t>(begin)], text.offset[static_cast<size_t>(end)]});
}

// Cuts units [begin, end) of `text` at ICU's boundaries.
template <typename Visit>
void for_each_segment(const Utf16Text& text, int32_t begin, int32_t end, Boundary boundary,
                      Visit visit) {
  icu::BreakIterator& breaks = iterator(boundary);
  // A read-only alias: nothing is copied. It must outlive the loop.
  const icu::UnicodeString alias(false, text.text.data() + begin, end - begin);
  breaks.setText(alias);
  int32_t from = breaks.first();
  for (int32_t to = breaks.next(); to != icu::BreakIterator::DONE; from = to, to = breaks.next())
    visit(begin + from, begin + to);
  // The iterator lives on; it must not keep a pointer into a text that is about to go.
  static const icu::UnicodeString empty;
  breaks.setText(empty);
}

// Characters between two of which there is always a boundary, and which are never joined by what
// follows unless that is outside the set: ASCII, Han, CJK and Latin punctuation, full-width forms.
bool is_simple(char32_t c) {
  return (c < 0x80 && c != '\r') || internal::is_cjk_ideograph(c) || (c >= 0x3000 && c <= 0x3029) ||
         (c >= 0xFF01 && c <= 0xFF60) || (c >= 0x2010 && c <= 0x2027);
}

bool all_simple(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = next_code_point(text, at);
    if (!is_simple(c.value)) return false;
    at += static_cast<size_t>(c.length);
  }
  return true;
}

bool is_simple_space(char32_t c) { return c == ' ' || (c >= 9 && c <= 13) || c == 0x3000; }

// Written singly in `mixed`: scripts without spaces between words.
bool is_ideographic(UChar32 c) {
  if (c < 0x2E80) return false;
  if (internal::is_cjk_ideograph(static_cast<char32_t>(c))) return true;
  UErrorCode status = U_ZERO_ERROR;
  switch (uscript_getScript(c, &status)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_BOPOMOFO:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<Span> character_spans(std::string_view text) {
  std::vector<Span> spans;
  if (all_simple(text)) {
    spans.reserve(text.size() / 2);
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = next_code_point(text, at);
      const auto begin = static_cast<int64_t>(at);
      if (!is_simple_space(c.value)) spans.push_back({begin, begin + c.length});
      at += static_cast<size_t>(c.length);
    }
    return spans;
  }
  const Utf16Text wide = internal::to_utf16(text);
  const auto length = static_cast<int32_t>(wide.text.size());
  spans.reserve(wide.text.size());
  for_each_segment(wide, 0, length, Boundary::kCharacter,
                   [&](int32_t begin, int32_t end) { add_trimmed(wide, begin, end, spans); });
  return spans;
}

std::vector<Span> word_spans(std::string_view text) {
  std::vector<Span> spans;
  const Utf16Text wide = internal::to_utf16(text);
  const auto length = static_cast<int32_t>(wide.text.size());
  spans.reserve(wide.text.size() / 3);
  for_each_segment(wide, 0, length, Boundary::kWord,
                   [&](int32_t begin, int32_t end) { add_trimmed(wide, begin, end, spans); });
  return spans;
}

std::vector<Span> mixed_spans(std::string_view text) {
  const Utf16Text wide = internal::to_utf16(text);
  const auto length = static_cast<int32_t>(wide.text.size());
  const char16_t* units = wide.text.data();
  std::vector<Span> spans;
  spans.reserve(wide.text.size() / 2);

  // Runs of ideographs (with the marks that follow them) and runs of everything else.
  for (int32_t at = 0; at < length;) {
    const int32_t begin = at;
    UChar32 c;
    U16_NEXT(units, at, length, c);
    const bool ideographic = is_ideographic(c);
    bool marks = false;
    while (at < length) {
      int32_t next = at;
      U16_NEXT(units, next, length, c);
      const bool joins = ideographic && c > 0x02FF && !is_ideographic(c) &&
                         (u_hasBinaryProperty(c, UCHAR_GRAPHEME_EXTEND) || c == 0x200D);
      if (!joins && is_ideographic(c) != ideographic) break;
      marks |= joins || c > 0xFFFF || (c >= 0x302A && c <= 0x309F) || c >= 0xF900;
      at = next;
    }
    if (!ideographic) {
      for_each_segment(wide, begin, at, Boundary::kWord,
                       [&](int32_t from, int32_t to) { add_trimmed(wide, from, to, spans); });
    } else if (marks || U16_IS_LEAD(units[begin])) {
      for_each_segment(wide, begin, at, Boundary::kCharacter,
                       [&](int32_t from, int32_t to) { add_trimmed(wide, from, to, spans); });
    } else {
      for (int32_t i = begin; i < at; ++i)
        spans.push_back(
            {wide.offset[static_cast<size_t>(i)], wide.offset[static_cast<size_t>(i) + 1]});
    }
  }
  return spans;
}

std::vector<Span> sentence_spans(std::string_view text) {
  std::vector<Span> spans;
  const Utf16Text wide = internal::to_utf16(text);
  const char16_t* units = wide.text.data();
  const auto is_stop = [&](int32_t at) {
    return units[at] == u'.' || units[at] == u'!' || units[at] == u'?';
  };
  const auto add = [&](int32_t begin, int32_t end) {
    int32_t from = begin;
    for (int32_t at = begin + 1; at + 1 < end; ++at) {
      if (is_stop(at) && u_isUWhiteSpace(units[at - 1]) && u_isUWhiteSpace(units[at + 1])) {
        add_trimmed(wide, from, at + 1, spans);
        from = at + 1;
      }
    }
    add_trimmed(wide, from, end, spans);
  };
  for_each_segment(wide, 0, static_cast<int32_t>(wide.text.size()), Boundary::kSentence, add);
  return spans;
}

int64_t count_characters(std::string_view text) {
  return static_cast<int64_t>(character_spans(text).size());
}

}  // namespace attend
