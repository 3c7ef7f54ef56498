// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "attend/tasks/task.h"

namespace attend {

/// A 95 % bootstrap interval, bounds included.
struct Interval {
  double low = 0;
  double high = 0;
};

/// Runs the model in eval mode, without gradients, over every example of `data`, examples of
/// similar length together; `visit` sees each batch, its rows and its output. Ctrl-C stops between
/// batches.
void for_each_batch(
    Task& task, const Dataset& data, int64_t batch_size,
    const std::function<void(const std::vector<int64_t>&, const Batch&, const TaskOutput&)>& visit);

/// The outcomes of all examples of `data`, in `metrics`; null: the task's own.
std::unique_ptr<Metrics> evaluate(Task& task, const Dataset& data, int64_t batch_size = 128,
                                  std::unique_ptr<Metrics> metrics = nullptr);

/// Every metric on all examples.
std::map<std::string, double> metric_values(const Metrics& metrics);

/// Percentile bootstrap (Efron 1979): the 2.5 and 97.5 % points of each metric over `resamples`
/// draws of as many examples with replacement.
std::map<std::string, Interval> bootstrap_intervals(const Metrics& metrics,
                                                    int64_t resamples = 1000, uint64_t seed = 1);

}  // namespace attend
