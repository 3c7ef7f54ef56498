// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

namespace attend {

struct SelfAttentionOutput {
  torch::Tensor output;   ///< shape of the input
  torch::Tensor weights;  ///< [batch, length, length] or [length, length]; row = query, sums to 1
};

/// One-head scaled dot-product self-attention with query, key, value and output projections:
/// softmax(Q K^T / sqrt(hidden)) V. The smallest module that does it right; MultiHeadAttention
/// has the options. The mathematics is attention() of attention_function.h: keys are the last axis
/// of the weights, the softmax runs over them, and no axis of the batch is ever transposed.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  /// `hidden_size` >= 1; throws Error (usage) otherwise.
  explicit SelfAttentionImpl(int64_t hidden_size);

  /// `input` [batch, length, hidden] or [length, hidden]. `lengths` [batch] int64: valid positions,
  /// undefined = all; positions behind get zero weight, as key and as query. `want_weights`:
  /// whether to return the weights too.
  SelfAttentionOutput forward(const torch::Tensor& input, const torch::Tensor& lengths = {},
                              bool want_weights = false);

 private:
  int64_t hidden_size_;
  torch::nn::Linear query_{nullptr}, key_{nullptr}, value_{nullptr}, output_{nullptr};
};
TORCH_MODULE(SelfAttention);

}  // namespace attend
