// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Layers for many rows when no gradients are wanted: weights are packed once for a call, and each
// block of rows goes through all passes of a layer while it is in the second-level cache.
#pragma once

#include "attend/nn/torch.h"

#include <vector>

namespace attend::detail {

/// Whether the passes below are the faster way for `input` and such a layer, and possible: no
/// gradients, both float on a CPU with AVX-512, rows enough for packing to pay.
bool goes_by_row_blocks(const torch::Tensor& input, const torch::nn::Linear& layer);

/// The layers side by side: `input` [..., inputs] -> [..., sum of their outputs], contiguous.
torch::Tensor linear_by_row_blocks(const torch::Tensor& input,
                                   const std::vector<torch::nn::Linear>& layers);

/// hidden + down(gelu(up(norm(hidden)))); with `gate`, down(silu(gate(.)) * up(.)) behind the norm.
/// `hidden` [..., size]; `gate` may be empty.
torch::Tensor feed_forward_by_row_blocks(const torch::Tensor& hidden, torch::nn::LayerNorm norm,
                                         torch::nn::Linear up, torch::nn::Linear gate,
                                         torch::nn::Linear down);

}  // namespace attend::detail
