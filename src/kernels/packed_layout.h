// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// How packed matrices and rows lie in memory.
//
// A panel: bias [32], with int8 scale [32], then weights, so that a product reads one ascending
// stream. fp32: [inputs][32]; bf16: [inputs / 2][32][2], pairs as vdpbf16ps reads them; int8:
// [inputs / 4][32][4] of weight + 128, unsigned as vpdpbusd wants its first factor.
//
// A narrow panel, bf16 in 12 bits without loss: the weights of a panel differ little in sign and
// the upper 7 bits of the exponent, so that 4 bits say which of 16 upper bytes a weight has. Behind
// the bias NarrowHead, then [inputs / 4] lines: 64 bytes with the codes of 2 weights each and 128
// bytes with their lower halves, in the order in which the engine joins them (narrow_place()). A
// weight with a rarer upper byte is a zero there; it stands among the strays behind the lines.
//
// A row: fp32 [inputs]; of bf16, pairs or, without such products, the rounded numbers as fp32; of
// int8, see engine/matrix_weights.h.
#pragma once

#include <cstdint>

#include "attend/kernels/packed_matrix.h"

namespace attend::kernels {

/// Inputs whose integer products are summed before they are scaled: 512 * 127 * kRowLimit < 2^31.
inline constexpr int64_t kIntegerBlock = 512;
inline constexpr float kRowLimit = 32639;  // so that rounding to 16 bits by bytes does not overflow

/// Of a narrow panel.
struct NarrowHead {
  uint8_t upper[16];   ///< bytes; the first one is 0
  int32_t strays[2];   ///< of outputs [0, 16) and of [16, 32), one behind the other
  uint8_t unused[40];  ///< so that lines are aligned
};
static_assert(sizeof(NarrowHead) == 64);

/// Inputs of a line.
inline constexpr int64_t kNarrowInputs = 4;
inline constexpr int64_t kNarrowLineBytes = 192;

/// A weight that no line has.
struct Stray {
  int32_t pair;    ///< of bf16 numbers: the weight, and 0 for the other input
  uint32_t place;  ///< of the pair: inputs 2 * place and 2 * place + 1
  uint32_t lane;   ///< output within its 16
};

/// Inputs of one step of a product, to which rows are filled up with zeros.
constexpr int64_t inputs_per_step(WeightType type) {
  return type == WeightType::kFloat32 ? 1 : type == WeightType::kBFloat16 ? kNarrowInputs : 16;
}

constexpr int64_t padded_inputs(WeightType type, int64_t inputs) {
  const int64_t step = inputs_per_step(type);
  return (inputs + step - 1) / step * step;
}

constexpr int64_t panel_head_bytes(WeightType type) {
  return kPanelOutputs * (type == WeightType::kInt8 ? 8 : 4);
}

/// Between the panels of a matrix. That of one in 16 bits is the larger one.
constexpr int64_t panel_bytes(const PackedMatrix& m) {
  const int64_t inputs = padded_inputs(m.type, m.inputs), head = panel_head_bytes(m.type);
  if (m.is_narrow()) {
    const int64_t strays = (m.most_strays * int64_t{sizeof(Stray)} + 63) / 64 * 64;
    return head + int64_t{sizeof(NarrowHead)} + inputs / kNarrowInputs * kNarrowLineBytes + strays;
  }
  const int64_t size = m.type == WeightType::kFloat32 ? 4 : m.type == WeightType::kBFloat16 ? 2 : 1;
  return head + inputs * kPanelOutputs * size;
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
