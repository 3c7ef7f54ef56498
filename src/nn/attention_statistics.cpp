// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attention_statistics.h"

#include <algorithm>
#include <limits>

namespace attend::detail {
namespace {

// [cells, length], 1 where a position belongs to a cell of the pooled map.
torch::Tensor cells_of(int64_t cells, int64_t length, const torch::TensorOptions& options) {
  const torch::TensorOptions integers = options.dtype(torch::kInt64);
  const torch::Tensor edges =
      torch::floor_divide(torch::arange(cells + 1, integers) * length, cells).unsqueeze(1);
  const torch::Tensor position = torch::arange(length, integers).unsqueeze(0);
  const torch::Tensor inside =
      (position >= edges.narrow(0, 0, cells)) & (position < edges.narrow(0, 1, cells));
  return inside.to(options);
}

}  // namespace

AttentionStatistics statistics_of(const torch::Tensor& weights, const TraceStatistics& wanted) {
  AttentionStatistics statistics;
  if (wanted.weights) statistics.weights = weights;
  if (wanted.entropy) {
    // w ln w is 0 at w = 0; the clamp keeps its gradient finite there.
    const torch::Tensor positive = weights.clamp_min(std::numeric_limits<float>::min());
    statistics.entropy = -(weights * positive.log()).sum(-1);
  }
  if (wanted.received) statistics.received = weights.sum(2);
  if (wanted.top_keys > 0) {
    // topk leaves the order of ties open; a stable sort keeps the lower key first.
    const int64_t count = std::min(wanted.top_keys, weights.size(3));
    const auto [sorted, keys] =
        torch::sort(weights, /*stable=*/c10::optional<bool>(true), /*dim=*/-1, /*descending=*/true);
    statistics.top_weights = sorted.narrow(-1, 0, count);
    statistics.top_keys =
        keys.narrow(-1, 0, count).masked_fill(statistics.top_weights.detach() <= 0, -1);
  }
  if (wanted.pooled()) {
    const torch::Tensor rows = cells_of(wanted.pooled_rows, weights.size(2), weights.options());
    const torch::Tensor columns =
        cells_of(wanted.pooled_columns, weights.size(3), weights.options());
    statistics.pooled = torch::matmul(torch::matmul(rows, weights), columns.t());
  }
  return statistics;
}

}  // namespace attend::detail
