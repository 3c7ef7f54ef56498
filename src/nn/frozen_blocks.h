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

/// The blocks of an encoder or a decoder with the weights that it has now: packed once, and a call
/// in a few passes instead of some forty operators a block. No gradients, statistics or edits.
class FrozenBlocks {
 public:
  /// The mean of a memory instead of attention, or heads beyond what the kernels take: false.
  static bool supports(const DecoderOptions& options);
  static bool supports(const EncoderOptions& options);

  FrozenBlocks(const torch::nn::Module& decoder, const DecoderOptions& options,
               Precision precision);
  FrozenBlocks(const torch::nn::Module& encoder, const EncoderOptions& options,
               Precision precision);

  /// What the blocks and the final norm make of `input` [batch, length, hidden] float, to which
  /// positions were added already. Without `self` or `branches` nothing is remembered. `cross`
  /// holds the memory's keys and values; they are made where it is empty.
  struct Call {
    std::vector<KeyValueCache>* self = nullptr;   ///< one per block
    BranchingCache* branches = nullptr;           ///< instead of `self`
    std::vector<KeyValueCache>* cross = nullptr;  ///< likewise
    torch::Tensor memory;                         ///< as in DecoderCall
    torch::Tensor memory_lengths;
    torch::Tensor lengths;  ///< of an encoder's inputs, [batch] int64; undefined = all whole
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

  void pack(const torch::nn::Module& module);
  Attention attention_of(const torch::nn::Module& module, const std::string& block,
                         const std::string& name);

  DecoderOptions options_;
  AttentionOptions attention_;  // of self-attention
  Precision precision_;
  PackedWeights weights_;
  std::vector<Block> blocks_;
  Norm final_norm_;
  torch::Tensor alibi_slopes_;
};

/// Whether a call with `input` and `request` goes through `frozen`, which may be null: no
/// gradients, and nobody looks at the attention or changes it. Throws Error (usage) where somebody
/// does and the weights are rounded.
bool runs_frozen(const FrozenBlocks* frozen, const torch::Tensor& input,
                 const ForwardRequest& request);

}  // namespace attend::detail
