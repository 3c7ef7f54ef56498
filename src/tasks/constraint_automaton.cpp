// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "constraint_automaton.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <numeric>

#include "attend/data/unicode.h"

namespace attend {
namespace {

constexpr int32_t kImpossible = -2;  // two different characters in one place

bool is_letter(const std::string& character) {
  UChar32 c = 0;
  int32_t at = 0;
  U8_NEXT_OR_FFFD(character.data(), at, static_cast<int32_t>(character.size()), c);
  return u_isalnum(c) != 0;
}

bool one_of(const std::string& character, std::string_view marks) {
  return !character.empty() && marks.find(character) != std::string_view::npos;
}

}  // namespace

ConstraintAutomaton::ConstraintAutomaton(const ConstraintOptions& options,
                                         std::span<const std::string> tokens, int64_t end_token)
    : options_(options), end_token_(end_token) {
  read_tokens(tokens);
  for (const std::string& word : options_.contain) words_.push_back(characters(word));
  build_matcher();
  if (!free()) lay_out_cells();
  const size_t classes = options_.table ? options_.table->classes().size() : 0;
  finishable_.resize(classes + 1);
  other_fits_.resize(classes + 1);
  begin();
}

int32_t ConstraintAutomaton::character(const std::string& text) {
  const auto [found, added] = index_.emplace(text, static_cast<int32_t>(characters_.size()));
  if (added) {
    Character one;
    one.text = text;
    one.letter = is_letter(text);
    one.pause = one_of(text, "，、；：？！,;:?!");
    one.stop = one_of(text, "。；？！.;?!");
    one.end = one_of(text, "。？！.?!");
    if (options_.table) one.readings = options_.table->readings(text);
    characters_.push_back(std::move(one));
  }
  return found->second;
}

std::vector<int32_t> ConstraintAutomaton::characters(std::string_view text) {
  std::vector<int32_t> found;
  for (const Span& span : character_spans(text)) {
    found.push_back(character(std::string(
        text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin)))));
  }
  return found;
}

void ConstraintAutomaton::read_tokens(std::span<const std::string> tokens) {
  for (const std::string& token : tokens) {
    token_begin_.push_back(static_cast<int64_t>(spelling_.size()));
    const auto spelt = characters(token);
    if (spelt.size() == 1) characters_[static_cast<size_t>(spelt[0])].single = true;
    spelling_.insert(spelling_.end(), spelt.begin(), spelt.end());
  }
  token_begin_.push_back(static_cast<int64_t>(spelling_.size()));
}

void ConstraintAutomaton::fix(int64_t cell, int32_t to) {
  int32_t& fixed = cells_[static_cast<size_t>(cell)].fixed;
  fixed = fixed == -1 || fixed == to ? to : kImpossible;
}

void ConstraintAutomaton::lay_out_cells() {
  const auto lines = options_.form.size();
  std::vector<int64_t> heads;  // first cell of each line
  const bool has_pause = std::any_of(characters_.begin(), characters_.end(),
                                     [](const Character& one) { return one.pause && one.single; });
  for (size_t line = 0; line < lines; ++line) {
    heads.push_back(static_cast<int64_t>(cells_.size()));
    Cell letter;
    letter.place = Place::kLetter;
    cells_.insert(cells_.end(), static_cast<size_t>(options_.form[line]), letter);
    const bool last = line + 1 == lines;
    const bool rhymes = line % 2 == 1 || (last && line % 2 == 0 && line > 0);
    cells_.back().rhyme = !options_.rhyme.empty() && rhymes;
    Cell mark;
    mark.place = last ? Place::kEnd : line % 2 == 0 && has_pause ? Place::kPause : Place::kStop;
    cells_.push_back(mark);
  }
  const auto head = characters(options_.acrostic);
  const size_t every = !head.empty() && lines == 2 * head.size() ? 2 : 1;
  for (size_t i = 0; i < head.size() && i * every < lines; ++i) fix(heads[i * every], head[i]);
  set_tones();
  const auto size = static_cast<int64_t>(cells_.size());
  const auto before = characters(options_.begin);
  const auto behind = characters(options_.end);
  const auto given = static_cast<int64_t>(before.size() + behind.size());
  finish_ = size - static_cast<int64_t>(behind.size());
  if (given > size) {
    begins_ = false;
    return;
  }
  for (size_t i = 0; i < before.size(); ++i) fix(static_cast<int64_t>(i), before[i]);
  for (size_t i = 0; i < behind.size(); ++i) fix(finish_ + static_cast<int64_t>(i), behind[i]);
}

void ConstraintAutomaton::set_tones() {
  std::vector<int> tones;
  for (const int32_t one : characters(options_.tones)) {
    const std::string& mark = characters_[static_cast<size_t>(one)].text;
    if (one_of(mark, "平P")) tones.push_back(kLevelTone);
    if (one_of(mark, "仄Z")) tones.push_back(kObliqueTone);
    if (one_of(mark, "中*")) tones.push_back(kAnyTone);
  }
  if (tones.empty()) return;
  size_t at = 0;
  for (Cell& cell : cells_) {
    if (cell.place == Place::kLetter) cell.tones = tones[at++ % tones.size()];
  }
}

void ConstraintAutomaton::build_matcher() {
  for (const auto& word : words_) {
    for (const int32_t one : word) {
      int32_t& known = characters_[static_cast<size_t>(one)].in_words;
      if (known >= 0) continue;
      known = static_cast<int32_t>(word_characters_.size());
      word_characters_.push_back(one);
    }
  }
  const size_t kinds = word_characters_.size();
  go_.assign(1, std::vector<int32_t>(kinds, -1));
  completes_.assign(1, 0);
  for (size_t w = 0; w < words_.size(); ++w) {
    size_t state = 0;
    for (const int32_t one : words_[w]) {
      const auto kind = static_cast<size_t>(characters_[static_cast<size_t>(one)].in_words);
      if (go_[state][kind] < 0) {
        go_[state][kind] = static_cast<int32_t>(go_.size());
        go_.emplace_back(kinds, -1);
        completes_.push_back(0);
      }
      state = static_cast<size_t>(go_[state][kind]);
    }
    completes_[state] |= 1U << w;
  }
  // Breadth first, so that the state to fall back to is complete when it is needed.
  std::vector<size_t> fallback(go_.size(), 0);
  std::vector<size_t> queue = {0};
  for (size_t i = 0; i < queue.size(); ++i) {
    const size_t state = queue[i];
    for (size_t kind = 0; kind < kinds; ++kind) {
      const int32_t next = go_[state][kind];
      const int32_t otherwise = state == 0 ? 0 : go_[fallback[state]][kind];
      if (next < 0) {
        go_[state][kind] = otherwise;
        continue;
      }
      const auto to = static_cast<size_t>(next);
      fallback[to] = state == 0 ? 0 : static_cast<size_t>(otherwise);
      completes_[to] |= completes_[fallback[to]];
      queue.push_back(to);
    }
  }
}

void ConstraintAutomaton::begin() {
  if (!options_.rhyme.empty() && options_.table) {
    const auto chosen = options_.table->find_class(options_.rhyme);
    start_.rhymes.assign(options_.table->classes().size(), options_.rhyme == "any");
    if (chosen) start_.rhymes[static_cast<size_t>(*chosen)] = true;
  }
  for (const int32_t one : characters(options_.begin)) {
    begins_ = begins_ && step(start_, one);
  }
  if (!free()) return;
  start_.cell = 0;
  // What stands behind the gap counts too; it is there whatever is generated.
  ConstraintState behind;
  for (const int32_t one : characters(options_.end)) match(behind, one);
  start_.seen |= behind.seen;
}

const ConstraintAutomaton::Cell& ConstraintAutomaton::cell_at(int64_t index) const {
  static const Cell kFree;
  return free() ? kFree : cells_[static_cast<size_t>(index)];
}

// `rhyme` -1: any class that the cell's tones allow.
bool ConstraintAutomaton::fits(const Cell& cell, const Character& one, int32_t rhyme) const {
  switch (cell.place) {
    case Place::kAny:
      break;
    case Place::kLetter:
      if (!one.letter) return false;
      break;
    case Place::kPause:
      if (!one.pause) return false;
      break;
    case Place::kStop:
      if (!one.stop) return false;
      break;
    case Place::kEnd:
      if (!one.end) return false;
      break;
  }
  if (cell.fixed != -1 && cell.fixed != index_.at(one.text)) return false;
  if (cell.tones == kAnyTone && !cell.rhyme) return true;
  return std::any_of(one.readings.begin(), one.readings.end(), [&](const Reading& reading) {
    return (reading.tone & cell.tones) != 0 && (!cell.rhyme || rhyme < 0 || reading.rhyme == rhyme);
  });
}

// Whether a character that is in no word fits: for the words all of these are alike.
bool ConstraintAutomaton::other_fits(int64_t cell, int32_t rhyme) {
  auto& known = other_fits_[static_cast<size_t>(int64_t{rhyme} + 1)];
  if (free()) cell = 0;
  if (known.empty()) known.assign(free() ? 1 : cells_.size(), -1);
  int8_t& answer = known[static_cast<size_t>(cell)];
  if (answer < 0) {
    answer = 0;
    for (const Character& one : characters_) {
      if (one.in_words < 0 && (one.single || cell >= finish_) && fits(cell_at(cell), one, rhyme)) {
        answer = 1;
        break;
      }
    }
  }
  return answer == 1;
}

// Whether a text can be completed from `cell` on, with all rhymes of class `rhyme`.
bool ConstraintAutomaton::finishable(int64_t cell, int64_t matcher, uint32_t seen, int32_t rhyme) {
  const int64_t last = free() ? options_.longest : static_cast<int64_t>(cells_.size());
  if (seen == all_words() && (free() || cell == last)) return true;
  if (cell >= last) return false;
  auto& known = finishable_[static_cast<size_t>(int64_t{rhyme} + 1)];
  const auto sets = static_cast<size_t>(all_words()) + 1;
  if (known.empty()) known.assign(static_cast<size_t>(last) * go_.size() * sets, -1);
  const size_t place =
      (static_cast<size_t>(cell) * go_.size() + static_cast<size_t>(matcher)) * sets + seen;
  if (known[place] >= 0) return known[place] == 1;
  bool found = other_fits(cell, rhyme) && finishable(cell + 1, 0, seen, rhyme);
  for (size_t kind = 0; kind < word_characters_.size() && !found; ++kind) {
    const Character& one = characters_[static_cast<size_t>(word_characters_[kind])];
    const bool available = one.single || (!free() && cell >= finish_);
    if (!available || !fits(cell_at(cell), one, rhyme)) continue;
    const int32_t next = go_[static_cast<size_t>(matcher)][kind];
    found = finishable(cell + 1, next, seen | completes_[static_cast<size_t>(next)], rhyme);
  }
  known[place] = found ? 1 : 0;
  return found;
}

bool ConstraintAutomaton::finishable(const ConstraintState& state) {
  if (state.rhymes.empty()) return finishable(state.cell, state.matcher, state.seen, -1);
  for (size_t rhyme = 0; rhyme < state.rhymes.size(); ++rhyme) {
    if (state.rhymes[rhyme] &&
        finishable(state.cell, state.matcher, state.seen, static_cast<int32_t>(rhyme))) {
      return true;
    }
  }
  return false;
}

void ConstraintAutomaton::match(ConstraintState& state, int32_t next) const {
  const int32_t kind = characters_[static_cast<size_t>(next)].in_words;
  state.matcher = kind < 0 ? 0 : go_[static_cast<size_t>(state.matcher)][static_cast<size_t>(kind)];
  state.seen |= completes_[static_cast<size_t>(state.matcher)];
}

bool ConstraintAutomaton::step(ConstraintState& state, int32_t next) const {
  if (!free()) {
    if (state.cell >= finish_) return false;
    const Cell& cell = cell_at(state.cell);
    const Character& one = characters_[static_cast<size_t>(next)];
    if (!fits(cell, one, -1)) return false;
    if (cell.rhyme) {
      std::vector<bool> common(state.rhymes.size(), false);
      bool any = false;
      for (const Reading& reading : one.readings) {
        const auto rhyme = static_cast<size_t>(reading.rhyme);
        if ((reading.tone & cell.tones) == 0 || !state.rhymes[rhyme]) continue;
        common[rhyme] = true;
        any = true;
      }
      if (!any) return false;
      state.rhymes = std::move(common);
    }
    ++state.cell;
  }
  match(state, next);
  return true;
}

void ConstraintAutomaton::mask(const ConstraintState& state, std::vector<uint8_t>& allowed) {
  const size_t tokens = token_begin_.size() - 1;
  allowed.assign(tokens, 0);
  if (free() ? state.seen == all_words() : state.cell == finish_ && finishable(state)) {
    allowed[static_cast<size_t>(end_token_)] = 1;
  }
  if (!free() && state.cell == finish_) return;
  if (free() && state.cell >= options_.longest) return;
  // Neighbours in the vocabulary mostly lead to the same state.
  ConstraintState last;
  last.cell = -1;
  bool last_finishable = false;
  for (size_t token = 0; token < tokens; ++token) {
    if (token_begin_[token] == token_begin_[token + 1]) continue;
    // Most tokens of a form are one character that does not fit: no state is copied for them.
    const auto first = static_cast<size_t>(token_begin_[token]);
    if (!free() &&
        !fits(cell_at(state.cell), characters_[static_cast<size_t>(spelling_[first])], -1)) {
      continue;
    }
    ConstraintState next = state;
    bool fitting = true;
    for (auto at = first; at < static_cast<size_t>(token_begin_[token + 1]) && fitting; ++at) {
      fitting = step(next, spelling_[at]);
    }
    if (!fitting) continue;
    if (free()) ++next.cell;
    const bool same = next.cell == last.cell && next.matcher == last.matcher &&
                      next.seen == last.seen && next.rhymes == last.rhymes;
    if (!same) {
      last_finishable = finishable(next);
      last = std::move(next);
    }
    allowed[token] = last_finishable ? 1 : 0;
  }
}

ConstraintState ConstraintAutomaton::advance(const ConstraintState& state, int64_t token) const {
  ConstraintState next = state;
  for (int64_t at = token_begin_[static_cast<size_t>(token)];
       at < token_begin_[static_cast<size_t>(token) + 1]; ++at) {
    step(next, spelling_[static_cast<size_t>(at)]);
  }
  if (free()) ++next.cell;
  return next;
}

}  // namespace attend
