// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_function.h"
#include "attend/nn/trace.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::lengths_of;
using testing::random;
using testing::real;

TraceStatistics everything() {
  TraceStatistics wanted;
  wanted.weights = wanted.lse = wanted.entropy = wanted.received = wanted.sink = true;
  wanted.top_keys = 3;
  return wanted;
}

TEST(AttentionTrace, StatisticsFollowTheirDefinitions) {
  torch::manual_seed(1);
  AttentionArguments arguments;
  arguments.statistics = everything();
  arguments.sink = random({2});
  arguments.causal = true;
  arguments.key_lengths = arguments.query_lengths = lengths_of({5, 3});
  const torch::Tensor query = random({2, 2, 5, 4});
  const torch::Tensor key = random({2, 2, 5, 4});
  const auto trace = attention(query, key, key, arguments).statistics;
  const auto weights = trace.weights.accessor<double, 4>();
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < 5; ++i) {
        const bool alive = i < (b == 0 ? 5 : 3);
        double entropy = 0, sum = 0;
        for (int64_t j = 0; j < 5; ++j) {
          const double weight = weights[b][h][i][j];
          sum += weight;
          if (weight > 0) entropy -= weight * std::log(weight);
          const double score = (query[b][h][i] * key[b][h][j]).sum().item<double>() / 2;
          const double lse = trace.lse[b][h][i].item<double>();
          if (weight > 0) {
            EXPECT_NEAR(weight, std::exp(score - lse), 1e-12);
          }
        }
        EXPECT_NEAR(trace.entropy[b][h][i].item<double>(), entropy, 1e-12);
        EXPECT_NEAR(trace.sink[b][h][i].item<double>(), alive ? 1 - sum : 0, 1e-12);
        double above = 2;
        for (int64_t slot = 0; slot < 3; ++slot) {
          const auto top = trace.top_keys[b][h][i][slot].item<int64_t>();
          const double weight = trace.top_weights[b][h][i][slot].item<double>();
          EXPECT_LE(weight, above);
          above = weight;
          EXPECT_EQ(top, weight > 0 ? top : -1);
          if (top >= 0) {
            EXPECT_EQ(weight, weights[b][h][i][top]);
          }
        }
        // A causal query i sees i + 1 keys: the slots behind them are empty.
        EXPECT_EQ((trace.top_keys[b][h][i] >= 0).sum().item<int64_t>(),
                  alive ? std::min<int64_t>(3, i + 1) : 0);
      }
      for (int64_t j = 0; j < 5; ++j) {
        double received = 0;
        for (int64_t i = 0; i < 5; ++i) received += weights[b][h][i][j];
        EXPECT_NEAR(trace.received[b][h][j].item<double>(), received, 1e-12);
      }
    }
  }
}

TEST(AttentionTrace, TiesGoToTheLowestKey) {
  AttentionArguments arguments;
  arguments.statistics.top_keys = 4;
  const torch::Tensor query = torch::ones({1, 1, 2, 2}, real());
  torch::Tensor key = torch::zeros({1, 1, 100, 2}, real());
  key[0][0][57] = 1.0;
  const auto trace = attention(query, key, key, arguments).statistics;
  const torch::Tensor expected = torch::tensor({57, 0, 1, 2}, torch::kInt64);
  EXPECT_TRUE(torch::equal(trace.top_keys[0][0][0], expected));
  EXPECT_TRUE(torch::equal(trace.top_keys[0][0][1], expected));
}

TEST(AttentionTrace, NothingUnasked) {
  const torch::Tensor query = random({1, 1, 2, 2});
  const auto trace = attention(query, query, query).statistics;
  EXPECT_FALSE(trace.weights.defined() || trace.lse.defined() || trace.entropy.defined() ||
               trace.received.defined() || trace.sink.defined() || trace.top_keys.defined() ||
               trace.top_weights.defined() || trace.pooled.defined());
}

TEST(AttentionTrace, AskingDoesNotChangeTheOutput) {
  torch::manual_seed(2);
  AttentionArguments arguments;
  arguments.sink = random({2});
  arguments.key_lengths = arguments.query_lengths = lengths_of({0, 3});
  const torch::Tensor query = random({2, 2, 4, 3});
  const torch::Tensor silent = attention(query, query, query, arguments).output;
  arguments.statistics = everything();
  EXPECT_TRUE(close(attention(query, query, query, arguments).output, silent));
}

TEST(AttentionTrace, RequestPicksLayers) {
  TraceRequest request;
  EXPECT_FALSE(request.wants(0));
  request.statistics.entropy = true;
  request.layers = {0, 2};
  EXPECT_TRUE(request.wants(2));
  EXPECT_FALSE(request.of_layer(1).any());
  EXPECT_TRUE(request.of_layer(2).entropy);
  request.all_layers = true;
  EXPECT_TRUE(request.wants(1));
  EXPECT_TRUE(TraceRequest::all_weights().of_layer(7).weights);
}

}  // namespace
}  // namespace attend
