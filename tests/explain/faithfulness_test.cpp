// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/faithfulness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/random.h"
#include "attend/explain/score.h"
#include "function_task.h"

namespace attend {
namespace {

using testing::FunctionTask;
using testing::KeptFunction;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

KeptFunction additive(const std::vector<double>& weights, double bias) {
  return [=](const std::vector<bool>& kept) {
    double sum = bias;
    for (size_t i = 0; i < kept.size(); ++i) sum += kept[i] ? weights[i] : 0;
    return sum;
  };
}

// A function without structure: every set of units has a value of its own.
double arbitrary(const std::vector<bool>& kept) {
  uint64_t code = 1;
  for (const bool one : kept) code = 2 * code + (one ? 1 : 0);
  return 6 * Random(code).uniform() - 3;
}

std::vector<double> random_numbers(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<double> numbers(count);
  for (double& number : numbers) number = 2 * random.uniform() - 1;
  return numbers;
}

struct Measured {
  FaithfulnessReport report;
  int64_t computed;
};

Measured measure(const KeptFunction& function, size_t units,
                 const std::vector<std::vector<double>>& scores,
                 const FaithfulnessOptions& options) {
  FunctionTask task(function);
  const auto data = FunctionTask::whole({units});
  const auto groups = single_groups(static_cast<int64_t>(units));
  const Target target{"yes"};
  Measured result{measure_faithfulness({task, *data, 0, target, groups}, scores, options), 0};
  result.computed = task.computed;
  return result;
}

FaithfulnessOptions everything() {
  FaithfulnessOptions options;
  options.bounds = options.correlation = options.infidelity = true;
  return options;
}

TEST(Faithfulness, IsWhatItsDefinitionSays) {
  constexpr size_t kUnits = 10;
  const std::vector<double> scores = random_numbers(kUnits, 3);
  const auto order = descending_order(scores);
  const auto row = measure(arbitrary, kUnits, {scores}, everything()).report.rows.at(0);
  const auto probability = [&](size_t first, bool keep_first) {
    std::vector<bool> kept(kUnits, !keep_first);
    for (size_t i = 0; i < first; ++i) kept[static_cast<size_t>(order[i])] = keep_first;
    return sigmoid(arbitrary(kept));
  };
  const double whole = probability(0, false);
  double comprehensiveness = 0;
  double sufficiency = 0;
  for (const size_t count : {1, 1, 1, 2, 5}) {  // 1, 5, 10, 20, 50 % of ten
    comprehensiveness += (whole - probability(count, false)) / 5;
    sufficiency += (whole - probability(count, true)) / 5;
  }
  EXPECT_NEAR(row.comprehensiveness, comprehensiveness, 1e-12);
  EXPECT_NEAR(row.sufficiency, sufficiency, 1e-12);
  ASSERT_EQ(row.deletion_curve.size(), kUnits + 1);
  double deletion = 0;
  double insertion = 0;
  for (size_t i = 0; i <= kUnits; ++i) {
    EXPECT_NEAR(row.deletion_curve[i], probability(i, false), 1e-12);
    EXPECT_NEAR(row.insertion_curve[i], probability(i, true), 1e-12);
    const double weight = (i == 0 || i == kUnits ? 0.5 : 1.0) / kUnits;
    deletion += weight * probability(i, false);
    insertion += weight * probability(i, true);
  }
  EXPECT_NEAR(row.deletion, deletion, 1e-12);
  EXPECT_NEAR(row.insertion, insertion, 1e-12);
  EXPECT_NEAR(row.faithfulness, row.insertion_normalised - row.deletion_normalised, 1e-12);
}

// Log-odds that are a sum are explained perfectly by their terms, in any unit of the scores.
TEST(Faithfulness, OfAnAdditiveModelIsPerfect) {
  const auto weights = random_numbers(12, 8);
  std::vector<double> doubled = weights;
  for (double& weight : doubled) weight *= 2;
  std::vector<double> opposite = weights;
  for (double& weight : opposite) weight *= -1;
  const auto report = measure(additive(weights, 0.3), 12, {doubled, opposite}, everything()).report;
  const auto& right = report.rows.at(0);
  EXPECT_NEAR(right.kendall_tau, 1, 1e-12);
  EXPECT_NEAR(right.infidelity, 0, 1e-12);
  EXPECT_NEAR(right.deletion_normalised, 0, 1e-9);
  EXPECT_NEAR(right.insertion_normalised, 1, 1e-9);
  EXPECT_NEAR(right.faithfulness, 1, 1e-9);
  EXPECT_TRUE(report.beats_random(right));
  const auto& wrong = report.rows.at(1);
  EXPECT_NEAR(wrong.kendall_tau, -1, 1e-12);
  EXPECT_NEAR(wrong.infidelity, 1, 1e-12);  // no factor >= 0 makes it better than nothing
  EXPECT_NEAR(wrong.faithfulness, -1, 1e-9);
  EXPECT_FALSE(report.beats_random(wrong));
  // The drop of the log-odds is the sum of the removed weights.
  auto sorted = weights;
  std::sort(sorted.rbegin(), sorted.rend());
  double drop = 0;
  for (const size_t count : {1, 1, 2, 3, 6}) {
    drop += std::accumulate(sorted.begin(), sorted.begin() + static_cast<long>(count), 0.0) / 5;
  }
  EXPECT_NEAR(right.comprehensiveness_log_odds, drop, 1e-12);
}

TEST(Faithfulness, ExactBoundsAreThoseOfAllOrders) {
  constexpr size_t kUnits = 6;
  const std::vector<double> scores = random_numbers(kUnits, 4);
  const auto report = measure(arbitrary, kUnits, {scores}, everything()).report;
  ASSERT_TRUE(report.bounds.exact);
  std::vector<size_t> order(kUnits);
  std::iota(order.begin(), order.end(), size_t{0});
  double low = 2;
  double high = -1;
  do {
    std::vector<bool> kept(kUnits, true);
    double area = sigmoid(arbitrary(kept)) / 2;
    for (const size_t unit : order) {
      kept[unit] = false;
      area += sigmoid(arbitrary(kept));
    }
    area = (area - sigmoid(arbitrary(kept)) / 2) / kUnits;
    low = std::min(low, area);
    high = std::max(high, area);
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_NEAR(report.bounds.low, low, 1e-12);
  EXPECT_NEAR(report.bounds.high, high, 1e-12);
}

// Greedy search finds the bounds of an additive model, however often it asks again.
TEST(Faithfulness, SearchedBoundsHoldEveryOrderMeasured) {
  const auto weights = random_numbers(20, 9);
  for (const int64_t budget : {100'000, 2'000, 500, 10}) {
    FaithfulnessOptions options = everything();
    options.bound_positions = budget;
    const auto report =
        measure(additive(weights, 0), 20, {weights, random_numbers(20, 1)}, options).report;
    EXPECT_FALSE(report.bounds.exact);
    EXPECT_NEAR(report.rows[0].faithfulness, 1, 1e-9) << budget;
    EXPECT_GE(report.rows[1].deletion_normalised, 0);
    EXPECT_LE(report.rows[1].insertion_normalised, 1);
  }
}

TEST(Faithfulness, NoSetIsComputedTwice) {
  const auto scores = random_numbers(10, 5);
  FaithfulnessOptions options;
  options.random_orders = 3;
  const auto once = measure(arbitrary, 10, {scores}, options);
  const auto thrice = measure(arbitrary, 10, {scores, scores, scores}, options);
  EXPECT_EQ(once.computed, thrice.computed);
  // 11 sets of deletion, 11 of insertion (of which all and none are the same), 9 per random order
  // at most; the sets of AOPC are among the first.
  EXPECT_LE(once.computed, 20 + 3 * 9);
}

TEST(Faithfulness, RandomOrdersHaveNone) {
  // The mean over all orders is 0 for any function: a reversed order is as likely.
  double sum = 0;
  FaithfulnessOptions options;
  options.bounds = true;
  options.random_orders = 2;
  std::vector<std::vector<double>> rows;
  for (uint64_t seed = 0; seed < 400; ++seed) rows.push_back(random_numbers(7, 100 + seed));
  options.max_positions = 1 << 30;
  for (const auto& row : measure(arbitrary, 7, rows, options).report.rows) sum += row.faithfulness;
  EXPECT_NEAR(sum / 400, 0, 0.05);
}

TEST(Faithfulness, TheBandHoldsRandomCurves) {
  FaithfulnessOptions options;
  options.random_orders = 100;
  options.max_positions = 1 << 30;
  const auto report = measure(arbitrary, 9, {random_numbers(9, 2)}, options).report;
  const auto& test = report.test;
  ASSERT_EQ(test.steps.size(), 10U);
  for (size_t i = 0; i < test.steps.size(); ++i) {
    EXPECT_LE(test.random_deletion_low[i], test.random_deletion_high[i]);
    // Removing k of all at random leaves what putting in the other units leaves.
    EXPECT_EQ(test.random_insertion_low[i], test.random_deletion_low[9 - i]);
  }
  EXPECT_EQ(test.random_deletion_low.front(), report.rows[0].deletion_curve.front());
  EXPECT_EQ(test.random_deletion_high.back(), report.rows[0].deletion_curve.back());
}

TEST(Faithfulness, LongInputsAreBoundedAndSaySo) {
  const auto weights = random_numbers(600, 6);
  FaithfulnessOptions options = everything();
  options.max_positions = 20'000;
  const auto bounded = measure(additive(weights, 0), 600, {weights}, options).report;
  ASSERT_TRUE(bounded.measured);
  EXPECT_NE(bounded.notice.find("600 units"), std::string::npos) << bounded.notice;
  EXPECT_LT(bounded.test.steps.size(), 21U);
  EXPECT_GT(bounded.rows[0].faithfulness, 0.99);
  options.max_positions = 1'000;
  const auto refused = measure(additive(weights, 0), 600, {weights}, options);
  EXPECT_FALSE(refused.report.measured);
  EXPECT_EQ(refused.computed, 0);
  EXPECT_NE(refused.report.notice.find("not measured"), std::string::npos);
  EXPECT_FALSE(measure(arbitrary, 1, {{1.0}}, options).report.measured);
}

TEST(Faithfulness, CertainModelsStayFinite) {
  const auto certain = [](const std::vector<bool>& kept) { return kept[0] ? 900.0 : -900.0; };
  const auto row = measure(certain, 9, {random_numbers(9, 7)}, everything()).report.rows[0];
  for (const FaithfulnessMetric& metric : faithfulness_metrics()) {
    EXPECT_TRUE(std::isfinite(metric.value(row))) << metric.name;
  }
  // Where no order makes a difference, shares of the difference are not made up.
  const auto constant = [](const std::vector<bool>&) { return 1.0; };
  const auto flat = measure(constant, 9, {random_numbers(9, 7)}, everything()).report.rows[0];
  EXPECT_TRUE(std::isnan(flat.faithfulness));
  EXPECT_TRUE(std::isnan(flat.kendall_tau));
  EXPECT_EQ(flat.comprehensiveness, 0);
}

TEST(Faithfulness, UnitsOfAGroupGoTogether) {
  // Only whole groups are ever removed: {0, 1}, {2}, {3, 4, 5}.
  const auto watched = [](const std::vector<bool>& kept) {
    EXPECT_EQ(kept.size(), 6U);
    EXPECT_EQ(kept[0], kept[1]);
    EXPECT_TRUE(kept[3] == kept[4] && kept[4] == kept[5]);
    return 0.5 * static_cast<double>(kept[0]) + static_cast<double>(kept[2]);
  };
  FunctionTask task(watched);
  const auto data = FunctionTask::whole({6});
  const std::vector<UnitGroup> groups = {{0, 2}, {2, 3}, {3, 6}};
  const Target target{"yes"};
  const auto report =
      measure_faithfulness({task, *data, 0, target, groups}, {{0.5, 1.0, 0.0}}, everything());
  EXPECT_EQ(report.test.steps, (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_NEAR(report.rows.at(0).faithfulness, 1, 1e-12);
}

TEST(RemovalSteps, AreSymmetricAndEndAtBothEnds) {
  for (int64_t units = 1; units < 200; ++units) {
    for (const int64_t most : {2, 5, 20, 64}) {
      const auto steps = removal_steps(units, most);
      EXPECT_EQ(steps.front(), 0);
      EXPECT_EQ(steps.back(), units);
      EXPECT_LE(static_cast<int64_t>(steps.size()), most + 1);
      for (size_t i = 0; i < steps.size(); ++i) {
        EXPECT_EQ(steps[i], units - steps[steps.size() - 1 - i]) << units << " " << most;
        if (i > 0) {
          EXPECT_LT(steps[i - 1], steps[i]);
        }
      }
    }
  }
}

// tau-b by its definition, over all pairs.
double tau_by_pairs(const std::vector<double>& a, const std::vector<double>& b) {
  double agree = 0;
  double pairs_a = 0;
  double pairs_b = 0;
  const auto sign = [](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; };
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      agree += sign(a[i] - a[j]) * sign(b[i] - b[j]);
      pairs_a += std::abs(sign(a[i] - a[j]));
      pairs_b += std::abs(sign(b[i] - b[j]));
    }
  }
  return agree / std::sqrt(pairs_a * pairs_b);
}

TEST(KendallTau, IsTheDefinitionWithTies) {
  Random random(3);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<double> a(2 + random.below(30));
    std::vector<double> b(a.size());
    const auto values = 1 + random.below(8);  // few values: many ties
    for (auto& one : a) one = static_cast<double>(random.below(values));
    for (auto& one : b) one = static_cast<double>(random.below(values));
    const double expected = tau_by_pairs(a, b);
    const double found = kendall_tau(a, b);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(found));
    } else {
      EXPECT_NEAR(found, expected, 1e-12);
    }
  }
}

TEST(Estimate, HoldsTheMeanAndShrinks) {
  const auto few = estimate(random_numbers(50, 1));
  const auto many = estimate(random_numbers(5000, 1));
  for (const auto& one : {few, many}) {
    EXPECT_LE(one.low, one.mean);
    EXPECT_GE(one.high, one.mean);
  }
  // Standard error of numbers uniform in [-1, 1): 0.577 / sqrt(n); 3.92 of them from end to end.
  EXPECT_NEAR(many.high - many.low, 3.92 * 0.577 / std::sqrt(5000), 0.004);
  EXPECT_NEAR((few.high - few.low) / (many.high - many.low), 10, 2.5);
  const double none = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(estimate({1, none, 3}).examples, 2);
  EXPECT_EQ(estimate({1, none, 3}).mean, 2);
  EXPECT_TRUE(std::isnan(estimate({none}).mean));
}

TEST(DrawnRows, AreDistinctAndOrdered) {
  EXPECT_EQ(drawn_rows(3, 0, 1), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(drawn_rows(3, 9, 1), (std::vector<int64_t>{0, 1, 2}));
  const auto drawn = drawn_rows(1000, 50, 7);
  EXPECT_EQ(drawn.size(), 50U);
  EXPECT_TRUE(std::adjacent_find(drawn.begin(), drawn.end(), std::greater_equal<>()) ==
              drawn.end());
  EXPECT_NE(drawn, drawn_rows(1000, 50, 8));
}

TEST(Removal, IsParsedByWhatTheTaskCanDo) {
  const FunctionTask task(arbitrary);
  EXPECT_EQ(parse_removal("mask", task), Removal::kMask);
  try {
    parse_removal("mean", task);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("delete, mask"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace attend
