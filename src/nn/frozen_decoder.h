// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attend/nn/decoder.h"
#include "attend/nn/frozen_linear.h"

namespace attend::detail {

/// A decoder's blocks with the weights that it has now, for decoding: packed once, and a step in a
/// few passes instead of some forty operators a block. No gradients, statistics or edits.
class FrozenDecoder {
 public:
  /// The mean of a memory instead of attention, or heads beyond what the kernels take: false.
  static bool supports(const DecoderOptions& options);

  FrozenDecoder(const torch::nn::Module& decoder, const DecoderOptions& options,
                Precision precision);

  /// What the blocks and the final norm make of `input` [batch, length, hidden] float, to which
  /// positions were added already. Without `self` nothing is remembered. `cross` holds the memory's
  /// keys and values; they are made where it is empty.
  struct Call {
    std::vector<KeyValueCache>* self = nullptr;   ///< one per block
    std::vector<KeyValueCache>* cross = nullptr;  ///< likewise
    torch::Tensor memory;                         ///< as in DecoderCall
    torch::Tensor memory_lengths;
  };
  torch::Tensor forward(const torch::Tensor& input, const Call& call) const;

  Precision precision() const { return precision_; }
  int64_t bytes() const { return weights_.bytes(); }

 private:
  friend class FrozenStep;

  struct Norm {
    torch::Tensor gain, shift;
    float epsilon = 0;
  };
  struct Attention {
    Norm norm;
    size_t input = 0;   // self: query, key, value and gate; cross: query and gate
    size_t memory = 0;  // cross: key and value
    size_t output = 0;
    torch::Tensor query_norm, key_norm;  // [head size] or undefined
    torch::Tensor sink;                  // [heads] or undefined
    torch::Tensor distance_bias;         // [heads, 2 * reach + 1] or undefined
  };
  struct Block {
    Attention self;
    std::optional<Attention> cross;
    Norm feed_forward_norm;
    size_t up = 0, gate = 0, down = 0;
  };

  Attention attention_of(const torch::nn::Module& decoder, const std::string& block,
                         const std::string& name);

  DecoderOptions options_;
  AttentionOptions attention_;  // of self-attention
  Precision precision_;
  PackedWeights weights_;
  std::vector<Block> blocks_;
  Norm final_norm_;
  torch::Tensor alibi_slopes_;
};

}  // namespace attend::detail
