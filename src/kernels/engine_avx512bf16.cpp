// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "engine_common.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "target.h"

#define ATTEND_BF16_PRODUCTS 1
#define ATTEND_COMPRESSES_BYTES 1  // all processors with such products but one do (Cooper Lake)

ATTEND_BEGIN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni,avx512vbmi2,avx2,fma")

namespace attend::kernels::avx512bf16 {
namespace {
#include "engine/simd_avx512.h"
//
#include "engine/engine.h"
}  // namespace

const Engine kEngine{forward,   backward,         weights,         exp2_table,    peak_fp32,
                     peak_bf16, pack_matrix_rows, multiply_matrix, multiply_dense};

}  // namespace attend::kernels::avx512bf16

ATTEND_END_TARGET
#endif
