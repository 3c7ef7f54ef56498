// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/encoder_decoder.h"

#include "attend/nn/linear_cross_entropy.h"
#include "attend/nn/recurrent_encoder_decoder.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::lengths_of;
using testing::random;

EncoderDecoderOptions small() {
  EncoderDecoderOptions options;
  options.vocab_size = 11;
  options.encoder.layers = 2;
  options.encoder.hidden = 8;
  options.encoder.heads = 2;
  options.decoder_layers = 1;
  return options;
}

TEST(EncoderDecoder, PaddingOfSourceAndTargetChangesNothing) {
  torch::manual_seed(4);
  EncoderDecoder model(small());
  testing::randomise(model);
  model->eval();
  const auto run = [&](const torch::Tensor& source, const torch::Tensor& target,
                       const torch::Tensor& source_lengths, const torch::Tensor& target_lengths) {
    DecoderCall call;
    call.lengths = target_lengths;
    call.memory_lengths = source_lengths;
    call.memory = model->encode(model->embed_source(source), source_lengths, {}).hidden;
    return model->output_scores(model->decode(target, call).hidden);
  };
  const torch::Tensor source = torch::tensor({{5, 6, 7}}), target = torch::tensor({{3, 8, 9}});
  const torch::Tensor alone = run(source, target, {}, {});
  const torch::Tensor padded =
      run(torch::tensor({{5, 6, 7, 0, 0}, {5, 5, 5, 5, 5}}),
          torch::tensor({{3, 8, 9, 0}, {3, 3, 3, 3}}), lengths_of({3, 5}), lengths_of({3, 4}));
  EXPECT_TRUE(close(padded.narrow(0, 0, 1).narrow(1, 0, 3), alone));
}

TEST(EncoderDecoder, TracesEveryLayerInOrderOfComputation) {
  EncoderDecoder model(small());
  model->eval();
  EXPECT_EQ(model->attention_layers(), 4);
  ForwardRequest request(TraceRequest{});
  request.trace.layers = {1, 3};
  request.trace.statistics.weights = true;
  DecoderCall call;
  call.request = request;
  const auto encoded = model->encode(model->embed_source(torch::tensor({{5, 6, 7}})), {}, request);
  call.memory = encoded.hidden;
  const auto decoded = model->decode(torch::tensor({{3, 8}}), call);
  ASSERT_EQ(encoded.trace.layers.size(), 1u);
  EXPECT_EQ(encoded.trace.layers[0].layer, 1);
  ASSERT_EQ(decoded.trace.layers.size(), 1u);
  EXPECT_EQ(decoded.trace.layers[0].layer, 3);
  EXPECT_EQ(decoded.trace.layers[0].role, AttentionRole::kCross);
}

// An edit of a decoder layer leaves the encoder alone, and the other way round.
TEST(EncoderDecoder, EditsActInTheirLayerOnly) {
  EncoderDecoder model(small());
  testing::randomise(model);
  model->eval();
  const torch::Tensor source = torch::tensor({{5, 6, 7}}), target = torch::tensor({{3, 8}});
  const auto run = [&](std::vector<int64_t> layers) {
    ForwardRequest request;
    if (!layers.empty()) {
      AttentionEdit edit;
      edit.layers = layers;
      edit.off = true;
      request.edits = {edit};
    }
    DecoderCall call;
    call.request = request;
    call.memory = model->encode(model->embed_source(source), {}, request).hidden;
    return std::pair(call.memory, model->decode(target, call).hidden);
  };
  const auto [memory, hidden] = run({});
  const auto [same_memory, other_hidden] = run({3});
  EXPECT_TRUE(close(same_memory, memory));
  EXPECT_FALSE(close(other_hidden, hidden));
  EXPECT_FALSE(close(run({0}).first, memory));
}

TEST(EncoderDecoder, RefusesWhatDoesNotFit) {
  EncoderDecoderOptions options = small();
  options.cross = CrossKind::kNone;
  expect_usage_error([&] { EncoderDecoder model(options); }, {"cross", "mean"});
  options = small();
  options.padding_index = 11;
  expect_usage_error([&] { EncoderDecoder model(options); }, {"padding_index 11", "vocabulary"});
}

TEST(RecurrentEncoderDecoder, StepsAndPaddingChangeNothing) {
  torch::manual_seed(4);
  RecurrentOptions options;
  options.vocab_size = 11;
  options.hidden = 8;
  options.layers = 2;
  RecurrentEncoderDecoder model(options);
  model->to(torch::kDouble);
  model->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor source = torch::tensor({{5, 6, 7, 0, 0}, {5, 5, 5, 5, 5}});
  const torch::Tensor lengths = lengths_of({3, 5});
  const torch::Tensor target = torch::tensor({{3, 8, 9}, {3, 9, 9}});
  DecoderCall call;
  call.memory = model->encode(model->embed_source(source), lengths, {}).hidden;
  const torch::Tensor whole = model->output_scores(model->decode(target, call).hidden);

  DecoderCall alone;
  alone.memory =
      model
          ->encode(model->embed_source(source.narrow(0, 0, 1).narrow(1, 0, 3)), lengths_of({3}), {})
          .hidden;
  EXPECT_TRUE(close(model->output_scores(model->decode(target.narrow(0, 0, 1), alone).hidden),
                    whole.narrow(0, 0, 1)));

  DecoderState state;
  call.state = &state;
  model->decode(target.narrow(1, 0, 1), call);
  model->decode(target.narrow(1, 1, 1), call);
  state.reorder(torch::tensor({1, 0}));
  call.memory = call.memory.flip(0);
  const torch::Tensor last =
      model->output_scores(model->decode(target.narrow(1, 2, 1).flip(0), call).hidden);
  EXPECT_TRUE(close(last.flip(0), whole.narrow(1, 2, 1)));
}

torch::Tensor reference_loss(const torch::Tensor& hidden, const torch::Tensor& weight,
                             const torch::Tensor& bias, const torch::Tensor& targets,
                             double smoothing) {
  namespace F = torch::nn::functional;
  return F::cross_entropy(torch::linear(hidden, weight, bias), targets,
                          F::CrossEntropyFuncOptions().label_smoothing(smoothing));
}

TEST(LinearCrossEntropy, EqualsTheUnfusedLossAndItsGradients) {
  torch::manual_seed(6);
  for (const double smoothing : {0.0, 0.1}) {
    for (const bool with_bias : {false, true}) {
      // Rows of several chunks, some of them ignored, and logits far apart.
      const torch::Tensor hidden = random({700, 5}).mul_(3).requires_grad_(true);
      const torch::Tensor weight = random({3000, 5}).mul_(3).requires_grad_(true);
      const torch::Tensor bias = with_bias ? random({3000}).requires_grad_(true) : torch::Tensor();
      torch::Tensor targets = torch::randint(0, 3000, {700}, torch::kInt64);
      targets.narrow(0, 300, 50).fill_(-100);
      std::vector<torch::Tensor> inputs{hidden, weight};
      if (with_bias) inputs.push_back(bias);
      const torch::Tensor expected = reference_loss(hidden, weight, bias, targets, smoothing);
      const torch::Tensor actual =
          linear_cross_entropy(hidden, weight, bias, targets, {smoothing, -100});
      EXPECT_TRUE(close(actual, expected));
      const auto expected_gradients = torch::autograd::grad({expected * 2}, inputs);
      const auto gradients = torch::autograd::grad({actual * 2}, inputs);
      for (size_t i = 0; i < inputs.size(); ++i) {
        EXPECT_TRUE(close(gradients[i], expected_gradients[i])) << i;
      }
      const torch::Tensor log_probability = linear_log_probability(hidden, weight, bias, targets);
      EXPECT_TRUE(
          close(-log_probability.sum() / 650, reference_loss(hidden, weight, bias, targets, 0)));
      EXPECT_EQ(log_probability[310].item<double>(), 0);
    }
  }
}

TEST(LinearCrossEntropy, BFloat16ProductsStayCloseAndGiveFloatGradients) {
  torch::manual_seed(6);
  const torch::Tensor hidden = torch::randn({200, 16}).to(torch::kBFloat16).requires_grad_(true);
  const torch::Tensor weight = (torch::randn({300, 16}) / 4).requires_grad_(true);
  const torch::Tensor targets = torch::randint(0, 300, {200}, torch::kInt64);
  const torch::Tensor loss = linear_cross_entropy(hidden, weight, {}, targets, {0.1, -100});
  const auto gradients = torch::autograd::grad({loss}, {hidden, weight});
  const torch::Tensor exact = hidden.detach().to(torch::kFloat).requires_grad_(true);
  const torch::Tensor expected = reference_loss(exact, weight, {}, targets, 0.1);
  const auto expected_gradients = torch::autograd::grad({expected}, {exact, weight});
  EXPECT_EQ(gradients[1].scalar_type(), torch::kFloat);
  EXPECT_TRUE(close(loss, expected, 2e-2));
  for (size_t i = 0; i < 2; ++i) {
    const double error =
        (gradients[i].to(torch::kFloat) - expected_gradients[i]).norm().item<double>();
    EXPECT_LT(error, 2e-2 * expected_gradients[i].norm().item<double>());
  }
}

}  // namespace
}  // namespace attend
