// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Products of large matrices, as the layers of a model need them: forward, and both gradients.
// Needs nothing but the C++ library and OpenMP; nothing here throws.
#pragma once

#include <cstdint>

#include "attend/kernels/attention.h"

namespace attend::kernels {

/// Element (row, column) stands at data[row * row_stride + column * column_stride]. Any strides are
/// allowed; reading is fast where one of them is 1.
struct ConstMatrix {
  const void* data = nullptr;
  ElementType type = ElementType::kFloat32;
  int64_t row_stride = 0;     ///< in elements
  int64_t column_stride = 1;  ///< in elements
};

/// output = left * right + bias. The sum over the depth is fp32, in an order that depends on
/// nothing but the shape: not on the threads, nor on the other rows and columns.
struct DenseProduct {
  int64_t rows = 0;     ///< >= 0
  int64_t columns = 0;  ///< >= 0
  int64_t depth = 0;    ///< >= 1
  ConstMatrix left;     ///< [rows, depth]
  ConstMatrix right;    ///< [depth, columns]
  /// What both factors are rounded to (to nearest even) before they are multiplied.
  ElementType factors = ElementType::kFloat32;
  const float* bias = nullptr;  ///< [columns], added to every row; null: none

  void* output = nullptr;  ///< [rows, columns]
  ElementType output_type = ElementType::kFloat32;
  int64_t output_stride = 0;  ///< between rows, in elements
  int threads = 0;            ///< 0: as many as OpenMP has
};

void multiply(const DenseProduct& product);

}  // namespace attend::kernels
