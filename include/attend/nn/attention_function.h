// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <optional>

#include "attend/nn/trace.h"

namespace attend {

/// Everything that shapes one attention call besides query, key and value. Position p of query row
/// i is `query_offset + i`; position of key j is j. All masks are intersected.
struct AttentionArguments {
  /// Factor on q.k; empty = 1 / sqrt(dim) (Vaswani et al. 2017, section 3.2.1).
  std::optional<double> scale;
  /// A query sees no key after its own position.
  bool causal = false;
  /// Position of the first query among the keys, >= 0: the number of cached keys when decoding.
  int64_t query_offset = 0;
  /// Sliding window: a query at p sees keys [p - window_left, p + window_right]; -1 = unlimited
  /// (Beltagy et al. 2020, "Longformer").
  int64_t window_left = -1;
  int64_t window_right = -1;
  /// [batch] int64, valid queries per batch element; undefined = all. Later rows give zeros.
  torch::Tensor query_lengths;
  /// [batch] int64, valid keys per batch element; undefined = all.
  torch::Tensor key_lengths;
  /// Added to the scores; broadcasts to [batch, heads, query, key]. -inf forbids a key.
  torch::Tensor bias;
  /// [heads, 2 * reach + 1]: added to the scores by distance (key position - query position),
  /// clamped to [-reach, reach]; column 0 is distance -reach. Memory O(length) in a fused kernel.
  torch::Tensor distance_bias;
  /// [heads], > 0: adds -slope * |query position - key position| (Press et al. 2022, "ALiBi").
  torch::Tensor alibi_slopes;
  /// [heads]: a logit per head that joins the softmax denominator and has no value, so that a row
  /// may sum to less than 1 (Xiao et al. 2024, "attention sinks"; gpt-oss 2025).
  torch::Tensor sink;
  /// Probability in [0, 1) that a weight is zeroed; the rest are scaled by 1 / (1 - dropout).
  /// The caller passes 0 outside training.
  double dropout = 0;
  /// What to report beside the output.
  TraceStatistics statistics;
};

struct AttentionResult {
  torch::Tensor output;            ///< [batch, heads, query, dim of value]
  AttentionStatistics statistics;  ///< only what was asked for
};

/// Exact attention: softmax over the keys of scale * q.k + biases, times value.
///
///   query [batch, heads, query, dim]
///   key   [batch, kv_heads, key, dim]
///   value [batch, kv_heads, key, value_dim]
///
/// `kv_heads` divides `heads`; query head h reads key/value head h / (heads / kv_heads), and keys
/// and values are never copied per query head (Shazeer 2019, MQA; Ainslie et al. 2023, GQA).
/// A row without any key to look at (padding, empty window, all -inf) has zero weights, zero
/// output, LSE -inf (with a sink too) and passes zero gradients, never NaN.
/// Works in float and double, on any device. Shapes are asserted.
///
/// This is the only place that knows the mathematics: a fused kernel replaces this function.
AttentionResult attention(const torch::Tensor& query, const torch::Tensor& key,
                          const torch::Tensor& value, const AttentionArguments& arguments = {});

}  // namespace attend
