// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Expected scores are those that sacreBLEU publishes in its README and its own tests
// (test/test_bleu.py and test/test_chrf.py of mjpost/sacrebleu), for the same strings.
#include "bleu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "attend/base/error.h"

namespace attend {
namespace {

using Texts = std::vector<std::string>;

std::string words(std::string_view text, BleuTokenizer tokenizer = BleuTokenizer::k13a) {
  std::string joined;
  for (const std::string& word : bleu_words(text, {tokenizer, false})) {
    joined += (joined.empty() ? "" : " ") + word;
  }
  return joined;
}

double corpus_bleu(const Texts& hypotheses, const std::vector<Texts>& references,
                   const BleuOptions& options = {}) {
  BleuCounts counts;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    counts += count_bleu(hypotheses[i], references[i], options);
  }
  return 100 * bleu(counts);
}

double one_chrf(const std::string& hypothesis, const std::string& reference, double beta,
                bool keep_white_space = false) {
  const ChrfOptions options{beta, keep_white_space};
  return 100 * chrf(count_chrf(hypothesis, {reference}, options), options);
}

TEST(Bleu, EqualsThePublishedScoreOfTheReadme) {
  const Texts hypotheses = {"The dog bit the man.", "It wasn't surprising.",
                            "The man had just bitten him."};
  const std::vector<Texts> references = {{"The dog bit the man.", "The dog had bit the man."},
                                         {"It was not unexpected.", "No one was surprised."},
                                         {"The man bit him first.", "The man had bitten the dog."}};
  EXPECT_NEAR(corpus_bleu(hypotheses, references), 48.530827, 1e-6);
  EXPECT_EQ(corpus_bleu({"", "", ""}, references), 0);
}

TEST(Bleu, SmoothsOrdersWithoutAMatch) {
  // Matches 2, 1, 0, 0 of 4, 3, 2, 1: by the definition of exponential smoothing.
  const double expected = 100 * std::pow(2.0 / 4 * (1.0 / 3) * (1.0 / 2 / 2) * (1.0 / 4 / 1), 0.25);
  EXPECT_NEAR(corpus_bleu({"a b x y"}, {{"a b c d"}}), expected, 1e-9);
  EXPECT_EQ(corpus_bleu({"a b c"}, {{"a b c"}}), 0);  // no 4-gram at all
}

TEST(Bleu, ShortOutputPaysAndTheNearestReferenceCounts) {
  const double brevity = std::exp(1 - 6.0 / 5);
  EXPECT_NEAR(corpus_bleu({"a b c d e"}, {{"a b c d e f"}}), 100 * brevity, 1e-9);
  EXPECT_NEAR(corpus_bleu({"a b c d e"}, {{"a b c d e f", "x x x x"}}), 100, 1e-9);  // tie: shorter
}

TEST(Bleu, ThirteenASetsPunctuationApart) {
  EXPECT_EQ(words("Hello, world! (1,000.50 or 3-4) it's U.S. a-b/c"),
            "Hello , world ! ( 1,000.50 or 3 - 4 ) it's U . S . a-b / c");
  EXPECT_EQ(words("&quot;A&quot; &amp; B &lt;c&gt;"), "\" A \" & B < c >");
  EXPECT_EQ(words("Größe: 5€.\xC2\xA0"
                  "Ende"),
            "Größe : 5€ . Ende");
  EXPECT_EQ(words("a.. ,b"), "a . . , b");
}

TEST(Bleu, ChineseIsCutByCharacters) {
  EXPECT_EQ(words("我有3.5个 apple，好。", BleuTokenizer::kChinese), "我 有 3.5 个 apple ， 好 。");
  EXPECT_EQ(words("我 ab", BleuTokenizer::kCharacter), "我 a b");
  EXPECT_EQ(words("我有。"), "我有。");
}

TEST(Bleu, LowerCaseIsAsked) {
  EXPECT_LT(corpus_bleu({"ein Hund IST da"}, {{"Ein Hund ist da"}}), 100);
  EXPECT_NEAR(corpus_bleu({"ein Hund IST da"}, {{"Ein Hund ist da"}}, {BleuTokenizer::k13a, true}),
              100, 1e-9);
  EXPECT_EQ(bleu_words("ÄRGER", {BleuTokenizer::k13a, true}), Texts{"ärger"});
}

TEST(Bleu, SignatureSaysHow) {
  EXPECT_EQ(bleu_signature({BleuTokenizer::kChinese, true}, "var", "1.2"),
            "nrefs:var|case:lc|eff:no|tok:zh|smooth:exp|version:attend-1.2");
  EXPECT_THROW(parse_bleu_tokenizer("14a"), Error);
}

TEST(Chrf, EqualsPublishedScores) {
  // beta 3, effective order.
  EXPECT_NEAR(one_chrf("a", "a", 3), 100, 1e-4);
  EXPECT_NEAR(one_chrf("", "reference", 3), 0, 1e-4);
  EXPECT_NEAR(one_chrf("a b c", "abc", 3), 100, 1e-4);
  EXPECT_NEAR(one_chrf("aa", "ab", 3), 25.0, 1e-4);
  ChrfCounts two = count_chrf("a", {"a"}, {3});
  two += count_chrf("b", {"c"}, {3});
  EXPECT_NEAR(100 * chrf(two, {3}), 50.0, 1e-4);
  const std::string obama =
      "Die Beziehung zwischen Obama und Netanjahu ist nicht gerade freundlich.";
  const std::string obama_reference =
      "Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade freundschaftlich.";
  const std::string risk =
      "risk assessment must be made of those who are qualified and expertise in the sector - these "
      "are the scientists .";
  const std::string risk_reference =
      "risk assessment has to be undertaken by those who are qualified and expert in that area - "
      "that is the scientists .";
  EXPECT_NEAR(one_chrf(obama, obama_reference, 3), 64.1302698, 1e-4);
  EXPECT_NEAR(one_chrf(risk, risk_reference, 3), 63.361730, 1e-4);
  EXPECT_NEAR(one_chrf(obama, obama_reference, 3, true), 67.3481606, 1e-4);
  EXPECT_NEAR(one_chrf(risk, risk_reference, 3, true), 65.2414427, 1e-4);
  // beta 2.
  EXPECT_NEAR(
      one_chrf("Lapali po dechu, jejich životy skončily dřív, než skutečně začaly.",
               "Lapali po dechu a pak jejich život skončil - dřív, než skutečně mohl začít, "
               "připomněli.",
               2),
      57.15704367, 1e-3);
}

TEST(Chrf, TakesTheBestReference) {
  const ChrfCounts counts = count_chrf("abcdefg", {"xyz", "abcdefg", "abc"});
  EXPECT_NEAR(chrf(counts), 1, 1e-12);
}

}  // namespace
}  // namespace attend
