// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_edit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "attend/nn/attention_inputs.h"
#include "attend/nn/encoder.h"
#include "attend/nn/multi_head_attention.h"
#include "attend/nn/pooling.h"
#include "attend/nn/text_classifier.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::gradients_match;
using testing::lengths_of;
using testing::random;
using testing::real;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool acts_on(const AttentionEdit& edit, int64_t head) {
  return edit.heads.empty() ||
         std::find(edit.heads.begin(), edit.heads.end(), head) != edit.heads.end();
}

struct Weighed {
  torch::Tensor output;   // [batch, heads, query, dim]
  torch::Tensor weights;  // [batch, heads, query, key]
};

// The definition of attention and of each edit, one score at a time, in double precision.
Weighed by_loops(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                 const AttentionArguments& a, const std::vector<AttentionEdit>& edits) {
  const int64_t batch = query.size(0), heads = query.size(1), queries = query.size(2);
  const int64_t dim = query.size(3), keys = key.size(2), sharing = heads / key.size(1);
  Weighed result{torch::zeros({batch, heads, queries, value.size(3)}, real()),
                 torch::zeros({batch, heads, queries, keys}, real())};
  const torch::Tensor bias =
      a.bias.defined() ? a.bias.expand({batch, heads, queries, keys}) : torch::Tensor();
  const auto at = [](const torch::Tensor& t, std::initializer_list<int64_t> place) {
    torch::Tensor one = t;
    for (const int64_t index : place) one = one[index];
    return one.item<double>();
  };
  const auto of_key = [&](const torch::Tensor& numbers, int64_t b, int64_t j, double rest) {
    return j < numbers.size(1) ? at(numbers, {numbers.size(0) == 1 ? 0 : b, j}) : rest;
  };
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = a.key_lengths.defined() ? at(a.key_lengths, {b}) : keys;
    for (int64_t h = 0; h < heads; ++h) {
      double kept = 1;
      for (int64_t i = 0; i < (a.query_lengths.defined() ? length : queries); ++i) {
        kept = 1;
        std::vector<double> scores(static_cast<size_t>(keys), -kInfinity);
        std::vector<double> scales(static_cast<size_t>(keys), 1);
        for (int64_t j = 0; j < length; ++j) {
          if (a.causal && j > i) continue;
          if (a.window_left >= 0 && j < i - a.window_left) continue;
          double score = bias.defined() ? at(bias, {b, h, i, j}) : 0;
          for (int64_t d = 0; d < dim; ++d) {
            score += at(query, {b, h, i, d}) * at(key, {b, h / sharing, j, d}) *
                     a.scale.value_or(1 / std::sqrt(double(dim)));
          }
          if (a.alibi_slopes.defined()) {
            score -= at(a.alibi_slopes, {h}) * double(std::abs(i - j));
          }
          if (a.distance_bias.defined()) {
            const int64_t reach = (a.distance_bias.size(1) - 1) / 2;
            score += at(a.distance_bias, {h, std::clamp(j - i, -reach, reach) + reach});
          }
          scores[size_t(j)] = score;
        }
        double sink = a.sink.defined() ? at(a.sink, {h}) : -kInfinity;
        for (const AttentionEdit& edit : edits) {
          if (!acts_on(edit, h)) continue;
          for (int64_t j = 0; j < keys; ++j) {
            double& score = scores[size_t(j)];
            if (edit.key_bias.defined()) score += of_key(edit.key_bias, b, j, 0);
            if (edit.value_scale.defined()) scales[size_t(j)] *= of_key(edit.value_scale, b, j, 1);
            score /= edit.temperature;
            if (edit.uniform && score > -kInfinity) score = 0;
          }
          sink = edit.uniform ? -kInfinity : sink / edit.temperature;
          if (edit.off) kept = 0;
        }
        const double top = std::max(sink, *std::max_element(scores.begin(), scores.end()));
        if (*std::max_element(scores.begin(), scores.end()) == -kInfinity) continue;
        double sum = std::exp(sink - top);
        for (const double score : scores) sum += std::exp(score - top);
        for (int64_t j = 0; j < keys; ++j) {
          const double weight = std::exp(scores[size_t(j)] - top) / sum;
          result.weights[b][h][i][j] = weight;
          result.output[b][h][i] += kept * weight * scales[size_t(j)] * value[b][h / sharing][j];
        }
      }
    }
  }
  return result;
}

torch::Tensor heads_of(const torch::Tensor& joined, int64_t heads) {
  return joined.view({joined.size(0), joined.size(1), heads, -1}).transpose(1, 2);
}

struct Case {
  std::string name;
  std::vector<AttentionEdit> edits;
};

constexpr int64_t kBatch = 2, kLength = 6;

std::vector<Case> cases() {
  AttentionEdit bias, hide, scale, cold, warm, uniform, off, batch_bias;
  bias.key_bias = random({1, kLength});
  batch_bias.key_bias = random({kBatch, kLength - 1});
  hide.key_bias = torch::zeros({1, kLength}, real());
  hide.key_bias[0][2] = -kInfinity;
  scale.value_scale = random({kBatch, kLength});
  cold.temperature = 0.5;
  warm.temperature = 3;
  uniform.uniform = true;
  off.off = true;
  std::vector<Case> all = {{"bias", {bias}},
                           {"bias per example, last key free", {batch_bias}},
                           {"hide", {hide}},
                           {"scale", {scale}},
                           {"cold", {cold}},
                           {"uniform", {uniform}},
                           {"off", {off}},
                           {"bias before temperature", {bias, warm}},
                           {"temperature before bias", {warm, bias}},
                           {"uniform keeps what is hidden and drops biases", {hide, bias, uniform}},
                           {"bias behind uniform", {uniform, bias}}};
  const size_t plain = all.size();
  for (size_t i = 0; i < plain; ++i) {
    Case some = all[i];
    some.name += ", heads 1 and 2";
    for (AttentionEdit& edit : some.edits) edit.heads = {1, 2};
    all.push_back(some);
  }
  return all;
}

std::vector<AttentionOptions> modules() {
  const AttentionOptions small{.hidden = 8, .heads = 4};
  std::vector<AttentionOptions> all(6, small);
  all[1].kv_heads = 2;
  all[2].positions = PositionKind::kRelative;
  all[2].causal = true;
  all[3].positions = PositionKind::kAlibi;
  all[3].window_left = 2;
  all[4].sink = true;
  all[5].kv_heads = 1;
  all[5].scale = 0.3;
  all[5].output_gate = true;
  return all;
}

MultiHeadAttention make(const AttentionOptions& options) {
  torch::manual_seed(3);
  MultiHeadAttention attention(options);
  testing::randomise(attention);
  return attention;
}

// Every edit on every kind of attention, in double on the plain path and in float by the kernels.
TEST(AttentionEdit, EqualsTheDefinition) {
  torch::NoGradGuard no_grad;
  for (const AttentionOptions& options : modules()) {
    MultiHeadAttention module = make(options);
    auto parameters = module->named_parameters();
    const torch::Tensor x = random({kBatch, kLength, 8});
    const torch::Tensor bias = random({1, 1, kLength, kLength});
    const auto project = [&](const std::string& name) {
      return torch::linear(x, parameters[name + ".weight"], parameters[name + ".bias"]);
    };
    MultiHeadAttention in_float = make(options);
    in_float->to(torch::kFloat);
    for (const Case& one : cases()) {
      AttentionCall call;
      call.lengths = lengths_of({kLength, 4});
      call.bias = bias;
      call.edits = one.edits;
      call.statistics.weights = true;
      AttentionArguments arguments;
      if (options.scale > 0) arguments.scale = options.scale;
      arguments.causal = options.causal;
      arguments.window_left = options.window_left;
      arguments.query_lengths = arguments.key_lengths = call.lengths;
      arguments.bias = bias;
      if (options.sink) arguments.sink = parameters["sink"];
      if (options.positions == PositionKind::kAlibi) arguments.alibi_slopes = alibi_slopes(4);
      if (options.positions == PositionKind::kRelative) {
        RelativeBias relative(options);
        relative->to(torch::kDouble);
        for (auto& item : relative->named_parameters()) {
          item.value().copy_(parameters["relative." + item.key()]);
        }
        arguments.distance_bias = relative->forward();
      }
      const Weighed expected = by_loops(
          heads_of(project("query"), 4), heads_of(project("key"), options.resolved_kv_heads()),
          heads_of(project("value"), options.resolved_kv_heads()), arguments, one.edits);
      torch::Tensor joined = expected.output.transpose(1, 2).flatten(2);
      if (options.output_gate) joined = joined * torch::sigmoid(project("gate"));
      const torch::Tensor output =
          torch::linear(joined, parameters["output.weight"], parameters["output.bias"]);
      const AttentionOutput actual = module->forward(x, call);
      EXPECT_TRUE(close(actual.output, output)) << one.name;
      EXPECT_TRUE(close(actual.statistics.weights, expected.weights)) << one.name;

      for (AttentionEdit& edit : call.edits) {
        if (edit.key_bias.defined()) edit.key_bias = edit.key_bias.to(torch::kFloat);
        if (edit.value_scale.defined()) edit.value_scale = edit.value_scale.to(torch::kFloat);
      }
      call.bias = bias.to(torch::kFloat);
      const AttentionOutput rounded = in_float->forward(x.to(torch::kFloat), call);
      EXPECT_TRUE(close(rounded.output, output, 2e-5)) << one.name << ", float";
      EXPECT_TRUE(close(rounded.statistics.weights, expected.weights, 2e-5))
          << one.name << ", float";
    }
  }
}

// Each edit on every second kind of attention: differences are slow.
TEST(AttentionEdit, GradientsPassThrough) {
  const std::vector<AttentionOptions> kinds = modules();
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    MultiHeadAttention module = make(kinds[kind]);
    const std::vector<Case> all = cases();
    for (size_t index = kind % 2; index < all.size(); index += 2) {
      const Case& one = all[index];
      AttentionCall call;
      call.edits = one.edits;
      std::vector<torch::Tensor> inputs = {random({kBatch, kLength, 8})};
      for (AttentionEdit& edit : call.edits) {
        if (edit.key_bias.defined() && !torch::isinf(edit.key_bias).any().item<bool>()) {
          inputs.push_back(edit.key_bias = edit.key_bias.clone());
        }
        if (edit.value_scale.defined()) {
          inputs.push_back(edit.value_scale = edit.value_scale.clone());
        }
      }
      EXPECT_TRUE(gradients_match(
          [&] { return module->forward(inputs[0], call).output + 0 * inputs.back().sum(); }, inputs,
          1e-5))
          << one.name;
    }
  }
}

// In a cache keys keep arriving: an edit speaks of the first ones.
TEST(AttentionEdit, HoldsWhileKeysAreAppended) {
  torch::NoGradGuard no_grad;
  AttentionOptions options{.hidden = 8, .heads = 4};
  options.causal = true;
  MultiHeadAttention module = make(options);
  const torch::Tensor x = random({1, kLength, 8});
  AttentionCall call;
  AttentionEdit edit;
  edit.key_bias = random({1, 3});
  call.edits = {edit};
  const torch::Tensor whole = module->forward(x, call).output;
  KeyValueCache cache;
  call.cache = &cache;
  std::vector<torch::Tensor> parts = {module->forward(x.narrow(1, 0, 3), call).output};
  for (int64_t i = 3; i < kLength; ++i) {
    parts.push_back(module->forward(x.narrow(1, i, 1), call).output);
  }
  EXPECT_TRUE(close(torch::cat(parts, 1), whole));
}

TEST(AttentionEdit, ActsInTheLayersItNames) {
  torch::NoGradGuard no_grad;
  EncoderOptions options;
  options.layers = 3;
  options.hidden = 8;
  options.heads = 2;
  torch::manual_seed(1);
  Encoder encoder(options);
  testing::randomise(encoder);
  encoder->eval();
  const torch::Tensor x = random({1, 5, 8});
  AttentionEdit edit;
  edit.uniform = true;
  const auto weights = [&](const AttentionEdit& one) {
    ForwardRequest request(TraceRequest::all_weights());
    request.edits = {one};
    std::vector<torch::Tensor> all;
    for (const LayerTrace& layer : encoder->forward(x, {}, request).trace.layers) {
      all.push_back(layer.weights);
    }
    return all;
  };
  edit.layers = {1};
  const auto plain = weights({}), second = weights(edit);
  EXPECT_TRUE(close(second[0], plain[0]));
  EXPECT_TRUE(close(second[1], torch::full_like(second[1], 0.2)));
  EXPECT_FALSE(close(second[2], plain[2], 1e-6));
  EXPECT_FALSE(close(second[2], torch::full_like(second[2], 0.2), 1e-6));
  edit.layers = {};
  for (const torch::Tensor& layer : weights(edit)) {
    EXPECT_TRUE(close(layer, torch::full_like(layer, 0.2)));
  }
  edit.layers = {3};
  expect_usage_error([&] { weights(edit); }, {"layer 3", "layers 0 to 2"});
  edit.layers = {};
  edit.heads = {2};
  expect_usage_error([&] { weights(edit); }, {"head 2", "heads 0 to 1"});
  edit = {};
  edit.temperature = 0;
  expect_usage_error([&] { weights(edit); }, {"temperature 0", "above 0"});
}

TEST(AttentionEdit, RequestsAreSplitBetweenPartsOfAModel) {
  ForwardRequest request;
  request.trace.layers = {0, 2};
  AttentionEdit everywhere, early, late, both;
  everywhere.temperature = 2;
  early.layers = {0};
  late.layers = {2};
  both.layers = {1, 2};
  request.edits = {everywhere, early, late, both};
  const ForwardRequest part = request.before(2);
  EXPECT_EQ(part.trace.layers, (std::vector<int64_t>{0}));
  ASSERT_EQ(part.edits.size(), 3U);
  EXPECT_TRUE(part.edits[0].layers.empty());
  EXPECT_EQ(part.edits[1].layers, (std::vector<int64_t>{0}));
  EXPECT_EQ(part.edits[2].layers, (std::vector<int64_t>{1}));

  // Keys of a decoder's self-attention are not the input's positions.
  AttentionEdit keys;
  keys.key_bias = keys.value_scale = random({1, 4});
  keys.temperature = 2;
  request.edits = {keys};
  EXPECT_TRUE(request.edits_of_layer(0, AttentionRole::kCross)[0].key_bias.defined());
  const AttentionEdit decoder = request.edits_of_layer(0, AttentionRole::kDecoder)[0];
  EXPECT_FALSE(decoder.key_bias.defined());
  EXPECT_FALSE(decoder.value_scale.defined());
  EXPECT_EQ(decoder.temperature, 2);
}

TEST(AttentionEdit, PoolingIsTheLayerBehindTheLast) {
  torch::NoGradGuard no_grad;
  TextClassifierOptions options;
  options.vocab_size = 10;
  options.embedding_dim = 8;
  options.output_size = 2;
  options.encoder.layers = 1;
  TextInput input;
  input.tokens = torch::tensor({{1, 2, 3, 4}, {5, 6, 7, 0}}, torch::kInt64);
  input.lengths = lengths_of({4, 3});
  torch::manual_seed(1);
  TextClassifierWithAttention model(options);
  testing::randomise(model);
  model->eval();
  const auto readout = [&](const AttentionEdit& edit) {
    TextClassifierRequest request;
    request.attention.edits = {edit};
    return model->forward(input, request).readout;
  };
  const torch::Tensor plain = readout({});
  const torch::Tensor equal =
      torch::tensor({{0.25, 0.25, 0.25, 0.25}, {1 / 3.0, 1 / 3.0, 1 / 3.0, 0.0}}, real());
  AttentionEdit uniform;
  uniform.uniform = true;
  EXPECT_TRUE(close(readout(uniform), equal));
  uniform.layers = {1};
  EXPECT_TRUE(close(readout(uniform), equal));
  // Named heads are the layers' heads.
  uniform.layers = {};
  uniform.heads = {0};
  EXPECT_FALSE(close(readout(uniform), equal, 1e-3));
  AttentionEdit emphasis;
  emphasis.layers = {1};
  emphasis.key_bias = torch::tensor({{0.0, std::log(3.0), 0.0, 0.0}}, real());
  torch::Tensor expected = plain.clone();
  expected.select(1, 1).mul_(3);
  EXPECT_TRUE(close(readout(emphasis), expected / expected.sum(1, true)));
  emphasis.layers = {2};
  expect_usage_error([&] { readout(emphasis); }, {"layer 2", "layer 0 and pooling, which is 1"});
}

// Parts of the matrix and products with it equal the matrix, whatever shapes it.
TEST(AttentionInputs, AnswerLikeTheWholeMatrix) {
  torch::NoGradGuard no_grad;
  for (const AttentionOptions& options : modules()) {
    for (const auto type : {torch::kDouble, torch::kFloat}) {
      const double tolerance = type == torch::kDouble ? 1e-9 : 1e-4;
      MultiHeadAttention module = make(options);
      module->to(type);
      AttentionCall call;
      call.statistics.weights = call.statistics.inputs = true;
      AttentionEdit edit;
      edit.heads = {1};
      edit.key_bias = random({1, kLength}).to(type);
      call.edits = {edit};
      const torch::Tensor x = random({1, kLength, 8}).to(type);
      const AttentionStatistics seen = module->forward(x, call).statistics;
      ASSERT_TRUE(seen.inputs);
      const AttentionInputs& inputs = *seen.inputs;
      const torch::Tensor weights = seen.weights[0];
      WeightsTile tile;
      tile.first_query = 1;
      tile.queries = 3;
      tile.first_key = 2;
      tile.keys = 2;
      EXPECT_TRUE(close(inputs.tile(tile)[0], weights.narrow(1, 1, 3).narrow(2, 2, 2), tolerance));
      const torch::Tensor rows = random({3, kLength}).to(type);
      EXPECT_TRUE(close(inputs.times_weights(rows), torch::einsum("ri,hij->rhj", {rows, weights}),
                        tolerance));
      const auto pairs = torch::ones({kLength, kLength}).nonzero();
      const torch::Tensor i = pairs.select(1, 0), j = pairs.select(1, 1);
      EXPECT_TRUE(close(inputs.weights_at(i, j), weights.index({torch::indexing::Slice(), i, j}),
                        tolerance));

      // What all keys carry to a query is the query's output, less the projection's bias.
      for (int64_t query = 0; query < kLength; ++query) {
        torch::Tensor row = torch::zeros({kLength}, real()).to(type);
        row[query] = 1;
        const torch::Tensor sum =
            inputs.carried(row).sum(0) + module->named_parameters()["output.bias"];
        EXPECT_TRUE(close(sum, module->forward(x, call).output[0][query], tolerance));
      }
    }
  }
}

}  // namespace
}  // namespace attend
