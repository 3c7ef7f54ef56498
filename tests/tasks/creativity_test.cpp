// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/creativity.h"

#include <gtest/gtest.h>

#include <cmath>

namespace attend {
namespace {

using Texts = std::vector<std::string>;

TEST(TextMeasures, DistinctCountsNgramsWithinLines) {
  const TextMeasures measures(Texts{"无关"});
  // Unigrams 春风春, 风月: 5 of 3 kinds. Bigrams 春风, 风春, 风月: no 春风 | 风月 across the mark.
  auto values = measures.measure(Texts{"春风春，风月。"});
  EXPECT_DOUBLE_EQ(values.at("distinct_1"), 3.0 / 5);
  EXPECT_DOUBLE_EQ(values.at("distinct_2"), 1.0);
  EXPECT_DOUBLE_EQ(values.at("distinct_4"), 0.0);  // there are none
  EXPECT_FALSE(values.contains("self_bleu_2"));    // of a single text
  values = measures.measure(Texts{"春风春", "春风"});
  EXPECT_DOUBLE_EQ(values.at("distinct_2"), 2.0 / 3);
  // Words of other scripts are units.
  values = measures.measure(Texts{"the moon the moon"});
  EXPECT_DOUBLE_EQ(values.at("distinct_1"), 0.5);
  EXPECT_DOUBLE_EQ(values.at("distinct_2"), 2.0 / 3);
}

TEST(TextMeasures, SelfBleuIsBleuAgainstTheOthers) {
  const TextMeasures measures(Texts{"无关"});
  auto values = measures.measure(Texts{"一二三四", "一二三四"});
  for (const char* name : {"self_bleu_2", "self_bleu_3", "self_bleu_4"}) {
    EXPECT_DOUBLE_EQ(values.at(name), 1);
  }
  values = measures.measure(Texts{"一二三四", "五六七八"});
  EXPECT_DOUBLE_EQ(values.at("self_bleu_2"), 0);
  // Unigrams: 一二 of the first (一 clipped to 1) and 一二 of the second match, of 4 + 3; bigrams:
  // 一二 in both, of 3 + 2. Lengths 4 and 3, nearest others 3 and 4: no penalty.
  values = measures.measure(Texts{"一一二三", "一二四"});
  EXPECT_NEAR(values.at("self_bleu_2"), std::sqrt(4.0 / 7 * 2.0 / 5), 1e-12);
  // Lengths 2, 4 and 4: 10 units against 4 + 4 + 4.
  values = measures.measure(Texts{"一二", "一二三四", "一二三四"});
  EXPECT_NEAR(values.at("self_bleu_2"), std::exp(1 - 12.0 / 10), 1e-12);
}

TEST(TextMeasures, CopyingIsCaughtExactly) {
  const TextMeasures measures(Texts{"床前明月光，疑是地上霜。", "举头望明月，低头思故乡。"});
  const auto values =
      measures.measure(Texts{"举头望明月，疑是地上霜。", "明月光照我，白雪一片天。"});
  EXPECT_DOUBLE_EQ(values.at("copied_lines"), 2.0 / 4);
  EXPECT_DOUBLE_EQ(values.at("copied_5grams"), 2.0 / 4);
  // 举头望明月 behind the mark goes on otherwise in training; 明月光 then a break.
  EXPECT_DOUBLE_EQ(values.at("longest_copied_run"), 5);
  EXPECT_DOUBLE_EQ(values.at("copied_run"), (5.0 + 3) / 2);
  // A run goes on across a line break, but not from one training text into the next.
  const auto whole = measures.measure(Texts{"明月光，疑是地上霜。举头望明月，低头", "故乡。床前"});
  EXPECT_DOUBLE_EQ(whole.at("longest_copied_run"), 8);
  EXPECT_DOUBLE_EQ(whole.at("copied_run"), (8.0 + 2) / 2);
}

TEST(TextMeasures, RepetitionAndForm) {
  Texts training(99, "春风一夜，花落三更。");
  training.push_back("月。");
  training.push_back("星。");
  const TextMeasures measures(training);
  auto values = measures.measure(Texts{"春春春月，夜夜星星。", "月。"});
  EXPECT_DOUBLE_EQ(values.at("repeated_units"), 4.0 / 9);
  EXPECT_DOUBLE_EQ(values.at("form_rate"), 1);  // 2 of 101 texts have one line of one character
  MeasureOptions options;
  options.form = {4, 4};
  EXPECT_DOUBLE_EQ(measures.measure(Texts{"春春春月，夜夜星星。", "月。"}, options).at("form_rate"),
                   0.5);
  EXPECT_DOUBLE_EQ(measures.measure(Texts{"一二三，四五六。"}).at("form_rate"), 0);
  EXPECT_FALSE(values.contains("rhyme_rate"));
  EXPECT_FALSE(values.contains("theme_adherence"));
  EXPECT_DOUBLE_EQ(measures.measure(Texts{}).at("form_rate"), 0);
  EXPECT_DOUBLE_EQ(measures.measure(Texts{"", ""}).at("distinct_1"), 0);
}

TEST(TextMeasures, RhymesAndTonesByTheTable) {
  MeasureOptions options;
  options.table = std::make_shared<RhymeTable>(RhymeTable::parse(
      "光\t阳\t平\n霜\t阳\t平\n乡\t阳\t平\n月\t月\t仄\n长\t阳\t平\n长\t养\t仄\n", "table"));
  const TextMeasures measures(Texts{"无关"});
  const auto rhyme = [&](const char* text) {
    return measures.measure(Texts{text}, options).at("rhyme_rate");
  };
  EXPECT_DOUBLE_EQ(rhyme("一月，一霜。一月，一乡。"), 1);
  EXPECT_DOUBLE_EQ(rhyme("一月，一霜。一月，一长。"), 1);  // by one of its readings
  EXPECT_DOUBLE_EQ(rhyme("一光，一霜。一光，一月。"), 0);
  EXPECT_DOUBLE_EQ(rhyme("一光，一霜。一光，一天。"), 0);  // not in the table
  const auto tones = [&](const char* text) {
    return measures.measure(Texts{text}, options).at("tone_rate");
  };
  EXPECT_DOUBLE_EQ(tones("一光一月，一光一霜。一长一霜。"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(tones("一光一月一霜一，一光一月一月一。"), 0.5);
  EXPECT_DOUBLE_EQ(tones("一天一月，一光一月。"), 1);  // 天 is not in the table
  options.tones = "平仄中";
  EXPECT_DOUBLE_EQ(tones("光月月，月光光。"), 4.0 / 6);
}

// Four texts: 月 in 2, 夜 in 2, both in 2; 山 in 3, both 月 and 山 in 1.
TEST(TextMeasures, ThemeAdherenceIsNormalisedMutualInformation) {
  const TextMeasures measures(Texts{"月夜山", "月夜", "山", "山水"});
  MeasureOptions options;
  options.theme = "月";
  const auto adherence = [&](const char* text) {
    return measures.measure(Texts{text}, options).at("theme_adherence");
  };
  EXPECT_NEAR(adherence("月"), 1, 1e-12);
  EXPECT_NEAR(adherence("夜"), std::log(0.5 / (0.5 * 0.5)) / -std::log(0.5), 1e-12);
  EXPECT_NEAR(adherence("山"), 0, 1e-12);  // together less often than by chance
  EXPECT_NEAR(adherence("水新"), 0, 1e-12);
  EXPECT_NEAR(adherence("夜水"), 0.5, 1e-12);
  options.theme = "月水";  // the nearest of the two counts
  EXPECT_NEAR(adherence("山"), std::log(0.25 / (0.75 * 0.25)) / -std::log(0.25), 1e-12);
}

}  // namespace
}  // namespace attend
