// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Forward under every mask and bias, alone and combined, with every statistic that it reports.
#include <gtest/gtest.h>

#include <tuple>

#include "cases.h"
#include "compare.h"

namespace attend::kernels::testing {
namespace {

TEST(Masks, EachFeature) {
  for (const NamedProblem& c : feature_cases()) expect_forward(c.problem, c.name);
}

TEST(Masks, RandomCombinations) {
  for (const NamedProblem& c : random_cases(120, 7, 90)) expect_forward(c.problem, c.name);
  for (const NamedProblem& c : random_cases(25, 8, 300)) expect_forward(c.problem, c.name);
}

TEST(Masks, NarrowBandsOfALongMatrix) {
  for (const auto& [left, right, causal] :
       {std::tuple{255, -1, true}, {100, 30, false}, {0, 64, false}, {-1, 0, false}}) {
    Problem p({.queries = 2000, .keys = 2100});
    p.settings.window_left = left;
    p.settings.window_right = right;
    p.settings.causal = causal;
    p.settings.query_offset = 50;
    expect_statistics(p, "window " + std::to_string(left) + ", " + std::to_string(right));
    expect_backward(p, "window " + std::to_string(left) + ", " + std::to_string(right));
  }
}

TEST(Masks, PackedSequencesWithBiasAndBlocks) {
  Problem p = Problem::packed({.heads = 2, .kv_heads = 1, .dim = 16, .value_dim = 16}, {20, 45, 7},
                              {31, 45, 60});
  p.add_distance_bias(6);
  p.add_alibi();
  p.add_sink();
  p.settings.dropout = 0.2;
  p.settings.query_offset = 4;
  p.settings.causal = true;
  // Rows and keys of a bias or block mask count within their own sequence.
  p.bias_strides = {2 * 45 * 60, 45 * 60, 60, 1};
  p.bias = p.normals(3 * 2 * 45 * 60);
  p.settings.block_mask.query_block = 8;
  p.settings.block_mask.key_block = 16;
  p.block_strides = {24, 0, 4, 1};
  for (int n = 0; n < 3 * 24; ++n) p.block_mask.push_back(p.random() % 3 != 0);
  expect_forward(p, "packed with everything");
  expect_statistics(p, "packed with everything");
}

TEST(Masks, PackedEqualsOneByOne) {
  Problem p =
      Problem::packed({.heads = 2, .kv_heads = 2, .dim = 16, .value_dim = 16}, {33, 64}, {50, 64});
  p.settings.causal = true;
  const Forward together = run_forward(p);
  for (int64_t b = 0; b < 2; ++b) {
    const Attention whole = p.attention();
    const Sequence s = sequence_of(whole, b);
    Attention one = whole;
    one.batch = 1;
    one.query_starts = one.key_starts = nullptr;
    one.queries = s.queries;
    one.keys = s.keys;
    const auto shift = [](ConstTensor& t, int64_t rows) {
      t.data = static_cast<const float*>(t.data) + rows * t.strides.row;
    };
    shift(one.query, s.first_query);
    shift(one.key, s.first_key);
    shift(one.value, s.first_key);
    Array output(ElementType::kFloat32, Layout::kHeadsFirst, 1, 2, s.queries, 16);
    forward(one, output.mutable_view());
    Worst worst;
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < s.queries; ++i) {
        for (int64_t d = 0; d < 16; ++d) {
          worst.see(output.get(0, h, i, d), together.output.get(0, h, s.first_query + i, d), 1,
                    "sequence " + std::to_string(b));
        }
      }
    }
    EXPECT_TRUE(within(worst, kForwardBound));
  }
}

TEST(Masks, RowsThatSeeNothingAreZero) {
  // Rows behind the keys by more than the window see none; so does batch element 1.
  Problem p({.batch = 2,
             .heads = 2,
             .kv_heads = 1,
             .queries = 120,
             .keys = 30,
             .dim = 16,
             .value_dim = 20});
  p.settings.window_left = p.settings.window_right = 4;
  p.key_lengths = {30, 0};
  for (const bool sink : {false, true}) {
    if (sink) p.add_sink();
    const Forward f = run_forward(p, kWholeTrace);
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t i = b == 0 ? 34 : 0; i < 120; ++i) {
          const size_t row = size_t((b * 2 + h) * 120 + i);
          EXPECT_EQ(f.lse[row], -INFINITY) << "row " << i;
          EXPECT_EQ(f.entropy[row], 0) << "row " << i;
          EXPECT_EQ(f.top_keys[row * 5], -1) << "row " << i;
          EXPECT_EQ(f.top_weights[row * 5], 0) << "row " << i;
          for (int64_t d = 0; d < 20; ++d) EXPECT_EQ(f.output.get(b, h, i, d), 0) << "row " << i;
        }
      }
    }
    expect_statistics(p, "empty windows");
    expect_backward(p, "empty windows");
  }
}

}  // namespace
}  // namespace attend::kernels::testing
