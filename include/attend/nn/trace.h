// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace attend {

struct AttentionInputs;

/// Which statistics one attention call reports. All off by default: nothing is computed that was
/// not asked for.
struct TraceStatistics {
  bool weights = false;   ///< the full matrix; memory grows with query length * key length
  bool lse = false;       ///< log of the softmax denominator, per query
  bool entropy = false;   ///< spread of the weights, per query
  bool received = false;  ///< mass received, per key
  bool sink = false;      ///< mass that the learnable sink took, per query
  int64_t top_keys = 0;   ///< how many heaviest keys to list per query; 0 = none
  /// Cells of the pooled map, queries down and keys across; 0 = no map. Both or neither.
  int64_t pooled_rows = 0;
  int64_t pooled_columns = 0;
  bool inputs = false;  ///< what the weights were computed from; see AttentionInputs
  bool hidden = false;  ///< the vectors behind the layer; see LayerTrace

  bool pooled() const { return pooled_rows > 0 && pooled_columns > 0; }
  bool any() const {
    return weights || lse || entropy || received || sink || top_keys > 0 || pooled() || inputs ||
           hidden;
  }
};

/// What a forward pass is asked to report about its attention. It travels with the call and its
/// answer comes back beside the output; there is no global switch and no hook.
struct TraceRequest {
  std::vector<int64_t> layers;  ///< 0-based; empty = none, unless `all_layers`
  bool all_layers = false;      ///< true: every layer, whatever `layers` says
  TraceStatistics statistics;   ///< what to report for those layers

  /// Every layer, with the full weights.
  static TraceRequest all_weights();

  bool wants(int64_t layer) const;

  /// The statistics to compute in `layer`: `statistics`, or nothing.
  TraceStatistics of_layer(int64_t layer) const;
};

/// The answer of one attention call. A tensor that was not asked for is undefined. Everything is
/// taken from the weights before dropout and stays in the autograd graph. Rows of padded or fully
/// masked queries are zero (LSE: -inf). In the type of the query; of bfloat16 queries in float
/// where the kernels run, which sum in float.
struct AttentionStatistics {
  torch::Tensor weights;  ///< [batch, heads, query, key], in [0, 1]
  /// [batch, heads, query], natural log; includes the sink's logit, so that
  /// weight = exp(score - lse) always holds.
  torch::Tensor lse;
  /// [batch, heads, query], nats: -sum over keys of w ln w (the sink's share is left out).
  torch::Tensor entropy;
  torch::Tensor received;  ///< [batch, heads, key]: sum over queries of the weight on that key
  torch::Tensor sink;      ///< [batch, heads, query] = 1 - sum of the row; zeros without a sink
  /// [batch, heads, query, k] int64, heaviest first, ties to the lowest key; k = min(asked, keys).
  /// -1 where fewer than k keys have a weight above 0.
  torch::Tensor top_keys;
  torch::Tensor top_weights;  ///< [batch, heads, query, k]
  /// [batch, heads, pooled_rows, pooled_columns]: the whole matrix made small. Cell (r, c) is the
  /// sum of the weights of queries [r * queries / rows, (r + 1) * queries / rows) on the keys [c *
  /// keys / columns, (c + 1) * keys / columns), rounded down; all cells add up to all weights.
  torch::Tensor pooled;
  /// Any part of the weights, and what they carry, in memory linear in the length. Filled by
  /// MultiHeadAttention, not by attention().
  std::shared_ptr<const AttentionInputs> inputs;
};

/// What the queries and keys of an attention layer are.
enum class AttentionRole {
  kSelf,     ///< both the input's positions
  kDecoder,  ///< both the output's positions, causal
  kCross     ///< queries: the output's positions, keys: the input's
};

/// The statistics of one layer. Layers are numbered from 0 through the whole model in the order of
/// computation: of E encoder and D decoder blocks, encoder block i is layer i, self-attention of
/// decoder block i layer E + 2 i and its cross-attention layer E + 2 i + 1.
struct LayerTrace : AttentionStatistics {
  int64_t layer = 0;
  std::string label;  ///< for a person: "layer 0"
  AttentionRole role = AttentionRole::kSelf;
  /// [batch, query, size]: the vectors that leave the layer's block (self-attention of a decoder
  /// block: that leave this part of it), where asked for.
  torch::Tensor hidden;
};

/// One entry per traced layer, in the order of the layers.
struct Trace {
  std::vector<LayerTrace> layers;

  /// The entry of `layer`, or null when it was not traced.
  const LayerTrace* find(int64_t layer) const;
};

}  // namespace attend
