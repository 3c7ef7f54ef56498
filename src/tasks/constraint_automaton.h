// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "attend/tasks/constraints.h"

namespace attend {

/// The states behind a Constraints: places of the text, a matcher of the words that must occur
/// (Aho and Corasick 1975), the words that have occurred, and the rhymes that are still possible.
/// Options that contradict each other make an automaton that is not satisfiable().
class ConstraintAutomaton {
 public:
  ConstraintAutomaton(const ConstraintOptions& options, std::span<const std::string> tokens,
                      int64_t end_token);

  const ConstraintState& start() const { return start_; }
  bool satisfiable() { return begins_ && finishable(start_); }
  void mask(const ConstraintState& state, std::vector<uint8_t>& allowed);
  ConstraintState advance(const ConstraintState& state, int64_t token) const;

 private:
  enum class Place : uint8_t { kAny, kLetter, kPause, kStop, kEnd };

  // A place of a text of known form.
  struct Cell {
    Place place = Place::kAny;
    int32_t fixed = -1;  // the only character, or -1
    int tones = kAnyTone;
    bool rhyme = false;
  };

  struct Character {
    std::string text;
    bool letter = false;
    bool pause = false;     // may end a line
    bool stop = false;      // may end every second line
    bool end = false;       // may end the text
    bool single = false;    // is a token by itself
    int32_t in_words = -1;  // index among the characters that words are made of
    std::vector<Reading> readings;
  };

  int32_t character(const std::string& text);
  std::vector<int32_t> characters(std::string_view text);
  void read_tokens(std::span<const std::string> tokens);
  void lay_out_cells();
  void fix(int64_t cell, int32_t to);
  void set_tones();
  void build_matcher();
  void begin();

  bool fits(const Cell& cell, const Character& one, int32_t rhyme) const;
  const Cell& cell_at(int64_t index) const;
  bool other_fits(int64_t cell, int32_t rhyme);
  bool finishable(int64_t cell, int64_t matcher, uint32_t seen, int32_t rhyme);
  bool finishable(const ConstraintState& state);
  bool step(ConstraintState& state, int32_t next) const;
  void match(ConstraintState& state, int32_t next) const;
  bool free() const { return options_.form.empty(); }
  uint32_t all_words() const { return (1U << words_.size()) - 1; }

  ConstraintOptions options_;
  int64_t end_token_;
  std::vector<Character> characters_;
  std::unordered_map<std::string, int32_t> index_;
  std::vector<int32_t> spelling_;     // characters of all tokens, one after another
  std::vector<int64_t> token_begin_;  // of each token in spelling_; one more than there are tokens
  std::vector<Cell> cells_;           // of a form; empty for a free text
  int64_t finish_ = 0;                // the cell at which the generated part ends
  std::vector<std::vector<int32_t>> words_;
  std::vector<int32_t> word_characters_;         // the distinct characters of words_
  std::vector<std::vector<int32_t>> go_;         // matcher state, index in word_characters_
  std::vector<uint32_t> completes_;              // words that end in a matcher state
  std::vector<std::vector<int8_t>> finishable_;  // by rhyme + 1; -1: not yet known
  std::vector<std::vector<int8_t>> other_fits_;  // by rhyme + 1 and cell; -1: not yet known
  ConstraintState start_;
  bool begins_ = true;  // what is given before the generated part fits
};

}  // namespace attend
