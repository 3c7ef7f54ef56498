// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include "attend/nn/attention_function.h"

namespace attend::detail {

/// The output of attention() by LibTorch's scaled_dot_product_attention, which picks the fused
/// kernel of the device; undefined when that cannot do all that is asked: tensors on the CPU (the
/// kernels are faster and the plain path is the reference), a LibTorch before 2.5, any statistic, a
/// sink, -inf in the bias.
torch::Tensor library_attention(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& value, const AttentionArguments& arguments);

/// The same for any device.
torch::Tensor library_attention_anywhere(const torch::Tensor& query, const torch::Tensor& key,
                                         const torch::Tensor& value,
                                         const AttentionArguments& arguments);

}  // namespace attend::detail
