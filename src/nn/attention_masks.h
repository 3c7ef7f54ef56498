// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

#include "attend/nn/attention_function.h"

namespace attend::detail {

/// Stands for -inf in scores. Finite, so that no row turns into NaN; an eighth of the type's
/// range, so that a few of them added up do not overflow; far enough from any real score that exp
/// of the difference is exactly 0.
double forbidden_score(torch::ScalarType type);

/// The additive part of the scores and the rows that have nothing to look at.
struct ScoreTerms {
  /// Broadcasts to [batch, heads, query, key]; undefined = nothing to add. Two, because one that
  /// depends on the batch only and one that depends on the head only are smaller apart.
  torch::Tensor by_batch;
  torch::Tensor by_head;
  torch::Tensor bias;  ///< the caller's, -inf replaced by forbidden_score
  /// bool, broadcasts to [batch, heads, query, 1]: rows without a key that the masks leave;
  /// undefined = there is no such row.
  torch::Tensor dead_rows;
  /// Whether the bias may kill further rows, which only the scores themselves can tell.
  bool bias_forbids = false;
};

ScoreTerms score_terms(const torch::Tensor& query, const torch::Tensor& key,
                       const AttentionArguments& arguments);

}  // namespace attend::detail
