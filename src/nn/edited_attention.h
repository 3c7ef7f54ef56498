// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <vector>

#include "attend/nn/attention_edit.h"
#include "attend/nn/attention_function.h"

namespace attend::detail {

/// The operands of an attention call. Edits are folded into them, so that the fused kernels do the
/// edited call like any other: no edit makes a matrix of scores.
struct AttentionOperands {
  torch::Tensor query, key, value;  // [batch, heads or kv_heads, length, dim]
  AttentionArguments arguments;
  torch::Tensor kept_heads;  // [heads, 1, 1], 0 for heads that are off; undefined = all are on
};

/// Throws Error (usage) when an edit names a head that does not exist or a temperature that is not
/// above 0.
void apply_edits(const std::vector<AttentionEdit>& edits, AttentionOperands& operands);

}  // namespace attend::detail
