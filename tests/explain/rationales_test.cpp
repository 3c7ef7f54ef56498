// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/rationales.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../tasks/small_task.h"
#include "attend/base/error.h"
#include "attend/base/random.h"

namespace attend {
namespace {

using testing::TemporaryFolder;

double auprc(const std::vector<double>& scores, const std::vector<bool>& evidence) {
  return rationale_agreement(scores, evidence, {}, 1).auprc;
}

// Worked out by hand as scikit-learn does it: p, r, _ = precision_recall_curve(evidence, scores);
// auc(r, p).
TEST(Auprc, IsTheAreaUnderTrapezoids) {
  EXPECT_NEAR(auprc({0.1, 0.4, 0.35, 0.8}, {false, false, true, true}), 0.7916666666666666, 1e-12);
  EXPECT_NEAR(auprc({4, 3, 2, 1}, {true, true, false, false}), 1, 1e-12);
  EXPECT_NEAR(auprc({1, 2, 3, 4}, {true, true, false, false}), 0.2916666666666667, 1e-12);
  EXPECT_TRUE(std::isnan(auprc({1, 2}, {false, false})));
}

// scikit-learn's curve has one point for them and starts at precision 1: 0.55 for no information.
TEST(Auprc, OfEqualScoresIsTheShareOfEvidence) {
  std::vector<bool> evidence(4000, false);
  for (size_t i = 0; i < evidence.size(); i += 10) evidence[i] = true;
  EXPECT_NEAR(auprc(std::vector<double>(4000, 0.0), evidence), 0.1, 0.02);
}

TEST(Auprc, OfRandomScoresIsTheShareOfEvidence) {
  Random random(4);
  double sum = 0;
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<double> scores(2000);
    std::vector<bool> evidence(2000);
    for (size_t i = 0; i < scores.size(); ++i) {
      scores[i] = random.uniform();
      evidence[i] = random.uniform() < 0.3;
    }
    sum += auprc(scores, evidence);
  }
  EXPECT_NEAR(sum / 50, 0.3, 0.01);
}

TEST(RationaleAgreement, CountsTokensAndRuns) {
  //                              0    1    2    3    4    5    6    7
  const std::vector<double> scores = {0.9, 0.8, 0.1, 0.2, 0.7, 0.0, 0.6, 0.3};
  const std::vector<bool> evidence = {true, true, true, false, false, false, true, false};
  const std::vector<Span> spans = {{0, 3}, {6, 7}};
  // Top 4: 0, 1, 4, 6; runs [0, 2), [4, 5), [6, 7).
  const auto agreement = rationale_agreement(scores, evidence, spans, 4);
  EXPECT_NEAR(agreement.token_precision, 3.0 / 4, 1e-12);
  EXPECT_NEAR(agreement.token_recall, 3.0 / 4, 1e-12);
  EXPECT_NEAR(agreement.token_f1, 3.0 / 4, 1e-12);
  EXPECT_EQ(agreement.runs, 3);
  EXPECT_EQ(agreement.marked_spans, 2);
  EXPECT_EQ(agreement.right_runs, 2);  // 2/3 of [0, 3) and all of [6, 7); [4, 5) meets none
  EXPECT_EQ(rationale_agreement(scores, evidence, {{0, 5}}, 4).right_runs, 0);  // 2/5 and 1/5
  EXPECT_EQ(rationale_agreement(scores, evidence, {{0, 4}}, 4).right_runs, 1);  // exactly a half
}

TEST(TokenScores, FollowUnitsThatAreCutOtherwise) {
  //  0    5  8    13
  // "It's a film ."; the model cuts "It", "'s" and reads "a film" as one unit, and not the rest.
  const std::vector<Unit> units = {{"It", {0, 2}}, {"'s", {2, 4}}, {"a film", {5, 11}}};
  const std::vector<Span> tokens = {{0, 4}, {5, 6}, {7, 11}, {12, 13}};
  EXPECT_EQ(token_scores({1, 3, 2}, units, tokens, -9), (std::vector<double>{3, 2, 2, -9}));
}

TEST(ReadRationales, SpansAndTags) {
  const TemporaryFolder folder;
  RationaleOptions options;
  options.column = "spans";
  const auto path =
      folder.write("spans.jsonl", R"({"label": 1, "text": "a  fine film", "spans": [[1, 3]]})"
                                  "\n"
                                  R"({"label": 0, "text": "no", "spans": []})"
                                  "\n");
  auto rows = read_rationales(path, options);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].evidence, (std::vector<bool>{false, true, true}));
  EXPECT_EQ(rows[0].spans, (std::vector<Span>{{3, 12}}));
  EXPECT_TRUE(rows[1].spans.empty());

  // The tokens of sst2: fine labels of the text's own polarity are evidence.
  const auto tagged = folder.write("tags.tsv",
                                   "1\tA warm , dull film\t2 3 2 1 2\n"
                                   "0\tA warm , dull film\t2 3 2 1 2\n");
  options.column = "3";
  options.reader.label_column = "1";
  options.reader.text_column = "2";
  options.tags = parse_rationale_tags("1:3,4 0:0,1");
  rows = read_rationales(tagged, options);
  EXPECT_EQ(rows[0].spans, (std::vector<Span>{{2, 6}}));
  EXPECT_EQ(rows[1].spans, (std::vector<Span>{{9, 13}}));

  options.tags = {};
  const auto iob = folder.write("iob.tsv",
                                "1\tto New York now\tO B-city I-city O\n"
                                "0\tby New York now\tO 1 0 O\n");
  rows = read_rationales(iob, options);
  EXPECT_EQ(rows[0].spans, (std::vector<Span>{{3, 11}}));
  EXPECT_EQ(rows[1].spans, (std::vector<Span>{{3, 6}}));

  const auto short_tags = folder.write("short.tsv", "1\ta b c\t1 0\n0\ta b\t1 0\n");
  try {
    read_rationales(short_tags, options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kData);
    EXPECT_NE(std::string(error.what()).find("short.tsv:1: 2 tags for 3 tokens"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(parse_rationale_tags("1: 0:2"), Error);
}

}  // namespace
}  // namespace attend
