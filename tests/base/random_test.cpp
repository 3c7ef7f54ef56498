// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace attend {
namespace {

TEST(Random, EqualsTheReferenceSequence) {  // the values of SplitMix64 for seed 1234567
  Random random(1234567);
  EXPECT_EQ(random.next_u64(), 6457827717110365317u);
  EXPECT_EQ(random.next_u64(), 3203168211198807973u);
  EXPECT_EQ(random.next_u64(), 9817491932198370423u);
  EXPECT_EQ(random.next_u64(), 4593380528125082431u);
  EXPECT_EQ(random.next_u64(), 16408922859458223821u);
}

TEST(Random, ContinuesFromASavedState) {
  Random random(7);
  random.uniform();
  Random copy(0);
  copy.set_state(random.state());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(random.next_u64(), copy.next_u64());
}

TEST(Random, UniformStaysInRangeWithTheRightMean) {
  Random random(1);
  double sum = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double draw = random.uniform();
    ASSERT_GE(draw, 0.0);
    ASSERT_LT(draw, 1.0);
    sum += draw;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);  // five standard errors
}

TEST(Random, BelowGivesEveryResultEquallyOften) {
  Random random(2);
  std::array<int, 7> seen{};
  for (int i = 0; i < 70000; ++i) ++seen.at(random.below(7));
  for (const int count : seen) EXPECT_NEAR(count, 10000, 500);
}

TEST(Random, BelowIsRightAtTheEdges) {
  Random random(3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0u);
  // With n = 3/4 of the range a plain remainder would make the lower third twice as likely.
  constexpr std::uint64_t kLarge = 3ull << 62;
  int low = 0;
  for (int i = 0; i < 30000; ++i) {
    const std::uint64_t draw = random.below(kLarge);
    ASSERT_LT(draw, kLarge);
    low += draw < (1ull << 62);
  }
  EXPECT_NEAR(low, 10000, 450);
}

TEST(Random, ShuffleIsTheSameEverywhere) {
  std::vector<int> order(10);
  std::iota(order.begin(), order.end(), 0);
  Random(42).shuffle(std::span(order));
  EXPECT_EQ(order, (std::vector<int>{0, 9, 5, 8, 6, 4, 7, 2, 1, 3}));
}

TEST(Random, ShuffleReachesEveryOrderEquallyOften) {
  Random random(5);
  std::map<std::string, int> seen;
  for (int i = 0; i < 24000; ++i) {
    std::string order = "abcd";
    random.shuffle(std::span(order));
    ++seen[order];
  }
  EXPECT_EQ(seen.size(), 24u);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, 1000, 160) << order;
}

TEST(Random, ShuffleOfNothingDrawsNothing) {
  Random random(6);
  std::vector<int> empty;
  random.shuffle(std::span(empty));
  EXPECT_EQ(random.state(), 6u);
}

}  // namespace
}  // namespace attend
