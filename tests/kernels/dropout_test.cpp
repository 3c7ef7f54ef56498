// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The generator behind dropout: its rate, its independence, and that the engines use it.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "compare.h"

namespace attend::kernels::testing {
namespace {

Attention with_dropout(double probability, uint64_t seed) {
  Attention a;
  a.dropout = probability;
  a.dropout_seed = seed;
  return a;
}

TEST(Dropout, KeepsTheShareItSays) {
  for (const double probability : {0.0, 0.1, 0.5, 0.9}) {
    const Attention a = with_dropout(probability, 3);
    constexpr int64_t kSide = 512;
    int64_t kept = 0;
    for (int64_t row = 0; row < kSide; ++row) {
      for (int64_t key = 0; key < kSide; ++key) kept += dropout_keeps(a, 1, row, key);
    }
    const double count = double(kSide * kSide);
    const double deviation = std::sqrt(count * probability * (1 - probability));
    EXPECT_NEAR(double(kept), count * (1 - probability), 4 * deviation) << probability;
  }
}

/// Share of places where two masks agree: 1/2 for independent ones at a probability of 1/2.
template <typename F, typename G>
double agreement(F one, G other) {
  int64_t same = 0;
  for (int64_t row = 0; row < 256; ++row) {
    for (int64_t key = 0; key < 256; ++key) same += one(row, key) == other(row, key);
  }
  return double(same) / (256 * 256);
}

TEST(Dropout, NeighboursInEveryNumberAreIndependent) {
  const Attention a = with_dropout(0.5, 40), next_seed = with_dropout(0.5, 41);
  const auto base = [&](int64_t row, int64_t key) { return dropout_keeps(a, 0, row, key); };
  // 4 standard deviations of 65,536 fair coins.
  constexpr double kAllowed = 4 * 0.5 / 256;
  EXPECT_NEAR(
      agreement(base, [&](int64_t r, int64_t k) { return dropout_keeps(next_seed, 0, r, k); }), 0.5,
      kAllowed);
  EXPECT_NEAR(agreement(base, [&](int64_t r, int64_t k) { return dropout_keeps(a, 1, r, k); }), 0.5,
              kAllowed);
  EXPECT_NEAR(agreement(base, [&](int64_t r, int64_t k) { return dropout_keeps(a, 0, r + 1, k); }),
              0.5, kAllowed);
  EXPECT_NEAR(agreement(base, [&](int64_t r, int64_t k) { return dropout_keeps(a, 0, r, k + 1); }),
              0.5, kAllowed);
  EXPECT_NEAR(agreement(base, [&](int64_t r, int64_t k) { return dropout_keeps(a, 0, k, r); }), 0.5,
              kAllowed);
}

TEST(Dropout, StatisticsAreTakenBeforeIt) {
  Problem p({.heads = 2, .kv_heads = 1, .queries = 40, .keys = 90, .dim = 16, .value_dim = 16});
  const Forward plain = run_forward(p, kWholeTrace);
  p.settings.dropout = 0.5;
  const Forward dropped = run_forward(p, kWholeTrace);
  EXPECT_EQ(plain.lse, dropped.lse);
  EXPECT_EQ(plain.top_keys, dropped.top_keys);
  EXPECT_FALSE(plain.output == dropped.output);
  expect_statistics(p, "dropout");
}

TEST(Dropout, ReachesEveryBlockAndBothPasses) {
  for (const double probability : {0.1, 0.5, 0.95}) {
    for (const Shape& shape : {Shape{.batch = 2,
                              .heads = 2,
                              .kv_heads = 1,
                              .queries = 130,
                              .keys = 270,
                              .dim = 16,
                              .value_dim = 16},
                               Shape{.batch = 2,
                               .heads = 2,
                               .kv_heads = 1,
                               .queries = 2,
                               .keys = 700,
                               .dim = 16,
                               .value_dim = 16}}) {
      for (const int threads : {1, 2}) {
        Problem p(shape);
        p.settings.dropout = probability;
        p.settings.dropout_seed = 0xfedcba9876543210u;
        p.settings.threads = threads;
        expect_forward(p, to_string(shape));
        expect_backward(p, to_string(shape));
      }
    }
  }
}

}  // namespace
}  // namespace attend::kernels::testing
