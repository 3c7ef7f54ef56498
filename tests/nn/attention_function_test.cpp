// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_function.h"

#include "attention_reference.h"

namespace attend {
namespace {

using testing::close;
using testing::lengths_of;
using testing::random;
using testing::real;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A batch of 3, 4 query heads, 6 queries, 7 keys.
struct Fixture {
  explicit Fixture(int64_t kv_heads = 4, int64_t queries = 6, int64_t keys = 7)
      : query(random({3, 4, queries, 5})),
        key(random({3, kv_heads, keys, 5})),
        value(random({3, kv_heads, keys, 3})) {}
  torch::Tensor query, key, value;
};

void expect_reference(const Fixture& data, AttentionArguments arguments) {
  arguments.statistics.weights = true;
  arguments.statistics.lse = true;
  const AttentionResult actual = attention(data.query, data.key, data.value, arguments);
  const auto expected = testing::reference_attention(data.query, data.key, data.value, arguments);
  EXPECT_TRUE(close(actual.output, expected.output));
  EXPECT_TRUE(close(actual.statistics.weights, expected.weights));
  EXPECT_TRUE(close(actual.statistics.lse, expected.lse));
  // The same call in float, and without statistics.
  arguments.statistics = {};
  const auto single = [](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.to(torch::kFloat) : tensor;
  };
  arguments.bias = single(arguments.bias);
  arguments.distance_bias = single(arguments.distance_bias);
  arguments.sink = single(arguments.sink);
  const AttentionResult in_float =
      attention(single(data.query), single(data.key), single(data.value), arguments);
  EXPECT_EQ(in_float.output.scalar_type(), torch::kFloat);
  EXPECT_FALSE(in_float.statistics.weights.defined());
  EXPECT_TRUE(close(in_float.output, expected.output, 2e-5));
}

TEST(AttentionFunction, PlainEqualsReference) {
  torch::manual_seed(1);
  expect_reference(Fixture(), {});
  AttentionArguments scaled;
  scaled.scale = 0.7;
  expect_reference(Fixture(), scaled);
}

TEST(AttentionFunction, GroupedAndMultiQueryEqualReference) {
  torch::manual_seed(2);
  expect_reference(Fixture(2), {});
  expect_reference(Fixture(1), {});
}

TEST(AttentionFunction, GroupedEqualsRepeatedKeyValueHeads) {
  torch::manual_seed(3);
  const Fixture data(2);
  const torch::Tensor grouped = attention(data.query, data.key, data.value).output;
  const torch::Tensor repeated =
      attention(data.query, data.key.repeat_interleave(2, 1), data.value.repeat_interleave(2, 1))
          .output;
  EXPECT_TRUE(close(grouped, repeated));
}

TEST(AttentionFunction, LengthsMaskKeysAndQueries) {
  torch::manual_seed(4);
  AttentionArguments arguments;
  arguments.key_lengths = lengths_of({7, 1, 3});
  expect_reference(Fixture(2), arguments);
  arguments.query_lengths = lengths_of({2, 6, 0});
  expect_reference(Fixture(2), arguments);
}

TEST(AttentionFunction, FullyMaskedRowsAreZeroWithLseMinusInfinity) {
  torch::manual_seed(5);
  AttentionArguments arguments;
  arguments.key_lengths = lengths_of({7, 0, 3});
  expect_reference(Fixture(), arguments);
  arguments.statistics.weights = true;
  arguments.statistics.lse = true;
  const Fixture data;
  const AttentionResult result = attention(data.query, data.key, data.value, arguments);
  EXPECT_EQ(result.output[1].abs().max().item<double>(), 0);
  EXPECT_EQ(result.statistics.weights[1].abs().max().item<double>(), 0);
  EXPECT_TRUE(torch::isneginf(result.statistics.lse[1]).all().item<bool>());
}

TEST(AttentionFunction, CausalWithOffset) {
  torch::manual_seed(6);
  AttentionArguments arguments;
  arguments.causal = true;
  expect_reference(Fixture(), arguments);
  arguments.query_offset = 1;
  expect_reference(Fixture(2), arguments);
  arguments.query_offset = 6;
  expect_reference(Fixture(4, 1, 7), arguments);
  arguments.key_lengths = lengths_of({7, 2, 5});
  expect_reference(Fixture(), arguments);
}

TEST(AttentionFunction, SlidingWindow) {
  torch::manual_seed(7);
  for (const auto& [left, right] : {std::pair<int64_t, int64_t>{0, 0}, {1, 2}, {-1, 1}, {2, -1}}) {
    for (const int64_t offset : {0, 3, 9}) {  // at 9 some windows lie behind the last key
      AttentionArguments arguments;
      arguments.window_left = left;
      arguments.window_right = right;
      arguments.query_offset = offset;
      expect_reference(Fixture(2), arguments);
      arguments.key_lengths = lengths_of({2, 7, 4});
      expect_reference(Fixture(2), arguments);
    }
  }
  AttentionArguments arguments;
  arguments.causal = true;
  arguments.window_left = 2;
  expect_reference(Fixture(), arguments);
}

TEST(AttentionFunction, BiasBroadcasts) {
  torch::manual_seed(8);
  const std::vector<std::vector<int64_t>> shapes = {
      {3, 4, 6, 7}, {1, 4, 6, 7}, {3, 1, 1, 7}, {6, 7}, {1, 1, 6, 1}};
  for (const auto& shape : shapes) {
    AttentionArguments arguments;
    arguments.bias = random(shape);
    expect_reference(Fixture(2), arguments);
    arguments.causal = true;
    arguments.key_lengths = lengths_of({1, 5, 7});
    expect_reference(Fixture(2), arguments);
  }
}

TEST(AttentionFunction, InfiniteBiasForbidsKeysAndRows) {
  torch::manual_seed(9);
  AttentionArguments arguments;
  arguments.bias = random({1, 1, 6, 7});
  arguments.bias.index_put_({0, 0, 2}, -kInfinity);
  arguments.bias.index_put_({0, 0, 4, 1}, -kInfinity);
  expect_reference(Fixture(), arguments);
  // What the bias leaves, the other masks take.
  arguments.bias.index_put_({0, 0, 0, 0}, -kInfinity);
  arguments.causal = true;
  arguments.key_lengths = lengths_of({7, 3, 1});
  expect_reference(Fixture(), arguments);
}

TEST(AttentionFunction, AlibiAndDistanceBias) {
  torch::manual_seed(10);
  for (const int64_t offset : {0, 2}) {
    AttentionArguments arguments;
    arguments.query_offset = offset;
    arguments.alibi_slopes = torch::rand({4}, real());
    expect_reference(Fixture(), arguments);
    arguments.distance_bias = random({4, 7});
    expect_reference(Fixture(), arguments);
    arguments.causal = true;
    arguments.key_lengths = lengths_of({7, 3, 1});
    expect_reference(Fixture(2), arguments);
  }
}

TEST(AttentionFunction, SinkTakesItsShareExactly) {
  torch::manual_seed(11);
  AttentionArguments arguments;
  arguments.sink = random({4});
  expect_reference(Fixture(), arguments);
  arguments.key_lengths = lengths_of({7, 0, 2});
  expect_reference(Fixture(2), arguments);
  arguments.statistics.weights = true;
  const Fixture data;
  const torch::Tensor rows =
      attention(data.query, data.key, data.value, arguments).statistics.weights.sum(-1);
  EXPECT_LT(rows.max().item<double>(), 1.0);
}

TEST(AttentionFunction, EverythingAtOnce) {
  torch::manual_seed(12);
  AttentionArguments arguments;
  arguments.causal = true;
  arguments.query_offset = 1;
  arguments.window_left = 3;
  arguments.key_lengths = lengths_of({7, 0, 4});
  arguments.query_lengths = lengths_of({6, 3, 5});
  arguments.bias = random({3, 1, 6, 7});
  arguments.distance_bias = random({4, 5});
  arguments.alibi_slopes = torch::rand({4}, real());
  arguments.sink = random({4});
  expect_reference(Fixture(2), arguments);
}

TEST(AttentionFunction, HugeScoresStayExact) {
  torch::manual_seed(13);
  Fixture data;
  data.query = data.query * 1e4;
  AttentionArguments arguments;
  arguments.key_lengths = lengths_of({7, 2, 3});
  const AttentionResult actual = attention(data.query, data.key, data.value, arguments);
  const auto expected = testing::reference_attention(data.query, data.key, data.value, arguments);
  EXPECT_TRUE(close(actual.output, expected.output));
}

TEST(AttentionFunction, EmptySequences) {
  AttentionArguments arguments;
  arguments.statistics.weights = true;
  arguments.statistics.lse = true;
  const AttentionResult result =
      attention(random({2, 4, 3, 5}), random({2, 4, 0, 5}), random({2, 4, 0, 6}), arguments);
  EXPECT_TRUE(close(result.output, torch::zeros({2, 4, 3, 6}, real())));
  EXPECT_EQ(result.statistics.weights.size(3), 0);
  EXPECT_TRUE(torch::isneginf(result.statistics.lse).all().item<bool>());
}

TEST(AttentionFunction, DropoutZeroesAndRescalesButIsNotTraced) {
  torch::manual_seed(14);
  AttentionArguments arguments;
  arguments.dropout = 0.5;
  arguments.statistics.weights = true;
  const torch::Tensor query = random({1, 1, 40, 4});
  const torch::Tensor key = random({1, 1, 50, 4});
  // With the identity as value, the output is the dropped weights themselves.
  const torch::Tensor value = torch::eye(50, real()).view({1, 1, 50, 50});
  const AttentionResult result = attention(query, key, value, arguments);
  const torch::Tensor clean = result.statistics.weights;
  EXPECT_TRUE(close(clean.sum(-1), torch::ones({1, 1, 40}, real())));
  const torch::Tensor zeroed = result.output == 0;
  EXPECT_NEAR(zeroed.to(torch::kDouble).mean().item<double>(), 0.5, 0.05);
  EXPECT_TRUE(close(result.output.masked_select(~zeroed), 2 * clean.masked_select(~zeroed)));
}

TEST(AttentionFunction, ShapesAreAsserted) {
  EXPECT_THROW(attention(random({2, 3, 4, 5}), random({2, 2, 4, 5}), random({2, 2, 4, 5})),
               c10::Error);
  EXPECT_THROW(attention(random({3, 4, 5}), random({3, 4, 5}), random({3, 4, 5})), c10::Error);
  AttentionArguments arguments;
  arguments.key_lengths = lengths_of({4});
  EXPECT_THROW(
      attention(random({2, 1, 4, 5}), random({2, 1, 4, 5}), random({2, 1, 4, 5}), arguments),
      c10::Error);
}

}  // namespace
}  // namespace attend
