// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/kernels/packed_matrix.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#include "engine.h"
#include "narrow_matrix.h"
#include "packed_layout.h"

namespace attend::kernels {
namespace {

constexpr Isa kBfloat16Isa = Isa::kAvx512Bf16;  // whose engine has products of bf16 numbers

uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (value != value) return uint16_t((bits >> 16) | 0x40u);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float scale_of(const float* weights, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(weights[i]));
  return largest / 127;
}

uint8_t* panel_of(const PackedMatrix& matrix, int64_t panel) {
  auto* memory = static_cast<uint8_t*>(const_cast<void*>(matrix.memory));
  return memory + panel * panel_bytes(matrix);
}

// Place of a weight behind the head of its panel, in elements.
int64_t place(WeightType type, int64_t lane, int64_t input) {
  const int64_t group = type == WeightType::kFloat32 ? 1 : type == WeightType::kBFloat16 ? 2 : 4;
  return (input / group * kPanelOutputs + lane) * group + input % group;
}

}  // namespace

int64_t packed_bytes(WeightType type, int64_t outputs, int64_t inputs) {
  return packed_bytes(PackedMatrix{type, outputs, inputs});
}

int64_t packed_bytes(const PackedMatrix& matrix) { return matrix.panels() * panel_bytes(matrix); }

void pack_panels(const PackedMatrix& matrix, const float* weight, const float* bias, int64_t begin,
                 int64_t end) {
  assert(matrix.type == WeightType::kFloat32 && 0 <= begin && end <= matrix.panels());
  for (int64_t panel = begin; panel < end; ++panel) {
    auto* head = reinterpret_cast<float*>(panel_of(matrix, panel));
    float* to = head + kPanelOutputs;
    const int64_t first = panel * kPanelOutputs;
    const int64_t real = std::min(kPanelOutputs, matrix.outputs - first);
    if (real < kPanelOutputs) std::fill_n(head, kPanelOutputs * (1 + matrix.inputs), 0.0f);
    for (int64_t lane = 0; lane < real; ++lane) head[lane] = bias ? bias[first + lane] : 0;
    // Few inputs of all rows at a time: what is written stays in the first-level cache.
    constexpr int64_t kInputs = 32;
    for (int64_t input = 0; input < matrix.inputs; input += kInputs) {
      const int64_t stop = std::min(input + kInputs, matrix.inputs);
      for (int64_t lane = 0; lane < real; ++lane) {
        const float* row = weight + (first + lane) * matrix.inputs;
        for (int64_t i = input; i < stop; ++i) to[i * kPanelOutputs + lane] = row[i];
      }
    }
  }
}

PackedMatrix pack_matrix(WeightType type, int64_t outputs, int64_t inputs, const float* weight,
                         const float* bias, void* memory, bool may_narrow) {
  PackedMatrix matrix{type, outputs, inputs, memory};
  if (type == WeightType::kFloat32) {
    pack_panels(matrix, weight, bias, 0, matrix.panels());
    return matrix;
  }
  const int64_t padded = padded_inputs(type, inputs);
  for (int64_t output = 0; output < matrix.panels() * kPanelOutputs; ++output) {
    const int64_t lane = output % kPanelOutputs;
    uint8_t* panel = panel_of(matrix, output / kPanelOutputs);
    uint8_t* weights = panel + panel_head_bytes(type);
    const bool real = output < outputs;
    const float* row = real ? weight + output * inputs : nullptr;
    auto* head = reinterpret_cast<float*>(panel);
    head[lane] = real && bias ? bias[output] : 0;
    const float scale = type == WeightType::kInt8 && real ? scale_of(row, inputs) : 0;
    if (type == WeightType::kInt8) head[kPanelOutputs + lane] = scale;
    const float inverse = scale > 0 ? 1 / scale : 0;
    for (int64_t input = 0; input < padded; ++input) {
      const float value = real && input < inputs ? row[input] : 0;
      const int64_t at = place(type, lane, input);
      switch (type) {
        case WeightType::kFloat32:
          break;
        case WeightType::kBFloat16:
          reinterpret_cast<uint16_t*>(weights)[at] = to_bf16(value);
          break;
        case WeightType::kInt8:
          weights[at] =
              uint8_t(128 + int(std::clamp(std::nearbyint(value * inverse), -127.0f, 127.0f)));
          break;
      }
    }
  }
  const bool narrows = may_narrow && type == WeightType::kBFloat16 && active_isa() == kBfloat16Isa;
  return narrows ? narrowed(matrix) : matrix;
}

PackedMatrix panels_of(const PackedMatrix& matrix, int64_t begin, int64_t end) {
  assert(0 <= begin && begin < end && end <= matrix.panels());
  PackedMatrix part = matrix;
  part.outputs = std::min(matrix.outputs, end * kPanelOutputs) - begin * kPanelOutputs;
  part.memory = panel_of(matrix, begin);
  return part;
}

float packed_weight(const PackedMatrix& matrix, int64_t output, int64_t input) {
  if (matrix.is_narrow()) return narrow_weight(matrix, output, input);
  const uint8_t* panel = panel_of(matrix, output / kPanelOutputs);
  const uint8_t* weights = panel + panel_head_bytes(matrix.type);
  const int64_t lane = output % kPanelOutputs, at = place(matrix.type, lane, input);
  switch (matrix.type) {
    case WeightType::kFloat32:
      return reinterpret_cast<const float*>(weights)[at];
    case WeightType::kBFloat16:
      return std::bit_cast<float>(uint32_t(reinterpret_cast<const uint16_t*>(weights)[at]) << 16);
    case WeightType::kInt8:
      break;
  }
  return float(int(weights[at]) - 128) *
         reinterpret_cast<const float*>(panel)[kPanelOutputs + lane];
}

int64_t packed_row_bytes(WeightType type, int64_t inputs) {
  // A line more than it takes: rows a power of two apart would share the sets of a cache.
  if (packs_as_bfloat16(type, inputs)) return (inputs * 2 + 63) / 64 * 64 + 64;
  // Room for fp32, which some instruction sets keep, and for a scale and a sum per block.
  const int64_t blocks = (inputs + kIntegerBlock - 1) / kIntegerBlock;
  return (padded_inputs(type, inputs) * 4 + blocks * 8 + 63) / 64 * 64;
}

bool packs_as_bfloat16(WeightType type, int64_t inputs) {
  return type == WeightType::kBFloat16 && active_isa() == kBfloat16Isa &&
         padded_inputs(type, inputs) == inputs;
}

void pack_rows(WeightType type, const float* rows, int64_t count, int64_t inputs, int64_t stride,
               void* memory) {
  active_engine().pack_rows({type, rows, count, inputs, stride, memory});
}

void multiply(const PackedMatrix& matrix, const void* packed_rows, int64_t rows, int64_t begin,
              int64_t end, const ProductOutput& output) {
  assert(0 <= begin && end <= matrix.panels());
  assert(!matrix.is_narrow() || active_isa() == kBfloat16Isa);
  assert(!output.add || (output.activation == nullptr && output.rounded == nullptr));
  active_engine().multiply({matrix, packed_rows, packed_row_bytes(matrix.type, matrix.inputs), rows,
                            begin, end, output});
}

void multiply_floats(const PackedMatrix& matrix, const float* rows, int64_t stride, int64_t count,
                     int64_t begin, int64_t end, const ProductOutput& output) {
  assert(matrix.type == WeightType::kFloat32 && 0 <= begin && end <= matrix.panels());
  assert(!output.add || (output.activation == nullptr && output.rounded == nullptr));
  active_engine().multiply({matrix, rows, stride * 4, count, begin, end, output});
}

}  // namespace attend::kernels
