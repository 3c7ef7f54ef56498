// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A plain reference in double precision, for sampled rows and keys: no case is timed whose result
// is wrong.
#pragma once

#include <string>
#include <vector>

#include "cases.h"

namespace attend::bench {

struct CheckResult {
  bool passed = true;
  std::string part;  ///< what is farthest from the reference, in terms of its bound
  double error = 0;
  double bound = 0;
};

/// Bounds, relative to the largest value (forward) or to the largest gradient seen (backward).
/// fp32: as the kernels promise. bf16: storage keeps 8 bits; the weights are rounded to it too
/// before they meet the values.
inline constexpr double kForwardBound = 2e-6;
inline constexpr double kBackwardBound = 1e-5;
inline constexpr double kBf16ForwardBound = 1.0 / 128;
inline constexpr double kBf16BackwardBound = 1.0 / 64;
/// LSE and entropy (relative to at least 1), weights, and sums of weights (relative to at least 1).
inline constexpr double kStatisticBound = 1e-5;
inline constexpr double kBf16StatisticBound = 1.0 / 64;

/// Compares what a problem's tensors hold with what they should hold. Reads the inputs once;
/// check() can be called after every run.
class Reference {
 public:
  explicit Reference(const Problem& problem);

  /// The output and the statistics of the trace, of the last forward or forward_traced. Twelve
  /// rows of up to three heads; of `received` and `pooled`, which need all rows, one head.
  CheckResult check_forward(bool traced);

  /// The gradients: four rows of d_query, four of d_key and d_value.
  CheckResult check_backward();

 private:
  struct Row {
    KeyRange keys;
    double lse = 0;
    std::vector<double> scores;   // of keys.first on
    std::vector<double> weights;  // likewise
  };
  // Of all rows of a query head. Beyond kLargestExact products of lengths the LSE is the kernel's
  // own, which the sampled rows have verified.
  struct Statistics {
    std::vector<double> lse;
    std::vector<double> delta;  // sum over keys of weight * (d_output . value); backward only
  };

  int64_t kv_head_of(int64_t batch_head) const;
  void load_head(int64_t batch_head);
  void drop_head();
  double score(int64_t row, int64_t key) const;
  Row row(int64_t row) const;
  const Statistics& statistics(int64_t batch_head);
  void note(const std::string& part, double error, double bound);
  void check_row(int64_t batch_head, int64_t row, bool traced);
  void check_top_keys(int64_t at, const Row& expected);
  void check_received(int64_t batch_head);
  void check_pooled(int64_t batch_head);
  void check_query_gradient(int64_t batch_head, const std::vector<int64_t>& rows);
  void check_key_gradients(int64_t batch, int64_t kv_head, const std::vector<int64_t>& keys);
  void compare_gradient(Problem::Tensor tensor, int64_t batch_head,
                        const std::vector<int64_t>& rows, const std::vector<double>& expected);

  const Problem& problem_;
  int64_t dim_;
  double scale_;
  bool half_precision_;
  int64_t loaded_ = -1;  // the query head that the following rows belong to
  std::vector<float> query_, key_, value_;
  std::vector<std::pair<int64_t, Statistics>> statistics_;
  CheckResult worst_;
};

}  // namespace attend::bench
