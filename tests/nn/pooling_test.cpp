// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/pooling.h"

#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::lengths_of;
using testing::random;
using testing::real;

constexpr std::pair<PoolingKind, int64_t> kKindsAndHops[] = {{PoolingKind::kAttention, 1},
                                                             {PoolingKind::kAttention, 2},
                                                             {PoolingKind::kMean, 1},
                                                             {PoolingKind::kCls, 1},
                                                             {PoolingKind::kMax, 1}};

Pooling make(PoolingKind kind, int64_t heads = 1, int64_t hops = 1) {
  torch::manual_seed(7);
  Pooling pooling(PoolingOptions{.kind = kind, .hidden = 6, .heads = heads, .hops = hops});
  testing::randomise(pooling);
  return pooling;
}

TEST(Pooling, AttentionFollowsItsDefinition) {
  for (const int64_t heads : {1, 3}) {
    auto pooling = make(PoolingKind::kAttention, heads);
    auto p = pooling->named_parameters();
    const int64_t dim = 6 / heads;
    const torch::Tensor x = random({2, 5, 6});
    const auto result = pooling->forward(x, lengths_of({5, 3}));
    for (int64_t b = 0; b < 2; ++b) {
      const int64_t length = b == 0 ? 5 : 3;
      const torch::Tensor keys =
          torch::tanh(torch::matmul(x[b], p["projection.weight"].t()) + p["projection.bias"]);
      torch::Tensor readout = torch::zeros({5}, real());
      for (int64_t h = 0; h < heads; ++h) {
        torch::Tensor weights = torch::zeros({5}, real());
        for (int64_t j = 0; j < length; ++j) {
          weights[j] = (keys[j].narrow(0, h * dim, dim) * p["query"][h]).sum().exp().detach();
        }
        weights /= weights.sum();
        readout += weights / heads;
        EXPECT_TRUE(close(result.weights[b][h], weights));
        EXPECT_TRUE(close(result.pooled[b].narrow(0, h * dim, dim),
                          torch::matmul(weights, x[b].narrow(1, h * dim, dim))));
      }
      EXPECT_TRUE(close(result.readout[b], readout));
    }
  }
}

// A pooling of one hop whose query is the moved one gives what the next hop gives.
TEST(Pooling, WhatAHopPooledMovesTheQueryOfTheNext) {
  const torch::Tensor x = random({1, 5, 6});
  for (const int64_t hops : {2, 3}) {
    auto pooling = make(PoolingKind::kAttention, 2, hops);
    const auto p = pooling->named_parameters();
    auto single = make(PoolingKind::kAttention, 2);
    torch::NoGradGuard no_grad;
    for (auto& item : single->named_parameters()) item.value().copy_(p[item.key()]);
    torch::Tensor pooled = single->forward(x).pooled;
    for (int64_t hop = 1; hop < hops; ++hop) {
      const torch::Tensor move = torch::matmul(pooled, p["hop.weight"].t()) + p["hop.bias"];
      single->named_parameters()["query"].copy_(p["query"] + move.view({2, 3}));
      pooled = single->forward(x).pooled;
    }
    const auto result = pooling->forward(x);
    EXPECT_TRUE(close(result.pooled, pooled));
    EXPECT_TRUE(close(result.readout, single->forward(x).readout));
  }
}

TEST(Pooling, MeanClsAndMaxFollowTheirDefinitions) {
  const torch::Tensor x = random({2, 5, 6});
  const torch::Tensor lengths = lengths_of({5, 3});
  const torch::Tensor second = x[1].narrow(0, 0, 3);
  const auto mean = make(PoolingKind::kMean)->forward(x, lengths);
  EXPECT_TRUE(close(mean.pooled[1], second.mean(0)));
  EXPECT_TRUE(close(mean.readout[1], torch::tensor({1. / 3, 1. / 3, 1. / 3, 0., 0.}, real())));
  const auto cls = make(PoolingKind::kCls)->forward(x, lengths);
  EXPECT_TRUE(close(cls.pooled[1], x[1][0]));
  EXPECT_TRUE(close(cls.readout[1], torch::tensor({1., 0., 0., 0., 0.}, real())));
  const auto max = make(PoolingKind::kMax)->forward(x, lengths);
  torch::Tensor share = torch::zeros({5}, real());
  for (int64_t d = 0; d < 6; ++d) {
    int64_t best = 0;
    for (int64_t j = 1; j < 3; ++j) {
      if (x[1][j][d].item<double>() > x[1][best][d].item<double>()) best = j;
    }
    EXPECT_EQ(max.pooled[1][d].item<double>(), x[1][best][d].item<double>());
    share[best] += 1. / 6;
  }
  EXPECT_TRUE(close(max.readout[1], share));
}

TEST(Pooling, RespectsLengths) {
  for (const auto& [kind, hops] : kKindsAndHops) {
    auto pooling = make(kind, 1, hops);
    torch::Tensor x = random({3, 5, 6});
    const torch::Tensor lengths = lengths_of({5, 3, 0});
    const auto before = pooling->forward(x, lengths);
    x[1].narrow(0, 3, 2).fill_(1e6);
    const auto after = pooling->forward(x, lengths);
    EXPECT_TRUE(close(before.pooled, after.pooled));
    EXPECT_TRUE(close(before.readout, after.readout));
    EXPECT_TRUE(close(after.readout.sum(1), torch::tensor({1., 1., 0.}, real())));
    EXPECT_EQ(after.pooled[2].abs().max().item<double>(), 0);
    EXPECT_TRUE(
        close(after.pooled[1], pooling->forward(x.narrow(0, 1, 1).narrow(1, 0, 3)).pooled[0]));
    EXPECT_TRUE(close(pooling->forward(x).pooled[0], after.pooled[0]));
  }
}

TEST(Pooling, Gradients) {
  for (const auto& [kind, hops] : kKindsAndHops) {
    auto pooling = make(kind, 2, hops);
    const torch::Tensor x = random({3, 4, 6});
    std::vector<torch::Tensor> inputs = pooling->parameters();
    inputs.push_back(x);
    EXPECT_TRUE(testing::gradients_match(
        [&] {
          return pooling->forward(x, lengths_of({4, 2, 0})).pooled;
        },
        inputs));
  }
}

TEST(Pooling, BadOptionsSayWhatToDo) {
  expect_usage_error([] { Pooling pooling(PoolingOptions{.hidden = 6, .heads = 4}); },
                     {"hidden 6", "pooling heads 4"});
  expect_usage_error([] { Pooling pooling(PoolingOptions{.hidden = 6, .hops = 0}); },
                     {"pooling_hops is 0"});
  expect_usage_error([] { parse_pooling_kind("sum"); }, {"sum", "attention, mean, cls, max"});
  EXPECT_EQ(to_string(PoolingKind::kCls), "cls");
}

}  // namespace
}  // namespace attend
