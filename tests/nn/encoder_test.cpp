// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/encoder.h"

#include <torch/serialize.h>

#include <sstream>

#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::kAllPositions;
using testing::lengths_of;
using testing::random;
using testing::real;

EncoderOptions small() {
  EncoderOptions options{.layers = 2, .hidden = 8, .heads = 2};
  options.attention.dropout = 0.2;
  return options;
}

Encoder make(const EncoderOptions& options) {
  torch::manual_seed(5);
  Encoder encoder(options);
  testing::randomise(encoder);
  encoder->eval();
  return encoder;
}

TEST(Encoder, BlockFollowsItsDefinition) {
  for (const Activation activation : {Activation::kGelu, Activation::kSwiGlu}) {
    EncoderOptions options = small();
    options.layers = 1;
    options.activation = activation;
    options.positions = PositionKind::kNone;
    options.final_norm = false;
    auto encoder = make(options);
    auto p = encoder->named_parameters();
    const auto norm = [&](const std::string& name, const torch::Tensor& x) {
      const torch::Tensor centred = x - x.mean(-1, true);
      return centred / (centred * centred).mean(-1, true).add(1e-5).sqrt() * p[name + ".weight"] +
             p[name + ".bias"];
    };
    const auto linear = [&](const std::string& name, const torch::Tensor& x) {
      return torch::matmul(x, p[name + ".weight"].t()) + p[name + ".bias"];
    };
    MultiHeadAttention attention(options.resolved_attention());
    attention->to(torch::kDouble);
    attention->eval();
    {
      torch::NoGradGuard no_grad;
      for (auto& entry : attention->named_parameters()) {
        entry.value().copy_(p["block_0.attention." + entry.key()]);
      }
    }
    const torch::Tensor x = random({2, 4, 8});
    const torch::Tensor middle = x + attention->forward(norm("block_0.attention_norm", x)).output;
    const torch::Tensor inner = norm("block_0.feed_forward_norm", middle);
    const torch::Tensor up = linear("block_0.feed_forward.up", inner);
    const torch::Tensor active =
        activation == Activation::kGelu
            ? up * 0.5 * (1 + torch::erf(up / std::sqrt(2.0)))
            : up * torch::sigmoid(linear("block_0.feed_forward.gate", inner)) *
                  linear("block_0.feed_forward.gate", inner);
    const torch::Tensor expected = middle + linear("block_0.feed_forward.down", active);
    EXPECT_TRUE(close(encoder->forward(x).hidden, expected));
  }
}

TEST(Encoder, PaddingChangesNothing) {
  for (const PositionKind positions : kAllPositions) {
    for (const int64_t width : {0, 3}) {
      EncoderOptions options = small();
      options.positions = positions;
      options.stem_width = width;
      options.stem_depthwise = positions != PositionKind::kNone;
      auto encoder = make(options);
      torch::Tensor x = random({2, 6, 8});
      const torch::Tensor lengths = lengths_of({6, 4});
      const torch::Tensor before = encoder->forward(x, lengths).hidden;
      x[1].narrow(0, 4, 2).fill_(1e3);
      const torch::Tensor after = encoder->forward(x, lengths).hidden;
      EXPECT_TRUE(close(before, after));
      EXPECT_EQ(after[1].narrow(0, 4, 2).abs().max().item<double>(), 0);
      const torch::Tensor alone = encoder->forward(x.narrow(0, 1, 1).narrow(1, 0, 4)).hidden;
      EXPECT_TRUE(close(after[1].narrow(0, 0, 4), alone[0]));
    }
  }
}

TEST(Encoder, CausalIncludesTheStem) {
  EncoderOptions options = small();
  options.attention.causal = true;
  options.stem_width = 3;
  auto encoder = make(options);
  torch::Tensor x = random({1, 6, 8});
  const torch::Tensor before = encoder->forward(x).hidden;
  x.narrow(1, 4, 2).fill_(5);
  EXPECT_TRUE(close(before.narrow(1, 0, 4), encoder->forward(x).hidden.narrow(1, 0, 4)));
}

TEST(Encoder, StemIsAConvolution) {
  EncoderOptions options = small();
  options.stem_width = 3;
  options.stem_depthwise = false;
  torch::manual_seed(6);
  ConvolutionStem stem(options);
  testing::randomise(stem);
  stem->eval();
  const torch::Tensor weight = stem->named_parameters()["convolution.weight"];
  const torch::Tensor bias = stem->named_parameters()["convolution.bias"];
  const torch::Tensor x = random({1, 4, 8});
  torch::Tensor expected = torch::zeros({1, 4, 8}, real());
  for (int64_t place = 0; place < 4; ++place) {
    torch::Tensor sum = bias.clone();
    for (int64_t tap = 0; tap < 3; ++tap) {
      const int64_t from = place + tap - 1;
      if (from >= 0 && from < 4) sum = sum + torch::mv(weight.select(2, tap), x[0][from]);
    }
    expected[0][place] = (x[0][place] + torch::gelu(sum)).detach();
  }
  EXPECT_TRUE(close(stem->forward(x), expected));
}

EncoderOptions recurrent(int64_t layers, bool causal = false) {
  EncoderOptions options{.layers = 0, .hidden = 6, .positions = PositionKind::kNone};
  options.recurrent_layers = layers;
  options.attention.causal = causal;
  return options;
}

// One direction over `x` [length, size] by the equations of the long short-term memory.
torch::Tensor lstm_by_hand(const torch::Tensor& x, bool backwards, const std::string& suffix,
                           torch::OrderedDict<std::string, torch::Tensor>& p) {
  const auto parameter = [&](const std::string& name) {
    return p["recurrent.lstm." + name + "_l0" + suffix];
  };
  const int64_t size = parameter("weight_hh").size(1);
  torch::Tensor hidden = torch::zeros({size}, real()), cell = hidden;
  std::vector<torch::Tensor> outputs(static_cast<size_t>(x.size(0)));
  for (int64_t step = 0; step < x.size(0); ++step) {
    const int64_t at = backwards ? x.size(0) - 1 - step : step;
    const auto gates = (torch::mv(parameter("weight_ih"), x[at]) + parameter("bias_ih") +
                        torch::mv(parameter("weight_hh"), hidden) + parameter("bias_hh"))
                           .chunk(4);
    cell = torch::sigmoid(gates[1]) * cell + torch::sigmoid(gates[0]) * torch::tanh(gates[2]);
    hidden = torch::sigmoid(gates[3]) * torch::tanh(cell);
    outputs[static_cast<size_t>(at)] = hidden;
  }
  return torch::stack(outputs);
}

TEST(Encoder, RecurrenceReadsBothWaysAndNoPadding) {
  auto encoder = make(recurrent(1));
  auto p = encoder->named_parameters();
  torch::Tensor x = random({3, 5, 6});
  const torch::Tensor lengths = lengths_of({3, 5, 0});
  const torch::Tensor output = encoder->forward(x, lengths).hidden;
  ASSERT_EQ(output.sizes(), x.sizes());
  for (const int64_t row : {0, 1}) {
    const int64_t length = lengths[row].item<int64_t>();
    const torch::Tensor text = x[row].narrow(0, 0, length);
    const torch::Tensor expected =
        torch::cat({lstm_by_hand(text, false, "", p), lstm_by_hand(text, true, "_reverse", p)}, 1);
    EXPECT_TRUE(close(output[row].narrow(0, 0, length), expected));
    EXPECT_TRUE(close(encoder->forward(text.unsqueeze(0)).hidden[0], expected));
  }
  EXPECT_EQ(output[0].narrow(0, 3, 2).abs().max().item<double>(), 0);
  EXPECT_EQ(output[2].abs().max().item<double>(), 0);  // an empty text
  x[0].narrow(0, 3, 2).fill_(1e3);
  EXPECT_TRUE(close(output, encoder->forward(x, lengths).hidden));
}

TEST(Encoder, CausalRecurrenceReadsForwards) {
  auto encoder = make(recurrent(1, /*causal=*/true));
  auto p = encoder->named_parameters();
  const torch::Tensor x = random({1, 4, 6});
  EXPECT_TRUE(close(encoder->forward(x).hidden[0], lstm_by_hand(x[0], false, "", p)));
}

TEST(Encoder, NoLayersIsTheIdentity) {
  EncoderOptions options{.layers = 0, .hidden = 6, .positions = PositionKind::kNone};
  auto encoder = make(options);
  const torch::Tensor x = random({2, 3, 6});
  EXPECT_TRUE(torch::equal(encoder->forward(x).hidden, x));
  EXPECT_TRUE(encoder->parameters().empty());
}

TEST(Encoder, TraceComesBackForTheAskedLayers) {
  EncoderOptions options = small();
  options.layers = 3;
  auto encoder = make(options);
  const torch::Tensor x = random({2, 4, 8});
  EXPECT_TRUE(encoder->forward(x).trace.layers.empty());
  TraceRequest request;
  request.layers = {2, 0};
  request.statistics.weights = true;
  request.statistics.entropy = true;
  const Trace trace = encoder->forward(x, lengths_of({4, 2}), request).trace;
  ASSERT_EQ(trace.layers.size(), 2u);
  EXPECT_EQ(trace.layers[0].layer, 0);
  EXPECT_EQ(trace.layers[1].label, "layer 2");
  EXPECT_EQ(trace.find(1), nullptr);
  ASSERT_NE(trace.find(2), nullptr);
  EXPECT_EQ(trace.find(2)->weights.sizes(), torch::IntArrayRef({2, 2, 4, 4}));
  EXPECT_EQ(trace.find(2)->entropy.sizes(), torch::IntArrayRef({2, 2, 4}));
  EXPECT_TRUE(close(encoder->forward(x, {}, TraceRequest::all_weights()).hidden,
                    encoder->forward(x).hidden));
  request.layers = {3};
  expect_usage_error([&] { encoder->forward(x, {}, request); }, {"layer 3", "3 layers"});
}

// 500 steps of gradient descent on: say at each position what stood at its mirror image.
std::vector<double> loss_curve(bool mixed_precision, uint64_t seed) {
  torch::manual_seed(seed);
  EncoderOptions options{.layers = 2, .hidden = 32, .heads = 2, .feed_forward = 64};
  options.attention.dropout = 0.1;
  options.mixed_precision = mixed_precision;
  Encoder encoder(options);
  std::vector<double> losses;
  for (int step = 0; step < 500; ++step) {
    const torch::Tensor input = torch::randn({32, 8, 32});
    const torch::Tensor output = encoder->forward(input).hidden;
    EXPECT_EQ(output.scalar_type(), torch::kFloat);
    const torch::Tensor loss = (output - input.flip({1})).square().mean();
    losses.push_back(loss.item<double>());
    encoder->zero_grad();
    loss.backward();
    const torch::NoGradGuard no_grad;
    for (torch::Tensor parameter : encoder->parameters()) {
      EXPECT_EQ(parameter.grad().scalar_type(), torch::kFloat);
      parameter.sub_(parameter.grad(), 0.5);
    }
  }
  return losses;
}

TEST(Encoder, MixedPrecisionFollowsTheLossCurveOfFloat) {
  const std::vector<double> exact = loss_curve(false, 1), mixed = loss_curve(true, 1);
  const std::vector<double> other = loss_curve(false, 2);
  double difference = 0, noise = 0;
  for (size_t step = 0; step < exact.size(); ++step) {
    difference += std::abs(exact[step] - mixed[step]);
    noise += std::abs(exact[step] - other[step]);
  }
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, noise / 2);  // seeds differ by more than precisions do
  EXPECT_LT(mixed.back(), 0.9 * mixed.front());
}

TEST(Encoder, MixedPrecisionIsForTrainingAlone) {
  EncoderOptions options = small();
  options.mixed_precision = true;
  torch::manual_seed(3);
  Encoder mixed(options);
  options.mixed_precision = false;
  torch::manual_seed(3);
  Encoder exact(options);
  const torch::Tensor input = torch::randn({2, 5, 8});
  mixed->eval();
  exact->eval();
  EXPECT_TRUE(torch::equal(mixed->forward(input).hidden, exact->forward(input).hidden));
}

TEST(Encoder, MixedPrecisionTakesEveryOption) {
  EncoderOptions options = small();
  options.mixed_precision = true;
  options.stem_width = 3;
  for (const auto positions : {PositionKind::kRotary, PositionKind::kAlibi, PositionKind::kRelative,
                               PositionKind::kLearned}) {
    for (const auto activation : {Activation::kGelu, Activation::kSwiGlu}) {
      options.positions = positions;
      options.activation = activation;
      options.attention.qk_norm = options.attention.sink = options.attention.output_gate = true;
      options.dropout = options.attention.dropout = 0;
      torch::manual_seed(4);
      Encoder encoder(options);
      const torch::Tensor input = torch::randn({2, 5, 8});
      const torch::Tensor output = encoder->forward(input, lengths_of({5, 3})).hidden;
      output.square().sum().backward();
      encoder->eval();
      // Rounded to 8 bits a few times.
      EXPECT_TRUE(close(output, encoder->forward(input, lengths_of({5, 3})).hidden, 0.1));
    }
  }
}

void expect_right_gradients(const EncoderOptions& options) {
  auto encoder = make(options);
  const torch::Tensor x = random({2, 3, 4});
  std::vector<torch::Tensor> inputs = encoder->parameters();
  inputs.push_back(x);
  EXPECT_TRUE(testing::gradients_match(
      [&] {
        return encoder->forward(x, lengths_of({3, 2})).hidden;
      },
      inputs, 1e-5));
}

TEST(Encoder, Gradients) {
  EncoderOptions options{.layers = 1, .hidden = 4, .heads = 2, .feed_forward = 3};
  options.activation = Activation::kSwiGlu;
  options.stem_width = 3;
  expect_right_gradients(options);
}

TEST(Encoder, GradientsThroughTheRecurrence) {
  EncoderOptions options = recurrent(2);
  options.hidden = 4;
  options.layers = 1;
  options.heads = 2;
  options.feed_forward = 3;
  expect_right_gradients(options);
}

TEST(Encoder, DropoutOnlyInTrainingAndStateRoundTrip) {
  auto encoder = make(small());
  const torch::Tensor x = random({2, 4, 8});
  EXPECT_TRUE(torch::equal(encoder->forward(x).hidden, encoder->forward(x).hidden));
  encoder->train();
  EXPECT_FALSE(close(encoder->forward(x).hidden, encoder->forward(x).hidden));
  encoder->eval();
  std::stringstream stored;
  torch::save(encoder, stored);
  Encoder other(small());
  other->to(torch::kDouble);
  other->eval();
  torch::load(other, stored);
  EXPECT_TRUE(torch::equal(encoder->forward(x).hidden, other->forward(x).hidden));
}

TEST(Encoder, BadOptionsSayWhatToDo) {
  EncoderOptions options = small();
  options.stem_width = 4;
  expect_usage_error([&] { Encoder encoder(options); }, {"stem_width 4", "odd", "5"});
  options = recurrent(1);
  options.hidden = 7;
  expect_usage_error([&] { Encoder encoder(options); }, {"hidden 7", "recurrent_layers", "8"});
  options.attention.causal = true;
  Encoder forwards(options);  // needs no half
  options = recurrent(-1);
  expect_usage_error([&] { Encoder encoder(options); }, {"recurrent_layers is -1", "at least 0"});
  options = recurrent(100000000);
  expect_usage_error([&] { Encoder encoder(options); },
                     {"recurrent_layers is 1000", "at most 1024"});
  options = small();
  options.layers = -1;
  expect_usage_error([&] { Encoder encoder(options); }, {"layers is -1", "at least 0"});
  options.layers = 100000000;
  expect_usage_error([&] { Encoder encoder(options); }, {"layers is 100000000", "at most 1024"});
  options = small();
  options.heads = 3;
  expect_usage_error([&] { Encoder encoder(options); }, {"hidden 8", "heads 3"});
  expect_usage_error([] { parse_activation("relu"); }, {"relu", "gelu, swiglu"});
}

}  // namespace
}  // namespace attend
