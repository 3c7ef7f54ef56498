// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/ngrams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/data/unicode.h"
#include "random_text.h"

namespace attend {
namespace {

using Strings = std::vector<std::string>;

NgramOptions characters(int low, int high) {
  NgramOptions options;
  options.char_min = low;
  options.char_max = high;
  options.word_max = 0;
  options.min_count = 1;
  return options;
}

NgramOptions words(int low, int high) {
  NgramOptions options;
  options.char_max = 0;
  options.word_min = low;
  options.word_max = high;
  options.min_count = 1;
  return options;
}

Strings spelled(const NgramOptions& options, const std::string& text) {
  Strings result;
  for (const Ngram& n : hashed_ngrams(options, text))
    result.push_back(text.substr(static_cast<size_t>(n.span.begin),
                                 static_cast<size_t>(n.span.end - n.span.begin)));
  return result;
}

TEST(Ngrams, StayInsideWordsWithBoundaryMarks) {
  // " ab " and " c ": each n-gram of two is shown without its mark.
  EXPECT_EQ(spelled(characters(2, 2), "ab c"), (Strings{"a", "ab", "b", "c", "c"}));
  const auto marked = hashed_ngrams(characters(2, 2), "ab b");
  EXPECT_EQ(marked[2].hash, marked[4].hash);  // "b " at the end of a word, twice
  EXPECT_NE(marked[2].hash, marked[3].hash);  // " b" at its beginning is another one
}

TEST(Ngrams, GoAcrossChineseWordsButNotSpaces) {
  EXPECT_EQ(spelled(characters(2, 2), "中国人"), (Strings{"中", "中国", "国人", "人"}));
  EXPECT_EQ(spelled(characters(1, 1), "中 国"), (Strings{"中", "国"}));
}

TEST(Ngrams, ReachOverTextWhenAsked) {
  NgramOptions options = characters(3, 3);
  options.reach = NgramReach::kText;
  EXPECT_EQ(spelled(options, "ab c"), (Strings{"ab ", "b c"}));
  const auto a = hashed_ngrams(options, "ab c"), b = hashed_ngrams(options, "  ab \t\n c ");
  ASSERT_EQ(a.size(), 2u);
  ASSERT_EQ(b.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(a[i].hash, b[i].hash);
}

TEST(Ngrams, SeeThroughCaseAndWidth) {
  const auto hashes = [](const NgramOptions& options, const std::string& text) {
    std::vector<uint64_t> result;
    for (const Ngram& n : hashed_ngrams(options, text)) result.push_back(n.hash);
    return result;
  };
  for (const NgramOptions& options : {characters(1, 5), words(1, 2)}) {
    EXPECT_EQ(hashes(options, "The CAFE\u0301 ﬁne"), hashes(options, "the café fine"));
    EXPECT_EQ(hashes(options, "ＡＢＣ"), hashes(options, "abc"));
  }
}

TEST(Ngrams, OfWordsSkipMarks) {
  EXPECT_EQ(spelled(words(1, 2), "Good, bad"), (Strings{"Good", "Good, bad", "bad"}));
  NgramOptions options = words(1, 1);
  options.punctuation = true;
  EXPECT_EQ(spelled(options, "Good, bad"), (Strings{"Good", ",", "bad"}));
  EXPECT_EQ(spelled(words(2, 2), "one"), Strings{});
}

TEST(Ngrams, SayWhetherTheyAreOfWords) {
  NgramOptions options;
  options.char_min = 2;
  options.char_max = 2;
  options.word_max = 2;
  options.min_count = 1;
  const auto all = hashed_ngrams(options, "ab cd");
  const auto of_words = std::count_if(all.begin(), all.end(), [](auto& n) { return n.of_words; });
  EXPECT_EQ(of_words, 3);          // ab, cd, ab cd
  EXPECT_EQ(all.size(), 3u + 6u);  // and three pairs with boundary marks for each word
  const std::vector<std::string> texts = {"ab cd"};
  const auto hits = NgramVocabulary::build(options, texts).extract("ab cd", {});
  ASSERT_EQ(hits.size(), all.size());
  for (size_t i = 0; i < hits.size(); ++i) EXPECT_EQ(hits[i].of_words, all[i].of_words) << i;
}

TEST(Ngrams, HashesNeverChange) {
  // Model files hold these numbers: a change would silently unlearn every model.
  const auto c = hashed_ngrams(characters(2, 2), "ab");
  const auto w = hashed_ngrams(words(1, 1), "ab");
  ASSERT_EQ(c.size(), 3u);
  ASSERT_EQ(w.size(), 1u);
  EXPECT_EQ(c[1].hash, 0xecbb3af7ebb5a7e0u);
  EXPECT_EQ(w[0].hash, 0x53a9468172bc6583u);
}

TEST(Ngrams, SpansHoldOnRandomText) {
  std::mt19937 random(2);
  NgramOptions options;
  for (const NgramReach reach : {NgramReach::kWord, NgramReach::kText}) {
    options.reach = reach;
    for (int i = 0; i < 1000; ++i) {
      const std::string text =
          test::random_text(random, static_cast<int>(random() % 25), i % 3 == 0);
      for (const Ngram& n : hashed_ngrams(options, text)) {
        ASSERT_LT(n.span.begin, n.span.end);
        ASSERT_LE(n.span.end, static_cast<int64_t>(text.size()));
        ASSERT_LE(n.span.begin, n.last.begin);
        ASSERT_LT(n.last.begin, n.last.end);
        ASSERT_LE(n.last.end, n.span.end);
      }
    }
  }
}

TEST(NgramVocabulary, CountsLikeAMap) {
  std::mt19937 random(4);
  Strings texts;
  for (int i = 0; i < 300; ++i) texts.push_back(test::random_text(random, 12));
  NgramOptions options;
  options.char_min = 1;
  options.char_max = 3;
  options.min_count = 3;
  options.min_documents = 2;
  std::map<uint64_t, std::pair<int64_t, uint32_t>> expected;
  for (const std::string& text : texts) {
    std::map<uint64_t, int> here;
    for (const Ngram& n : hashed_ngrams(options, text)) ++here[n.hash];
    for (const auto& [hash, count] : here) {
      expected[hash].first += count;
      ++expected[hash].second;
    }
  }
  std::erase_if(expected, [](const auto& e) { return e.second.first < 3 || e.second.second < 2; });
  const NgramVocabulary vocabulary = NgramVocabulary::build(options, texts);
  ASSERT_EQ(vocabulary.size(), static_cast<int64_t>(expected.size()));
  EXPECT_EQ(vocabulary.document_count(), 300);
  size_t i = 0;
  for (const auto& [hash, counts] : expected) {
    EXPECT_EQ(vocabulary.hashes()[i], hash);
    EXPECT_EQ(vocabulary.document_frequency()[i], counts.second);
    EXPECT_EQ(vocabulary.find(hash), static_cast<int32_t>(i++));
  }
  EXPECT_EQ(vocabulary.find(12345), -1);
}

TEST(NgramVocabulary, KeepsTheMostFrequent) {
  NgramOptions options = words(1, 1);
  options.max_features = 2;
  const NgramVocabulary vocabulary =
      NgramVocabulary::build(options, Strings{"a a a b b c", "d b a"});
  EXPECT_EQ(vocabulary.size(), 2);
  EXPECT_GE(vocabulary.find(hashed_ngrams(options, "a")[0].hash), 0);
  EXPECT_GE(vocabulary.find(hashed_ngrams(options, "b")[0].hash), 0);
  EXPECT_EQ(vocabulary.find(hashed_ngrams(options, "c")[0].hash), -1);
}

TEST(NgramVocabulary, AssignsHitsToUnitsByTheirLastCharacter) {
  const std::string text = "good film";
  const NgramVocabulary vocabulary = NgramVocabulary::build(characters(9, 9), Strings{});
  EXPECT_TRUE(vocabulary.extract(text, {}).empty());

  NgramOptions options = words(1, 2);
  const NgramVocabulary pairs = NgramVocabulary::build(options, Strings{text});
  const std::vector<Span> units = {{0, 0}, {0, 4}, {5, 9}};  // an added [CLS] first
  std::map<int, int> by_unit;
  for (const NgramHit& hit : pairs.extract(text, units)) ++by_unit[hit.unit];
  EXPECT_EQ(by_unit, (std::map<int, int>{{1, 1}, {2, 2}}));  // "good" | "good film", "film"
  for (const NgramHit& hit : pairs.extract(text, {})) EXPECT_EQ(hit.unit, -1);

  const NgramVocabulary letters = NgramVocabulary::build(characters(2, 2), Strings{text});
  by_unit.clear();
  for (const NgramHit& hit : letters.extract("good good film", std::vector<Span>{{5, 9}}))
    ++by_unit[hit.unit];
  EXPECT_EQ(by_unit, (std::map<int, int>{{0, 15}}));  // the only unit is the nearest to all
}

TEST(NgramVocabulary, UnitsMatchThoseOfTheSpans) {
  std::mt19937 random(8);
  Strings texts;
  for (int i = 0; i < 200; ++i) texts.push_back(test::random_text(random, 15));
  const NgramVocabulary vocabulary = NgramVocabulary::build(characters(1, 3), texts);
  for (const std::string& text : texts) {
    const std::vector<Span> units = character_spans(text);
    const auto all = hashed_ngrams(vocabulary.options(), text);
    const auto hits = vocabulary.extract(text, units);
    ASSERT_EQ(all.size(), hits.size());
    for (size_t i = 0; i < hits.size(); ++i) {
      const Span& unit = units[static_cast<size_t>(hits[i].unit)];
      EXPECT_LE(unit.begin, all[i].last.begin);
      EXPECT_LT(all[i].last.begin, unit.end);
    }
  }
}

TEST(NgramVocabulary, IsRebuiltFromItsHashes) {
  const Strings texts = {"the cat sat", "the dog sat", "中国人民"};
  const NgramVocabulary built = NgramVocabulary::build(NgramOptions{}, texts);
  const NgramVocabulary copy(ngram_options_from_json(to_json(built.options())), built.hashes(),
                             built.document_frequency(), built.document_count());
  const std::vector<Span> units = word_spans(texts[0]);
  EXPECT_FALSE(built.extract(texts[0], units).empty());
  EXPECT_EQ(built.extract(texts[0], units), copy.extract(texts[0], units));
}

TEST(NgramVocabulary, RefusesDamagedInput) {
  EXPECT_THROW(NgramVocabulary(NgramOptions{}, {3, 2}), Error);
  EXPECT_THROW(NgramVocabulary(NgramOptions{}, {2, 2}), Error);
  EXPECT_THROW(NgramVocabulary(NgramOptions{}, {1, 2}, {1}), Error);
  EXPECT_THROW(NgramVocabulary(characters(3, 2), {}), Error);
  EXPECT_THROW(NgramVocabulary(characters(0, 2), {}), Error);
  EXPECT_THROW(hashed_ngrams(characters(1, 100), "a"), Error);
  EXPECT_THROW(ngram_options_from_json(nlohmann::json::parse(R"({"char_max": "x"})")), Error);
  EXPECT_THROW(ngram_options_from_json(nlohmann::json::parse(R"({"reach": "far"})")), Error);
  EXPECT_THROW(ngram_options_from_json(nlohmann::json::array()), Error);
  EXPECT_EQ(NgramVocabulary().find(1), -1);
}

}  // namespace
}  // namespace attend
