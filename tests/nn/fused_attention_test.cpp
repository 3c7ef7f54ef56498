// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels' route of attention() against the plain path in double.
#include <cmath>

#include "attend/nn/attention_function.h"
#include "fused_cases.h"

namespace attend {
namespace {

using testing::fused_case;
using testing::fused_cases;
using testing::FusedCase;
using testing::lengths_of;
using testing::within_scale;

bool went_through_kernels(const AttentionResult& result) {
  return result.output.grad_fn() &&
         result.output.grad_fn()->name().find("FusedFunction") != std::string::npos;
}

TEST(FusedAttention, OutputEqualsPlainPathInDouble) {
  torch::manual_seed(1);
  for (const FusedCase& made : fused_cases()) {
    SCOPED_TRACE(made.name);
    const torch::Tensor expected = made.reference().run().output;
    const torch::Tensor actual = made.run().output;
    EXPECT_EQ(actual.scalar_type(), torch::kFloat);
    EXPECT_TRUE(within_scale(actual, expected, 2e-6, made.value.abs().max().item<double>()));
  }
}

TEST(FusedAttention, BFloat16StaysWithinItsRounding) {
  torch::manual_seed(2);
  for (const FusedCase& made : fused_cases(torch::kBFloat16)) {
    SCOPED_TRACE(made.name);
    const torch::Tensor expected = made.reference().run().output;
    const torch::Tensor actual = made.run().output;
    EXPECT_EQ(actual.scalar_type(), torch::kBFloat16);
    // Weights and output are rounded to 8 bits: 2^-8 each, relative.
    EXPECT_TRUE(within_scale(actual, expected, std::exp2(-7),
                             made.value.to(torch::kFloat).abs().max().item<double>()));
  }
}

// Compares the gradients of a sum over everything that can be differentiated.
void expect_gradients(const FusedCase& made, double tolerance) {
  const auto gradients = [&](FusedCase which, const std::vector<torch::Tensor>& factors) {
    which.arguments.statistics.lse = which.arguments.statistics.entropy = true;
    which.arguments.statistics.sink = which.arguments.sink.defined();
    which.record_gradients();
    const AttentionResult result = which.run();
    EXPECT_EQ(went_through_kernels(result), which.arguments.route == AttentionRoute::kAuto);
    const torch::Tensor lse = result.statistics.lse;
    torch::Tensor loss = (result.output.to(torch::kDouble) * factors[0]).sum() +
                         (lse.masked_fill(torch::isinf(lse), 0) * factors[1]).sum() +
                         (result.statistics.entropy * factors[2]).sum();
    if (result.statistics.sink.defined()) loss = loss + (result.statistics.sink * factors[2]).sum();
    return torch::autograd::grad({loss}, which.differentiable());
  };
  const int64_t batch = made.query.size(0), heads = made.query.size(1), rows = made.query.size(2);
  const std::vector<torch::Tensor> factors = {
      testing::random({batch, heads, rows, made.value.size(3)}),
      testing::random({batch, heads, rows}), testing::random({batch, heads, rows})};
  const auto expected = gradients(made.reference(), factors);
  const auto actual = gradients(made, factors);
  for (size_t input = 0; input < expected.size(); ++input) {
    SCOPED_TRACE("gradient " + std::to_string(input));
    // Where everything cancels (a single key), rounding is measured against the incoming gradient.
    EXPECT_TRUE(within_scale(actual[input], expected[input], tolerance, 1));
  }
}

TEST(FusedAttention, GradientsEqualPlainPathInDouble) {
  torch::manual_seed(3);
  for (const FusedCase& made : fused_cases()) {
    SCOPED_TRACE(made.name);
    expect_gradients(made, 1e-5);
  }
}

TEST(FusedAttention, BFloat16Gradients) {
  torch::manual_seed(4);
  for (const FusedCase& made : fused_cases(torch::kBFloat16)) {
    SCOPED_TRACE(made.name);
    expect_gradients(made, 0.02);
  }
}

TEST(FusedAttention, OnlyWhatIsNeededIsDifferentiated) {
  torch::manual_seed(5);
  for (const size_t only : {0, 1, 2, 3, 4}) {
    FusedCase made = fused_case("one input");
    made.arguments.bias = torch::randn({1, 4, 1, 53});
    made.arguments.sink = torch::randn({4});
    FusedCase reference = made.reference();
    const auto gradient = [&](FusedCase& which) {
      torch::Tensor input = which.differentiable()[only];
      input.requires_grad_(true);
      const AttentionResult result = which.run();
      result.output.square().sum().backward();
      return input.grad();
    };
    EXPECT_TRUE(within_scale(gradient(made), gradient(reference), 1e-5)) << only;
  }
}

TEST(FusedAttention, GradientsKeepTheOrderOfTheirInputs) {
  torch::manual_seed(6);
  torch::Tensor joined = torch::randn({2, 9, 32});
  const auto split = [&] { return joined.view({2, 9, 4, 8}).transpose(1, 2); };
  torch::Tensor query = split().requires_grad_(true);
  const torch::Tensor output = attention(query, split(), split()).output;
  EXPECT_EQ(output.transpose(1, 2).flatten(2).data_ptr(), output.data_ptr());  // a view
  const torch::Tensor gradient = torch::autograd::grad({output.square().sum()}, {query})[0];
  EXPECT_EQ(gradient.strides(), query.strides());
}

TEST(FusedAttention, TraceEqualsPlainPathInDouble) {
  torch::manual_seed(7);
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    for (FusedCase& made : fused_cases(type)) {
      SCOPED_TRACE(made.name);
      TraceStatistics& wanted = made.arguments.statistics;
      wanted.weights = wanted.lse = wanted.entropy = wanted.received = wanted.sink = true;
      wanted.top_keys = 3;
      wanted.pooled_rows = 5;
      wanted.pooled_columns = 7;
      const AttentionStatistics expected = made.reference().run().statistics;
      const AttentionStatistics actual = made.run().statistics;
      EXPECT_EQ(actual.lse.scalar_type(), torch::kFloat);
      const double tolerance = 1e-5;
      EXPECT_TRUE(within_scale(actual.weights, expected.weights, tolerance));
      EXPECT_TRUE(within_scale(actual.lse, expected.lse, tolerance, 1));
      EXPECT_TRUE(within_scale(actual.entropy, expected.entropy, tolerance, 1));
      EXPECT_TRUE(within_scale(actual.received, expected.received, tolerance));
      EXPECT_TRUE(within_scale(actual.sink, expected.sink, tolerance));
      EXPECT_TRUE(within_scale(actual.top_weights, expected.top_weights, tolerance));
      EXPECT_TRUE(within_scale(actual.pooled, expected.pooled, tolerance));
      // Which keys: those whose weights they are (ties in float need not be ties in double).
      const torch::Tensor found = actual.weights.gather(3, actual.top_keys.clamp_min(0))
                                      .masked_fill(actual.top_keys < 0, 0);
      EXPECT_TRUE(within_scale(actual.top_weights, found, tolerance));
      EXPECT_TRUE(torch::equal(actual.top_keys < 0, actual.top_weights <= 0));
    }
  }
}

TEST(FusedAttention, PooledMapHoldsAllWeights) {
  torch::manual_seed(8);
  FusedCase made = fused_case("pooled", {.queries = 3, .keys = 100});
  made.arguments.statistics.pooled_rows = 5;  // more cells than rows: some are empty
  made.arguments.statistics.pooled_columns = 8;
  const torch::Tensor pooled = made.run().statistics.pooled;
  EXPECT_TRUE(within_scale(pooled, made.reference().run().statistics.pooled, 1e-5));
  EXPECT_TRUE(within_scale(pooled.sum({2, 3}), torch::full({2, 4}, 3.0), 1e-5));
  made.arguments.statistics.pooled_columns = 0;
  EXPECT_THROW(made.run(), c10::Error);
}

TEST(FusedAttention, TiesGoToTheLowestKey) {
  AttentionArguments arguments;
  arguments.statistics.top_keys = 4;
  const torch::Tensor query = torch::ones({1, 1, 2, 2});
  torch::Tensor key = torch::zeros({1, 1, 100, 2});
  key[0][0][57] = 1.0;
  const auto trace = attention(query, key, key, arguments).statistics;
  const torch::Tensor expected = torch::tensor({57, 0, 1, 2}, torch::kInt64);
  EXPECT_TRUE(torch::equal(trace.top_keys[0][0][0], expected));
  EXPECT_TRUE(torch::equal(trace.top_keys[0][0][1], expected));
}

TEST(FusedAttention, WhatMasksHideMayBeNotANumber) {
  torch::manual_seed(9);
  FusedCase made = fused_case("hidden");
  made.arguments.key_lengths = lengths_of({20, 53});
  made.record_gradients();
  const auto outcome = [&] {
    const torch::Tensor output = made.run().output;
    std::vector<torch::Tensor> all =
        torch::autograd::grad({output.square().sum()}, made.differentiable());
    all.push_back(output.detach());
    return all;
  };
  const auto clean = outcome();
  {
    const torch::NoGradGuard no_grad;
    made.key[0].narrow(1, 20, 33).fill_(NAN);
    made.value[0].narrow(1, 20, 33).fill_(INFINITY);
  }
  const auto dirty = outcome();
  for (size_t i = 0; i < clean.size(); ++i) EXPECT_TRUE(torch::equal(clean[i], dirty[i])) << i;
}

TEST(FusedAttention, DropoutFollowsManualSeed) {
  torch::manual_seed(10);
  FusedCase made = fused_case("dropout");
  made.arguments.dropout = 0.3;
  made.record_gradients();
  const auto outcome = [&](uint64_t seed) {
    torch::manual_seed(seed);
    const torch::Tensor output = made.run().output;
    std::vector<torch::Tensor> all =
        torch::autograd::grad({output.square().sum()}, made.differentiable());
    all.push_back(output.detach());
    return all;
  };
  const auto first = outcome(5), again = outcome(5), other = outcome(6);
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(torch::equal(first[i], again[i])) << i;
    EXPECT_FALSE(torch::equal(first[i], other[i])) << i;
  }
  // Without dropout nothing is drawn.
  torch::manual_seed(5);
  const torch::Tensor drawn = torch::rand({3});
  torch::manual_seed(5);
  made.arguments.dropout = 0;
  made.run();
  EXPECT_TRUE(torch::equal(torch::rand({3}), drawn));
}

TEST(FusedAttention, DropoutKeepsTheExpectation) {
  torch::manual_seed(11);
  FusedCase made = fused_case("expectation", {.batch = 1, .heads = 2, .kv_heads = 2});
  const torch::Tensor clean = made.run().output;
  made.arguments.dropout = 0.25;
  torch::Tensor sum = torch::zeros_like(clean), squares = torch::zeros_like(clean);
  constexpr int kDraws = 2000;
  for (int i = 0; i < kDraws; ++i) {
    const torch::Tensor output = made.run().output;
    sum += output;
    squares += output.square();
  }
  const torch::Tensor mean = sum / kDraws;
  const torch::Tensor error = ((squares / kDraws - mean.square()) / kDraws).sqrt();
  // 1776 means: the largest deviation is near 3.5 standard errors, on average it is 0.8.
  const torch::Tensor deviation = (mean - clean).abs() / error;
  EXPECT_LT(deviation.max().item<double>(), 6);
  EXPECT_NEAR(deviation.mean().item<double>(), 0.8, 0.1);
}

// With the identity as value the output is the dropped weights: they give the mask, and the mask
// gives the gradients by plain arithmetic in double.
TEST(FusedAttention, GradientsUnderDropout) {
  FusedCase made = fused_case("gradients", {.kv_heads = 2});
  made.arguments.dropout = 0.4;
  made.arguments.causal = true;
  made.arguments.query_offset = 16;
  made.record_gradients();
  torch::manual_seed(12);
  const torch::Tensor factors = torch::randn({2, 4, 37, 24});
  torch::manual_seed(13);
  const torch::Tensor output = made.run().output;
  const auto actual = torch::autograd::grad({(output * factors).sum()}, made.differentiable());
  torch::manual_seed(13);
  const torch::Tensor identity = torch::eye(53).expand({2, 2, 53, 53});
  const torch::Tensor kept =
      attention(made.query, made.key, identity, made.arguments).output.detach() > 0;
  const double share = kept.to(torch::kDouble).sum().item<double>() / (2 * 4 * 37 * 35);
  EXPECT_NEAR(share, 0.6, 0.03);  // row i sees 17 + i keys: 35 on average

  FusedCase reference = made.reference();
  reference.arguments.dropout = 0;
  reference.arguments.statistics.weights = true;
  reference.record_gradients();
  const torch::Tensor weights = reference.run().statistics.weights * kept / 0.6;
  const torch::Tensor expected_output =
      torch::matmul(weights, reference.value.repeat_interleave(2, 1));
  EXPECT_TRUE(within_scale(output, expected_output, 2e-6));
  const auto expected =
      torch::autograd::grad({(expected_output * factors).sum()}, reference.differentiable());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_TRUE(within_scale(actual[i], expected[i], 1e-5)) << i;
  }
}

TEST(FusedAttention, RouteIsChosenByWhatIsAsked) {
  FusedCase made = fused_case("route");
  made.record_gradients();
  EXPECT_TRUE(went_through_kernels(made.run()));
  made.arguments.statistics.lse = made.arguments.statistics.entropy = true;
  EXPECT_TRUE(went_through_kernels(made.run()));
  // Weights that gradients are recorded for lie on the way to the output.
  made.arguments.statistics.weights = true;
  const AttentionResult traced = made.run();
  EXPECT_FALSE(went_through_kernels(traced));
  EXPECT_TRUE(
      torch::autograd::grad({traced.output.sum()}, {traced.statistics.weights})[0].defined());
  made.arguments.statistics = {};
  made.arguments.route = AttentionRoute::kPlain;
  EXPECT_FALSE(went_through_kernels(made.run()));
  made.arguments.route = AttentionRoute::kAuto;
  made.arguments.scale = -0.5;
  EXPECT_FALSE(went_through_kernels(made.run()));
  made.arguments.scale.reset();
  made.arguments.alibi_slopes = torch::rand({4}).requires_grad_(true);
  EXPECT_FALSE(went_through_kernels(made.run()));
  FusedCase wide = fused_case("wide", {.dim = 264});
  wide.record_gradients();
  EXPECT_FALSE(went_through_kernels(wide.run()));
  EXPECT_TRUE(within_scale(wide.run().output, wide.reference().run().output, 1e-5));
}

TEST(FusedAttention, GradientsOfGradientsNeedThePlainPath) {
  torch::manual_seed(14);
  FusedCase made = fused_case("twice");
  made.record_gradients();
  const auto twice = [&] {
    const torch::Tensor loss = made.run().output.square().sum();
    const auto once = torch::autograd::grad({loss}, {made.query}, {}, true, /*create_graph=*/true);
    return torch::autograd::grad({once[0].square().sum()}, {made.key})[0];
  };
  EXPECT_THROW(twice(), c10::Error);
  made.arguments.route = AttentionRoute::kPlain;
  EXPECT_TRUE(twice().defined());
}

TEST(FusedAttention, AnyTileOfTheWeights) {
  torch::manual_seed(15);
  for (const FusedCase& made : fused_cases()) {
    SCOPED_TRACE(made.name);
    FusedCase traced = made.reference();
    traced.arguments.statistics.weights = traced.arguments.statistics.lse = true;
    const AttentionStatistics whole = traced.run().statistics;
    const int64_t queries = made.query.size(2), keys = made.key.size(2);
    WeightsTile tile;
    tile.first_query = queries / 3;
    tile.queries = queries - tile.first_query;
    tile.first_key = keys / 4;
    tile.keys = keys / 2 + 1 > keys - tile.first_key ? keys - tile.first_key : keys / 2 + 1;
    const torch::Tensor part = whole.weights.narrow(2, tile.first_query, tile.queries)
                                   .narrow(3, tile.first_key, tile.keys);
    const auto read = [&tile](const FusedCase& from, const torch::Tensor& lse) {
      return attention_weights_tile(from.query, from.key, lse, tile, from.arguments);
    };
    EXPECT_TRUE(within_scale(read(made, whole.lse), part, 1e-5, 1));
    EXPECT_TRUE(within_scale(read(traced, whole.lse), part, 1e-12, 1));
    tile.batch = made.query.size(0) - 1;
    tile.head = 3 % made.query.size(1);
    const torch::Tensor one = part.narrow(0, tile.batch, 1).narrow(1, tile.head, 1);
    EXPECT_TRUE(within_scale(read(made, whole.lse), one, 1e-5, 1));
    EXPECT_TRUE(within_scale(read(traced, whole.lse), one, 1e-12, 1));
    tile.keys = keys + 1;
    EXPECT_THROW(read(made, whole.lse), c10::Error);
  }
}

TEST(FusedAttention, TwoThreadsGiveTheSameWithinRounding) {
  torch::manual_seed(16);
  const int before = torch::get_num_threads();
  for (const FusedCase& made :
       {fused_case("many rows",
                   {.batch = 1, .heads = 1, .kv_heads = 1, .queries = 300, .keys = 300}),
        fused_case("one row", {.queries = 1, .keys = 999})}) {
    made.record_gradients();
    std::vector<torch::Tensor> outcome[2];
    for (const int threads : {1, 2}) {
      torch::set_num_threads(threads);
      const torch::Tensor output = made.run().output;
      outcome[threads - 1] = torch::autograd::grad({output.square().sum()}, made.differentiable());
      outcome[threads - 1].push_back(output);
    }
    for (size_t i = 0; i < outcome[0].size(); ++i) {
      EXPECT_TRUE(within_scale(outcome[1][i], outcome[0][i], 1e-5)) << made.name << i;
    }
  }
  torch::set_num_threads(before);
}

}  // namespace
}  // namespace attend
