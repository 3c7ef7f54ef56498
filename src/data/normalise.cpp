// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Normalisation by ICU with the way back to the original text. ICU reports its changes as a list of
// "old length -> new length" edits; every byte of a changed stretch gets the whole stretch as its
// source, every byte of an unchanged one its own character.
#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/stringoptions.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>

#include <cassert>
#include <limits>

#include "attend/base/error.h"
#include "attend/data/unicode.h"
#include "utf8.h"

namespace attend {
namespace {

using internal::CodePoint;
using internal::next_code_point;

const icu::Normalizer2& normalizer(bool fold_case) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* instance = fold_case ? icu::Normalizer2::getNFKCCasefoldInstance(status)
                                               : icu::Normalizer2::getNFKCInstance(status);
  if (U_FAILURE(status) || instance == nullptr)
    throw model_error("ICU has no normalisation data; install the package libicu72 or newer");
  return *instance;
}

// A sink that lives on the stack. ICU hands over pieces of the result.
class Sink final : public icu::ByteSink {
 public:
  explicit Sink(std::string& out) : out_(out) {}
  void Append(const char* bytes, int32_t count) override {
    out_.append(bytes, static_cast<size_t>(count));
  }

 private:
  std::string& out_;
};

// `text` must be valid UTF-8.
std::string run_icu(std::string_view text, const NormaliseOptions& options, icu::Edits* edits) {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw data_error("a text of " + std::to_string(text.size()) +
                     " bytes: one text must be below 2 GiB; split it");
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  Sink sink(result);
  UErrorCode status = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  if (options.nfkc)
    normalizer(options.fold_case).normalizeUTF8(0, piece, sink, edits, status);
  else
    icu::CaseMap::utf8Fold(0, piece, sink, edits, status);
  if (U_FAILURE(status))
    throw data_error(std::string("a text cannot be normalised (") + u_errorName(status) + ")");
  return result;
}

enum class Plain { kNo, kUnchanged, kAscii };

// Most text needs no table: ASCII folds by one bit, and the basic block of Han characters and the
// common Chinese marks are their own normal form. `kUnchanged` also promises valid UTF-8.
Plain plainness(std::string_view text, const NormaliseOptions& options) {
  Plain result = Plain::kUnchanged;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      if (options.fold_case && byte >= 'A' && byte <= 'Z') result = Plain::kAscii;
      ++at;
      continue;
    }
    const CodePoint c = next_code_point(text, at);
    // A character after which nothing can compose and which folds to itself.
    const bool inert = c.valid && (internal::is_cjk_ideograph(c.value) ||
                                   (c.value >= 0x3001 && c.value <= 0x3011) ||
                                   (c.value >= 0x2018 && c.value <= 0x201D));
    if (!inert) return Plain::kNo;
    at += static_cast<size_t>(c.length);
  }
  return result;
}

void lower_ascii(std::string& text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
}

// The source of every byte of repair_utf8(text).
void repair_with_offsets(std::string_view text, NormalizedText& out) {
  out.text.reserve(text.size());
  out.source.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = next_code_point(text, at);
    if (c.valid)
      out.text.append(text.substr(at, static_cast<size_t>(c.length)));
    else
      internal::append_utf8(internal::kReplacement, out.text);
    const Span span{static_cast<int64_t>(at), static_cast<int64_t>(at) + c.length};
    out.source.resize(out.text.size(), span);
    at += static_cast<size_t>(c.length);
  }
}

}  // namespace

Span NormalizedText::original(int64_t begin, int64_t end) const {
  assert(0 <= begin && begin <= end && end <= static_cast<int64_t>(source.size()));
  if (begin < end)
    return {source[static_cast<size_t>(begin)].begin, source[static_cast<size_t>(end - 1)].end};
  const int64_t at = source.empty() ? 0
                     : begin < static_cast<int64_t>(source.size())
                         ? source[static_cast<size_t>(begin)].begin
                         : source.back().end;
  return {at, at};
}

std::string normalise(std::string_view text, const NormaliseOptions& options) {
  const Plain plain = plainness(text, options);
  if (plain != Plain::kNo) {
    std::string result(text);
    if (plain == Plain::kAscii) lower_ascii(result);
    return result;
  }
  if (!options.nfkc && !options.fold_case) return repair_utf8(text);
  if (is_valid_utf8(text)) return run_icu(text, options, nullptr);
  return run_icu(repair_utf8(text), options, nullptr);
}

NormalizedText normalise_with_offsets(std::string_view text, const NormaliseOptions& options) {
  NormalizedText repaired;
  repair_with_offsets(text, repaired);
  const Plain plain = plainness(text, options);
  if (plain == Plain::kAscii) lower_ascii(repaired.text);
  if (plain != Plain::kNo || (!options.nfkc && !options.fold_case)) return repaired;

  icu::Edits edits;
  NormalizedText result;
  result.text = run_icu(repaired.text, options, &edits);
  result.source.reserve(result.text.size());
  UErrorCode status = U_ZERO_ERROR;
  for (auto edit = edits.getFineIterator(); edit.next(status);) {
    const auto old_begin = static_cast<size_t>(edit.sourceIndex());
    const auto old_length = static_cast<size_t>(edit.oldLength());
    if (!edit.hasChange()) {
      result.source.insert(
          result.source.end(), repaired.source.begin() + static_cast<std::ptrdiff_t>(old_begin),
          repaired.source.begin() + static_cast<std::ptrdiff_t>(old_begin + old_length));
    } else if (edit.newLength() > 0) {
      // An insertion (nothing replaced by something) does not occur in NFKC, but would have a
      // place.
      const Span span = repaired.original(static_cast<int64_t>(old_begin),
                                          static_cast<int64_t>(old_begin + old_length));
      result.source.insert(result.source.end(), static_cast<size_t>(edit.newLength()), span);
    }
  }
  if (U_FAILURE(status) || result.source.size() != result.text.size())
    throw data_error("a text cannot be normalised (ICU lost track of its changes)");
  return result;
}

std::string comparison_key(std::string_view text) {
  const std::string folded = normalise(text);
  std::string key;
  key.reserve(folded.size());
  for (size_t at = 0; at < folded.size();) {
    const CodePoint c = next_code_point(folded, at);
    bool keep = internal::is_cjk_ideograph(c.value);
    if (c.value < 0x80)
      keep = (c.value >= '0' && c.value <= '9') || (c.value >= 'a' && c.value <= 'z');
    else if (!keep)
      keep = (U_GET_GC_MASK(static_cast<UChar32>(c.value)) &
              (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK)) != 0;
    if (keep) key.append(folded, at, static_cast<size_t>(c.length));
    at += static_cast<size_t>(c.length);
  }
  if (!key.empty()) return key;
  for (size_t at = 0; at < folded.size();) {
    const CodePoint c = next_code_point(folded, at);
    if (!u_isUWhiteSpace(static_cast<UChar32>(c.value)))
      key.append(folded, at, static_cast<size_t>(c.length));
    at += static_cast<size_t>(c.length);
  }
  return key;
}

}  // namespace attend
