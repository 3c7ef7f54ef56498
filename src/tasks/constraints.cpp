// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/constraints.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/data/unicode.h"
#include "constraint_automaton.h"

namespace attend {
namespace {

constexpr size_t kMostWords = 8;  // the automaton has 2^words times as many states
constexpr int64_t kMostCharacters = 2000;

std::string form_text(const std::vector<int64_t>& form) {
  if (std::all_of(form.begin(), form.end(), [&](int64_t line) { return line == form[0]; })) {
    return std::to_string(form.size()) + "x" + std::to_string(form[0]);
  }
  std::string text;
  for (const int64_t line : form) {
    if (!text.empty()) text += ',';
    text += std::to_string(line);
  }
  return text;
}

// One constraint: how the user typed it, and the options without it.
struct Part {
  std::string name;
  void (*leave_out)(ConstraintOptions&, size_t word);
  size_t word = 0;
};

std::vector<Part> parts_of(const ConstraintOptions& options) {
  std::vector<Part> parts;
  const auto add = [&](bool given, const std::string& name,
                       void (*leave_out)(ConstraintOptions&, size_t), size_t word = 0) {
    if (given) parts.push_back({name, leave_out, word});
  };
  add(!options.acrostic.empty(), "--acrostic " + options.acrostic,
      [](ConstraintOptions& all, size_t) { all.acrostic.clear(); });
  add(!options.rhyme.empty(), "--rhyme " + options.rhyme,
      [](ConstraintOptions& all, size_t) { all.rhyme.clear(); });
  add(!options.tones.empty(), "--tones " + options.tones,
      [](ConstraintOptions& all, size_t) { all.tones.clear(); });
  for (size_t word = 0; word < options.contain.size(); ++word) {
    add(
        true, "--contain " + options.contain[word],
        [](ConstraintOptions& all, size_t which) { all.contain[which].clear(); }, word);
  }
  add(!options.begin.empty(), "the beginning \"" + options.begin + "\"",
      [](ConstraintOptions& all, size_t) { all.begin.clear(); });
  add(!options.end.empty(), "the text behind the gap \"" + options.end + "\"",
      [](ConstraintOptions& all, size_t) { all.end.clear(); });
  return parts;
}

bool satisfiable(ConstraintOptions options, std::span<const std::string> tokens,
                 int64_t end_token) {
  std::erase(options.contain, std::string());
  return ConstraintAutomaton(options, tokens, end_token).satisfiable();
}

// Only the parts with their bit in `kept`, and the form.
ConstraintOptions only(const ConstraintOptions& all, const std::vector<Part>& parts,
                       const std::set<size_t>& kept) {
  ConstraintOptions options = all;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!kept.contains(i)) parts[i].leave_out(options, parts[i].word);
  }
  return options;
}

// Says which constraints cannot be met: one with the form, else the first two, else all.
Error contradiction(const ConstraintOptions& options, std::span<const std::string> tokens,
                    int64_t end_token) {
  const auto parts = parts_of(options);
  const auto possible = [&](const std::set<size_t>& kept) {
    return satisfiable(only(options, parts, kept), tokens, end_token);
  };
  const std::string form =
      options.form.empty() ? "" : "--form " + form_text(options.form) + " and ";
  const std::string how = options.form.empty() ? " cannot be met" : " contradict each other";
  if (!possible({})) {
    return usage_error("--form " + form_text(options.form) +
                       " cannot be met: the vocabulary has no letters, or no punctuation to end "
                       "a line with");
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!possible({i})) {
      return usage_error(form + parts[i].name + how + ": no text has both; change one of them");
    }
  }
  std::string names;
  for (size_t i = 0; i < parts.size(); ++i) {
    names += (i == 0 ? "" : ", ") + parts[i].name;
    for (size_t j = 0; j < i; ++j) {
      if (possible({i, j})) continue;
      return usage_error(parts[j].name + " and " + parts[i].name +
                         " contradict each other: no text" +
                         (options.form.empty() ? "" : " of --form " + form_text(options.form)) +
                         " has both; change one of them");
    }
  }
  return usage_error(form + names +
                     ": no text meets all of them, though any two are possible; leave one out");
}

void check_spelling(const ConstraintOptions& options, std::span<const std::string> tokens) {
  std::set<std::string> known;
  for (const std::string& token : tokens) {
    if (count_characters(token) == 1) known.insert(std::string(trim(token)));
  }
  const auto check = [&](const std::string& text, const char* flag) {
    for (const Span& span : character_spans(text)) {
      const auto one =
          text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
      if (known.contains(one)) continue;
      throw usage_error(std::string(flag) + " " + text + ": the model's vocabulary has no \"" +
                        printable(one) + "\"; use another character");
    }
  };
  check(options.acrostic, "--acrostic");
  for (const std::string& word : options.contain) check(word, "--contain");
}

int64_t tone_marks(const std::string& tones) {
  int64_t marks = 0;
  for (const Span& span : character_spans(tones)) {
    const auto one =
        tones.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
    const bool mark = std::string_view("平仄中PZ*").find(one) != std::string_view::npos;
    UChar32 c = 0;
    int32_t at = 0;
    U8_NEXT_OR_FFFD(one.data(), at, static_cast<int32_t>(one.size()), c);
    if (!mark && !u_ispunct(c)) {
      throw usage_error("--tones " + tones + ": \"" + printable(one) +
                        "\" is no tone; write 平 (P), 仄 (Z) or 中 (*) for each character");
    }
    marks += mark ? 1 : 0;
  }
  return marks;
}

// What can be said without the automaton, in plainer words than "no text has both".
void check_shape(const ConstraintOptions& options) {
  const auto& form = options.form;
  const auto lines = static_cast<int64_t>(form.size());
  if (form.empty()) {
    const char* flag = !options.acrostic.empty() ? "--acrostic"
                       : !options.rhyme.empty()  ? "--rhyme"
                       : !options.tones.empty()  ? "--tones"
                                                 : nullptr;
    if (flag) throw usage_error(std::string(flag) + " speaks of lines; give --form, as in 4x5");
    return;
  }
  const std::string shape = "--form " + form_text(form);
  const int64_t heads = count_characters(options.acrostic);
  if (heads > 0 && heads != lines && 2 * heads != lines) {
    throw usage_error("--acrostic " + options.acrostic + " and " + shape +
                      " contradict each other: " + std::to_string(heads) + " characters for " +
                      std::to_string(lines) + " lines; give one for each line, or each second");
  }
  const int64_t longest = *std::max_element(form.begin(), form.end());
  for (const std::string& word : options.contain) {
    if (count_characters(word) <= longest) continue;
    throw usage_error("--contain " + word + " and " + shape +
                      " contradict each other: the word has " +
                      std::to_string(count_characters(word)) + " characters, the longest line " +
                      std::to_string(longest));
  }
  if (options.tones.empty()) return;
  int64_t letters = 0;
  for (const int64_t line : form) letters += line;
  const int64_t marks = tone_marks(options.tones);
  const bool per_line = marks == form[0] && letters == form[0] * lines;
  if (marks != letters && !per_line) {
    throw usage_error("--tones " + options.tones + " and " + shape + " contradict each other: " +
                      std::to_string(marks) + " tones for " + std::to_string(letters) +
                      " characters; give one for each, or those of one line");
  }
}

void check_table(const ConstraintOptions& options) {
  if (options.rhyme.empty() && options.tones.empty()) return;
  if (!options.table) {
    throw usage_error(std::string(options.rhyme.empty() ? "--tones" : "--rhyme") +
                      " needs a table of what rhymes with what; give --rhyme-table FILE");
  }
  if (options.rhyme.empty() || options.rhyme == "any") return;
  if (options.table->find_class(options.rhyme)) return;
  std::string list;
  for (const std::string& name : options.table->classes()) {
    list += (list.empty() ? "" : " ") + name;
  }
  throw usage_error("--rhyme " + options.rhyme +
                    ": the table has no such class; it has: " + printable(list, 300) + ", or any");
}

}  // namespace

std::vector<int64_t> parse_form(const std::string& text) {
  const auto fail = [&](const std::string& rule) {
    return usage_error("--form " + text + ": " + rule +
                       "; write LINESxCHARACTERS, as in 4x5, or the characters of each line, as "
                       "in 7,7,5");
  };
  std::vector<int64_t> numbers;
  std::string separators;
  for (const char* at = text.data(); at < text.data() + text.size();) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(at, text.data() + text.size(), value);
    if (error != std::errc() || value < 1 || value > 100) throw fail("not a number from 1 to 100");
    numbers.push_back(value);
    at = end;
    if (at < text.data() + text.size()) separators += *at++;
  }
  const bool product = separators == "x" && numbers.size() == 2;
  const bool list = separators.find_first_not_of(',') == std::string::npos &&
                    numbers.size() == separators.size() + 1;
  if (!product && !list) throw fail("not a form");
  std::vector<int64_t> form =
      product ? std::vector<int64_t>(static_cast<size_t>(numbers[0]), numbers[1]) : numbers;
  int64_t characters = 0;
  for (const int64_t line : form) characters += line + 1;
  if (characters > kMostCharacters) throw fail("more than 2000 characters");
  return form;
}

std::vector<int64_t> form_of(std::string_view text) {
  std::vector<int64_t> form;
  bool open = false;
  int64_t previous_end = 0;
  for (const Span& span : character_spans(text)) {
    const auto gap = text.substr(static_cast<size_t>(previous_end),
                                 static_cast<size_t>(span.begin - previous_end));
    if (gap.find('\n') != std::string_view::npos) open = false;
    previous_end = span.end;
    UChar32 c = 0;
    auto at = static_cast<int32_t>(span.begin);
    U8_NEXT_OR_FFFD(text.data(), at, static_cast<int32_t>(text.size()), c);
    if (u_isalnum(c) == 0) {
      open = false;
      continue;
    }
    if (!open) form.push_back(0);
    open = true;
    ++form.back();
  }
  return form;
}

Constraints::Constraints(const ConstraintOptions& options, std::span<const std::string> tokens,
                         int64_t end_token) {
  if (options.contain.size() > kMostWords) {
    throw usage_error("--contain: " + std::to_string(options.contain.size()) + " words; at most " +
                      std::to_string(kMostWords) + " can be asked for");
  }
  for (const std::string& word : options.contain) {
    if (count_characters(word) == 0) throw usage_error("--contain: an empty word; leave it out");
  }
  check_shape(options);
  check_table(options);
  check_spelling(options, tokens);
  automaton_ = std::make_unique<ConstraintAutomaton>(options, tokens, end_token);
  if (!automaton_->satisfiable()) throw contradiction(options, tokens, end_token);
}

Constraints::~Constraints() = default;
Constraints::Constraints(Constraints&&) noexcept = default;
Constraints& Constraints::operator=(Constraints&&) noexcept = default;

ConstraintState Constraints::start() const { return automaton_->start(); }

void Constraints::mask(const ConstraintState& state, std::vector<uint8_t>& allowed) {
  automaton_->mask(state, allowed);
}

ConstraintState Constraints::advance(const ConstraintState& state, int64_t token) const {
  return automaton_->advance(state, token);
}

}  // namespace attend
