// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attend/data/unit.h"

namespace attend {

/// How far a character n-gram may reach.
enum class NgramReach {
  kWord,  ///< inside a run without white space, which gets a boundary mark at both ends (the
          ///< "char_wb" of scikit-learn): for Chinese a run is a clause, so n-grams go across its
          ///< words
  kText   ///< across white space, each run of which counts as one character; no boundary marks
};

/// What is counted. Lengths are in code points of the normalised text, or in words.
struct NgramOptions {
  int char_min = 2;  ///< shortest character n-gram
  int char_max = 5;  ///< longest character n-gram, 0 = none
  int word_min = 1;  ///< shortest word n-gram
  int word_max = 2;  ///< longest word n-gram, 0 = none
  NgramReach reach = NgramReach::kWord;
  bool punctuation = false;   ///< word n-grams: punctuation marks count as words
  int64_t min_count = 2;      ///< occurrences over all texts below which a feature is dropped
  int64_t min_documents = 1;  ///< texts that must hold a feature
  int64_t max_features = 0;   ///< the most frequent are kept (by occurrences), 0 = no limit
  bool nfkc = true;           ///< as in NormaliseOptions
  bool fold_case = true;      ///< as in NormaliseOptions
};

nlohmann::json to_json(const NgramOptions& options);

/// Unknown keys are ignored, missing ones keep their default; a wrong type or range throws
/// Error(kModel).
NgramOptions ngram_options_from_json(const nlohmann::json& json);

/// One occurrence of an n-gram in a text.
struct Ngram {
  uint64_t hash = 0;
  Span span;              ///< where it stands in the original text, boundary marks left out
  Span last;              ///< its last character (or word) in the original text
  bool of_words = false;  ///< an n-gram of words, not of characters
};

/// All n-grams of `text`, those of characters first, in order. Their hashes are the same on every
/// machine and in every version, because model files store them.
std::vector<Ngram> hashed_ngrams(const NgramOptions& options, std::string_view text);

/// An n-gram of the vocabulary in a text.
struct NgramHit {
  int32_t feature = 0;    ///< index into hashes()
  int32_t unit = 0;       ///< index of the unit that it belongs to, -1 if there are no units
  bool of_words = false;  ///< an n-gram of words, not of characters

  bool operator==(const NgramHit&) const = default;
};

/// The n-grams that a model knows, numbered 0 to size() - 1 in the order of their hashes. Two
/// n-grams with the same 64-bit hash share a number: about one pair in 10^7 for a million features.
class NgramVocabulary {
 public:
  NgramVocabulary() = default;

  /// `hashes` strictly ascending (else Error(kModel)); `document_frequency` empty or as long.
  NgramVocabulary(const NgramOptions& options, std::vector<uint64_t> hashes,
                  std::vector<uint32_t> document_frequency = {}, int64_t document_count = 0);

  /// Counts the n-grams of `texts` and keeps those that `options` asks for.
  static NgramVocabulary build(const NgramOptions& options, std::span<const std::string> texts);

  /// The known n-grams of `text`, once per occurrence. Each belongs to the unit in which its last
  /// character begins; if that character lies in no unit, to the nearest unit before it, else to
  /// the first one after it. Units with an empty span ([CLS]) are passed over.
  std::vector<NgramHit> extract(std::string_view text, std::span<const Span> units) const;

  /// The number of a hash, or -1.
  int32_t find(uint64_t hash) const;

  int64_t size() const { return static_cast<int64_t>(hashes_.size()); }
  const NgramOptions& options() const { return options_; }
  const std::vector<uint64_t>& hashes() const { return hashes_; }

  /// In how many training texts each feature occurs; empty if not known.
  const std::vector<uint32_t>& document_frequency() const { return document_frequency_; }
  int64_t document_count() const { return document_count_; }

 private:
  void index();

  NgramOptions options_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> document_frequency_;
  int64_t document_count_ = 0;
  std::vector<int32_t> slots_;  // open addressing: position in hashes_ or -1
};

}  // namespace attend
