// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "language_model.h"

#include <cmath>

#include "attend/data/tokenizer.h"
#include "attend/nn/linear_cross_entropy.h"

namespace attend {

LanguageModelImpl::LanguageModelImpl(const LanguageModelOptions& options) : options_(options) {
  const int64_t hidden = options.decoder.block.hidden;
  decoder_ = register_module("decoder", Decoder(options.decoder));
  embedding_ = register_module(
      "embedding",
      torch::nn::Embedding(
          torch::nn::EmbeddingOptions(options.vocabulary, hidden).padding_idx(kPaddingId)));
  dropout_ = register_module("dropout", torch::nn::Dropout(options.dropout));
  bias_ = register_parameter("bias", torch::zeros({options.vocabulary}));
  torch::NoGradGuard no_grad;
  // Logits of a normalised vector then have variance 1.
  torch::nn::init::normal_(embedding_->weight, 0, 1 / std::sqrt(static_cast<double>(hidden)));
  embedding_->weight[kPaddingId].zero_();
}

torch::Tensor LanguageModelImpl::embed(const torch::Tensor& tokens) {
  const double scale = std::sqrt(static_cast<double>(options_.decoder.block.hidden));
  torch::Tensor vectors = embedding_->forward(tokens) * scale;
  // The output layer moves the row of the padding; as an input it stays nothing.
  return vectors.masked_fill(tokens.eq(kPaddingId).unsqueeze(-1), 0.0);
}

DecoderOutput LanguageModelImpl::forward(const torch::Tensor& embeddings, const DecoderCall& call) {
  return decoder_->forward(dropout_->forward(embeddings), call);
}

torch::Tensor LanguageModelImpl::logits(const torch::Tensor& hidden) {
  if (frozen_output_ && !torch::GradMode::is_enabled()) return frozen_output_->forward(hidden);
  return torch::linear(hidden, embedding_->weight, bias_);
}

torch::Tensor LanguageModelImpl::log_probabilities(const torch::Tensor& hidden,
                                                   const torch::Tensor& targets) const {
  if (frozen_output_) return frozen_output_->log_probabilities(hidden, targets);
  return linear_log_probability(hidden, embedding_->weight, bias_, targets);
}

bool LanguageModelImpl::freeze(Precision precision) {
  if (!decoder_->freeze(precision)) return false;
  frozen_output_ = std::make_shared<FrozenLinear>(embedding_->weight, bias_, precision);
  return true;
}

void LanguageModelImpl::train(bool on) {
  if (on) frozen_output_.reset();
  torch::nn::Module::train(on);
}

int64_t LanguageModelImpl::frozen_bytes() const {
  return frozen_output_ ? frozen_output_->bytes() + decoder_->frozen_bytes() : 0;
}

}  // namespace attend
