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
#include "elementwise_loops.h"
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
