// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The same calls and models on a CUDA device, against the plain path in double precision on the
// CPU. Skipped where there is no device (Debian's LibTorch has none).
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "attend/nn/decoder.h"
#include "attend/nn/text_classifier.h"
#include "fused_cases.h"

namespace attend {
namespace {

using testing::FusedCase;
using testing::kAllPositions;
using testing::within_scale;

class Cuda : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
    torch::manual_seed(3);
  }
};

torch::Tensor on_device(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.detach().to(torch::kCUDA) : tensor;
}

// Lengths stay on the CPU, as the tasks make them.
FusedCase on_device(const FusedCase& made) {
  FusedCase copy = made;
  for (torch::Tensor* tensor :
       {&copy.query, &copy.key, &copy.value, &copy.arguments.bias, &copy.arguments.distance_bias,
        &copy.arguments.sink, &copy.arguments.alibi_slopes}) {
    *tensor = on_device(*tensor);
  }
  return copy;
}

TEST_F(Cuda, AttentionEqualsTheReference) {
  for (const FusedCase& made : testing::fused_cases()) {
    SCOPED_TRACE(made.name);
    const FusedCase device = on_device(made);
    const FusedCase reference = made.reference();
    device.record_gradients();
    reference.record_gradients();
    const torch::Tensor output = device.run().output;
    const torch::Tensor expected = reference.run().output;
    EXPECT_TRUE(output.is_cuda());
    EXPECT_TRUE(within_scale(output.cpu(), expected, 1e-5, 1));
    const torch::Tensor weights = torch::randn(expected.sizes(), torch::kDouble);
    const auto expected_gradients =
        torch::autograd::grad({(expected * weights).sum()}, reference.differentiable());
    const auto gradients = torch::autograd::grad({(output * weights.to(output.options())).sum()},
                                                 device.differentiable());
    for (size_t index = 0; index < gradients.size(); ++index) {
      EXPECT_TRUE(within_scale(gradients[index].cpu(), expected_gradients[index], 5e-5, 1))
          << index;
    }
  }
}

TEST_F(Cuda, StatisticsEqualTheReference) {
  for (const FusedCase& made : testing::fused_cases()) {
    SCOPED_TRACE(made.name);
    FusedCase device = on_device(made);
    FusedCase reference = made.reference();
    for (FusedCase* one : {&device, &reference}) {
      one->arguments.statistics.weights = true;
      one->arguments.statistics.lse = true;
      one->arguments.statistics.entropy = true;
      one->arguments.statistics.received = true;
    }
    const AttentionStatistics actual = device.run().statistics;
    const AttentionStatistics expected = reference.run().statistics;
    EXPECT_TRUE(within_scale(actual.weights.cpu(), expected.weights, 1e-5, 1));
    EXPECT_TRUE(within_scale(actual.lse.cpu(), expected.lse, 1e-5, 1));
    EXPECT_TRUE(within_scale(actual.entropy.cpu(), expected.entropy, 1e-5, 1));
    EXPECT_TRUE(within_scale(actual.received.cpu(), expected.received, 1e-5, 1));
  }
}

// A step of training on each side: logits, then every parameter's gradient.
TEST_F(Cuda, ClassifierTrainsAsOnTheCpu) {
  for (const PositionKind positions : kAllPositions) {
    SCOPED_TRACE(to_string(positions));
    TextClassifierOptions options;
    options.vocab_size = 50;
    options.embedding_dim = 24;
    options.hidden_size = 32;
    options.output_size = 3;
    options.embedding_dropout = options.dropout = 0;
    options.encoder.layers = 2;
    options.encoder.dropout = 0;
    options.encoder.positions = positions;
    options.ngram_features = 20;
    TextClassifierWithAttention cpu(options);
    TextClassifierWithAttention cuda(options);
    {
      const torch::NoGradGuard no_grad;
      const auto from = cpu->named_parameters();
      for (auto& entry : cuda->named_parameters()) entry.value().copy_(from[entry.key()]);
    }
    cuda->to(torch::kCUDA);
    TextInput input;
    input.tokens = torch::randint(1, 50, {3, 11}, torch::kInt64);
    input.lengths = testing::lengths_of({11, 4, 1});
    input.ngram_ids = torch::randint(0, 20, {9}, torch::kInt64);
    input.ngram_positions = torch::arange(9, torch::kInt64);
    TextInput moved = input;
    for (torch::Tensor* tensor : {&moved.tokens, &moved.ngram_ids, &moved.ngram_positions}) {
      *tensor = on_device(*tensor);
    }
    const torch::Tensor logits = cpu->forward(input).logits;
    const torch::Tensor device_logits = cuda->forward(moved).logits;
    EXPECT_TRUE(within_scale(device_logits.cpu(), logits, 1e-5, 1));
    logits.logsumexp(-1).sum().backward();
    device_logits.logsumexp(-1).sum().backward();
    const auto expected = cpu->named_parameters();
    for (const auto& entry : cuda->named_parameters()) {
      const torch::Tensor& gradient = expected[entry.key()].grad();
      ASSERT_EQ(gradient.defined(), entry.value().grad().defined()) << entry.key();
      if (!gradient.defined()) continue;
      EXPECT_TRUE(within_scale(entry.value().grad().cpu(), gradient, 1e-4, 1e-2)) << entry.key();
    }
  }
}

TEST_F(Cuda, CachedDecodingEqualsRecomputation) {
  for (const PositionKind positions : kAllPositions) {
    SCOPED_TRACE(to_string(positions));
    DecoderOptions options;
    options.block.layers = 2;
    options.block.hidden = 32;
    options.block.heads = 4;
    options.block.positions = positions;
    options.cross = CrossKind::kAttention;
    Decoder decoder(options);
    decoder->to(torch::kCUDA);
    decoder->eval();
    const torch::NoGradGuard no_grad;
    DecoderCall call;
    call.memory = torch::randn({2, 5, 32}, torch::kCUDA);
    call.memory_lengths = testing::lengths_of({5, 3});
    const torch::Tensor input = torch::randn({2, 7, 32}, torch::kCUDA);
    const torch::Tensor whole = decoder->forward(input, call).hidden;
    DecoderState state;
    call.state = &state;
    for (int64_t step = 0; step < input.size(1); ++step) {
      const torch::Tensor one = decoder->forward(input.narrow(1, step, 1), call).hidden;
      EXPECT_TRUE(within_scale(one.cpu(), whole.narrow(1, step, 1).cpu(), 1e-5, 1));
    }
  }
}

}  // namespace
}  // namespace attend
