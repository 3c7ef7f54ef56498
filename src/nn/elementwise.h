// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

namespace attend::detail {

/// residual + dropout(branch), one pass forward and one backward. The mask is a function of one
/// number drawn from LibTorch's default CPU generator, so nothing is stored and
/// torch::manual_seed() repeats it. `branch` may be bfloat16 beside a float residual. Float and
/// bfloat16 on the CPU; otherwise LibTorch's operators. Without training: residual + branch.
torch::Tensor dropout_add(const torch::Tensor& residual, const torch::Tensor& branch,
                          double probability, bool training);

/// gelu(x) = x * Phi(x), within 2e-7 * |x| of the exact form in float; types as above.
torch::Tensor gelu(const torch::Tensor& input);

/// layer->forward(input), rounded to `type`. `input` [..., size]; float to float or bfloat16, or
/// bfloat16 to bfloat16, in one pass on the CPU (sums in float); otherwise LibTorch's operators.
torch::Tensor layer_norm(torch::nn::LayerNorm layer, const torch::Tensor& input,
                         torch::ScalarType type);

}  // namespace attend::detail
