// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "engine_common.h"

namespace attend::kernels::portable {
namespace {
#include "engine/simd_portable.h"
//
#include "engine/engine.h"
}  // namespace

const Engine kEngine{forward, backward,         weights,         exp2_table,    peak_fp32,
                     nullptr, pack_matrix_rows, multiply_matrix, multiply_dense};

}  // namespace attend::kernels::portable
