// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attend/data/unit.h"

namespace attend {

/// The ids that every vocabulary starts with.
inline constexpr int64_t kPaddingId = 0;    ///< [PAD]
inline constexpr int64_t kUnknownId = 1;    ///< [UNK]
inline constexpr int64_t kMaskId = 2;       ///< [MASK]
inline constexpr int64_t kClassifyId = 3;   ///< [CLS], start of a sequence
inline constexpr int64_t kSeparatorId = 4;  ///< [SEP], between two texts, end of a sequence
inline constexpr int64_t kSpecialCount = 5;

enum class TokenizerKind {
  kCharacter,  ///< "char": user-perceived characters (grapheme clusters)
  kWord,       ///< "word": words, Chinese ones by dictionary
  kMixed,      ///< "mixed": Han characters and kana singly, other scripts by words
  kSubword     ///< "subword": SentencePiece, learned from the user's file
};

/// "char", "word", "mixed" or "subword".
std::string_view to_string(TokenizerKind kind);

/// The reverse of to_string; anything else throws Error(kUsage).
TokenizerKind parse_tokenizer_kind(std::string_view name);

struct TokenizerOptions {
  TokenizerKind kind = TokenizerKind::kMixed;
  bool normalise = true;  ///< NFKC before the vocabulary is asked
  bool fold_case = true;  ///< full case folding; for kSubword it implies `normalise`
  int64_t min_count = 1;  ///< units seen less often in training become [UNK]; not for kSubword
  int64_t max_vocabulary =
      50'000;  ///< entries at most, special ones included; the most frequent stay
};

/// A text as ids; `spans[i]` is where `ids[i]` stands in the original text. In order and without
/// overlap. A subword piece that stands for white space alone has an empty span.
struct Encoding {
  std::vector<int64_t> ids;
  std::vector<Span> spans;
};

/// Cuts text into units and numbers them. Immutable, so safe to share among threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Linear in the length. Ill-formed UTF-8 is read as U+FFFD, the spans still being those of
  /// `text`. No special ids are added.
  virtual Encoding encode(std::string_view text) const = 0;

  /// Ids back to text that a person reads; special ids are skipped.
  virtual std::string decode(std::span<const int64_t> ids) const = 0;

  /// The number of ids, special ones included.
  virtual int64_t vocab_size() const = 0;

  /// What id stands for, "[PAD]" and the like for special ids, as the vocabulary spells it
  /// (normalised). `id` must lie in [0, vocab_size()).
  virtual std::string token_text(int64_t id) const = 0;

  /// The id of exactly this vocabulary entry.
  virtual std::optional<int64_t> find(std::string_view token) const = 0;

  /// Writes tokenizer_config.json and vocab.txt or spm.model into an existing folder.
  virtual void save(const std::filesystem::path& folder) const = 0;

  /// Reads what save wrote. Damaged or foreign files throw Error(kModel) naming the file.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& folder);

  const TokenizerOptions& options() const { return options_; }
  TokenizerKind kind() const { return options_.kind; }

 protected:
  explicit Tokenizer(const TokenizerOptions& options) : options_(options) {}

 private:
  TokenizerOptions options_;
};

/// Learns a vocabulary from `texts`. The same texts and options give the same tokenizer.
std::unique_ptr<Tokenizer> train_tokenizer(const TokenizerOptions& options,
                                           std::span<const std::string> texts);

/// The spans of an encoding with the text a person is shown: the original spelling, or the entry of
/// the vocabulary where the span is empty.
std::vector<Unit> units_of(const Tokenizer& tokenizer, std::string_view text,
                           const Encoding& encoding);

}  // namespace attend
