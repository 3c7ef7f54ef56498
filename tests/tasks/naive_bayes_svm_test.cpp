// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "../../src/tasks/naive_bayes_svm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "attend/base/random.h"

namespace attend {
namespace {

struct Examples {
  SparseRows rows;
  std::vector<int64_t> labels;
  std::vector<int64_t> all;
};

// Feature c occurs only in class c; features from `classes` on are noise.
Examples separable(int64_t classes, int64_t count, int64_t noise) {
  Random random(7);
  Examples examples;
  for (int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<int64_t>(random.below(static_cast<uint64_t>(classes)));
    examples.labels.push_back(label);
    examples.all.push_back(i);
    examples.rows.features.push_back(static_cast<int32_t>(label));
    examples.rows.features.push_back(static_cast<int32_t>(
        classes + static_cast<int64_t>(random.below(static_cast<uint64_t>(noise)))));
    examples.rows.values.insert(examples.rows.values.end(), 2, std::sqrt(0.5F));
    examples.rows.offsets.push_back(static_cast<int64_t>(examples.rows.features.size()));
  }
  return examples;
}

int64_t best(const std::vector<float>& scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

TEST(NaiveBayesSvm, SeparatesWhatIsSeparable) {
  for (const int64_t classes : {2, 3, 5}) {
    const Examples examples = separable(classes, 200, 20);
    const LinearScorer scorer =
        fit_naive_bayes_svm(examples.rows, examples.labels, classes + 20, classes, {});
    for (const int64_t row : examples.all) {
      EXPECT_EQ(best(scorer.score(examples.rows, row)), examples.labels[static_cast<size_t>(row)]);
    }
  }
}

// The solution is the minimum of |w|^2 / 2 + C sum max(0, 1 - y (w x' + b))^2 + b^2 / 2 with
// x' = ratio * x: no small step in any direction may improve it.
TEST(NaiveBayesSvm, SolvesTheStatedProblem) {
  const Examples examples = separable(2, 60, 6);
  NaiveBayesSvmOptions options;
  options.cost = 0.7;
  options.passes = 2000;
  const int64_t features = 8;
  const LinearScorer scorer =
      fit_naive_bayes_svm(examples.rows, examples.labels, features, 2, options);
  std::vector<double> in(features, 1.0);
  std::vector<double> out(features, 1.0);
  for (const int64_t row : examples.all) {
    for (int64_t e = 2 * row; e < 2 * row + 2; ++e) {
      auto& counts = examples.labels[static_cast<size_t>(row)] == 1 ? in : out;
      counts[static_cast<size_t>(examples.rows.features[static_cast<size_t>(e)])] += 1;
    }
  }
  std::vector<double> ratio;
  const double in_sum = std::accumulate(in.begin(), in.end(), 0.0);
  const double out_sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (size_t f = 0; f < in.size(); ++f) {
    ratio.push_back(std::log(in[f] / in_sum / (out[f] / out_sum)));
  }
  // Parameters of the problem: w (before the ratio) and b. Column 1 holds half the weights.
  std::vector<double> point;
  for (size_t f = 0; f < in.size(); ++f) point.push_back(2 * scorer.weights[2 * f + 1] / ratio[f]);
  point.push_back(2 * scorer.biases[1]);
  const auto objective = [&](const std::vector<double>& w) {
    double value = 0;
    for (const double x : w) value += x * x / 2;
    for (const int64_t row : examples.all) {
      double margin = w.back();
      for (int64_t e = 2 * row; e < 2 * row + 2; ++e) {
        const auto f = static_cast<size_t>(examples.rows.features[static_cast<size_t>(e)]);
        margin += w[f] * ratio[f] * examples.rows.values[static_cast<size_t>(e)];
      }
      const double sign = examples.labels[static_cast<size_t>(row)] == 1 ? 1 : -1;
      const double gap = std::max(0.0, 1 - sign * margin);
      value += options.cost * gap * gap;
    }
    return value;
  };
  const double at_solution = objective(point);
  for (size_t d = 0; d < point.size(); ++d) {
    for (const double step : {-0.05, 0.05}) {
      auto moved = point;
      moved[d] += step;
      EXPECT_GT(objective(moved), at_solution - 1e-4) << "direction " << d;
    }
  }
}

TEST(NaiveBayesSvm, IsDeterministic) {
  const Examples examples = separable(3, 100, 10);
  NaiveBayesSvmOptions options;
  options.with_idf = true;
  const auto once = fit_naive_bayes_svm(examples.rows, examples.labels, 13, 3, options);
  const auto twice = fit_naive_bayes_svm(examples.rows, examples.labels, 13, 3, options);
  EXPECT_EQ(once.weights, twice.weights);
  EXPECT_EQ(once.biases, twice.biases);
}

TEST(NaiveBayesSvm, AWeightOfThreeIsTheRowThreeTimes) {
  Examples once = separable(2, 40, 6);
  const std::vector<size_t> heavy = {3, 8, 21};
  for (const size_t row : heavy) once.labels[row] = 1 - once.labels[row];  // or nothing would move
  Examples thrice = once;
  Examples weighted = once;
  weighted.rows.weights.assign(once.labels.size(), 1.0F);
  for (const size_t row : heavy) {
    weighted.rows.weights[row] = 3;
    for (int copy = 0; copy < 2; ++copy) {
      for (size_t e = 2 * row; e < 2 * row + 2; ++e) {
        thrice.rows.features.push_back(once.rows.features[e]);
        thrice.rows.values.push_back(once.rows.values[e]);
      }
      thrice.rows.offsets.push_back(static_cast<int64_t>(thrice.rows.features.size()));
      thrice.labels.push_back(once.labels[row]);
    }
  }
  NaiveBayesSvmOptions options;
  options.passes = 2000;
  const auto plain = fit_naive_bayes_svm(once.rows, once.labels, 8, 2, options);
  const auto copied = fit_naive_bayes_svm(thrice.rows, thrice.labels, 8, 2, options);
  const auto scaled = fit_naive_bayes_svm(weighted.rows, weighted.labels, 8, 2, options);
  double moved = 0;
  for (size_t i = 0; i < copied.weights.size(); ++i) {
    EXPECT_NEAR(scaled.weights[i], copied.weights[i], 0.01) << i;
    moved = std::max<double>(moved, std::fabs(copied.weights[i] - plain.weights[i]));
  }
  EXPECT_GT(moved, 0.05);  // else the comparison would say nothing
}

TEST(CalibratedScale, FindsTheFactorThatMadeTheLabels) {
  // Labels drawn with probability sigmoid(3 s) from scores (0, s): the best factor is near 3.
  Random random(3);
  std::vector<float> scores;
  std::vector<int64_t> labels;
  for (int i = 0; i < 20000; ++i) {
    const double score = 2 * random.uniform() - 1;
    scores.push_back(0);
    scores.push_back(static_cast<float>(score));
    labels.push_back(random.uniform() < 1 / (1 + std::exp(-3 * score)) ? 1 : 0);
  }
  EXPECT_NEAR(calibrated_scale(scores, labels, 2), 3.0, 0.15);
}

}  // namespace
}  // namespace attend
