// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Exact fused attention on plain memory: forward, backward and decoding in memory that grows with
// the length, and the statistics of the weights that a fused kernel usually throws away. This
// header needs nothing but the C++ library; nothing here throws.
#pragma once

#include <cstdint>

namespace attend::kernels {

enum class ElementType : int32_t { kFloat32 = 0, kBFloat16 = 1 };

/// Distance in elements between neighbours along each axis of [batch, heads, rows, dim]. Any value
/// is allowed; 0 repeats the same memory. `dim` = 1 is fastest.
struct Strides {
  int64_t batch = 0;
  int64_t head = 0;
  int64_t row = 0;
  int64_t dim = 1;
};

struct ConstTensor {
  const void* data = nullptr;
  Strides strides;
};

struct MutableTensor {
  void* data = nullptr;
  Strides strides;
};

/// Added to the scores of [batch, heads, query, key]; a stride of 0 broadcasts. `strides.row` is
/// the step between queries, `strides.dim` between keys. -inf forbids a key, NaN is not allowed.
struct Bias {
  const float* data = nullptr;
  Strides strides;
};

/// A bitmap of blocks: bit (query / query_block, key / key_block) clear = forbidden. One byte per
/// block, 0 or not. A stride of 0 broadcasts; `strides.row` steps between query blocks,
/// `strides.dim` between key blocks.
struct BlockMask {
  const uint8_t* data = nullptr;
  Strides strides;
  int64_t query_block = 64;
  int64_t key_block = 64;
};

/// One attention: softmax over the keys of scale * q.k + biases, times value.
///
///   query [batch, heads, queries, dim]        key   [batch, kv_heads, keys, dim]
///   value [batch, kv_heads, keys, value_dim]  output [batch, heads, queries, value_dim]
///
/// Query head h reads key/value head h / (heads / kv_heads); nothing is copied per query head.
/// The position of query row i is query_offset + i, that of key j is j. All masks are intersected;
/// a block that they empty is never computed. A row without any key gives zeros, LSE -inf and zero
/// gradients. What a masked place holds (NaN, infinity) never reaches a result.
struct Attention {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t kv_heads = 1;   ///< divides `heads`
  int64_t queries = 0;    ///< rows per batch element; with `query_starts`: all rows together
  int64_t keys = 0;       ///< likewise
  int64_t dim = 0;        ///< of query and key, 1 to 256 (multiples of 8 or 16 waste nothing)
  int64_t value_dim = 0;  ///< of value and output, 1 to 256
  /// Of query, key, value, output and their gradients. Accumulation and softmax are fp32 always.
  ElementType type = ElementType::kFloat32;
  ConstTensor query;
  ConstTensor key;
  ConstTensor value;

  double scale = -1;    ///< factor on q.k, finite; < 0: 1 / sqrt(dim) (Vaswani et al. 2017)
  double soft_cap = 0;  ///< c > 0: score = c * tanh(scale * q.k / c), before biases (Gemma 2)

  bool causal = false;       ///< a query sees no key after its own position
  int64_t query_offset = 0;  ///< position of row 0 among the keys, of either sign: cached keys
  const int64_t* query_offsets = nullptr;  ///< [batch]: instead of query_offset, one per element
  int64_t window_left = -1;   ///< a query at p sees keys [p - left, p + right]; -1 = unlimited
  int64_t window_right = -1;  ///< (Beltagy et al. 2020)
  const int64_t* query_lengths = nullptr;  ///< [batch]: later rows give zeros; null = all valid
  const int64_t* key_lengths = nullptr;    ///< [batch]: later keys are not seen; null = all valid

  /// Packed sequences of different lengths: [batch + 1] offsets, ascending from 0. Sequence b owns
  /// query rows [query_starts[b], query_starts[b + 1]) and, likewise, keys; `strides.batch` is not
  /// used. Both or neither are set; `*_lengths` must then be null.
  const int64_t* query_starts = nullptr;
  const int64_t* key_starts = nullptr;

  /// Paged cache: key j of batch element b lies in page pages[b * pages_per_batch + j / page_size],
  /// row j % page_size. Key and value are then [pages, kv_heads, page_size, dim]: `strides.batch`
  /// steps between pages.
  const int32_t* pages = nullptr;
  int64_t page_size = 0;
  int64_t pages_per_batch = 0;

  Bias bias;
  /// [heads, 2 * distance_reach + 1]: added by key position - query position, clamped to the reach;
  /// column 0 is -reach (Raffel et al. 2020 and Shaw et al. 2018, as a scalar).
  const float* distance_bias = nullptr;
  int64_t distance_reach = 0;
  const float* alibi_slopes = nullptr;  ///< [heads]: adds -slope * |distance| (Press et al. 2022)
  BlockMask block_mask;
  /// [heads]: a logit that joins the softmax denominator and has no value (Xiao et al. 2024).
  const float* sink = nullptr;

  /// Probability in [0, 1) that a weight is zeroed after the softmax; the rest are multiplied by
  /// 1 / (1 - dropout). Which ones is a function of (dropout_seed, batch, head, row, key) alone,
  /// see dropout_keeps(), so the backward needs no stored mask. Statistics are taken before it.
  double dropout = 0;
  uint64_t dropout_seed = 0;

  int threads = 0;  ///< 0 = OpenMP's choice
};

/// What a forward pass reports besides its output. A null pointer is not computed. Every array is
/// dense. With packed sequences, [batch, heads, queries] becomes [heads, queries] and
/// [batch, heads, keys] becomes [heads, keys]; `pooled` keeps its batch axis.
struct Trace {
  /// [batch, heads, queries], natural logarithm of the softmax denominator, the sink included:
  /// weight = exp(score - lse). The backward and weights() need it.
  float* lse = nullptr;
  /// [batch, heads, queries], nats: -sum of w ln w over the keys (the sink's share is left out).
  float* entropy = nullptr;
  /// [batch, heads, queries, top_k], by falling weight, ties to the lowest key; key -1 and weight 0
  /// where a row has fewer keys. Weights may be asked for only together with keys. top_k <= 32.
  int32_t top_k = 0;
  int32_t* top_keys = nullptr;
  float* top_weights = nullptr;
  /// [batch, heads, keys]: sum over the queries of the weight on that key.
  float* received = nullptr;
  /// [batch, heads, pooled_rows, pooled_columns]: exact sums of the weights over blocks; cell (r,
  /// c) covers queries [r * queries / pooled_rows, (r + 1) * queries / pooled_rows), keys likewise.
  /// With packed sequences the lengths are the sequence's own.
  int64_t pooled_rows = 0;
  int64_t pooled_columns = 0;
  float* pooled = nullptr;
};

struct Gradients {
  ConstTensor output;          ///< what forward() gave
  ConstTensor d_output;        ///< the loss by the output
  const float* lse = nullptr;  ///< what forward() gave; required
  /// Optional: the loss by Trace::lse and Trace::entropy (the latter needs `entropy` as forward()
  /// gave it). [batch, heads, queries].
  const float* d_lse = nullptr;
  const float* entropy = nullptr;
  const float* d_entropy = nullptr;

  /// Overwritten, as are the next two; null data = not stored. With pages, d_key and d_value are
  /// right only where no page is shared.
  MutableTensor d_query;
  MutableTensor d_key;
  MutableTensor d_value;
  /// Adds to this memory, laid out by `d_bias_strides` (0 = summed over that axis); the caller
  /// zeroes it.
  float* d_bias = nullptr;
  Strides d_bias_strides;
  float* d_distance_bias = nullptr;  ///< [heads, 2 * distance_reach + 1]; added to
  float* d_sink = nullptr;           ///< [heads]; added to
};

/// A part of the weight matrix, computed on demand from query, key and LSE: O(part * dim).
struct WeightsRequest {
  const float* lse = nullptr;  ///< what forward() gave; required
  int64_t batch = -1;          ///< one batch element, or -1 = all
  int64_t head = -1;           ///< one head, or -1 = all
  int64_t first_query = 0;
  int64_t queries = 0;
  int64_t first_key = 0;
  int64_t keys = 0;
  float* weights = nullptr;  ///< [batches asked, heads asked, queries, keys], dense, overwritten
};

/// Null when the kernels can run this; else one line that says what is wrong. forward(), backward()
/// and weights() assert it.
const char* check(const Attention& attention);

/// Softmax attention, exact. `output` is [batch, heads, queries, value_dim] of `attention.type` and
/// is overwritten. Few queries against many keys take the decoding route, which reads the cache
/// once and splits it among the threads.
/// Error, fp32: at most (2e-6 + 1.2e-7 * largest |score|) * max|value| of what the row sees, the
/// second part being the rounding of the scores themselves; values below 1e-30 count as 0. bf16:
/// one rounding of the output, 2^-8, and with bf16 products one of the weights as well, 2^-7 in
/// all.
void forward(const Attention& attention, const MutableTensor& output, const Trace& trace = {});

/// Gradients of forward(). Bitwise the same for the same thread count.
void backward(const Attention& attention, const Gradients& gradients);

/// Any tile of the weights, before dropout.
void weights(const Attention& attention, const WeightsRequest& request);

/// Whether dropout keeps the weight of (batch * heads + head, row, key); the row counts within its
/// own sequence. Murmur-style mixing of all five numbers, 32 bits of resolution.
bool dropout_keeps(const Attention& attention, int64_t batch_head, int64_t row, int64_t key);

/// Instruction sets, in rising order; each includes the ones before it.
enum class Isa : int32_t { kPortable = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Bf16 = 3 };

/// "portable", "avx2", "avx512", "avx512bf16".
const char* to_string(Isa isa);
bool isa_supported(Isa isa);

/// The one in use: the best that the processor has, unless the environment variable ATTEND_ISA
/// names another one or use_isa() chose one. A name that is unknown or not supported is reported on
/// stderr once and ignored.
Isa active_isa();

/// False, and no change, when the processor lacks it.
bool use_isa(Isa isa);

}  // namespace attend::kernels
