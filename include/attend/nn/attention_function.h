// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <optional>

#include "attend/nn/trace.h"

namespace attend {

/// Which code computes an attention call.
enum class AttentionRoute {
  /// The fastest that can: attend::kernels for float and bfloat16 on the CPU, LibTorch's own fused
  /// operator on other devices where it fits, else kPlain.
  kAuto,
  /// Whole matrices: the reference. For comparison, and for gradients of gradients.
  kPlain
};

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
  AttentionRoute route = AttentionRoute::kAuto;
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
/// Works in any floating type, on any device. Shapes are asserted.
///
/// Memory grows with query length + key length in the kernels, with their product on the plain
/// path. kAuto takes the kernels for float and bfloat16 tensors on the CPU, dims up to 256, scale
/// >= 0 and at most 32 top keys; not while gradients are recorded for a call that traces weights,
/// received, top keys or a pooled map, since those are to be differentiated (by), nor for ALiBi
/// slopes that are learned. Dropout draws one number per call from LibTorch's default CPU generator
/// there, so torch::manual_seed() repeats it.
AttentionResult attention(const torch::Tensor& query, const torch::Tensor& key,
                          const torch::Tensor& value, const AttentionArguments& arguments = {});

/// A part of the weight matrix.
struct WeightsTile {
  int64_t batch = -1;  ///< one batch element; -1 = all
  int64_t head = -1;   ///< one query head; -1 = all
  int64_t first_query = 0;
  int64_t queries = 0;
  int64_t first_key = 0;
  int64_t keys = 0;
};

/// The weights of `tile` [batches asked, heads asked, tile.queries, tile.keys], before dropout,
/// without gradients; query, key and `arguments` are those of the attention() call that gave
/// statistics.lse [batch, heads, query]. Costs tile.queries * tile.keys * dim and no more memory
/// than the result in the kernels; elsewhere (see attention()) tile.queries * key length.
torch::Tensor attention_weights_tile(const torch::Tensor& query, const torch::Tensor& key,
                                     const torch::Tensor& lse, const WeightsTile& tile,
                                     const AttentionArguments& arguments = {});

}  // namespace attend
