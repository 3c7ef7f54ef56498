// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <memory>

#include "attend/nn/decoder.h"
#include "attend/nn/encoder.h"

namespace attend {

/// Options of EncoderDecoder.
struct EncoderDecoderOptions {
  /// Entries of the vocabulary, >= 1; source and target share it. Required.
  int64_t vocab_size = 0;
  /// The id whose embedding stays zero; -1 = none.
  int64_t padding_index = 0;
  /// Sizes of the encoder's blocks, and of the decoder's but for its layers.
  EncoderOptions encoder{};
  /// 0 = as many as the encoder's.
  int64_t decoder_layers = 0;
  /// How the decoder reads the encoder; not kNone.
  CrossKind cross = CrossKind::kAttention;
  /// Decoder blocks with parameters of their own; 0 = all; see DecoderOptions.
  int64_t distinct_blocks = 0;
  /// One table embeds source and target words.
  bool shared_embeddings = true;
  /// The target's table is also the output layer (Press and Wolf 2017); without it that has a
  /// matrix and a bias of its own.
  bool tied_output = true;
  /// Probability in [0, 1) on the embeddings.
  double embedding_dropout = 0.1;

  int64_t resolved_decoder_layers() const {
    return decoder_layers > 0 ? decoder_layers : encoder.layers;
  }
  DecoderOptions resolved_decoder() const;
};

/// Throws Error (usage) that names the value, the rule and the fix.
void check_options(const EncoderDecoderOptions& options);

/// What maps one sequence to another: the Transformer below, and the recurrent peer it is compared
/// with. `memory` is what encode() made, in whatever form decode() understands.
class SequenceModelImpl : public torch::nn::Module {
 public:
  /// What one call of decode() needs besides the tokens; fields as in DecoderCall.
  using Call = DecoderCall;

  /// tokens [batch, length] -> [batch, length, dim], scaled, without positions and dropout.
  virtual torch::Tensor embed_source(const torch::Tensor& tokens) = 0;

  /// embed_source()'s vectors -> the memory and what was traced. `lengths` [batch] int64.
  virtual EncoderOutput encode(const torch::Tensor& embeddings, const torch::Tensor& lengths,
                               const ForwardRequest& request) = 0;

  /// Target tokens [batch, length], each seeing itself and those before it, -> hidden vectors
  /// [batch, length, dim] that output_scores() turns into scores of the next token.
  virtual DecoderOutput decode(const torch::Tensor& tokens, const Call& call) = 0;

  /// Of the output layer: [vocabulary, dim], and [vocabulary] or undefined.
  virtual torch::Tensor output_weight() const = 0;
  virtual torch::Tensor output_bias() const = 0;

  /// [..., dim] -> logits [..., vocabulary].
  torch::Tensor output_scores(const torch::Tensor& hidden) const;

  /// ranked_outputs(output_scores(`hidden` [rows, dim]), ...), without holding all scores at once
  /// where the model is frozen.
  std::vector<std::vector<RankedOutput>> ranked_outputs(const torch::Tensor& hidden, int64_t count,
                                                        const std::vector<int64_t>& excluded) const;

  /// `hidden` [rows, dim], `targets` [rows] int64 -> the log-probability of each target, without
  /// gradients; 0 for targets below 0.
  torch::Tensor log_probabilities(const torch::Tensor& hidden, const torch::Tensor& targets) const;

  /// As Decoder::freeze(), encoder and output layer included.
  bool freeze(Precision precision);
  void train(bool on = true) override;

  /// Attention layers, as traces number them.
  virtual int64_t attention_layers() const = 0;

 private:
  virtual bool freeze_blocks(Precision) { return false; }

  std::shared_ptr<const FrozenLinear> frozen_output_;
};

/// Encoder, decoder with cross-attention, embeddings and output layer (Vaswani et al. 2017), with
/// pre-norm blocks.
class EncoderDecoderImpl : public SequenceModelImpl {
 public:
  /// Throws Error (usage) when the options do not fit together.
  explicit EncoderDecoderImpl(const EncoderDecoderOptions& model_options);

  torch::Tensor embed_source(const torch::Tensor& tokens) override;
  EncoderOutput encode(const torch::Tensor& embeddings, const torch::Tensor& lengths,
                       const ForwardRequest& request) override;
  DecoderOutput decode(const torch::Tensor& tokens, const Call& call) override;
  torch::Tensor output_weight() const override;
  torch::Tensor output_bias() const override;
  int64_t attention_layers() const override;

  const EncoderDecoderOptions& options() const { return options_; }

 private:
  bool freeze_blocks(Precision precision) override;

  EncoderDecoderOptions options_;
  torch::nn::Embedding embedding_{nullptr}, source_embedding_{nullptr};
  torch::nn::Dropout embedding_dropout_{nullptr};
  Encoder encoder_{nullptr};
  Decoder decoder_{nullptr};
  torch::nn::Linear output_{nullptr};
};
TORCH_MODULE(EncoderDecoder);

}  // namespace attend
