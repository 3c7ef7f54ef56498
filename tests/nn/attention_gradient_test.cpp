// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "attend/nn/attention_function.h"
#include "testing.h"

namespace attend {
namespace {

using testing::gradients_match;
using testing::lengths_of;
using testing::random;
using testing::real;

struct Fixture {
  torch::Tensor query = random({2, 2, 3, 2});
  torch::Tensor key = random({2, 1, 4, 2});
  torch::Tensor value = random({2, 1, 4, 2});

  torch::Tensor output(const AttentionArguments& arguments) const {
    return attention(query, key, value, arguments).output;
  }
};

TEST(AttentionGradient, Plain) {
  torch::manual_seed(1);
  const Fixture data;
  EXPECT_TRUE(gradients_match([&] { return data.output({}); }, {data.query, data.key, data.value}));
}

TEST(AttentionGradient, EveryLearnedTerm) {
  torch::manual_seed(2);
  const Fixture data;
  AttentionArguments arguments;
  arguments.causal = true;
  arguments.query_offset = 1;
  arguments.key_lengths = lengths_of({4, 2});
  arguments.query_lengths = lengths_of({3, 2});
  arguments.bias = random({2, 1, 3, 4});
  arguments.distance_bias = random({2, 5});
  arguments.alibi_slopes = torch::rand({2}, real());
  arguments.sink = random({2});
  EXPECT_TRUE(gradients_match(
      [&] { return data.output(arguments); },
      {data.query, data.key, data.value, arguments.bias, arguments.distance_bias, arguments.sink}));
}

TEST(AttentionGradient, FullyMaskedRowsPassZerosNotNan) {
  torch::manual_seed(3);
  for (const bool with_sink : {false, true}) {
    const Fixture data;
    AttentionArguments arguments;
    arguments.key_lengths = lengths_of({0, 3});
    arguments.bias = random({1, 1, 3, 4});
    arguments.bias.select(2, 1).fill_(-std::numeric_limits<double>::infinity());
    if (with_sink) arguments.sink = random({2});
    arguments.statistics.lse = true;
    arguments.statistics.entropy = true;
    arguments.statistics.received = true;
    for (torch::Tensor leaf : {data.query, data.key, data.value, arguments.bias}) {
      leaf.requires_grad_(true);
    }
    const AttentionResult result = attention(data.query, data.key, data.value, arguments);
    const torch::Tensor lse = result.statistics.lse;
    const torch::Tensor finite = lse.masked_fill(torch::isinf(lse), 0);
    (result.output.sum() + finite.sum() + result.statistics.entropy.sum() +
     result.statistics.received.sum())
        .backward();
    for (const torch::Tensor& leaf : {data.query, data.key, data.value, arguments.bias}) {
      EXPECT_TRUE(torch::isfinite(leaf.grad()).all().item<bool>());
    }
    EXPECT_EQ(data.query.grad()[0].abs().max().item<double>(), 0);
    EXPECT_EQ(data.value.grad()[0].abs().max().item<double>(), 0);
    EXPECT_EQ(data.query.grad()[1].select(1, 1).abs().max().item<double>(), 0);
    EXPECT_GT(data.query.grad()[1].abs().max().item<double>(), 0);
  }
}

TEST(AttentionGradient, OfTheStatistics) {
  torch::manual_seed(4);
  const Fixture data;
  AttentionArguments arguments;
  arguments.causal = true;
  arguments.sink = random({2});
  arguments.statistics.lse = true;
  arguments.statistics.entropy = true;
  arguments.statistics.received = true;
  arguments.statistics.sink = true;
  arguments.statistics.weights = true;
  const std::vector<torch::Tensor> inputs = {data.query, data.key, arguments.sink};
  const auto statistics = [&] {
    return attention(data.query, data.key, data.value, arguments).statistics;
  };
  EXPECT_TRUE(gradients_match([&] { return statistics().weights; }, inputs));
  EXPECT_TRUE(gradients_match([&] { return statistics().lse; }, inputs));
  EXPECT_TRUE(gradients_match([&] { return statistics().entropy; }, inputs));
  EXPECT_TRUE(gradients_match([&] { return statistics().received; }, inputs));
  EXPECT_TRUE(gradients_match([&] { return statistics().sink; }, inputs));
}

// Gradient x attention needs d output / d weights: the traced weights must lie on the path from
// the input to the output, not beside it.
TEST(AttentionGradient, FlowsFromTheOutputToTheTracedWeights) {
  torch::manual_seed(5);
  const Fixture data;
  data.query.requires_grad_(true);
  for (const bool masked : {false, true}) {
    for (const bool with_sink : {false, true}) {
      AttentionArguments arguments;
      arguments.statistics.weights = true;
      if (masked) arguments.key_lengths = arguments.query_lengths = lengths_of({2, 0});
      if (with_sink) arguments.sink = random({2});
      const AttentionResult result = attention(data.query, data.key, data.value, arguments);
      const torch::Tensor gradient =
          torch::autograd::grad({result.output.sum()}, {result.statistics.weights})[0];
      // d sum(output) / d weight[i, j] = sum of value j, in every row that is alive.
      const torch::Tensor sums = data.value.sum(-1).view({2, 1, 1, 4}).expand({2, 2, 3, 4});
      const int64_t rows = masked ? 2 : 3;
      EXPECT_TRUE(testing::close(gradient[0].narrow(1, 0, rows), sums[0].narrow(1, 0, rows)));
    }
  }
}

}  // namespace
}  // namespace attend
