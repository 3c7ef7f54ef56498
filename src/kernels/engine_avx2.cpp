// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "engine_common.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace attend::kernels::avx2 {
namespace {
#include "engine/simd_avx2.h"
//
#include "engine/engine.h"
}  // namespace

const Engine kEngine{forward,   backward, weights,          exp2_table,
                     peak_fp32, nullptr,  pack_matrix_rows, multiply_matrix};

}  // namespace attend::kernels::avx2

#pragma GCC pop_options
#endif
