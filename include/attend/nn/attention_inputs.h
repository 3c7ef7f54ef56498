// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What an attention call computed from, kept by a trace so that questions about its weights can be
// answered afterwards without ever making the whole matrix.
#pragma once

#include "attend/nn/torch.h"

#include "attend/nn/attention_function.h"

namespace attend {

/// One call of MultiHeadAttention, after the edits of its request. All calls below need a batch of
/// one, give no gradients, and take memory linear in the lengths.
struct AttentionInputs {
  torch::Tensor query;  ///< [batch, heads, query, dim]
  torch::Tensor key;    ///< [batch, kv_heads, key, dim]
  torch::Tensor value;  ///< [batch, kv_heads, key, dim]
  torch::Tensor lse;    ///< [batch, heads, query]
  /// [batch, heads, query, dim], in the autograd graph, before the gate. A weight's gradient is
  /// that of its query's output times its key's value, so weights need not be in the graph.
  torch::Tensor output;
  torch::Tensor gate;            ///< [batch, heads, query, dim], factor on the output; or undefined
  torch::Tensor output_weight;   ///< [size, heads * dim], the projection behind
  AttentionArguments arguments;  ///< as the call had them

  int64_t queries() const { return query.size(2); }
  int64_t keys() const { return key.size(2); }
  int64_t heads() const { return query.size(1); }

  /// attention_weights_tile() of this call.
  torch::Tensor tile(const WeightsTile& tile) const;

  /// Row vectors times the weights: `rows` [n, query] -> [n, heads, key]. It is the gradient by the
  /// values of an attention call whose output has gradient `rows`, so the fused backward does it.
  torch::Tensor times_weights(const torch::Tensor& rows) const;

  /// The weights of single pairs: queries [n] int64, keys [n] int64 -> [heads, n].
  torch::Tensor weights_at(const torch::Tensor& queries, const torch::Tensor& keys) const;

  /// What each key puts into the mix of outputs that `row` [query] makes: [key, size] = sum over
  /// heads of (row A_h)[key] * value_h[key] W_h (Kobayashi et al. 2020), through the gate.
  torch::Tensor carried(const torch::Tensor& row) const;
};

}  // namespace attend
