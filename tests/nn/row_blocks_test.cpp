// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "nn/row_blocks.h"

#include <ATen/Parallel.h>

#include "attend/kernels/attention.h"
#include "attend/nn/encoder.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;

torch::Tensor linear(const torch::Tensor& input, const torch::nn::Linear& layer) {
  const auto in_double = [](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.to(torch::kDouble) : tensor;
  };
  return torch::linear(in_double(input), in_double(layer->weight), in_double(layer->bias));
}

// Sizes that fill neither a panel of 32 outputs nor a block of rows.
torch::nn::Linear layer(int64_t inputs, int64_t outputs, bool bias = true) {
  return torch::nn::Linear(torch::nn::LinearOptions(inputs, outputs).bias(bias));
}

TEST(RowBlocks, AreTakenWhereTheyPayAndNeedNoGradient) {
  const torch::Tensor many = torch::randn({8, 64, 24});
  torch::nn::Linear one = layer(24, 8);
  EXPECT_FALSE(detail::goes_by_row_blocks(many, one)) << "gradients are wanted";
  const torch::NoGradGuard no_grad;
  const bool wide = kernels::active_isa() >= kernels::Isa::kAvx512;
  EXPECT_EQ(detail::goes_by_row_blocks(many, one), wide);
  EXPECT_FALSE(detail::goes_by_row_blocks(many.narrow(0, 0, 7), one)) << "few rows";
  EXPECT_FALSE(detail::goes_by_row_blocks(many.to(torch::kDouble), one));
  EXPECT_FALSE(detail::goes_by_row_blocks(many.to(torch::kBFloat16), one));
  one->to(torch::kBFloat16);
  EXPECT_FALSE(detail::goes_by_row_blocks(many, one)) << "weights of another type";
}

TEST(RowBlocks, FeedForwardEqualsItsFormula) {
  torch::manual_seed(2);
  const torch::NoGradGuard no_grad;
  const torch::Tensor hidden = torch::randn({5, 131, 40});
  torch::nn::LayerNorm norm(torch::nn::LayerNormOptions({40}));
  norm->weight.uniform_(0.5, 1.5);
  norm->bias.normal_();
  const auto up = layer(40, 75), gate = layer(40, 75), down = layer(75, 40);
  const torch::Tensor normed =
      torch::layer_norm(hidden.to(torch::kDouble), {40}, norm->weight.to(torch::kDouble),
                        norm->bias.to(torch::kDouble), norm->options.eps());
  const torch::Tensor before = hidden.clone();
  EXPECT_TRUE(close(detail::feed_forward_by_row_blocks(hidden, norm, up, nullptr, down),
                    hidden + linear(torch::gelu(linear(normed, up)), down), 2e-5));
  EXPECT_TRUE(close(detail::feed_forward_by_row_blocks(hidden, norm, up, gate, down),
                    hidden + linear(torch::silu(linear(normed, gate)) * linear(normed, up), down),
                    2e-5));
  EXPECT_TRUE(hidden.equal(before));
}

TEST(RowBlocks, DoNotDependOnTheNumberOfThreads) {
  torch::manual_seed(3);
  const torch::NoGradGuard no_grad;
  const auto up = layer(48, 96), down = layer(96, 48);
  const torch::nn::LayerNorm norm(torch::nn::LayerNormOptions({48}));
  const torch::Tensor input = torch::randn({777, 48});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const torch::Tensor one = detail::feed_forward_by_row_blocks(input, norm, up, nullptr, down);
  at::set_num_threads(2);
  const torch::Tensor two = detail::feed_forward_by_row_blocks(input, norm, up, nullptr, down);
  at::set_num_threads(threads);
  EXPECT_TRUE(one.equal(two));
}

// The whole encoder without gradients, against the layers that gradients go through.
TEST(RowBlocks, EncoderGivesTheSameWithAndWithoutGradients) {
  for (const Activation activation : {Activation::kGelu, Activation::kSwiGlu}) {
    for (const PositionKind positions : testing::kAllPositions) {
      torch::manual_seed(4);
      EncoderOptions options;
      options.layers = 2;
      options.hidden = 48;
      options.heads = 3;
      options.kv_heads = 1;
      options.positions = positions;
      options.activation = activation;
      options.attention.qk_norm = true;
      options.attention.output_gate = true;
      Encoder encoder(options);
      encoder->eval();
      const torch::Tensor input = torch::randn({9, 70, 48});
      const torch::Tensor lengths = testing::lengths_of({70, 1, 64, 65, 7, 70, 33, 0, 69});
      const torch::Tensor expected = encoder->forward(input, lengths).hidden;
      const torch::NoGradGuard no_grad;
      EXPECT_TRUE(close(encoder->forward(input, lengths).hidden, expected, 2e-5))
          << to_string(activation) << ", " << to_string(positions);
    }
  }
}

}  // namespace
}  // namespace attend
