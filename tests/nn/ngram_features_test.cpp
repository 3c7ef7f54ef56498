// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/ngram_features.h"

#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::real;

NgramTable make(double dropout = 0, bool sparse = false) {
  torch::manual_seed(8);
  NgramTable table(
      NgramTableOptions{.features = 7, .size = 3, .dropout = dropout, .sparse_gradient = sparse});
  testing::randomise(table);
  return table;
}

// Two texts of length 4, unsorted on purpose; position 2 has two n-grams, text 1 has one.
NgramBatch batch() {
  return {torch::tensor({6, 1, 2, 1}, torch::kInt64), torch::tensor({5, 2, 2, 0}, torch::kInt64),
          torch::tensor({0.5, 2.0, -1.0, 1.0}, real())};
}

TEST(NgramTable, SumsPerPositionAndPerText) {
  auto table = make();
  const torch::Tensor weight = table->parameters()[0];
  torch::Tensor expected = torch::zeros({8, 3}, real());
  expected[0] = weight[1].detach();
  expected[2] = (2 * weight[1] - weight[2]).detach();
  expected[5] = 0.5 * weight[6].detach();
  EXPECT_TRUE(close(table->forward(batch(), 8, 1), expected));
  EXPECT_TRUE(close(table->forward(batch(), 2, 4), expected.view({2, 4, 3}).sum(1)));
  NgramBatch ones = batch();
  ones.values = torch::Tensor();
  EXPECT_TRUE(close(table->forward(ones, 8, 1)[2], weight[1] + weight[2]));
  EXPECT_TRUE(close(table->forward({}, 2, 4), torch::zeros({2, 3}, real())));
}

TEST(NgramTable, GradientsOfTableAndValues) {
  auto table = make();
  const NgramBatch ngrams = batch();
  EXPECT_TRUE(testing::gradients_match([&] { return table->forward(ngrams, 8, 1); },
                                       {table->parameters()[0], ngrams.values}));
  EXPECT_TRUE(testing::gradients_match([&] { return table->forward(ngrams, 2, 4); },
                                       {table->parameters()[0], ngrams.values}));
}

TEST(NgramTable, SparseGradientEqualsDense) {
  auto dense = make(), sparse = make(0, true);
  dense->forward(batch(), 2, 4).pow(2).sum().backward();
  sparse->forward(batch(), 2, 4).pow(2).sum().backward();
  const torch::Tensor gradient = sparse->parameters()[0].grad();
  ASSERT_TRUE(gradient.is_sparse());
  EXPECT_TRUE(close(gradient.to_dense(), dense->parameters()[0].grad()));
}

TEST(NgramTable, DropoutOnlyInTrainingAndStartsAtZero) {
  auto table = make(0.5);
  EXPECT_FALSE(close(table->forward(batch(), 8, 1), table->forward(batch(), 8, 1)));
  table->eval();
  EXPECT_TRUE(close(table->forward(batch(), 8, 1), make()->forward(batch(), 8, 1)));
  NgramTable fresh(NgramTableOptions{.features = 7, .size = 3});
  EXPECT_EQ(fresh->forward(batch(), 2, 4).abs().max().item<double>(), 0);
  testing::expect_usage_error([] { NgramTable bad(NgramTableOptions{}); }, {"ngram features"});
}

}  // namespace
}  // namespace attend
