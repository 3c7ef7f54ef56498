// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Sizes of 0: nothing to read, and results that are zero where they exist.
#include <gtest/gtest.h>

#include <cmath>

#include "compare.h"

namespace attend::kernels::testing {
namespace {

TEST(Empty, NoQueries) {
  const Problem p({.batch = 2, .heads = 2, .kv_heads = 1, .queries = 0, .keys = 20});
  const Forward f = run_forward(p, kWholeTrace);
  for (const float mass : f.received) EXPECT_EQ(mass, 0);
  for (const float mass : f.pooled) EXPECT_EQ(mass, 0);
  const Backward b = run_backward(p);
  for (int64_t j = 0; j < 20; ++j) {
    EXPECT_EQ(b.d_key.get(1, 0, j, 7), 0);
    EXPECT_EQ(b.d_value.get(1, 0, j, 7), 0);
  }
}

TEST(Empty, NoKeys) {
  for (const int64_t queries : {1, 3, 40}) {
    Problem p({.batch = 2, .heads = 2, .kv_heads = 1, .queries = queries, .keys = 0});
    for (const bool sink : {false, true}) {
      if (sink) p.add_sink();
      expect_statistics(p, "no keys");
      expect_backward(p, "no keys");
    }
  }
}

TEST(Empty, NoBatchAndNoHeads) {
  for (const auto& [batch, heads] : {std::pair{0, 2}, {2, 0}}) {
    const Problem p({.batch = batch, .heads = heads, .kv_heads = 1, .queries = 5, .keys = 6});
    run_forward(p, kWholeTrace);
    if (batch == 0) run_backward(p);
  }
}

TEST(Empty, PackedSequencesThatAreAllEmpty) {
  expect_statistics(Problem::packed({.heads = 2}, {0, 0}, {0, 0}), "all empty");
  expect_statistics(Problem::packed({.heads = 2}, {0, 4}, {7, 0}), "never both");
  expect_backward(Problem::packed({.heads = 2}, {0, 4}, {7, 0}), "never both");
}

TEST(Empty, LengthsOfZero) {
  Problem p({.batch = 3, .heads = 2, .kv_heads = 1, .queries = 20, .keys = 30});
  p.query_lengths = {0, 20, 20};
  p.key_lengths = {30, 0, 30};
  expect_statistics(p, "lengths of 0");
  expect_backward(p, "lengths of 0");
}

TEST(Empty, NoWeightsAskedFor) {
  const Problem p({.queries = 5, .keys = 6});
  const Forward f = run_forward(p);
  float untouched = 3;
  weights(p.attention(), {.lse = f.lse.data(), .queries = 0, .keys = 6, .weights = &untouched});
  weights(p.attention(), {.lse = f.lse.data(), .queries = 5, .keys = 0, .weights = &untouched});
  EXPECT_EQ(untouched, 3);
}

TEST(Empty, ABlockMaskThatForbidsAll) {
  for (const int64_t queries : {2, 70}) {
    Problem p({.heads = 2, .kv_heads = 2, .queries = queries, .keys = 130, .dim = 16});
    p.add_block_mask(16, 16, 0);
    expect_statistics(p, "all blocks cleared");
    expect_backward(p, "all blocks cleared");
  }
}

}  // namespace
}  // namespace attend::kernels::testing
