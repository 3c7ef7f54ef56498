// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "engine_common.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "target.h"

ATTEND_BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")

namespace attend::kernels::avx512 {
namespace {
#include "engine/simd_avx512.h"
//
#include "engine/engine.h"
}  // namespace

const Engine kEngine{forward, backward,         weights,         exp2_table,    peak_fp32,
                     nullptr, pack_matrix_rows, multiply_matrix, multiply_dense};

}  // namespace attend::kernels::avx512

ATTEND_END_TARGET
#endif
