// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <memory>

#include "attend/nn/decoder.h"

namespace attend {

struct LanguageModelOptions {
  int64_t vocabulary = 0;  ///< ids, >= 1. Required.
  double dropout = 0.1;    ///< on the embeddings; elsewhere by decoder.block.dropout
  DecoderOptions decoder{};
};

/// A decoder-only Transformer (Radford et al. 2018) that scores the next token. The embedding is
/// the output layer as well (Press and Wolf 2017), scaled by sqrt(hidden) where it is read
/// (Vaswani et al. 2017).
class LanguageModelImpl : public torch::nn::Module {
 public:
  explicit LanguageModelImpl(const LanguageModelOptions& options);

  /// `tokens` [batch, length] int64 -> [batch, length, hidden]. Padding embeds as zeros.
  torch::Tensor embed(const torch::Tensor& tokens);

  /// `embeddings` [batch, length, hidden] -> vectors behind the last layer, of the same shape.
  DecoderOutput forward(const torch::Tensor& embeddings, const DecoderCall& call = {});

  /// `hidden` [..., hidden] -> logits of the next token [..., vocabulary]; padding and the other
  /// ids that no text has score as the model learnt them.
  torch::Tensor logits(const torch::Tensor& hidden);

  /// `hidden` [rows, hidden], `targets` [rows] -> the log-probability of each target, without
  /// gradients; 0 for targets below 0.
  torch::Tensor log_probabilities(const torch::Tensor& hidden, const torch::Tensor& targets) const;

  /// As Decoder::freeze(), the output layer included.
  bool freeze(Precision precision);
  void train(bool on = true) override;

  /// Bytes of packed weights that a step reads; 0 = not frozen.
  int64_t frozen_bytes() const;

  const torch::Tensor& output_weight() const { return embedding_->weight; }
  const torch::Tensor& output_bias() const { return bias_; }
  const LanguageModelOptions& options() const { return options_; }

 private:
  LanguageModelOptions options_;
  torch::nn::Embedding embedding_{nullptr};
  torch::nn::Dropout dropout_{nullptr};
  torch::Tensor bias_;  // [vocabulary]
  Decoder decoder_{nullptr};
  std::shared_ptr<const FrozenLinear> frozen_output_;
};
TORCH_MODULE(LanguageModel);

}  // namespace attend
