// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/constraints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "attend/base/error.h"
#include "attend/base/random.h"
#include "attend/data/unicode.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kEnd = 0;  // the token that ends a text, in every vocabulary here

// 东 and 风 rhyme, 花 and 家 too, 长 has two readings; 风 may not be level here.
std::shared_ptr<const RhymeTable> table() {
  return std::make_shared<RhymeTable>(
      RhymeTable::parse("# a comment\n东\t东\t平\n风\t东\t仄\n花\t麻\t平\n家\t麻\t平\n"
                        "长\t阳\t平\n长\t养\t仄\n\n月\t月\t仄\n",
                        "table.tsv"));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> characters;
  for (const Span& span : character_spans(text)) {
    characters.push_back(
        text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin)));
  }
  return characters;
}

bool is_mark(const std::string& c) { return c == "，" || c == "。" || c == "？"; }

std::vector<std::vector<std::string>> lines_of(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1);
  for (const auto& c : split(text)) {
    if (is_mark(c)) {
      lines.emplace_back();
    } else {
      lines.back().push_back(c);
    }
  }
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

// Written from the description of the options, without states or masks.
bool meets(const ConstraintOptions& options, const std::string& text) {
  const std::string whole = options.begin + text + options.end;
  for (const std::string& word : options.contain) {
    if (whole.find(word) == std::string::npos) return false;
  }
  if (options.form.empty()) return true;
  const auto characters = split(whole);
  const auto lines = lines_of(whole);
  if (lines.size() != options.form.size() || characters.empty()) return false;
  size_t at = 0;
  for (size_t line = 0; line < lines.size(); ++line) {
    if (static_cast<int64_t>(lines[line].size()) != options.form[line]) return false;
    at += lines[line].size();
    if (at >= characters.size()) return false;
    const std::string& mark = characters[at++];
    const bool last = line + 1 == lines.size();
    if (last ? mark == "，" : line % 2 == 0 ? mark == "。" : mark == "，") return false;
  }
  if (at != characters.size()) return false;
  const auto heads = split(options.acrostic);
  for (size_t i = 0; i < heads.size(); ++i) {
    const size_t line = 2 * heads.size() == lines.size() ? 2 * i : i;
    if (lines[line][0] != heads[i]) return false;
  }
  const auto tones = split(options.tones);
  const auto tone_allowed = [&](size_t letter) {
    if (tones.empty()) return kAnyTone;
    const std::string& tone = tones[letter % tones.size()];
    return tone == "平" ? kLevelTone : tone == "仄" ? kObliqueTone : kAnyTone;
  };
  std::set<int32_t> rhymes;
  for (int32_t i = 0; options.table && i < static_cast<int32_t>(options.table->classes().size());
       ++i) {
    if (options.rhyme == "any" || options.table->find_class(options.rhyme) == i) rhymes.insert(i);
  }
  size_t letter = 0;
  for (size_t line = 0; line < lines.size(); ++line) {
    for (size_t i = 0; i < lines[line].size(); ++i, ++letter) {
      const bool last_line = line > 0 && line + 1 == lines.size();
      const bool rhyming =
          !options.rhyme.empty() && i + 1 == lines[line].size() && (line % 2 == 1 || last_line);
      if (tone_allowed(letter) == kAnyTone && !rhyming) continue;
      std::set<int32_t> here;
      bool any = false;
      for (const Reading& reading : options.table->readings(lines[line][i])) {
        if ((reading.tone & tone_allowed(letter)) == 0) continue;
        any = true;
        if (rhymes.contains(reading.rhyme)) here.insert(reading.rhyme);
      }
      if (!any) return false;
      if (rhyming) rhymes = here;
      if (rhyming && rhymes.empty()) return false;
    }
  }
  return true;
}

const std::vector<std::string> kTokens = {"",   "东", "风", "花",   "长",
                                          "月", "，", "。", "月花", "东，"};

// All texts of up to `longest` tokens that meet the options.
std::vector<std::vector<int64_t>> all_texts(const ConstraintOptions& options, int64_t longest) {
  std::vector<std::vector<int64_t>> found;
  std::vector<int64_t> text;
  const auto visit = [&](const auto& self, const std::string& spelt) -> void {
    if (meets(options, spelt)) found.push_back(text);
    if (static_cast<int64_t>(text.size()) == longest) return;
    for (int64_t token = 1; token < static_cast<int64_t>(kTokens.size()); ++token) {
      text.push_back(token);
      self(self, spelt + kTokens[static_cast<size_t>(token)]);
      text.pop_back();
    }
  };
  visit(visit, "");
  return found;
}

// Every mask on the way is exactly the set of tokens that some text has next.
void expect_exact(const ConstraintOptions& options, int64_t longest) {
  const auto texts = all_texts(options, longest);
  if (texts.empty()) {
    EXPECT_THROW(Constraints(options, kTokens, kEnd), Error);
    return;
  }
  Constraints constraints(options, kTokens, kEnd);
  const auto visit = [&](const auto& self, const ConstraintState& state,
                         const std::vector<int64_t>& before) -> void {
    std::set<int64_t> next;
    for (const auto& text : texts) {
      if (text.size() < before.size() || !std::equal(before.begin(), before.end(), text.begin())) {
        continue;
      }
      next.insert(text.size() == before.size() ? kEnd : text[before.size()]);
    }
    std::vector<uint8_t> allowed;
    constraints.mask(state, allowed);
    std::set<int64_t> masked;
    for (size_t i = 0; i < allowed.size(); ++i) {
      if (allowed[i]) masked.insert(static_cast<int64_t>(i));
    }
    ASSERT_EQ(masked, next) << "behind " << before.size() << " tokens";
    for (const int64_t token : next) {
      if (token == kEnd) continue;
      auto longer = before;
      longer.push_back(token);
      self(self, constraints.advance(state, token), longer);
    }
  };
  visit(visit, constraints.start(), {});
}

TEST(Constraints, MasksAreExactlyTheBeginningsOfAllPossibleTexts) {
  ConstraintOptions options;
  options.form = {2, 1};
  expect_exact(options, 5);
  options.table = table();
  options.contain = {"东风"};
  expect_exact(options, 5);
  options.contain = {"月", "花"};
  options.rhyme = "any";
  expect_exact(options, 5);
  options.contain = {};
  options.tones = "平中仄";
  expect_exact(options, 5);
  options.acrostic = "月";
  options.tones = "";
  expect_exact(options, 5);
  options.acrostic = "月东";
  expect_exact(options, 5);
  options = {};
  options.form = {3};
  options.contain = {"东风", "风花"};  // only by overlapping
  expect_exact(options, 4);
  options.begin = "东";
  expect_exact(options, 4);
  options.end = "花。";
  expect_exact(options, 4);
  options = {};
  options.longest = 4;  // without a form
  options.contain = {"东风", "月"};
  expect_exact(options, 4);
}

// Random wishes on a larger form: whatever is accepted is met by every text drawn, and drawing
// never comes to a place with nothing allowed.
TEST(Constraints, EverySampledTextMeetsThem) {
  Random random(5);
  const std::vector<std::string> tokens = {"",   "东", "风", "花", "家",   "长",   "月",    "春",
                                           "夏", "，", "。", "？", "春风", "月。", "花家东"};
  const auto some = [&](std::initializer_list<const char*> values) {
    return std::string(*(values.begin() + random.below(values.size())));
  };
  int accepted = 0;
  int refused = 0;
  for (int trial = 0; trial < 600; ++trial) {
    ConstraintOptions options;
    options.table = table();
    options.form.assign(1 + random.below(4), static_cast<int64_t>(2 + random.below(4)));
    if (random.below(4) == 0) options.form.back() = 1;
    if (random.below(2)) {
      for (size_t i = 0; i < options.form.size(); ++i) {
        options.acrostic += some({"春", "夏", "东", "月"});
      }
    }
    if (random.below(2)) options.rhyme = some({"any", "东", "麻", "阳", "养"});
    if (random.below(3) == 0) {
      for (const int64_t line : options.form) {
        for (int64_t i = 0; i < line; ++i) options.tones += some({"平", "仄", "中", "中"});
      }
    }
    for (uint64_t i = random.below(4); i > 0; --i) {
      options.contain.push_back(some({"春风", "月", "花家", "夏长", "风东", "家春风"}));
    }
    if (random.below(4) == 0) options.begin = some({"春", "月", "长花"});
    std::unique_ptr<Constraints> constraints;
    try {
      constraints = std::make_unique<Constraints>(options, tokens, kEnd);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      ++refused;
      continue;
    }
    ++accepted;
    for (int draw = 0; draw < 8; ++draw) {
      ConstraintState state = constraints->start();
      std::string text;
      for (int step = 0;; ++step) {
        ASSERT_LT(step, 60);
        std::vector<uint8_t> allowed;
        constraints->mask(state, allowed);
        std::vector<int64_t> choices;
        for (size_t i = 0; i < allowed.size(); ++i) {
          if (allowed[i]) choices.push_back(static_cast<int64_t>(i));
        }
        ASSERT_FALSE(choices.empty()) << "dead end behind " << text;
        const int64_t token = choices[random.below(choices.size())];
        if (token == kEnd) break;
        text += tokens[static_cast<size_t>(token)];
        state = constraints->advance(state, token);
      }
      EXPECT_TRUE(meets(options, text)) << options.begin << "|" << text;
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 100);
}

std::string refusal(const ConstraintOptions& options) {
  try {
    Constraints(options, kTokens, kEnd);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "accepted";
}

TEST(Constraints, RefusalsNameWhatContradictsWhat) {
  ConstraintOptions options;
  options.table = table();
  options.acrostic = "花月";
  EXPECT_THAT(refusal(options), HasSubstr("give --form"));
  options.form = {3, 3, 3};
  EXPECT_THAT(refusal(options), AllOf(HasSubstr("--acrostic 花月 and --form 3x3"),
                                      HasSubstr("2 characters for 3 lines")));
  options.form = {1, 1};
  options.rhyme = "东";
  EXPECT_THAT(refusal(options), HasSubstr("--acrostic 花月 and --rhyme 东 contradict each other"));
  options = {};
  options.table = table();
  options.form = {2, 2};
  options.contain = {"东风花"};
  EXPECT_THAT(refusal(options), HasSubstr("--contain 东风花 and --form 2x2"));
  options.contain = {"东风", "花月"};
  options.begin = "月";
  EXPECT_THAT(refusal(options), HasSubstr("any two are possible"));
  options.begin = "月东风";
  EXPECT_THAT(refusal(options), HasSubstr("--form 2x2 and the beginning \"月东风\" contradict"));
  options.begin = "";
  options.contain = {};
  options.rhyme = "麻";
  options.tones = "平仄";
  EXPECT_THAT(refusal(options), HasSubstr("--rhyme 麻 and --tones 平仄 contradict each other"));
  options.tones = "平平仄";
  EXPECT_THAT(refusal(options), HasSubstr("3 tones for 4 characters"));
  options.tones = "平X";
  EXPECT_THAT(refusal(options), HasSubstr("\"X\" is no tone"));
  options.tones = "";
  options.rhyme = "无";
  EXPECT_THAT(refusal(options), AllOf(HasSubstr("no such class"), HasSubstr("东 麻")));
  options.table = nullptr;
  options.rhyme = "any";
  EXPECT_THAT(refusal(options), HasSubstr("--rhyme-table"));
  options.rhyme = "";
  options.contain = {"雪"};
  EXPECT_THAT(refusal(options), HasSubstr("vocabulary has no \"雪\""));
  options.contain.assign(9, "东");
  EXPECT_THAT(refusal(options), HasSubstr("at most 8"));
}

TEST(Constraints, FormsAreReadAndMeasured) {
  EXPECT_EQ(parse_form("4x5"), (std::vector<int64_t>{5, 5, 5, 5}));
  EXPECT_EQ(parse_form("7,7,5"), (std::vector<int64_t>{7, 7, 5}));
  EXPECT_EQ(parse_form("6"), (std::vector<int64_t>{6}));
  for (const char* bad : {"", "x", "4x", "4x5x6", "0x5", "4 x 5", "-1", "4,x", "101", "99x99",
                          "99999999999999999999"}) {
    EXPECT_THROW(parse_form(bad), Error) << bad;
  }
  EXPECT_EQ(form_of("春眠不觉晓，处处。\nab c"), (std::vector<int64_t>{5, 2, 3}));
  EXPECT_EQ(form_of("春\n眠，，"), (std::vector<int64_t>{1, 1}));
  EXPECT_TRUE(form_of("").empty());
}

TEST(RhymeTable, BadLinesAreNamed) {
  for (const char* bad : {"东\t东", "东东\t东\t平", "东\t\t平", "东\t东\t高", "", "# only\n"}) {
    EXPECT_THROW(RhymeTable::parse(bad, "t.tsv"), Error) << bad;
  }
  try {
    RhymeTable::parse("东\t东\t平\n\n西\t齐\t高\n", "t.tsv");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kData);
    EXPECT_THAT(error.what(), HasSubstr("t.tsv:3: \"高\" is not a tone"));
  }
  const RhymeTable small = RhymeTable::parse("长\t阳\tlevel\r\n长\t养\t仄\r\n", "t.tsv");
  ASSERT_EQ(small.readings("长").size(), 2u);
  EXPECT_EQ(small.readings("长")[1].tone, kObliqueTone);
  EXPECT_EQ(small.classes()[1], "养");
  EXPECT_TRUE(small.readings("东").empty());
}

}  // namespace
}  // namespace attend
