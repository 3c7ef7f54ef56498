// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "../../src/tasks/factored_linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "attend/base/random.h"

namespace attend {
namespace {

struct Examples {
  SparseRows rows;
  std::vector<int64_t> labels;

  void add(int64_t label, std::initializer_list<int32_t> features) {
    labels.push_back(label);
    for (const int32_t feature : features) {
      rows.features.push_back(feature);
      rows.values.push_back(1 / std::sqrt(static_cast<float>(features.size())));
    }
    rows.offsets.push_back(static_cast<int64_t>(rows.features.size()));
  }
};

// Features 2c and 2c + 1 occur in class c alone, in the same texts; the others are noise.
Examples doubly_marked(int32_t classes, int count) {
  Random random(5);
  Examples examples;
  for (int i = 0; i < count; ++i) {
    const auto label = static_cast<int32_t>(random.below(static_cast<uint64_t>(classes)));
    const auto noise = static_cast<int32_t>(random.below(10));
    examples.add(label, {2 * label, 2 * label + 1, 2 * classes + noise});
  }
  return examples;
}

int64_t best(const LinearScorer& scorer, const SparseRows& rows, int64_t row) {
  const auto scores = scorer.score(rows, row);
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

// Fast enough for a few examples.
FactoredLinearOptions quick() {
  FactoredLinearOptions options;
  options.dim = 8;
  options.epochs = 20;
  options.dropout = 0.5;
  return options;
}

TEST(FactoredLinear, EachOfTwoMarksIsEnough) {
  for (const int32_t classes : {2, 4}) {
    const Examples examples = doubly_marked(classes, 300);
    const LinearScorer scorer =
        fit_factored_linear(examples.rows, examples.labels, 2 * classes + 10, classes, quick());
    Examples single;
    for (int32_t c = 0; c < classes; ++c) {
      single.add(c, {2 * c});
      single.add(c, {2 * c + 1});
    }
    for (int64_t row = 0; row < single.rows.size(); ++row) {
      EXPECT_EQ(best(scorer, single.rows, row), single.labels[static_cast<size_t>(row)]);
    }
  }
}

// With one feature and no dropout the problem is a logistic regression whose best logits are known:
// they reproduce the class shares of the labels, smoothed.
TEST(FactoredLinear, FindsTheBestLogitsOfASmallProblem) {
  Examples examples;
  for (int i = 0; i < 1000; ++i) examples.add(i % 10 < 7 ? 0 : 1, {0});
  FactoredLinearOptions options = quick();
  options.dropout = 0;
  options.learning_rate = 0.1;
  options.epochs = 100;
  const LinearScorer scorer = fit_factored_linear(examples.rows, examples.labels, 1, 2, options);
  const auto scores = scorer.score(examples.rows, 0);
  const double share = 0.9 * 0.7 + 0.05;
  EXPECT_NEAR(scores[0] - scores[1], std::log(share / (1 - share)), 0.1);
}

TEST(FactoredLinear, TheSeedDecides) {
  const Examples examples = doubly_marked(3, 60);
  FactoredLinearOptions options = quick();
  const auto once = fit_factored_linear(examples.rows, examples.labels, 16, 3, options);
  const auto twice = fit_factored_linear(examples.rows, examples.labels, 16, 3, options);
  options.seed = 2;
  const auto other = fit_factored_linear(examples.rows, examples.labels, 16, 3, options);
  EXPECT_EQ(once.weights, twice.weights);
  EXPECT_EQ(once.biases, twice.biases);
  EXPECT_NE(once.weights, other.weights);
}

TEST(FactoredLinear, HeavyRowsPrevailAndUnseenFeaturesSayNothing) {
  Examples examples;
  for (int i = 0; i < 100; ++i) {
    examples.add(0, {0});
    examples.add(1, {0});
    examples.rows.weights.insert(examples.rows.weights.end(), {5.0F, 1.0F});
  }
  const LinearScorer scorer = fit_factored_linear(examples.rows, examples.labels, 2, 2, quick());
  EXPECT_EQ(best(scorer, examples.rows, 0), 0);
  EXPECT_EQ(scorer.weights[2], 0);
  EXPECT_EQ(scorer.weights[3], 0);
  std::swap(examples.rows.weights[0], examples.rows.weights[1]);
  for (size_t i = 2; i < 200; i += 2) {
    std::swap(examples.rows.weights[i], examples.rows.weights[i + 1]);
  }
  EXPECT_EQ(
      best(fit_factored_linear(examples.rows, examples.labels, 2, 2, quick()), examples.rows, 0),
      1);
}

}  // namespace
}  // namespace attend
