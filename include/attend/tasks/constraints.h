// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What a generated text must be like, as a mask over the next token. The mask looks ahead: a token
// is allowed only if the text can still be finished behind it, so decoding never runs into a dead
// end. Exact, by dynamic programming over (place, words begun, words done, rhyme).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attend/tasks/rhyme_table.h"

namespace attend {

/// What the user asked for. A character is a user-perceived one; white space counts nowhere.
struct ConstraintOptions {
  /// Letters (or Chinese characters) of each line; a mark of punctuation ends each line. Empty: no
  /// form, and then acrostic, rhyme and tones cannot be asked for.
  std::vector<int64_t> form;
  /// 藏头: the first characters of the lines, or of every second line if it has half as many.
  std::string acrostic;
  /// The even lines (the last line of three) rhyme: a class of the table, or "any" for one and the
  /// same, whichever. Empty: off.
  std::string rhyme;
  /// 平 (P), 仄 (Z) or 中 (*) for either, for each character of a line or of the whole text; spaces
  /// and punctuation are passed over. Empty: off.
  std::string tones;
  std::vector<std::string> contain;  ///< words that must occur, each within a line; at most 8
  std::string begin;                 ///< the text begins so
  std::string end;  ///< behind the generated part stands this (infilling); with a form it counts
  std::shared_ptr<const RhymeTable> table;  ///< for rhyme and tones
  int64_t longest = 512;                    ///< tokens to generate at most

  bool any() const {
    return !form.empty() || !acrostic.empty() || !rhyme.empty() || !tones.empty() ||
           !contain.empty();
  }
};

/// "4x5" (lines x characters) or "7,7,5" (characters of each line). Throws Error(kUsage).
std::vector<int64_t> parse_form(const std::string& text);

/// Letters in each line of `text`, lines being what punctuation or a line break ends.
std::vector<int64_t> form_of(std::string_view text);

/// Where a text under construction stands.
struct ConstraintState {
  int32_t cell = 0;          ///< next place
  int32_t matcher = 0;       ///< how far words have been begun
  uint32_t seen = 0;         ///< words that have occurred, as bits
  std::vector<bool> rhymes;  ///< classes that all rhymes so far have; empty without rhyme
};

class ConstraintAutomaton;

/// Constraints over one vocabulary.
class Constraints {
 public:
  /// `tokens`: what each id spells; an empty string for ids that no text may hold (special ones).
  /// `end_token`: the id that ends a text. Throws Error(kUsage) if two constraints contradict each
  /// other (naming both), one cannot be met by itself, or a character is not in the vocabulary.
  Constraints(const ConstraintOptions& options, std::span<const std::string> tokens,
              int64_t end_token);
  ~Constraints();
  Constraints(Constraints&&) noexcept;
  Constraints& operator=(Constraints&&) noexcept;

  /// The state behind `begin`.
  ConstraintState start() const;

  /// `allowed[token]`: 1 where the token may come next; sized to the vocabulary. At least one may.
  void mask(const ConstraintState& state, std::vector<uint8_t>& allowed);

  /// The state behind `token`, which must be allowed and not the end.
  ConstraintState advance(const ConstraintState& state, int64_t token) const;

 private:
  std::unique_ptr<ConstraintAutomaton> automaton_;
};

}  // namespace attend
