// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

namespace attend {

/// [batch, length] bool, true at padding (position >= lengths[b]). `lengths` [batch] int64.
torch::Tensor padding_mask(const torch::Tensor& lengths, int64_t length);

/// `values` [batch, length, ...] with padded positions set to zero; unchanged when `lengths` is
/// undefined.
torch::Tensor zero_padding(const torch::Tensor& values, const torch::Tensor& lengths);

}  // namespace attend
