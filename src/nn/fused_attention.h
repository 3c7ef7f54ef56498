// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include "attend/nn/attention_function.h"

namespace attend::detail {

/// Whether attend::kernels can give all that this call asks for; see attention().
bool fused_takes(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                 const AttentionArguments& arguments);

/// attention() by attend::kernels, for calls that fused_takes(). Nothing is copied but what the
/// kernels cannot read in place: terms that are not float, tables that are not dense. Not twice
/// differentiable: a gradient with create_graph throws c10::Error.
AttentionResult fused_attention(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& value, const AttentionArguments& arguments);

/// attention_weights_tile() by attend::kernels; nothing in it is empty.
torch::Tensor fused_weights_tile(const torch::Tensor& query, const torch::Tensor& key,
                                 const torch::Tensor& lse, const WeightsTile& tile,
                                 const AttentionArguments& arguments);

}  // namespace attend::detail
