// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A feed-forward part for many rows when no gradients are wanted: weights are packed once for a
// call, and each block of rows goes through all passes while it is in the second-level cache.
#pragma once

#include "attend/nn/torch.h"

namespace attend::detail {

/// Whether this is the faster way for `input` and such layers, and possible: no
/// gradients, both float on a CPU with AVX-512, rows enough for packing to pay.
bool goes_by_row_blocks(const torch::Tensor& input, const torch::nn::Linear& layer);

/// hidden + down(gelu(up(norm(hidden)))); with `gate`, down(silu(gate(.)) * up(.)) behind the norm.
/// `hidden` [..., size]; `gate` may be empty.
torch::Tensor feed_forward_by_row_blocks(const torch::Tensor& hidden, torch::nn::LayerNorm norm,
                                         torch::nn::Linear up, torch::nn::Linear gate,
                                         torch::nn::Linear down);

}  // namespace attend::detail
