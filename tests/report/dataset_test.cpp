// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/dataset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "attend/base/error.h"
#include "attend/report/comparison.h"
#include "rich_examples.h"

namespace attend {
namespace {

using testing::explanation_of;
using testing::hostile;
using testing::realistic;

Explanation scored(const std::vector<std::string>& texts, const std::vector<double>& scores,
                   const std::string& target) {
  Explanation e = explanation_of(texts);
  e.target = target;
  e.outputs = {{target, 0.75, 1}, {"other", 0.25, 0}};
  e.attributions = {{"occlusion", true, "", scores, 0}};
  return e;
}

TEST(Dataset, TopUnitsAndClasses) {
  DatasetReportBuilder builder({.top_units = 2, .class_units = 2});
  builder.add(scored({"a", "b", "c"}, {0.5, -1, 0.25}, "x"), "1", "x");
  builder.add(scored({"a", "c", "c"}, {2, 1, 1}, "x"), "2", "y");
  builder.add(scored({"a"}, {3}, "y"), "3", "");
  const DatasetReport report = builder.finish();
  ASSERT_EQ(report.rows.size(), 3U);
  ASSERT_EQ(report.rows[0].top[0].size(), 2U);
  EXPECT_EQ(report.rows[0].top[0][0].text, "b") << "the largest magnitude";
  EXPECT_EQ(report.rows[0].top[0][0].score, -1);
  EXPECT_EQ(report.rows[1].prediction, "x");
  EXPECT_EQ(report.rows[1].confidence, 0.75);
  ASSERT_EQ(report.classes.size(), 2U);
  EXPECT_EQ(report.classes[0].label, "x");
  EXPECT_EQ(report.classes[0].inputs, 2);
  // a: (0.5 / 1 + 2 / 2) / 2; c: (0.25 / 1 + (1 + 1) / 2) / 2
  ASSERT_EQ(report.classes[0].units.size(), 2U);
  EXPECT_EQ(report.classes[0].units[0].text, "a");
  EXPECT_DOUBLE_EQ(report.classes[0].units[0].score, 0.75);
  EXPECT_DOUBLE_EQ(report.classes[0].units[1].score, 0.625);
  EXPECT_EQ(report.classes[0].units[1].inputs, 2);
}

TEST(Dataset, ConfusionCountsRowsWithGold) {
  DatasetReportBuilder builder;
  for (const char* gold : {"x", "y", "x", ""}) builder.add(scored({"a"}, {1}, "x"), "i", gold);
  const Confusion confusion = confusion_of(builder.finish());
  EXPECT_EQ(confusion.labels, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(confusion.counts, (std::vector<int64_t>{2, 0, 1, 0}));
}

TEST(Dataset, OtherMethodsAreRefused) {
  DatasetReportBuilder builder;
  builder.add(scored({"a"}, {1}, "x"), "1", "");
  EXPECT_THROW(builder.add(realistic(true), "2", ""), Error);
}

TEST(Dataset, JsonRoundTrip) {
  DatasetReportBuilder builder;
  builder.add(hostile(), "1\t", testing::hostile_text());
  builder.add(hostile(), "2", "");
  DatasetReport report = builder.finish();
  report.data = report.command = testing::hostile_text();
  const std::string text = to_json(report);
  EXPECT_TRUE(is_dataset_json(text));
  EXPECT_EQ(to_json(dataset_from_json(text, "x.json")), text);
}

TEST(Dataset, BrokenJsonIsRefusedWithThePath) {
  DatasetReportBuilder builder;
  builder.add(scored({"a"}, {1}, "x"), "1", "x");
  const std::string good = to_json(builder.finish());
  const std::vector<std::array<std::string, 3>> changes = {
      {"attend-dataset-report", "attend-explanation", "x.json: $.format: expected"},
      {"\"version\": 1", "\"version\": 9", "x.json: $.version: version 9 is not known"},
      {"\"confidence\": 0.75", "\"confidence\": 7",
       "x.json: $.rows[0].confidence: 7 is not between 0 and 1"},
      {"[[[\"a\", 1]]]", "[]", "x.json: $.rows[0].top: 0 lists for 1 methods"},
      {"[[\"a\", 1]]", "[[[\"a\"]]]", "x.json: $.rows[0].top[0][0]: expected [text, score]"},
      {"[true]", "[true, true]", "x.json: $.is_signed: 2 for 1 methods"},
  };
  for (const auto& [from, to, message] : changes) {
    std::string text = good;
    ASSERT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), from.size(), to);
    try {
      dataset_from_json(text, "x.json");
      FAIL() << to;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, message.size()), message);
    }
  }
}

TEST(Dataset, TsvKeepsItsShape) {
  DatasetReportBuilder builder;
  builder.add(hostile(), "1", testing::hostile_text());
  const std::string text = to_tsv(builder.finish());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\t'), 2 * 5);
}

// Length of a longest common subsequence, by the textbook recursion.
int64_t reference_length(const std::string& a, const std::string& b) {
  std::vector<std::vector<int64_t>> table(a.size() + 1, std::vector<int64_t>(b.size() + 1, 0));
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1
                                         : std::max(table[i - 1][j], table[i][j - 1]);
    }
  }
  return table[a.size()][b.size()];
}

TEST(Compare, PairsAreALongestCommonSubsequence) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 200; ++trial) {
    const auto text = [&] {
      std::string made(random() % 12, ' ');
      for (char& c : made) c = static_cast<char>('a' + random() % 3);
      return made;
    };
    const auto units_of = [](const std::string& made) {
      std::vector<std::string> units;
      for (const char c : made) units.emplace_back(1, c);
      return explanation_of(units);
    };
    const std::string a = text(), b = text();
    const auto pairs = compare(units_of(a), units_of(b)).pairs;
    EXPECT_EQ(static_cast<int64_t>(pairs.size()), reference_length(a, b)) << a << ' ' << b;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_EQ(a[pairs[i].first], b[pairs[i].second]);
      if (i == 0) continue;
      EXPECT_LT(pairs[i - 1].first, pairs[i].first);
      EXPECT_LT(pairs[i - 1].second, pairs[i].second);
    }
  }
}

TEST(Compare, LongInputsArePairedInWindows) {
  std::vector<std::string> a, b;
  for (int i = 0; i < 9000; ++i) a.push_back(std::to_string(i));
  b = a;
  b[0] = b[8999] = b[4500] = "x";
  EXPECT_EQ(compare(explanation_of(a), explanation_of(b)).pairs.size(), 8997U);
}

TEST(Compare, TableHoldsPartnersSinglesAndDifferences) {
  const Comparison both =
      compare(scored({"a", "b"}, {1, 2}, "x"), scored({"b", "c"}, {0.5, 3}, "x"));
  EXPECT_EQ(comparison_to_tsv(both),
            "first_index\tfirst_text\tsecond_index\tsecond_text\tocclusion first\tocclusion "
            "second\tocclusion difference\n"
            "0\ta\t\t\t1\t\t\n"
            "1\tb\t0\tb\t2\t0.5\t-1.5\n"
            "\t\t1\tc\t\t3\t\n");
}

}  // namespace
}  // namespace attend
