// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Forward against the double-precision reference over shapes, layouts and thread counts.
#include <gtest/gtest.h>

#include <string>

#include "compare.h"

namespace attend::kernels::testing {
namespace {

constexpr int64_t kLengths[] = {1, 2, 5, 12, 13, 31, 32, 33, 64, 127, 200};
constexpr int64_t kDims[] = {8, 16, 20, 24, 33, 40, 64, 80, 96, 128};

TEST(Forward, EveryPairOfLengths) {
  uint64_t seed = 0;
  for (const int64_t queries : kLengths) {
    for (const int64_t keys : kLengths) {
      const Shape shape{
          .heads = 2, .kv_heads = 1, .queries = queries, .keys = keys, .dim = 16, .value_dim = 24};
      expect_forward(Problem(shape, Layout::kRowsFirst, ++seed), to_string(shape));
    }
  }
}

TEST(Forward, EveryPairOfDims) {
  uint64_t seed = 0;
  for (const int64_t dim : kDims) {
    for (const int64_t value_dim : kDims) {
      const Shape shape{.queries = 37, .keys = 50, .dim = dim, .value_dim = value_dim};
      expect_forward(Problem(shape, Layout::kUnaligned, ++seed), to_string(shape));
    }
  }
}

TEST(Forward, EveryMultipleOfEightAndOddDims) {
  for (const int64_t dim : {1, 2, 3, 7, 9, 15, 17, 31, 63, 65, 127, 129, 255}) {
    const Shape shape{.queries = 13, .keys = 21, .dim = dim, .value_dim = 256 - dim};
    expect_forward(Problem(shape), to_string(shape));
  }
  for (int64_t dim = 8; dim <= 256; dim += 8) {
    const Shape shape{.queries = 14, .keys = 35, .dim = dim, .value_dim = dim};
    expect_forward(Problem(shape), to_string(shape));
  }
}

// Whole groups of rows and vectors of values, which have a pass of their own.
TEST(Forward, ShortSequences) {
  uint64_t seed = 300;
  for (const int64_t queries : {4, 8, 12, 20, 32, 64, 68}) {
    for (const int64_t keys : {1, 15, 16, 17, 32, 33, 48, 64}) {
      for (const int offset : {-1, 0, 7}) {  // under a causal mask, unless it is negative
        const Layout layout = kLayouts[seed % std::size(kLayouts)];
        const Shape shape{.batch = 2,
                          .heads = 4,
                          .kv_heads = 2,
                          .queries = queries,
                          .keys = keys,
                          .dim = seed % 2 == 0 ? 64 : 20,
                          .value_dim = seed % 3 == 0 ? 64 : 16};
        Problem p(shape, layout, ++seed);
        p.settings.causal = offset >= 0;
        p.settings.query_offset = std::max(0, offset);
        if (seed % 5 == 0) p.key_lengths = {keys, keys / 2};
        expect_forward(p, to_string(shape) + ", " + to_string(layout));
      }
    }
  }
}

TEST(Forward, LongerRows) {
  for (const Shape& shape : {Shape{.queries = 513, .keys = 513, .dim = 64, .value_dim = 64},
                             Shape{.queries = 300, .keys = 1025, .dim = 64, .value_dim = 64},
                             Shape{.queries = 1100, .keys = 260, .dim = 32, .value_dim = 32},
                             Shape{.queries = 70, .keys = 4099, .dim = 32, .value_dim = 40},
                             Shape{.queries = 260, .keys = 300, .dim = 256, .value_dim = 256}}) {
    expect_forward(Problem(shape), to_string(shape));
  }
}

TEST(Forward, EveryLayout) {
  for (const Layout layout : kLayouts) {
    for (const int64_t dim : {20, 64}) {
      const Shape shape{.batch = 2,
                        .heads = 3,
                        .kv_heads = 3,
                        .queries = 45,
                        .keys = 70,
                        .dim = dim,
                        .value_dim = dim + 8};
      expect_forward(Problem(shape, layout), to_string(shape) + ", " + to_string(layout));
    }
  }
}

TEST(Forward, SharedKeysAndValues) {
  for (const auto& [heads, kv_heads] : {std::pair{4, 4}, {4, 2}, {4, 1}, {6, 2}, {7, 1}, {9, 3}}) {
    const Shape shape{.batch = 2,
                      .heads = heads,
                      .kv_heads = kv_heads,
                      .queries = 19,
                      .keys = 40,
                      .dim = 24,
                      .value_dim = 16};
    expect_forward(Problem(shape, Layout::kRowsFirst), to_string(shape));
  }
}

TEST(Forward, RepeatedMemory) {
  // A stride of 0: one key/value batch element that all queries of the batch read.
  Problem p({.batch = 3, .heads = 2, .kv_heads = 2, .queries = 20, .keys = 40});
  Attention a = p.attention();
  a.key.strides.batch = a.value.strides.batch = 0;
  Array output(ElementType::kFloat32, Layout::kHeadsFirst, 3, 2, 20, 8);
  forward(a, output.mutable_view());
  EXPECT_TRUE(within(output_error(p, reference_forward(a), output), kForwardBound));
}

TEST(Forward, ThreadCounts) {
  for (const int threads : {1, 2, 3, 5}) {
    for (const Shape& shape : {Shape{.queries = 200, .keys = 330, .dim = 32, .value_dim = 32},
                               Shape{.batch = 3,
                               .heads = 4,
                               .kv_heads = 2,
                               .queries = 33,
                               .keys = 65,
                               .dim = 16,
                               .value_dim = 16},
                               Shape{.queries = 2, .keys = 1500, .dim = 64, .value_dim = 64}}) {
      Problem p(shape);
      p.settings.threads = threads;
      p.settings.causal = true;
      p.settings.query_offset = std::max<int64_t>(0, shape.keys - shape.queries);
      expect_forward(p, to_string(shape) + ", threads " + std::to_string(threads));
    }
  }
}

TEST(Forward, EveryScale) {
  for (const double scale : {-1.0, 0.0, 0.125, 0.3, 1.0}) {
    Problem p({.queries = 40, .keys = 60, .dim = 16, .value_dim = 16});
    p.settings.scale = scale;
    expect_forward(p, "scale " + std::to_string(scale));
  }
}

TEST(Forward, LargeScores) {
  uint64_t seed = 100;
  for (const double score : {8, 16, 32}) {
    for (const int64_t dim : {8, 33, 64, 128, 256}) {
      for (const int64_t keys : {33, 300, 1000}) {
        const Shape shape{
            .heads = 2, .kv_heads = 2, .queries = 64, .keys = keys, .dim = dim, .value_dim = 24};
        Problem p(shape, Layout::kHeadsFirst, ++seed);
        p.scale_scores_to(score);
        expect_forward(p, to_string(shape) + ", scores up to " + std::to_string(score),
                       forward_bound(score));
      }
    }
  }
}

TEST(Forward, WithoutAnyTraceGivesTheSameOutput) {
  Problem p({.heads = 2, .kv_heads = 1, .queries = 61, .keys = 130, .dim = 40, .value_dim = 40});
  const Array bare = run_forward(p, {.lse = false}).output;
  const ForwardReference reference = reference_forward(p.attention());
  EXPECT_TRUE(within(output_error(p, reference, bare), kForwardBound));
  EXPECT_TRUE(
      within(output_error(p, reference, run_forward(p, kWholeTrace).output), kForwardBound));
}

}  // namespace
}  // namespace attend::kernels::testing
