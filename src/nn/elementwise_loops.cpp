// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "attend/kernels/attention.h"
#include "elementwise_dispatch.h"
#include "gelu_table.h"
#include "kernels/dropout.h"
#include "kernels/target.h"

// Everything included so far is compiled for any processor; the loops come once per target.
namespace attend::detail {
namespace portable {
namespace {
constexpr bool kFused = false;  // multiply and add round once
constexpr int64_t kRegisterFloats = 4;
typedef float Vector __attribute__((vector_size(kRegisterFloats * sizeof(float))));
inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
#include "elementwise_loops.h"
}  // namespace
}  // namespace portable

#if defined(__x86_64__)
ATTEND_BEGIN_TARGET("avx2,fma")
namespace avx2 {
namespace {
constexpr bool kFused = true;  // multiply and add round once
constexpr int64_t kRegisterFloats = 8;
typedef float Vector __attribute__((vector_size(kRegisterFloats * sizeof(float))));
inline Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
inline Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }
#include "elementwise_loops.h"
}  // namespace
}  // namespace avx2
ATTEND_END_TARGET

ATTEND_BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
namespace avx512 {
namespace {
constexpr bool kFused = true;  // multiply and add round once
constexpr int64_t kRegisterFloats = 16;
typedef float Vector __attribute__((vector_size(kRegisterFloats * sizeof(float))));
inline Vector larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline Vector smaller(Vector a, Vector b) { return _mm512_min_ps(a, b); }
#define ATTEND_GELU_TABLE
// The smaller one of their magnitudes, the other's where one is none.
inline Vector smaller_magnitude(Vector a, Vector b) { return _mm512_range_ps(a, b, 0b1010); }
// 32 floats, looked up by the last bits of each lane.
struct Table {
  explicit Table(const float* from)
      : low(_mm512_load_ps(from)), high(_mm512_load_ps(from + kRegisterFloats)) {}
  Vector operator[](Vector bits) const {
    return _mm512_permutex2var_ps(low, _mm512_castps_si512(bits), high);
  }
  Vector low, high;
};
#include "elementwise_loops.h"
#undef ATTEND_GELU_TABLE
}  // namespace
}  // namespace avx512
ATTEND_END_TARGET
#endif

const Loops& active_loops() {
  switch (kernels::active_isa()) {
#if defined(__x86_64__)
    case kernels::Isa::kAvx512Bf16:
    case kernels::Isa::kAvx512:
      return avx512::kLoops;
    case kernels::Isa::kAvx2:
      return avx2::kLoops;
#endif
    default:
      return portable::kLoops;
  }
}

}  // namespace attend::detail
