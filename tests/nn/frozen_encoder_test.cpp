// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/encoder.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::lengths_of;

EncoderOptions small(PositionKind positions) {
  EncoderOptions options;
  options.layers = 3;
  options.hidden = 48;
  options.heads = 4;
  options.positions = positions;
  return options;
}

std::vector<EncoderOptions> variants() {
  std::vector<EncoderOptions> all;
  for (const PositionKind positions : testing::kAllPositions) all.push_back(small(positions));
  EncoderOptions rich = small(PositionKind::kRotary);
  rich.kv_heads = 2;
  rich.activation = Activation::kSwiGlu;
  rich.attention.qk_norm = rich.attention.sink = rich.attention.output_gate = true;
  rich.attention.window_left = 3;
  rich.attention.window_right = 1;
  all.push_back(rich);
  EncoderOptions causal = small(PositionKind::kAlibi);
  causal.attention.causal = true;
  all.push_back(causal);
  EncoderOptions stems = small(PositionKind::kNone);
  stems.stem_width = 3;
  stems.recurrent_layers = 1;
  all.push_back(stems);
  return all;
}

Encoder make(const EncoderOptions& options) {
  torch::manual_seed(5);
  Encoder encoder(options);
  const torch::NoGradGuard no_grad;
  for (torch::Tensor parameter : encoder->parameters()) {
    parameter.add_(0.05 * torch::randn_like(parameter));
  }
  encoder->eval();
  return encoder;
}

double relative_error(const torch::Tensor& found, const torch::Tensor& exact) {
  return ((found.to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
}

// Few inputs and, by parts, many; of different lengths and whole ones; against the plain path in
// double precision.
TEST(FrozenEncoder, EqualsThePlainOne) {
  const torch::NoGradGuard no_grad;
  for (const EncoderOptions& options : variants()) {
    Encoder exact = make(options);
    exact->to(torch::kDouble);
    const torch::Tensor many = torch::arange(100).remainder(21) + 1;
    for (const torch::Tensor& lengths : {lengths_of({21, 4, 1, 16, 9}), many, torch::Tensor()}) {
      const torch::Tensor input = torch::randn({lengths.defined() ? lengths.size(0) : 64, 21, 48});
      const torch::Tensor expected = exact->forward(input.to(torch::kDouble), lengths).hidden;
      for (const int threads : {1, 2, 3}) {
        torch::set_num_threads(threads);
        Encoder encoder = make(options);
        ASSERT_TRUE(encoder->freeze(Precision::kFloat32));
        EXPECT_TRUE(close(encoder->forward(input, lengths).hidden, expected, 1e-5))
            << to_string(options.positions) << ", threads " << threads;
        ASSERT_TRUE(encoder->freeze(Precision::kBFloat16));
        const double error = relative_error(encoder->forward(input, lengths).hidden, expected);
        EXPECT_LT(error, 0.02) << to_string(options.positions);
        EXPECT_GT(error, 1e-5) << "not rounded: " << to_string(options.positions);
      }
    }
  }
  torch::set_num_threads(1);
}

TEST(FrozenEncoder, GradientsTracesAndTrainingTakeThePlainPath) {
  Encoder encoder = make(small(PositionKind::kRelative));
  const torch::Tensor input = torch::randn({2, 7, 48});
  const torch::Tensor plain = encoder->forward(input).hidden.detach();
  encoder->freeze(Precision::kBFloat16);
  EXPECT_TRUE(encoder->forward(input).hidden.requires_grad());
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(torch::equal(encoder->forward(input).hidden, plain));
  ForwardRequest looking;
  looking.trace = TraceRequest::all_weights();
  expect_usage_error([&] { encoder->forward(input, {}, looking); }, {"bf16", "precision f32"});
  encoder->freeze(Precision::kFloat32);
  EXPECT_EQ(encoder->forward(input, {}, looking).trace.layers.size(), 3u);
  encoder->freeze(Precision::kBFloat16);
  encoder->train();
  encoder->eval();
  EXPECT_TRUE(torch::equal(encoder->forward(input).hidden, plain));
}

TEST(FrozenEncoder, WithoutBlocksThereIsNothingToFreeze) {
  EncoderOptions options = small(PositionKind::kNone);
  options.layers = 0;
  EXPECT_FALSE(make(options)->freeze(Precision::kFloat32));
}

}  // namespace
}  // namespace attend
