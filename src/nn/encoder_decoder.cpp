// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/encoder_decoder.h"

#include <algorithm>
#include <cmath>

#include "attend/base/error.h"
#include "attend/nn/linear_cross_entropy.h"
#include "option_checks.h"

namespace attend {
namespace {

// Rows of variance 1 / hidden, which are right for an output layer; as embeddings they are scaled
// by sqrt(hidden) (Vaswani et al. 2017, section 3.4).
torch::nn::Embedding token_embedding(const EncoderDecoderOptions& options) {
  torch::nn::EmbeddingOptions table(options.vocab_size, options.encoder.hidden);
  if (options.padding_index >= 0) table.padding_idx(options.padding_index);
  torch::nn::Embedding embedding(table);
  const torch::NoGradGuard no_grad;
  embedding->weight.normal_(0, 1 / std::sqrt(static_cast<double>(options.encoder.hidden)));
  if (options.padding_index >= 0) embedding->weight[options.padding_index].zero_();
  return embedding;
}

}  // namespace

DecoderOptions EncoderDecoderOptions::resolved_decoder() const {
  DecoderOptions decoder;
  decoder.block = encoder;
  decoder.block.layers = resolved_decoder_layers();
  decoder.block.stem_width = 0;
  decoder.block.recurrent_layers = 0;
  decoder.cross = cross;
  decoder.distinct_blocks = distinct_blocks;
  decoder.first_layer = encoder.layers;
  return decoder;
}

void check_options(const EncoderDecoderOptions& options) {
  detail::require_at_least("vocab_size", options.vocab_size, 1);
  detail::require_at_least("padding_index", options.padding_index, -1);
  detail::require_at_least("decoder_layers", options.decoder_layers, 0);
  detail::require_probability("embedding_dropout", options.embedding_dropout);
  if (options.padding_index >= options.vocab_size) {
    throw usage_error("padding_index " + std::to_string(options.padding_index) +
                      " is outside the vocabulary of " + std::to_string(options.vocab_size) +
                      " tokens: use an index below vocab_size, or -1 for none");
  }
  if (options.cross == CrossKind::kNone) {
    throw usage_error(
        "cross \"none\" leaves a decoder that knows nothing of its source: use attention or mean");
  }
  check_options(options.encoder);
  check_options(options.resolved_decoder());
}

EncoderDecoderImpl::EncoderDecoderImpl(const EncoderDecoderOptions& model_options)
    : options_(model_options) {
  check_options(options_);
  embedding_ = register_module("embedding", token_embedding(options_));
  if (!options_.shared_embeddings) {
    source_embedding_ = register_module("source_embedding", token_embedding(options_));
  }
  embedding_dropout_ =
      register_module("embedding_dropout", torch::nn::Dropout(options_.embedding_dropout));
  encoder_ = register_module("encoder", Encoder(options_.encoder));
  decoder_ = register_module("decoder", Decoder(options_.resolved_decoder()));
  if (!options_.tied_output) {
    output_ =
        register_module("output", torch::nn::Linear(options_.encoder.hidden, options_.vocab_size));
    const torch::NoGradGuard no_grad;
    output_->weight.normal_(0, 1 / std::sqrt(static_cast<double>(options_.encoder.hidden)));
    output_->bias.zero_();
  }
}

torch::Tensor SequenceModelImpl::output_scores(const torch::Tensor& hidden) const {
  if (frozen_output_ && !torch::GradMode::is_enabled()) return frozen_output_->forward(hidden);
  return torch::linear(hidden, output_weight(), output_bias());
}

std::vector<std::vector<RankedOutput>> SequenceModelImpl::ranked_outputs(
    const torch::Tensor& hidden, int64_t count, const std::vector<int64_t>& excluded) const {
  if (frozen_output_ && !torch::GradMode::is_enabled()) {
    return frozen_output_->ranked(hidden, count, excluded);
  }
  return attend::ranked_outputs(output_scores(hidden), count, excluded);
}

torch::Tensor SequenceModelImpl::log_probabilities(const torch::Tensor& hidden,
                                                   const torch::Tensor& targets) const {
  if (frozen_output_) return frozen_output_->log_probabilities(hidden, targets.contiguous());
  return linear_log_probability(hidden, output_weight(), output_bias(), targets);
}

bool SequenceModelImpl::freeze(Precision precision) {
  if (!freeze_blocks(precision)) return false;
  frozen_output_ = std::make_shared<FrozenLinear>(output_weight(), output_bias(), precision);
  return true;
}

void SequenceModelImpl::train(bool on) {
  if (on) frozen_output_.reset();
  torch::nn::Module::train(on);
}

torch::Tensor EncoderDecoderImpl::embed_source(const torch::Tensor& tokens) {
  const auto& table = source_embedding_.is_empty() ? embedding_ : source_embedding_;
  return torch::nn::Embedding(table)->forward(tokens) *
         std::sqrt(static_cast<double>(options_.encoder.hidden));
}

EncoderOutput EncoderDecoderImpl::encode(const torch::Tensor& embeddings,
                                         const torch::Tensor& lengths,
                                         const ForwardRequest& request) {
  // The encoder refuses layers that it does not have; those of the decoder are none of its
  // business.
  const auto keep_own = [&](std::vector<int64_t>& layers) {
    layers.erase(std::remove_if(layers.begin(), layers.end(),
                                [&](int64_t layer) {
                                  return layer >= options_.encoder.layers &&
                                         layer < attention_layers();
                                }),
                 layers.end());
  };
  ForwardRequest own = request;
  keep_own(own.trace.layers);
  own.edits.clear();
  for (AttentionEdit edit : request.edits) {
    const bool everywhere = edit.layers.empty();
    keep_own(edit.layers);
    if (everywhere || !edit.layers.empty()) own.edits.push_back(std::move(edit));
  }
  return encoder_->forward(embedding_dropout_->forward(embeddings), lengths, own);
}

bool EncoderDecoderImpl::freeze_blocks(Precision precision) {
  if (!decoder_->freeze(precision)) return false;
  // The encoder reads its weights once per batch of texts: of int8 it has only the rounding.
  encoder_->freeze(precision == Precision::kInt8 ? Precision::kBFloat16 : precision);
  return true;
}

DecoderOutput EncoderDecoderImpl::decode(const torch::Tensor& tokens, const Call& call) {
  const torch::Tensor embeddings =
      embedding_->forward(tokens) * std::sqrt(static_cast<double>(options_.encoder.hidden));
  return decoder_->forward(embedding_dropout_->forward(embeddings), call);
}

torch::Tensor EncoderDecoderImpl::output_weight() const {
  return output_.is_empty() ? embedding_->weight : output_->weight;
}

torch::Tensor EncoderDecoderImpl::output_bias() const {
  return output_.is_empty() ? torch::Tensor() : output_->bias;
}

int64_t EncoderDecoderImpl::attention_layers() const {
  return options_.encoder.layers + decoder_->attention_layers();
}

}  // namespace attend
