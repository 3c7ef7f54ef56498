// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Changes that must not change the result beyond the bound, on random problems.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "cases.h"
#include "compare.h"

namespace attend::kernels::testing {
namespace {

constexpr int kRounds = 12;

Problem random_problem(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto up_to = [&](int64_t n) { return 1 + int64_t(random() % uint64_t(n)); };
  const int64_t kv_heads = up_to(2);
  Shape shape{.batch = up_to(3), .heads = kv_heads * up_to(3), .kv_heads = kv_heads};
  shape.queries = seed % 3 == 0 ? up_to(6) : up_to(120);
  shape.keys = 1 + up_to(250);
  shape.dim = 8 * up_to(8);
  shape.value_dim = up_to(70);
  Problem p(shape, kLayouts[random() % std::size(kLayouts)], random());
  p.settings.threads = int(up_to(3));
  if (seed % 2) p.add_bias({});
  if (seed % 4 == 1) p.add_sink();
  return p;
}

/// Copies one row of [batch, heads, rows, dim] of equal head counts and dims.
void copy_row(const Array& from, int64_t b, int64_t h, int64_t row, Array& to, int64_t to_b,
              int64_t to_h, int64_t to_row) {
  for (int64_t d = 0; d < from.dim(); ++d) to.set(to_b, to_h, to_row, d, from.get(b, h, row, d));
}

/// Error of one array against another over all their elements, relative to max |value|.
Worst difference(const Array& actual, const Array& expected) {
  double scale = 1e-30;
  for (const bool measure : {true, false}) {
    Worst worst;
    for (int64_t b = 0; b < expected.batch(); ++b) {
      for (int64_t h = 0; h < expected.heads(); ++h) {
        for (int64_t r = 0; r < expected.rows(); ++r) {
          for (int64_t d = 0; d < expected.dim(); ++d) {
            const double value = expected.get(b, h, r, d);
            if (measure) scale = std::max(scale, std::abs(value));
            worst.see(actual.get(b, h, r, d), value, scale, "row " + std::to_string(r));
          }
        }
      }
    }
    if (!measure) return worst;
  }
  return {};
}

TEST(Property, TheOrderOfTheKeysDoesNotMatter) {
  for (uint64_t seed = 1; seed <= kRounds; ++seed) {
    const Problem p = random_problem(seed);
    Problem shuffled = p;
    std::vector<int64_t> order(size_t(p.settings.keys));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), shuffled.random);
    for (int64_t j = 0; j < p.settings.keys; ++j) {
      const int64_t to = order[size_t(j)];
      for (int64_t b = 0; b < p.settings.batch; ++b) {
        for (int64_t h = 0; h < p.settings.kv_heads; ++h) {
          copy_row(p.key, b, h, j, shuffled.key, b, h, to);
          copy_row(p.value, b, h, j, shuffled.value, b, h, to);
        }
      }
      for (int64_t row = 0; row * p.settings.keys < int64_t(p.bias.size()); ++row) {
        shuffled.bias[size_t(row * p.settings.keys + to)] =
            p.bias[size_t(row * p.settings.keys + j)];
      }
    }
    const ForwardReference reference = reference_forward(p.attention());
    EXPECT_TRUE(within(output_error(p, reference, run_forward(shuffled).output), kForwardBound))
        << "seed " << seed;
    const Backward before = run_backward(p), after = run_backward(shuffled);
    Backward restored = after;
    for (int64_t b = 0; b < p.settings.batch; ++b) {
      for (int64_t h = 0; h < p.settings.kv_heads; ++h) {
        for (int64_t j = 0; j < p.settings.keys; ++j) {
          copy_row(after.d_key, b, h, order[size_t(j)], restored.d_key, b, h, j);
          copy_row(after.d_value, b, h, order[size_t(j)], restored.d_value, b, h, j);
        }
      }
    }
    EXPECT_TRUE(within(difference(restored.d_query, before.d_query), kBackwardBound)) << seed;
    EXPECT_TRUE(within(difference(restored.d_key, before.d_key), kBackwardBound)) << seed;
    EXPECT_TRUE(within(difference(restored.d_value, before.d_value), kBackwardBound)) << seed;
  }
}

/// Forward on a part of the batch or of the heads of the same memory.
void run_part(const Problem& p, int64_t first_batch, int64_t batches, int64_t first_head,
              int64_t heads, Array& output) {
  Attention a = p.attention();
  const int64_t group = a.heads / a.kv_heads;
  const auto part = [&](const void* data, const Strides& s, int64_t head) {
    return static_cast<const float*>(data) + first_batch * s.batch + head * s.head;
  };
  a.query.data = part(a.query.data, a.query.strides, first_head);
  a.key.data = part(a.key.data, a.key.strides, first_head / group);
  a.value.data = part(a.value.data, a.value.strides, first_head / group);
  if (a.bias.data) a.bias.data = part(a.bias.data, a.bias.strides, first_head);
  if (a.sink) a.sink += first_head;
  MutableTensor out = output.mutable_view();
  out.data = const_cast<float*>(part(out.data, out.strides, first_head));
  a.batch = batches;
  a.heads = heads;
  a.kv_heads = heads / group;
  ASSERT_EQ(check(a), nullptr);
  forward(a, out);
}

TEST(Property, SplittingTheBatchChangesNothing) {
  for (uint64_t seed = 101; seed <= 100 + kRounds; ++seed) {
    const Problem p = random_problem(seed);
    const ForwardReference reference = reference_forward(p.attention());
    Array output = run_forward(p).output;
    for (int64_t b = 0; b < output.batch(); ++b) {
      for (int64_t h = 0; h < output.heads(); ++h) {
        for (int64_t r = 0; r < output.rows(); ++r) output.fill_row(b, h, r, 9);
      }
    }
    for (int64_t b = 0; b < p.settings.batch; ++b) {
      run_part(p, b, 1, 0, p.settings.heads, output);
    }
    EXPECT_TRUE(within(output_error(p, reference, output), kForwardBound)) << "seed " << seed;
    EXPECT_TRUE(within(difference(output, run_forward(p).output), kForwardBound)) << seed;
  }
}

TEST(Property, SplittingTheHeadsChangesNothing) {
  for (uint64_t seed = 201; seed <= 200 + kRounds; ++seed) {
    const Problem p = random_problem(seed);
    const ForwardReference reference = reference_forward(p.attention());
    const Array together = run_forward(p).output;
    Array output = together;
    const int64_t group = p.settings.heads / p.settings.kv_heads;
    for (int64_t h = 0; h < p.settings.kv_heads; ++h) {
      run_part(p, 0, p.settings.batch, h * group, group, output);
    }
    EXPECT_TRUE(within(output_error(p, reference, output), kForwardBound)) << "seed " << seed;
    EXPECT_TRUE(within(difference(output, together), kForwardBound)) << "seed " << seed;
  }
}

TEST(Property, AMaskedTailChangesNothing) {
  for (uint64_t seed = 301; seed <= 300 + kRounds; ++seed) {
    Problem p = random_problem(seed);
    p.bias.clear();
    const int64_t keys = p.settings.keys;
    const int64_t tail = 1 + int64_t(seed * 37 % 200);
    Shape shape{p.settings.batch, p.settings.heads, p.settings.kv_heads, p.settings.queries,
                keys + tail,      p.settings.dim,   p.settings.value_dim};
    Problem longer(shape, p.layout, seed);
    longer.settings.threads = p.settings.threads;
    longer.query = p.query;
    longer.d_output = p.d_output;
    longer.sink = p.sink;
    longer.key_lengths.assign(size_t(shape.batch), keys);
    for (int64_t b = 0; b < shape.batch; ++b) {
      for (int64_t h = 0; h < shape.kv_heads; ++h) {
        for (int64_t j = 0; j < keys + tail; ++j) {
          if (j < keys) {
            copy_row(p.key, b, h, j, longer.key, b, h, j);
            copy_row(p.value, b, h, j, longer.value, b, h, j);
          } else {
            longer.key.fill_row(b, h, j, std::nan(""));
            longer.value.fill_row(b, h, j, std::nan(""));
          }
        }
      }
    }
    EXPECT_TRUE(
        within(difference(run_forward(longer).output, run_forward(p).output), kForwardBound))
        << "seed " << seed;
    EXPECT_TRUE(
        within(difference(run_backward(longer).d_query, run_backward(p).d_query), kBackwardBound))
        << "seed " << seed;
    expect_backward(longer, "masked tail, seed " + std::to_string(seed));
  }
}

TEST(Property, AConstantOnEveryScoreMovesOnlyTheLogSumExp) {
  for (uint64_t seed = 401; seed <= 400 + kRounds; ++seed) {
    Problem p = random_problem(seed);
    p.sink.clear();
    p.add_bias({.batch = true, .head = true, .query = true, .key = true});
    p.bias[0] = 0;
    const Forward before = run_forward(p);
    p.bias[0] = 8;
    const Forward after = run_forward(p);
    EXPECT_TRUE(within(difference(after.output, before.output), kForwardBound)) << seed;
    for (size_t n = 0; n < before.lse.size(); ++n) {
      EXPECT_NEAR(after.lse[n], before.lse[n] + 8, 8 * kStatisticsBound * 2) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace attend::kernels::testing
