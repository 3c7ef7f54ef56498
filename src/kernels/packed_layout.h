// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// How packed matrices and rows lie in memory.
//
// A panel: bias [32], with int8 scale [32], then weights, so that a product reads one ascending
// stream. fp32: [inputs][32]; bf16: [inputs / 2][32][2], pairs as vdpbf16ps reads them; int8:
// [inputs / 4][32][4] of weight + 128, unsigned as vpdpbusd wants its first factor.
//
// A row: fp32 [inputs]; of bf16, pairs or, without such products, the rounded numbers as fp32; of
// int8, see engine/matrix.h.
#pragma once

#include <cstdint>

#include "attend/kernels/packed_matrix.h"

namespace attend::kernels {

/// Inputs whose integer products are summed before they are scaled: 512 * 127 * kRowLimit < 2^31.
inline constexpr int64_t kIntegerBlock = 512;
inline constexpr float kRowLimit = 32639;  // so that rounding to 16 bits by bytes does not overflow

/// Inputs of one step of a product, to which rows are filled up with zeros.
constexpr int64_t inputs_per_step(WeightType type) {
  return type == WeightType::kFloat32 ? 1 : type == WeightType::kBFloat16 ? 2 : 16;
}

constexpr int64_t padded_inputs(WeightType type, int64_t inputs) {
  const int64_t step = inputs_per_step(type);
  return (inputs + step - 1) / step * step;
}

constexpr int64_t panel_head_bytes(WeightType type) {
  return kPanelOutputs * (type == WeightType::kInt8 ? 8 : 4);
}

constexpr int64_t panel_bytes(WeightType type, int64_t inputs) {
  const int64_t size = type == WeightType::kFloat32 ? 4 : type == WeightType::kBFloat16 ? 2 : 1;
  return panel_head_bytes(type) + padded_inputs(type, inputs) * kPanelOutputs * size;
}

/// What an engine is asked for; see pack_rows() and multiply().
struct RowPacking {
  WeightType type;
  const float* rows;
  int64_t count, inputs, stride;
  void* memory;
};

struct MatrixProduct {
  const PackedMatrix& matrix;
  const void* packed_rows;
  int64_t row_bytes;
  int64_t rows, begin, end;
  const ProductOutput& output;
};

}  // namespace attend::kernels
