// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Attention in double precision straight from its definition: slow, with N x N memory, and sharing
// nothing with the engines but the dropout generator.
#pragma once

#include <cstdint>
#include <vector>

#include "attend/kernels/attention.h"

namespace attend::kernels::testing {

/// The rows of one batch element; `first_*` is 0 unless sequences are packed.
struct Sequence {
  int64_t first_query, queries, first_key, keys;
};
Sequence sequence_of(const Attention& a, int64_t batch);

/// Index of a query row in [batch, heads, queries], or in [heads, queries] when packed.
int64_t query_index(const Attention& a, int64_t batch, int64_t head, int64_t row);
/// Likewise of a key in [batch, `heads`, keys].
int64_t key_index(const Attention& a, int64_t heads, int64_t batch, int64_t head, int64_t key);
/// How many rows all sequences have together, per head: batch * rows, or rows when packed.
int64_t all_queries(const Attention& a);
int64_t all_keys(const Attention& a);

/// Whether the masks and a bias of -inf leave this pair.
bool visible(const Attention& a, int64_t batch, int64_t head, int64_t row, int64_t key);

struct ForwardReference {
  std::vector<double> output;   // [query_index, value_dim]
  std::vector<double> lse;      // [query_index]
  std::vector<double> entropy;  // [query_index]
  std::vector<double>
      row_scale;                 // [query_index]: max |value| over the visible keys / (1 - dropout)
  std::vector<double> received;  // [key_index]
  // Per batch * heads + head: [queries, keys] of the sequence; -inf where a key is not visible.
  std::vector<std::vector<double>> scores, weights;
};
ForwardReference reference_forward(const Attention& a);

/// Block sums of the weights: [batch, heads, rows, columns].
std::vector<double> reference_pooled(const Attention& a, const ForwardReference& forward,
                                     int64_t rows, int64_t columns);

/// Keys by falling score, ties to the lowest; -1 where there are fewer. [query_index, top_k]
std::vector<int32_t> reference_top_keys(const Attention& a, const ForwardReference& forward,
                                        int64_t top_k);

struct LossGradients {
  ConstTensor d_output;
  const float* d_lse = nullptr;
  const float* d_entropy = nullptr;
  Strides d_bias_strides;
  int64_t d_bias_size = 0;  // elements; 0 = not wanted
};

/// Each gradient comes with `*_terms`: an upper bound of the sum of the absolute values of the
/// products that it is made of, at its largest in the slice. Rounding is in proportion to that
/// where the products cancel each other.
struct BackwardReference {
  std::vector<double> d_query;          // [query_index, dim]
  std::vector<double> d_key;            // [key_index over kv_heads, dim]
  std::vector<double> d_value;          // [key_index over kv_heads, value_dim]
  std::vector<double> d_bias;           // as laid out by d_bias_strides
  std::vector<double> d_distance_bias;  // [heads, 2 * reach + 1]
  std::vector<double> d_sink;           // [heads]
  std::vector<double> d_query_terms;    // [batch * heads]
  std::vector<double> d_key_terms;      // [batch * kv_heads]
  std::vector<double> d_value_terms;    // [batch * kv_heads]
  double d_bias_terms = 0;
  double d_distance_bias_terms = 0;
  double d_sink_terms = 0;
};
BackwardReference reference_backward(const Attention& a, const LossGradients& loss);

/// What forward and backward both read: one head of one sequence, dense and widened.
struct HeadData {
  Sequence sequence;
  std::vector<double> query, key, value;
};
HeadData head_data(const Attention& a, int64_t batch, int64_t head);
double effective_scale(const Attention& a);
int64_t query_position(const Attention& a, int64_t batch, int64_t row);
/// Column of [2 * reach + 1] that a pair reads.
int64_t distance_column(const Attention& a, int64_t batch, int64_t row, int64_t key);
double dot(const double* x, const double* y, int64_t count);

}  // namespace attend::kernels::testing
