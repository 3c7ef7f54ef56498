// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/text_classifier.h"

#include <torch/optim.h>
#include <torch/serialize.h>

#include <sstream>

#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::lengths_of;
using testing::random;
using testing::real;

TextClassifierOptions small(PoolingKind pooling = PoolingKind::kAttention) {
  TextClassifierOptions options{
      .vocab_size = 11, .embedding_dim = 6, .hidden_size = 8, .output_size = 3};
  options.encoder.heads = 2;
  options.pooling.kind = pooling;
  options.word_dropout = 0.2;
  options.ngram_features = 7;
  options.ngram_deep = true;
  return options;
}

TextClassifierWithAttention make(const TextClassifierOptions& options) {
  torch::manual_seed(9);
  TextClassifierWithAttention model(options);
  testing::randomise(model);
  model->eval();
  return model;
}

TextInput input() {
  TextInput input;
  input.tokens = torch::tensor({{1, 2, 3, 4, 5}, {6, 7, 8, 0, 0}}, torch::kInt64);
  input.lengths = lengths_of({5, 3});
  input.ngram_ids = torch::tensor({1, 2, 6, 1}, torch::kInt64);
  input.ngram_positions = torch::tensor({0, 2, 2, 6}, torch::kInt64);
  input.ngram_values = torch::tensor({1.0, 0.5, -1.0, 2.0}, real());
  return input;
}

constexpr PoolingKind kKinds[] = {PoolingKind::kAttention, PoolingKind::kMean, PoolingKind::kCls,
                                  PoolingKind::kMax};

TEST(TextClassifier, ShapesForEveryPooling) {
  for (const PoolingKind kind : kKinds) {
    auto model = make(small(kind));
    TextClassifierRequest request;
    request.attention.trace = TraceRequest::all_weights();
    request.wide_contribution = true;
    const auto output = model->forward(input(), request);
    const int64_t length = kind == PoolingKind::kCls ? 6 : 5;
    EXPECT_EQ(output.prepended, length - 5);
    EXPECT_EQ(output.logits.sizes(), torch::IntArrayRef({2, 3}));
    EXPECT_EQ(output.hidden.sizes(), torch::IntArrayRef({2, length, 8}));
    EXPECT_EQ(output.readout.sizes(), torch::IntArrayRef({2, length}));
    EXPECT_EQ(output.pooling_weights.defined(), kind == PoolingKind::kAttention);
    EXPECT_EQ(output.wide_contribution.sizes(), torch::IntArrayRef({2, 5, 3}));
    ASSERT_EQ(output.trace.layers.size(), 1u);
    EXPECT_EQ(output.trace.layers[0].weights.sizes(), torch::IntArrayRef({2, 2, length, length}));
    // What was asked for does not change the answer.
    EXPECT_TRUE(close(output.logits, model->forward(input()).logits));
    EXPECT_FALSE(model->forward(input()).wide_contribution.defined());
  }
}

TEST(TextClassifier, PaddingLengthChangesNothing) {
  for (const PoolingKind kind : kKinds) {
    auto model = make(small(kind));
    TextInput alone;
    alone.tokens = input().tokens.narrow(0, 1, 1).narrow(1, 0, 3);
    alone.ngram_ids = torch::tensor({1}, torch::kInt64);
    alone.ngram_positions = torch::tensor({1}, torch::kInt64);
    alone.ngram_values = torch::tensor({2.0}, real());
    EXPECT_TRUE(close(model->forward(input()).logits[1], model->forward(alone).logits[0]));
  }
}

TEST(TextClassifier, WideTermAddsUp) {
  auto model = make(small());
  auto p = model->named_parameters();
  TextClassifierRequest request;
  request.wide_contribution = true;
  const auto output = model->forward(input(), request);
  const torch::Tensor table = p["ngram_wide.weight"];
  EXPECT_TRUE(close(output.wide_contribution[0][2], p["wide_scale"] * (0.5 * table[2] - table[6])));
  EXPECT_TRUE(close(output.wide_contribution[1][1], p["wide_scale"] * 2 * table[1]));
  const torch::Tensor deep =
      torch::matmul(output.pooled, p["output.weight"].t()) + p["output.bias"];
  EXPECT_TRUE(close(output.logits, deep + output.wide_contribution.sum(1)));
}

TEST(TextClassifier, SetWideFreezesAFittedLinearModel) {
  auto model = make(small());
  const torch::Tensor before = model->forward(input()).deep_logits;
  const torch::Tensor weights = random({7, 3}), biases = random({3});
  model->set_wide(weights, biases, 0.5);
  const auto output = model->forward(input());
  torch::Tensor expected = before.detach().clone();
  expected[0] += 0.5 * (weights[1] + 0.5 * weights[2] - weights[6] + biases);
  expected[1] += 0.5 * (2 * weights[1] + biases);
  EXPECT_TRUE(close(output.logits, expected));
  EXPECT_TRUE(close(output.deep_logits, before));
  output.logits.sum().backward();
  EXPECT_FALSE(model->named_parameters()["ngram_wide.weight"].grad().defined());
}

TEST(TextClassifier, EmbedThenForwardIsForward) {
  for (const PoolingKind kind : kKinds) {
    auto model = make(small(kind));
    const torch::Tensor embeddings = model->embed(input());
    EXPECT_EQ(embeddings.sizes(), torch::IntArrayRef({2, 5, 6}));
    auto p = model->named_parameters();
    EXPECT_TRUE(close(embeddings[0][2], p["embedding.weight"][3] + p["ngram_deep.weight"][2] +
                                            p["ngram_deep.weight"][6]));
    TextInput without_tokens = input();
    without_tokens.tokens = torch::Tensor();
    EXPECT_TRUE(close(model->forward_from_embeddings(embeddings, without_tokens).logits,
                      model->forward(input()).logits));
  }
}

TEST(TextClassifier, GradientsReachEmbeddingsAndEveryParameter) {
  for (const PoolingKind kind : kKinds) {
    TextClassifierOptions options = small(kind);
    options.embedding_dim = 4;
    options.hidden_size = 4;
    options.encoder.feed_forward = 4;
    auto model = make(options);
    const torch::Tensor embeddings = model->embed(input()).detach();
    EXPECT_TRUE(testing::gradients_match(
        [&] { return model->forward_from_embeddings(embeddings, input()).logits; }, {embeddings},
        1e-5));
    model->train();
    model->forward(input()).logits.pow(2).sum().backward();
    for (const auto& entry : model->named_parameters()) {
      EXPECT_TRUE(entry.value().grad().defined()) << entry.key();
    }
  }
}

TEST(TextClassifier, FreshModelHidesPaddingAndNgrams) {
  torch::manual_seed(10);
  TextClassifierWithAttention model(small());
  model->eval();
  auto p = model->named_parameters();
  EXPECT_EQ(p["embedding.weight"][0].abs().max().item<double>(), 0);
  TextInput plain = input();
  plain.ngram_ids = torch::Tensor();
  EXPECT_TRUE(close(model->forward(input()).logits, model->forward(plain).logits));
  EXPECT_TRUE(close(model->forward(plain.tokens, plain.lengths), model->forward(plain).logits));
}

TEST(TextClassifier, FromFourSizes) {
  for (const int64_t hidden : {8, 7, 1}) {
    TextClassifierWithAttention model(11, 6, hidden, 2);
    EXPECT_EQ(model->forward(input().tokens).sizes(), torch::IntArrayRef({2, 2}));
  }
}

TEST(TextClassifier, WordDropoutZeroesWholePositionsInTraining) {
  torch::manual_seed(11);
  TextClassifierOptions options{.vocab_size = 11, .embedding_dim = 6, .output_size = 6};
  options.word_dropout = 0.5;
  options.embedding_dropout = options.dropout = 0;
  options.encoder.layers = 0;
  options.encoder.positions = PositionKind::kNone;
  options.pooling.kind = PoolingKind::kMean;
  TextClassifierWithAttention model(options);
  const torch::Tensor embeddings = torch::ones({40, 50, 6});
  const torch::Tensor hidden = model->forward_from_embeddings(embeddings, {}).hidden;
  EXPECT_TRUE(torch::equal(hidden.amax(-1), hidden.amin(-1)));
  EXPECT_NEAR(hidden.mean().item<double>(), 0.5, 0.05);
  model->eval();
  EXPECT_TRUE(torch::equal(model->forward_from_embeddings(embeddings, {}).hidden, embeddings));
}

TEST(TextClassifier, LearnsToFindAToken) {
  torch::manual_seed(12);
  TextClassifierOptions options{.vocab_size = 20, .embedding_dim = 16, .output_size = 2};
  options.encoder.heads = 2;
  TextClassifierWithAttention model(options);
  torch::optim::Adam optimiser(model->parameters(), torch::optim::AdamOptions(5e-3));
  const auto example = [] {
    torch::Tensor tokens = torch::randint(2, 20, {32, 12}, torch::kInt64);
    const torch::Tensor labels = torch::randint(0, 2, {32}, torch::kInt64);
    const torch::Tensor place = torch::randint(0, 12, {32, 1}, torch::kInt64);
    tokens.scatter_(1, place, labels.unsqueeze(1));  // token 1 in class 1, padding in class 0
    return std::pair(tokens, labels);
  };
  for (int step = 0; step < 150; ++step) {
    const auto [tokens, labels] = example();
    optimiser.zero_grad();
    torch::nn::functional::cross_entropy(model->forward(tokens), labels).backward();
    optimiser.step();
  }
  model->eval();
  const auto [tokens, labels] = example();
  const torch::Tensor correct = model->forward(tokens).argmax(1) == labels;
  EXPECT_GT(correct.to(torch::kDouble).mean().item<double>(), 0.9);
}

TEST(TextClassifier, StateRoundTrip) {
  auto model = make(small(PoolingKind::kCls));
  std::stringstream stored;
  torch::save(model, stored);
  TextClassifierWithAttention other(small(PoolingKind::kCls));
  other->to(torch::kDouble);
  other->eval();
  torch::load(other, stored);
  EXPECT_TRUE(torch::equal(model->forward(input()).logits, other->forward(input()).logits));
}

TEST(TextClassifier, BadOptionsSayWhatToDo) {
  const auto with = [](auto change) {
    return [change] {
      TextClassifierOptions options = small();
      change(options);
      TextClassifierWithAttention model(options);
    };
  };
  using Options = TextClassifierOptions;
  expect_usage_error(with([](Options& o) { o.vocab_size = 0; }), {"vocab_size is 0"});
  expect_usage_error(with([](Options& o) { o.padding_index = 11; }),
                     {"padding_index 11", "11 tokens"});
  expect_usage_error(with([](Options& o) { o.word_dropout = -0.1; }), {"word_dropout", "[0, 1)"});
  expect_usage_error(with([](Options& o) { o.encoder.heads = 3; }), {"hidden 8", "heads 3"});
  expect_usage_error(with([](Options& o) { o.pooling.heads = 5; }), {"pooling heads 5"});
}

}  // namespace
}  // namespace attend
