// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/recurrent_encoder_decoder.h"

#include <torch/nn/utils/rnn.h>

#include <cmath>

#include "attend/base/error.h"
#include "attend/nn/masks.h"
#include "option_checks.h"
#include "projection.h"

namespace attend {

void check_options(const RecurrentOptions& options) {
  detail::require_at_least("vocab_size", options.vocab_size, 1);
  detail::require_at_least("padding_index", options.padding_index, -1);
  detail::require_at_least("hidden", options.hidden, 1);
  detail::require_at_least("layers", options.layers, 1);
  detail::require_probability("dropout", options.dropout);
  detail::require_probability("embedding_dropout", options.embedding_dropout);
}

RecurrentEncoderDecoderImpl::RecurrentEncoderDecoderImpl(const RecurrentOptions& model_options)
    : options_(model_options) {
  check_options(options_);
  const int64_t hidden = options_.hidden;
  torch::nn::EmbeddingOptions table(options_.vocab_size, hidden);
  if (options_.padding_index >= 0) table.padding_idx(options_.padding_index);
  embedding_ = register_module("embedding", torch::nn::Embedding(table));
  {
    const torch::NoGradGuard no_grad;
    embedding_->weight.normal_(0, 1 / std::sqrt(static_cast<double>(hidden)));
    if (options_.padding_index >= 0) embedding_->weight[options_.padding_index].zero_();
  }
  embedding_dropout_ =
      register_module("embedding_dropout", torch::nn::Dropout(options_.embedding_dropout));
  dropout_ = register_module("dropout", torch::nn::Dropout(options_.dropout));
  const double between = options_.layers > 1 ? options_.dropout : 0;
  encoder_ = register_module("encoder", torch::nn::GRU(torch::nn::GRUOptions(hidden, hidden)
                                                           .num_layers(options_.layers)
                                                           .bidirectional(true)
                                                           .dropout(between)
                                                           .batch_first(true)));
  decoder_ = register_module("decoder", torch::nn::GRU(torch::nn::GRUOptions(2 * hidden, hidden)
                                                           .num_layers(options_.layers)
                                                           .dropout(between)
                                                           .batch_first(true)));
  summary_ = register_module("summary", detail::projection(2 * hidden, hidden));
  start_ = register_module("start", detail::projection(hidden, options_.layers * hidden));
}

torch::Tensor RecurrentEncoderDecoderImpl::embed_source(const torch::Tensor& tokens) {
  return embedding_->forward(tokens) * std::sqrt(static_cast<double>(options_.hidden));
}

EncoderOutput RecurrentEncoderDecoderImpl::encode(const torch::Tensor& embeddings,
                                                  const torch::Tensor& lengths,
                                                  const ForwardRequest& request) {
  if (!request.trace.layers.empty()) {
    throw usage_error("layer " + std::to_string(request.trace.layers[0]) +
                      " cannot be traced: a recurrent model has no attention");
  }
  const torch::Tensor input = embedding_dropout_->forward(embeddings);
  torch::Tensor last;  // [2 * layers, batch, hidden]
  if (lengths.defined()) {
    const auto packed = torch::nn::utils::rnn::pack_padded_sequence(
        input, lengths.cpu(), /*batch_first=*/true, /*enforce_sorted=*/false);
    last = std::get<1>(encoder_->forward_with_packed_input(packed));
  } else {
    last = std::get<1>(encoder_->forward(input));
  }
  const torch::Tensor both = torch::cat({last[-2], last[-1]}, 1);
  return {torch::tanh(summary_->forward(both)).unsqueeze(1), {}};
}

DecoderOutput RecurrentEncoderDecoderImpl::decode(const torch::Tensor& tokens, const Call& call) {
  const int64_t batch = tokens.size(0), hidden = options_.hidden;
  const torch::Tensor memory =
      call.memory.squeeze(1).repeat_interleave(batch / call.memory.size(0), 0);
  const torch::Tensor words = embedding_dropout_->forward(embedding_->forward(tokens) *
                                                          std::sqrt(static_cast<double>(hidden)));
  const torch::Tensor input =
      torch::cat({words, memory.unsqueeze(1).expand({batch, tokens.size(1), hidden})}, 2);
  torch::Tensor state = call.state ? call.state->recurrent : torch::Tensor();
  if (!state.defined()) {
    state = torch::tanh(start_->forward(memory))
                .view({batch, options_.layers, hidden})
                .transpose(0, 1)
                .contiguous();
  }
  auto [output, last] = decoder_->forward(input, state);
  if (call.state) call.state->recurrent = last;
  return {zero_padding(dropout_->forward(output), call.lengths), {}};
}

}  // namespace attend
