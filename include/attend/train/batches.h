// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "attend/tasks/task.h"
#include "attend/train/options.h"

namespace attend {

/// Rows of each batch, in order.
using BatchPlan = std::vector<std::vector<int64_t>>;

/// The batches of training epoch `epoch`: a function of the seed and the epoch alone, so that a
/// resumed run sees the rest of the same epoch. Examples are shuffled, then sorted by length within
/// buckets of `bucket_batches` batches (less padding), and the batches are shuffled again.
BatchPlan plan_epoch(const Dataset& data, const TrainOptions& options, int64_t epoch);

/// All rows once, sorted by length, for evaluation and prediction.
BatchPlan plan_by_length(const Dataset& data, int64_t batch_size);

}  // namespace attend
