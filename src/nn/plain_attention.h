// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include "attend/nn/attention_function.h"

namespace attend::detail {

/// attention() by LibTorch's operators on whole matrices: the reference that every other route is
/// compared with, and the only one in which every traced statistic can be differentiated and
/// differentiated by. Any floating type and device. No length may be 0; shapes are not checked.
AttentionResult plain_attention(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& value, const AttentionArguments& arguments);

}  // namespace attend::detail
