// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The naive form that tutorials print transposes the batch axis into the product, or normalises
// over queries. Each test here fails for it.
#include "attend/nn/self_attention.h"

#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::lengths_of;
using testing::random;
using testing::real;

SelfAttention double_attention(int64_t hidden_size) {
  torch::manual_seed(1);
  SelfAttention attention(hidden_size);
  testing::randomise(attention);
  return attention;
}

TEST(SelfAttention, EqualsTheDefinition) {
  const auto attention = double_attention(4);
  auto parameters = attention->named_parameters();
  const torch::Tensor x = random({3, 4});
  const auto project = [&](const std::string& name) {
    return torch::matmul(x, parameters[name + ".weight"].t()) + parameters[name + ".bias"];
  };
  const torch::Tensor q = project("query"), k = project("key"), v = project("value");
  torch::Tensor weights = torch::zeros({3, 3}, real());
  torch::Tensor mixed = torch::zeros({3, 4}, real());
  for (int64_t i = 0; i < 3; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < 3; ++j) {
      weights[i][j] = std::exp((q[i] * k[j]).sum().item<double>() / 2);
      sum += weights[i][j].item<double>();
    }
    weights[i] /= sum;
    for (int64_t j = 0; j < 3; ++j) mixed[i] += weights[i][j] * v[j];
  }
  const torch::Tensor expected =
      torch::matmul(mixed, parameters["output.weight"].t()) + parameters["output.bias"];
  auto module = attention;
  const auto actual = module->forward(x, {}, true);
  EXPECT_TRUE(close(actual.weights, weights));
  EXPECT_TRUE(close(actual.output, expected));
}

TEST(SelfAttention, RowsOverKeysSumToOne) {
  auto attention = double_attention(8);
  const auto result = attention->forward(random({3, 5, 8}), {}, true);
  EXPECT_EQ(result.weights.sizes(), torch::IntArrayRef({3, 5, 5}));
  EXPECT_TRUE(close(result.weights.sum(-1), torch::ones({3, 5}, real())));
  EXPECT_FALSE(close(result.weights.sum(-2), torch::ones({3, 5}, real())));
}

TEST(SelfAttention, BatchElementsNeverMix) {
  auto attention = double_attention(8);
  const torch::Tensor x = random({3, 5, 8});
  torch::Tensor other = x.clone();
  other[1] = random({5, 8});
  const torch::Tensor before = attention->forward(x).output;
  const torch::Tensor after = attention->forward(other).output;
  EXPECT_TRUE(close(before[0], after[0]));
  EXPECT_TRUE(close(before[2], after[2]));
  EXPECT_FALSE(close(before[1], after[1]));
}

TEST(SelfAttention, BatchOfTwoEqualsTwoSingles) {
  auto attention = double_attention(8);
  // Batch size = length, where a wrong transpose does not even fail on shapes.
  const torch::Tensor x = random({2, 2, 8});
  const torch::Tensor together = attention->forward(x).output;
  EXPECT_TRUE(close(together[0], attention->forward(x[0]).output));
  EXPECT_TRUE(close(together[1], attention->forward(x.narrow(0, 1, 1)).output[0]));
}

TEST(SelfAttention, BothRanks) {
  auto attention = double_attention(8);
  const torch::Tensor x = random({5, 8});
  const auto flat = attention->forward(x, {}, true);
  const auto batch = attention->forward(x.unsqueeze(0), {}, true);
  EXPECT_TRUE(close(flat.output, batch.output[0]));
  EXPECT_TRUE(close(flat.weights, batch.weights[0]));
  EXPECT_THROW(attention->forward(random({5, 7})), c10::Error);
}

TEST(SelfAttention, PaddingChangesNothing) {
  auto attention = double_attention(8);
  torch::Tensor x = random({2, 6, 8});
  const torch::Tensor lengths = lengths_of({6, 4});
  const auto before = attention->forward(x, lengths, true);
  x[1].narrow(0, 4, 2).fill_(1e6);
  const auto after = attention->forward(x, lengths, true);
  EXPECT_TRUE(close(before.output, after.output));
  EXPECT_TRUE(
      close(after.output[1].narrow(0, 0, 4), attention->forward(x[1].narrow(0, 0, 4)).output));
  EXPECT_EQ(after.weights[1].narrow(1, 4, 2).abs().max().item<double>(), 0);
  EXPECT_EQ(after.weights[1].narrow(0, 4, 2).abs().max().item<double>(), 0);
}

TEST(SelfAttention, Gradients) {
  auto attention = double_attention(3);
  const torch::Tensor x = random({2, 3, 3});
  std::vector<torch::Tensor> inputs = attention->parameters();
  inputs.push_back(x);
  EXPECT_TRUE(testing::gradients_match(
      [&] {
        return attention->forward(x, lengths_of({3, 2})).output;
      },
      inputs));
}

TEST(SelfAttention, BadSize) {
  testing::expect_usage_error([] { SelfAttention attention(0); },
                              {"hidden_size", "0", "at least 1"});
}

}  // namespace
}  // namespace attend
