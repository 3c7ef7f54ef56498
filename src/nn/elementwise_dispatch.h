// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace attend::detail {

/// Storage only, with the layout of c10::BFloat16.
struct BFloat16 {
  uint16_t bits;
};

/// Which of up to 2^32 elements dropout keeps, and by what they are multiplied.
struct Mask {
  uint32_t key = 0;
  uint32_t threshold = 0;
  float factor = 1;
};

/// `count` rows of `size` to normalise.
struct NormRows {
  int64_t count = 0;
  int64_t size = 0;
  float epsilon = 0;
  const float* gain = nullptr;  ///< [size]
  const float* shift = nullptr;
  const float* mean = nullptr;  ///< [count], for the gradient: what the forward wrote
  const float* inverse = nullptr;
  int64_t out_stride = 0;  ///< of the rows that the forward writes; 0 is `size`
};

/// Normalises rows and notes their means and inverse deviations.
template <typename Out>
using NormLoop = void(const NormRows&, const float* in, Out*, float* mean, float* inverse);

/// AdamWStep, as the loop takes it.
struct AdamWNumbers {
  float gradient_factor, shrink;
  float keep1, take1, keep2, take2;  // of the moments: beta, 1 - beta
  float root_factor;                 // 1 / sqrt(correction2)
  float epsilon, rate, average_share;
};

/// elementwise_loops.h for one instruction set.
struct Loops {
  void (*dropout_add_float)(const Mask&, const float*, const float*, float*, int64_t);
  void (*dropout_add_mixed)(const Mask&, const float*, const BFloat16*, float*, int64_t);
  void (*dropout_add_bfloat16)(const Mask&, const BFloat16*, const BFloat16*, BFloat16*, int64_t);
  void (*dropout_float)(const Mask&, const float*, float*, int64_t);
  void (*dropout_mixed)(const Mask&, const float*, BFloat16*, int64_t);
  void (*dropout_bfloat16)(const Mask&, const BFloat16*, BFloat16*, int64_t);
  void (*gelu_float)(const float*, float*, int64_t);
  /// For results that are rounded to 16 bits next: with a relative error well below theirs.
  void (*gelu_to_round)(const float*, float*, int64_t);
  void (*gelu_bfloat16)(const BFloat16*, BFloat16*, int64_t);
  void (*gelu_gradient_float)(const float*, const float*, float*, int64_t);
  void (*gelu_gradient_bfloat16)(const BFloat16*, const BFloat16*, BFloat16*, int64_t);
  void (*to_bfloat16)(const float*, BFloat16*, int64_t);
  void (*to_float)(const BFloat16*, float*, int64_t);
  /// `average` may be null.
  void (*adamw)(const AdamWNumbers&, const float* gradient, float* parameter, float* first,
                float* second, float* average, int64_t);
  /// Adds `rows` rows of `columns` to `sums`.
  void (*add_rows_float)(const float*, float* sums, int64_t rows, int64_t columns);
  void (*add_rows_bfloat16)(const BFloat16*, float* sums, int64_t rows, int64_t columns);
  /// out[i] = silu(gate[i]) * in[i].
  void (*swiglu_float)(const float* gate, const float* in, float* out, int64_t);
  /// -inf of none.
  float (*largest_of)(const float*, int64_t);
  /// The sum of e^(in[i] - shift); no number may be larger than `shift`, which is finite.
  float (*sum_of_exp)(const float*, int64_t, float shift);
  NormLoop<float>* layer_norm_float;
  NormLoop<BFloat16>* layer_norm_mixed;
  void (*layer_norm_bfloat16)(const NormRows&, const BFloat16*, BFloat16*, float*, float*);
  void (*layer_norm_gradient_float)(const NormRows&, const float*, const float*, float*, float*);
  void (*layer_norm_gradient_mixed)(const NormRows&, const float*, const BFloat16*, float*, float*);
  void (*layer_norm_gradient_bfloat16)(const NormRows&, const BFloat16*, const BFloat16*, BFloat16*,
                                       float*);
};

/// Those of kernels::active_isa().
const Loops& active_loops();

}  // namespace attend::detail
