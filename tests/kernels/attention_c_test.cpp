// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The C interface hands every field on, and refuses what check() refuses.
#include "attend/kernels/attention_c.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "attend/kernels/attention.h"

namespace attend::kernels {
namespace {

constexpr int64_t kHeads = 4, kKvHeads = 2, kQueries = 19, kKeys = 37, kDim = 24, kValueDim = 16;

std::vector<float> random_numbers(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(generator);
  return numbers;
}

struct Case {
  std::vector<float> query = random_numbers(kHeads * kQueries * kDim, 1);
  std::vector<float> key = random_numbers(kKvHeads * kKeys * kDim, 2);
  std::vector<float> value = random_numbers(kKvHeads * kKeys * kValueDim, 3);
  std::vector<float> d_output = random_numbers(kHeads * kQueries * kValueDim, 4);
  std::vector<float> bias = random_numbers(kHeads * kQueries * kKeys, 5);
  std::vector<float> table = random_numbers(kHeads * 9, 6);
  std::vector<float> slopes{0.1f, 0.2f, 0.3f, 0.4f}, sink{0.5f, -0.5f, 1.0f, 0.0f};
  std::vector<int64_t> key_lengths{33};
};

template <class Strides>
Strides rows_of(int64_t rows, int64_t dim) {
  return {0, rows * dim, dim, 1};
}

attend_attention c_problem(const Case& c) {
  attend_attention a;
  attend_attention_init(&a);
  a.heads = kHeads;
  a.kv_heads = kKvHeads;
  a.queries = kQueries;
  a.keys = kKeys;
  a.dim = kDim;
  a.value_dim = kValueDim;
  a.query = {c.query.data(), rows_of<attend_strides>(kQueries, kDim)};
  a.key = {c.key.data(), rows_of<attend_strides>(kKeys, kDim)};
  a.value = {c.value.data(), rows_of<attend_strides>(kKeys, kValueDim)};
  a.soft_cap = 20;
  a.causal = 1;
  a.query_offset = 12;
  a.window_left = 25;
  a.key_lengths = c.key_lengths.data();
  a.bias = c.bias.data();
  a.bias_strides = rows_of<attend_strides>(kQueries, kKeys);
  a.distance_bias = c.table.data();
  a.distance_reach = 4;
  a.alibi_slopes = c.slopes.data();
  a.sink = c.sink.data();
  a.dropout = 0.2;
  a.dropout_seed = 99;
  a.threads = 1;
  return a;
}

Attention cpp_problem(const Case& c) {
  Attention a;
  a.heads = kHeads;
  a.kv_heads = kKvHeads;
  a.queries = kQueries;
  a.keys = kKeys;
  a.dim = kDim;
  a.value_dim = kValueDim;
  a.query = {c.query.data(), rows_of<Strides>(kQueries, kDim)};
  a.key = {c.key.data(), rows_of<Strides>(kKeys, kDim)};
  a.value = {c.value.data(), rows_of<Strides>(kKeys, kValueDim)};
  a.soft_cap = 20;
  a.causal = true;
  a.query_offset = 12;
  a.window_left = 25;
  a.key_lengths = c.key_lengths.data();
  a.bias = {c.bias.data(), rows_of<Strides>(kQueries, kKeys)};
  a.distance_bias = c.table.data();
  a.distance_reach = 4;
  a.alibi_slopes = c.slopes.data();
  a.sink = c.sink.data();
  a.dropout = 0.2;
  a.dropout_seed = 99;
  a.threads = 1;
  return a;
}

TEST(CInterface, ForwardBackwardAndWeightsAreTheSame) {
  const Case c;
  const attend_attention theirs = c_problem(c);
  const Attention ours = cpp_problem(c);
  const size_t rows = kHeads * kQueries, outputs = rows * kValueDim;

  std::vector<float> output(outputs), expected(outputs), lse(rows), expected_lse(rows);
  const attend_tensor target{output.data(), rows_of<attend_strides>(kQueries, kValueDim)};
  attend_trace trace{};
  trace.lse = lse.data();
  ASSERT_EQ(attend_attention_forward(&theirs, &target, &trace), nullptr);
  Trace wanted;
  wanted.lse = expected_lse.data();
  forward(ours, {expected.data(), rows_of<Strides>(kQueries, kValueDim)}, wanted);
  EXPECT_EQ(output, expected);
  EXPECT_EQ(lse, expected_lse);
  EXPECT_TRUE(std::isfinite(lse[0]));

  std::vector<float> d_query(c.query.size()), d_key(c.key.size()), d_value(c.value.size());
  std::vector<float> d_table(c.table.size()), d_sink(kHeads);
  attend_gradients g{};
  g.output = {output.data(), target.strides};
  g.d_output = {c.d_output.data(), target.strides};
  g.lse = lse.data();
  g.d_query = {d_query.data(), theirs.query.strides};
  g.d_key = {d_key.data(), theirs.key.strides};
  g.d_value = {d_value.data(), theirs.value.strides};
  g.d_distance_bias = d_table.data();
  g.d_sink = d_sink.data();
  ASSERT_EQ(attend_attention_backward(&theirs, &g), nullptr);
  std::vector<float> expected_query(d_query.size()), expected_key(d_key.size());
  std::vector<float> expected_value(d_value.size());
  std::vector<float> expected_table(c.table.size()), expected_sink(kHeads);
  Gradients e;
  e.output = {expected.data(), rows_of<Strides>(kQueries, kValueDim)};
  e.d_output = {c.d_output.data(), rows_of<Strides>(kQueries, kValueDim)};
  e.lse = expected_lse.data();
  e.d_query = {expected_query.data(), ours.query.strides};
  e.d_key = {expected_key.data(), ours.key.strides};
  e.d_value = {expected_value.data(), ours.value.strides};
  e.d_distance_bias = expected_table.data();
  e.d_sink = expected_sink.data();
  backward(ours, e);
  EXPECT_EQ(d_query, expected_query);
  EXPECT_EQ(d_key, expected_key);
  EXPECT_EQ(d_value, expected_value);
  EXPECT_EQ(d_table, expected_table);
  EXPECT_EQ(d_sink, expected_sink);

  std::vector<float> tile(5 * 7), expected_tile(5 * 7);
  const attend_weights_request request{lse.data(), 0, 2, 3, 5, 10, 7, tile.data()};
  ASSERT_EQ(attend_attention_weights(&theirs, &request), nullptr);
  weights(ours, {expected_lse.data(), 0, 2, 3, 5, 10, 7, expected_tile.data()});
  EXPECT_EQ(tile, expected_tile);
}

TEST(CInterface, SaysWhatIsWrong) {
  const Case c;
  std::vector<float> output(kHeads * kQueries * kValueDim, 7.0f);
  const attend_tensor target{output.data(), rows_of<attend_strides>(kQueries, kValueDim)};
  attend_attention a = c_problem(c);
  a.kv_heads = 3;
  EXPECT_STREQ(attend_attention_forward(&a, &target, nullptr),
               "attention: kv_heads must be >= 1 and divide heads");
  EXPECT_EQ(output, std::vector<float>(output.size(), 7.0f));
  a = c_problem(c);
  attend_trace trace{};
  trace.top_k = 33;
  EXPECT_STREQ(attend_attention_forward(&a, &target, &trace), "attention: top_k must be 0 to 32");
  const attend_gradients no_lse{};
  EXPECT_STREQ(attend_attention_backward(&a, &no_lse),
               "attention: the backward needs the forward's lse");
}

}  // namespace
}  // namespace attend::kernels
