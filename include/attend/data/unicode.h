// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attend/data/unit.h"

namespace attend {

/// Where the first byte stands that breaks UTF-8 (over-long forms, surrogates, values above
/// U+10FFFF, stray or missing continuation bytes), or nothing if `text` is valid.
std::optional<int64_t> first_utf8_fault(std::string_view text);

inline bool is_valid_utf8(std::string_view text) { return !first_utf8_fault(text).has_value(); }

/// `text` with every ill-formed sequence replaced by one U+FFFD (the Unicode "maximal subpart"
/// rule).
std::string repair_utf8(std::string_view text);

/// What is made equal before texts are compared or looked up in a vocabulary.
struct NormaliseOptions {
  bool nfkc = true;       ///< Unicode NFKC: full-width letters, ligatures, composed accents
  bool fold_case = true;  ///< full case folding: ß -> ss, İ -> i̇; with nfkc also drops soft hyphens
                          ///< and other characters that are never seen (NFKC_Casefold)
};

/// A normalised text that remembers where each of its bytes came from.
struct NormalizedText {
  std::string text;
  /// One entry per byte of `text`: the original characters that it was made from. Several bytes
  /// share one range where characters were merged (e + accent) or expanded (a ligature).
  std::vector<Span> source;

  /// The original range behind bytes [begin, end) of `text`; an empty range for an empty one.
  Span original(int64_t begin, int64_t end) const;
};

/// Normalises `text`; ill-formed bytes become U+FFFD first. Linear in the length.
std::string normalise(std::string_view text, const NormaliseOptions& options = {});
NormalizedText normalise_with_offsets(std::string_view text, const NormaliseOptions& options = {});

/// Texts with equal keys count as the same text when duplicates and leaks are sought: NFKC, case
/// folding, then only letters, marks and digits (all but white space if there are none of these).
std::string comparison_key(std::string_view text);

/// User-perceived characters (grapheme clusters: a base with its marks, an emoji ZWJ sequence, a
/// flag are one each). White space is skipped. The ranges are in order, do not overlap, lie on
/// character boundaries of `text` and cover all that is not white space. So do those of the
/// functions below.
std::vector<Span> character_spans(std::string_view text);

/// Words by the Unicode rules with ICU's dictionary for Chinese and Japanese; a punctuation mark is
/// a unit of its own.
std::vector<Span> word_spans(std::string_view text);

/// As word_spans, but Han characters and kana one by one: for Chinese text with English in it.
/// Needs no dictionary, and is several times faster on Chinese.
std::vector<Span> mixed_spans(std::string_view text);

/// Sentences by the Unicode rules, white space at their ends left out. Full stops, question and
/// exclamation marks that stand alone between white space end one too, whatever follows: in
/// tokenised text, which is often in lower case, the Unicode rules find no end there.
std::vector<Span> sentence_spans(std::string_view text);

/// The number of user-perceived characters, white space not counted.
int64_t count_characters(std::string_view text);

/// True if `text` holds nothing but Unicode white space.
bool is_blank(std::string_view text);

/// `text` without the Unicode white space at both ends.
std::string_view trim(std::string_view text);

}  // namespace attend
