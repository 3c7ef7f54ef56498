// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "language_model.h"

#include <cmath>

#include "attend/data/tokenizer.h"

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
  return torch::linear(hidden, embedding_->weight, bias_);
}

}  // namespace attend
