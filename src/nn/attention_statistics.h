// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include "attend/nn/trace.h"

namespace attend::detail {

/// Fills what `wanted` names from the weights [batch, heads, query, key] (before dropout, dead
/// rows zero), except for `lse`, which only the scores can tell.
AttentionStatistics statistics_of(const torch::Tensor& weights, const TraceStatistics& wanted);

}  // namespace attend::detail
