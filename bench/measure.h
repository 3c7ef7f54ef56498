// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "options.h"

namespace attend::bench {

struct Timing {
  double ms_min = 0;
  double ms_median = 0;
  double spread = 0;  ///< (90th - 10th percentile) / median
  int repetitions = 0;
  double rss_mb = 0;        ///< peak resident memory of the process, inputs included
  double rss_delta_mb = 0;  ///< how far that is above the memory in use before
  double foreign = 0;       ///< CPU seconds per second that other processes used meanwhile
};

/// One run as it comes, without a warm-up: what it costs in memory. The memory that the kernels
/// keep between calls belongs to the calling thread, so this counts it only in a thread that has
/// not called them before.
Timing measure_first(const std::function<void()>& action);

/// More than this, and a figure counts as disturbed.
inline constexpr double kForeignLimit = 0.06;

/// Runs the actions in turn, A B A B..., so that a drift of the clock meets all alike: a warm-up
/// (two if it was short), then at least options.min_repetitions rounds and options.min_ms. One
/// Timing per action; memory and foreign are those of all actions together.
std::vector<Timing> measure(const std::vector<std::function<void()>>& actions,
                            const Options& options);

}  // namespace attend::bench
