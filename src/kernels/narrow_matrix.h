// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/kernels/packed_matrix.h"

namespace attend::kernels {

/// A packed kBFloat16 matrix in 12 bits a weight (packed_layout.h), in the same memory; or as it
/// is, where too many weights do not fit in them.
PackedMatrix narrowed(const PackedMatrix& plain);

/// packed_weight() of a narrow matrix.
float narrow_weight(const PackedMatrix& matrix, int64_t output, int64_t input);

}  // namespace attend::kernels
