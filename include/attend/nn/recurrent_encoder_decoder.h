// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <torch/nn/modules/rnn.h>

#include <cstdint>

#include "attend/nn/encoder_decoder.h"

namespace attend {

/// Options of RecurrentEncoderDecoder.
struct RecurrentOptions {
  int64_t vocab_size = 0;          ///< >= 1; source and target share it. Required.
  int64_t padding_index = 0;       ///< the id whose embedding stays zero; -1 = none
  int64_t hidden = 0;              ///< size of embeddings and states, >= 1. Required.
  int64_t layers = 1;              ///< of either side, >= 1
  double dropout = 0.1;            ///< in [0, 1): between layers and before the output
  double embedding_dropout = 0.1;  ///< in [0, 1)
};

/// Throws Error (usage) that names the value, the rule and the fix.
void check_options(const RecurrentOptions& options);

/// The peer without attention: a bidirectional GRU whose last states become one vector, and a GRU
/// that starts from it and reads it beside every word (Cho et al. 2014; Sutskever et al. 2014). The
/// embeddings are shared and are the output layer.
class RecurrentEncoderDecoderImpl : public SequenceModelImpl {
 public:
  /// Throws Error (usage) when the options do not fit together.
  explicit RecurrentEncoderDecoderImpl(const RecurrentOptions& model_options);

  torch::Tensor embed_source(const torch::Tensor& tokens) override;
  /// The memory has length 1.
  EncoderOutput encode(const torch::Tensor& embeddings, const torch::Tensor& lengths,
                       const ForwardRequest& request) override;
  DecoderOutput decode(const torch::Tensor& tokens, const Call& call) override;
  torch::Tensor output_weight() const override { return embedding_->weight; }
  torch::Tensor output_bias() const override { return {}; }
  int64_t attention_layers() const override { return 0; }

 private:
  RecurrentOptions options_;
  torch::nn::Embedding embedding_{nullptr};
  torch::nn::Dropout embedding_dropout_{nullptr}, dropout_{nullptr};
  torch::nn::GRU encoder_{nullptr}, decoder_{nullptr};
  torch::nn::Linear summary_{nullptr}, start_{nullptr};
};
TORCH_MODULE(RecurrentEncoderDecoder);

}  // namespace attend
