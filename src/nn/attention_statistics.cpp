// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attention_statistics.h"

#include <algorithm>
#include <limits>

namespace attend::detail {

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
  return statistics;
}

}  // namespace attend::detail
