// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/encoder.h"

#include <torch/nn/utils/rnn.h>

#include <algorithm>
#include <utility>

#include "attend/base/error.h"
#include "attend/nn/masks.h"
#include "elementwise.h"
#include "frozen_blocks.h"
#include "option_checks.h"
#include "projection.h"
#include "row_blocks.h"

namespace attend {
namespace {

// More than any model in use has; a damaged file may ask for billions.
constexpr int64_t kMostLayers = 1024;

constexpr detail::NamedValue<Activation> kActivations[] = {{"gelu", Activation::kGelu},
                                                           {"swiglu", Activation::kSwiGlu}};

}  // namespace

Activation parse_activation(const std::string& name) {
  return detail::parse_named("activation", name, kActivations);
}

std::string to_string(Activation activation) { return detail::name_of(activation, kActivations); }

AttentionOptions EncoderOptions::resolved_attention() const {
  AttentionOptions resolved = attention;
  resolved.hidden = hidden;
  resolved.heads = heads;
  resolved.kv_heads = kv_heads;
  resolved.positions = positions;
  return resolved;
}

int64_t EncoderOptions::resolved_feed_forward() const {
  if (feed_forward != 0) return feed_forward > 0 ? feed_forward : 0;
  return activation == Activation::kSwiGlu ? std::max<int64_t>(1, 8 * hidden / 3) : 4 * hidden;
}

void check_options(const EncoderOptions& options) {
  detail::require_at_least("layers", options.layers, 0);
  detail::require_at_most("layers", options.layers, kMostLayers);
  detail::require_at_least("hidden", options.hidden, 1);
  detail::require_at_least("feed_forward", options.feed_forward, -1);
  detail::require_at_least("max_length", options.max_length, 1);
  detail::require_at_least("stem_width", options.stem_width, 0);
  detail::require_at_least("recurrent_layers", options.recurrent_layers, 0);
  detail::require_at_most("recurrent_layers", options.recurrent_layers, kMostLayers);
  detail::require_probability("dropout", options.dropout);
  if (options.stem_width > 0 && options.stem_width % 2 == 0) {
    throw usage_error("stem_width " + std::to_string(options.stem_width) +
                      " must be odd, so that it has a middle: use " +
                      std::to_string(options.stem_width + 1) + ", or 0 for no stem");
  }
  if (options.recurrent_layers > 0 && !options.attention.causal && options.hidden % 2 != 0) {
    throw usage_error("hidden " + std::to_string(options.hidden) +
                      " must be even, so that recurrent_layers can read with half of it in either "
                      "direction: use " +
                      std::to_string(options.hidden + 1) + ", or 0 recurrent_layers");
  }
  if (options.attention.memory != 0 && options.attention.memory != options.hidden) {
    throw usage_error("attention.memory " + std::to_string(options.attention.memory) +
                      " has no meaning in an encoder, which attends to itself: set it to 0");
  }
  if (options.layers > 0) check_options(options.resolved_attention());
}

ConvolutionStemImpl::ConvolutionStemImpl(const EncoderOptions& options) {
  const int64_t width = options.stem_width;
  left_ = options.attention.causal ? width - 1 : width / 2;
  right_ = width - 1 - left_;
  convolution_ = register_module(
      "convolution",
      torch::nn::Conv1d(torch::nn::Conv1dOptions(options.hidden, options.hidden, width)
                            .groups(options.stem_depthwise ? options.hidden : 1)));
  dropout_ = options.dropout;
}

torch::Tensor ConvolutionStemImpl::forward(const torch::Tensor& input,
                                           const torch::Tensor& lengths) {
  const torch::Tensor channels_first = zero_padding(input, lengths).transpose(1, 2);
  const torch::Tensor padded = torch::constant_pad_nd(channels_first, {left_, right_});
  const torch::Tensor mixed = convolution_->forward(padded).transpose(1, 2);
  return detail::dropout_add(input, torch::gelu(mixed), dropout_, is_training());
}

RecurrentStemImpl::RecurrentStemImpl(const EncoderOptions& options) {
  const bool both_ways = !options.attention.causal;
  const int64_t size = both_ways ? options.hidden / 2 : options.hidden;
  lstm_ = register_module(
      "lstm", torch::nn::LSTM(torch::nn::LSTMOptions(options.hidden, size)
                                  .num_layers(options.recurrent_layers)
                                  .bidirectional(both_ways)
                                  .dropout(options.recurrent_layers > 1 ? options.dropout : 0)
                                  .batch_first(true)));
}

torch::Tensor RecurrentStemImpl::forward(const torch::Tensor& input, const torch::Tensor& lengths) {
  namespace rnn = torch::nn::utils::rnn;
  if (!lengths.defined()) return std::get<0>(lstm_->forward(input));
  // A packed sequence has at least one step; what an empty text gets for it is padding.
  const auto packed =
      rnn::pack_padded_sequence(input, lengths.cpu().clamp_min(1), /*batch_first=*/true,
                                /*enforce_sorted=*/false);
  const auto output = std::get<0>(lstm_->forward_with_packed_input(packed));
  const auto padded = rnn::pad_packed_sequence(output, /*batch_first=*/true, /*padding_value=*/0,
                                               /*total_length=*/input.size(1));
  return zero_padding(std::get<0>(padded), lengths);
}

FeedForwardImpl::FeedForwardImpl(const EncoderOptions& options) : activation_(options.activation) {
  const int64_t inner = options.resolved_feed_forward();
  up_ = register_module("up", detail::projection(options.hidden, inner));
  if (activation_ == Activation::kSwiGlu) {
    gate_ = register_module("gate", detail::projection(options.hidden, inner));
  }
  down_ = register_module("down", detail::projection(inner, options.hidden));
}

torch::Tensor FeedForwardImpl::forward(const torch::Tensor& input) {
  if (activation_ == Activation::kSwiGlu) {
    return detail::project(
        down_, torch::silu(detail::project(gate_, input)) * detail::project(up_, input));
  }
  return detail::project(down_, detail::gelu(detail::project(up_, input)));
}

torch::Tensor FeedForwardImpl::add_to(const torch::Tensor& hidden, torch::nn::LayerNorm norm,
                                      torch::ScalarType type, double dropout) {
  if (!is_training() && detail::goes_by_row_blocks(hidden, up_)) {
    return detail::feed_forward_by_row_blocks(hidden, norm, up_, gate_, down_);
  }
  const torch::Tensor normed = detail::layer_norm(norm, hidden, type);
  return detail::dropout_add(hidden, forward(normed), dropout, is_training());
}

EncoderBlockImpl::EncoderBlockImpl(const EncoderOptions& options) {
  attention_norm_ = register_module("attention_norm", detail::layer_normalisation(options.hidden));
  attention_ = register_module("attention", MultiHeadAttention(options.resolved_attention()));
  if (options.resolved_feed_forward() > 0) {
    feed_forward_norm_ =
        register_module("feed_forward_norm", detail::layer_normalisation(options.hidden));
    feed_forward_ = register_module("feed_forward", FeedForward(options));
  }
  dropout_ = options.dropout;
  mixed_precision_ = options.mixed_precision;
}

AttentionOutput EncoderBlockImpl::forward(const torch::Tensor& input, const AttentionCall& call) {
  // Norms and residuals stay as they are; what the products read is rounded.
  const torch::ScalarType type =
      mixed_precision_ && is_training() ? torch::kBFloat16 : input.scalar_type();
  AttentionOutput result =
      attention_->forward(detail::layer_norm(attention_norm_, input, type), call);
  torch::Tensor hidden = detail::dropout_add(input, result.output, dropout_, is_training());
  if (!feed_forward_.is_empty()) {
    hidden = feed_forward_->add_to(hidden, feed_forward_norm_, type, dropout_);
  }
  result.output = hidden;
  return result;
}

EncoderImpl::EncoderImpl(const EncoderOptions& encoder_options) : options_(encoder_options) {
  check_options(options_);
  if (options_.positions == PositionKind::kLearned ||
      options_.positions == PositionKind::kSinusoidal) {
    PositionEmbeddingOptions positions;
    positions.kind = options_.positions;
    positions.hidden = options_.hidden;
    positions.max_length = options_.max_length;
    positions_ = register_module("positions", PositionEmbedding(positions));
  }
  if (options_.stem_width > 0) stem_ = register_module("stem", ConvolutionStem(options_));
  if (options_.recurrent_layers > 0) {
    recurrent_ = register_module("recurrent", RecurrentStem(options_));
  }
  for (int64_t layer = 0; layer < options_.layers; ++layer) {
    blocks_.push_back(register_module("block_" + std::to_string(layer), EncoderBlock(options_)));
  }
  if (options_.final_norm && options_.layers > 0) {
    final_norm_ = register_module("final_norm", detail::layer_normalisation(options_.hidden));
  }
}

bool EncoderImpl::freeze(Precision precision) {
  if (!detail::FrozenBlocks::supports(options_)) return false;
  frozen_ = std::make_shared<detail::FrozenBlocks>(*this, options_, precision);
  return true;
}

void EncoderImpl::train(bool on) {
  if (on) frozen_.reset();
  torch::nn::Module::train(on);
}

EncoderOutput EncoderImpl::forward(const torch::Tensor& input, const torch::Tensor& lengths,
                                   const ForwardRequest& request) {
  request.check_layers(options_.layers);
  EncoderOutput output;
  torch::Tensor hidden = positions_.is_empty() ? input : positions_->forward(input);
  if (!stem_.is_empty()) hidden = stem_->forward(hidden, lengths);
  if (!recurrent_.is_empty()) hidden = recurrent_->forward(hidden, lengths);
  if (detail::runs_frozen(frozen_.get(), hidden, request)) {
    detail::FrozenBlocks::Call call;
    call.lengths = lengths;
    output.hidden = zero_padding(frozen_->forward(hidden, call), lengths);
    return output;
  }
  AttentionCall call;
  call.lengths = lengths;
  for (int64_t layer = 0; layer < options_.layers; ++layer) {
    call.statistics = request.trace.of_layer(layer);
    call.edits = request.edits_of_layer(layer);
    AttentionOutput result = blocks_[static_cast<size_t>(layer)]->forward(hidden, call);
    hidden = result.output;
    if (!call.statistics.any()) continue;
    LayerTrace entry;
    static_cast<AttentionStatistics&>(entry) = std::move(result.statistics);
    entry.layer = layer;
    entry.label = "layer " + std::to_string(layer);
    if (call.statistics.hidden) entry.hidden = hidden;
    output.trace.layers.push_back(std::move(entry));
  }
  if (!final_norm_.is_empty()) {
    hidden = detail::layer_norm(final_norm_, hidden, hidden.scalar_type());
  }
  output.hidden = zero_padding(hidden, lengths);
  return output;
}

}  // namespace attend
