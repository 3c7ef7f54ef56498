// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Runs an engine on a problem and measures how far it is from the reference.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "problem.h"
#include "reference.h"

namespace attend::kernels::testing {

/// The bounds for fp32. Forward: relative to the row's scale, max |value| over the keys
/// that the row sees. Backward: relative to the largest gradient of the tensor's (batch, head)
/// slice, of the whole tensor for biases and sinks.
inline constexpr double kForwardBound = 2e-6;
inline constexpr double kBackwardBound = 1e-5;
/// Log-sum-exp, entropy, weights and their sums: relative to max(1, |exact|, |log-sum-exp|).
inline constexpr double kStatisticsBound = 2e-6;

/// Above a magnitude of 16, the rounding of the score itself shows: one unit in its last place.
constexpr double forward_bound(double largest_score) {
  return kForwardBound + (largest_score > 16 ? largest_score / (1 << 23) : 0);
}

/// The largest error of a tensor and where it is.
struct Worst {
  double error = 0;
  std::string where = "nowhere";
  /// NaN where a number is due, or the other way round, is an infinite error.
  void see(double actual, double expected, double scale, const std::string& place);
};
::testing::AssertionResult within(const Worst& worst, double bound);

struct TraceRequest {
  bool lse = true, entropy = false, received = false;
  int64_t top_k = 0, pooled_rows = 0, pooled_columns = 0;
};
inline constexpr TraceRequest kWholeTrace{true, true, true, 5, 3, 4};

struct Forward {
  Array output;
  std::vector<float> lse, entropy, top_weights, received, pooled;
  std::vector<int32_t> top_keys;
};
Forward run_forward(const Problem& problem, const TraceRequest& request = {});

struct Backward {
  Array d_query, d_key, d_value;
  std::vector<float> d_bias, d_distance_bias, d_sink;
};
/// Of everything that the problem has, by forward() and then backward().
Backward run_backward(const Problem& problem);

Worst output_error(const Problem& problem, const ForwardReference& reference, const Array& output);
Worst lse_error(const Problem& problem, const ForwardReference& reference, const Forward& forward);
/// Everything in the request, except which keys are on top.
Worst statistics_error(const Problem& problem, const ForwardReference& reference,
                       const Forward& forward, const TraceRequest& request);
/// That the keys named are the heaviest ones; two scores closer than `tie` may change places.
::testing::AssertionResult top_keys_right(const Problem& problem, const ForwardReference& reference,
                                          const Forward& forward, int64_t top_k, double tie);
Worst backward_error(const Problem& problem, const Backward& backward);

/// The usual test: forward against the reference, within the bound.
void expect_forward(const Problem& problem, const std::string& name, double bound = kForwardBound);
void expect_statistics(const Problem& problem, const std::string& name,
                       const TraceRequest& request = kWholeTrace, double bound = kStatisticsBound);
void expect_backward(const Problem& problem, const std::string& name,
                     double bound = kBackwardBound);

}  // namespace attend::kernels::testing
