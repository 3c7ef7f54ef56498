// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What every instruction set provides.
#pragma once

#include <cstdint>

#include "attend/kernels/attention.h"
#include "attend/kernels/dense_product.h"
#include "packed_layout.h"

namespace attend::kernels {

struct Engine {
  void (*forward)(const Attention&, const MutableTensor&, const Trace&);
  void (*backward)(const Attention&, const Gradients&);
  void (*weights)(const Attention&, const WeightsRequest&);
  /// out[i] = 2 ^ in[i], as the softmax computes it (for the table test), `bounded` as it does
  /// where every in[i] is known to lie in [-126, 127].
  void (*exp2)(const float* in, float* out, int64_t count, bool bounded);
  /// Independent fused multiply-adds in registers, `rounds` times; returns the number of floating
  /// point operations done. Null where the instruction set has no such products.
  double (*peak_fp32)(int64_t rounds);
  double (*peak_bf16)(int64_t rounds);
  void (*pack_rows)(const RowPacking&);
  void (*multiply)(const MatrixProduct&);
  void (*multiply_dense)(const DenseProduct&);
};

namespace portable {
extern const Engine kEngine;
}
namespace avx2 {
extern const Engine kEngine;
}
namespace avx512 {
extern const Engine kEngine;
}
namespace avx512bf16 {
extern const Engine kEngine;
}

/// The engine of active_isa().
const Engine& active_engine();

}  // namespace attend::kernels
