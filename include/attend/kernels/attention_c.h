/* Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
 *
 * The attention kernels for C and for languages that call C. Fields mean what the fields of the
 * same name in attend/kernels/attention.h mean; attend_attention_init() sets the defaults. The
 * calls return null, or one line that says what is wrong with the problem: then nothing was
 * computed. */
#ifndef ATTEND_KERNELS_ATTENTION_C_H
#define ATTEND_KERNELS_ATTENTION_C_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ATTEND_FLOAT32 = 0, ATTEND_BFLOAT16 = 1 };

typedef struct attend_strides {
  int64_t batch, head, row, dim; /* in elements */
} attend_strides;

typedef struct attend_const_tensor {
  const void* data;
  attend_strides strides;
} attend_const_tensor;

typedef struct attend_tensor {
  void* data;
  attend_strides strides;
} attend_tensor;

typedef struct attend_attention {
  int64_t batch, heads, kv_heads, queries, keys, dim, value_dim;
  int32_t type; /* ATTEND_FLOAT32 or ATTEND_BFLOAT16 */
  int32_t causal;
  attend_const_tensor query, key, value;
  double scale, soft_cap;
  int64_t query_offset;
  const int64_t* query_offsets;
  int64_t window_left, window_right;
  const int64_t *query_lengths, *key_lengths;
  const int64_t *query_starts, *key_starts;
  const int32_t* pages;
  int64_t page_size, pages_per_batch;
  const float* bias;
  attend_strides bias_strides;
  const float* distance_bias;
  int64_t distance_reach;
  const float* alibi_slopes;
  const uint8_t* block_mask;
  attend_strides block_mask_strides;
  int64_t query_block, key_block;
  const float* sink;
  double dropout;
  uint64_t dropout_seed;
  int32_t threads;
} attend_attention;

typedef struct attend_trace {
  float *lse, *entropy;
  int32_t top_k;
  int32_t* top_keys;
  float *top_weights, *received;
  int64_t pooled_rows, pooled_columns;
  float* pooled;
} attend_trace;

typedef struct attend_gradients {
  attend_const_tensor output, d_output;
  const float *lse, *d_lse, *entropy, *d_entropy;
  attend_tensor d_query, d_key, d_value;
  float* d_bias;
  attend_strides d_bias_strides;
  float *d_distance_bias, *d_sink;
} attend_gradients;

typedef struct attend_weights_request {
  const float* lse;
  int64_t batch, head, first_query, queries, first_key, keys;
  float* weights;
} attend_weights_request;

/* Defaults everywhere: one batch element, one head, no masks, scale 1 / sqrt(dim). */
void attend_attention_init(attend_attention* attention);

/* `trace` may be null. */
const char* attend_attention_forward(const attend_attention* attention, const attend_tensor* output,
                                     const attend_trace* trace);
const char* attend_attention_backward(const attend_attention* attention,
                                      const attend_gradients* gradients);
const char* attend_attention_weights(const attend_attention* attention,
                                     const attend_weights_request* request);

/* "portable", "avx2", "avx512" or "avx512bf16". */
const char* attend_attention_isa(void);

#ifdef __cplusplus
}
#endif

#endif /* ATTEND_KERNELS_ATTENTION_C_H */
