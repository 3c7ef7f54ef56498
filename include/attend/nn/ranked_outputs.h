// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The most probable outputs of a layer with many, such as the next tokens of a search, without a
// sort.
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace attend {

struct RankedOutput {
  float log_probability;  ///< log softmax over all outputs of the row; nats
  int64_t index;
};

/// Ranks the outputs of one row, which come block by block. Nearly every block fails its first
/// comparison, so that this costs a pass for the maximum and one for the sum of exponentials, both
/// in vectors.
class OutputRanking {
 public:
  explicit OutputRanking(int64_t count) : count_(count) {}  ///< the best so many, >= 1

  /// The outputs behind those that were added before. -inf: never ranked, no probability.
  void add(std::span<const float> outputs);

  /// Best first, ties by index; fewer than asked for where the rest is -inf, none where an output
  /// is NaN or inf. Ends the ranking.
  std::vector<RankedOutput> best();

 private:
  int64_t count_;
  int64_t seen_ = 0;
  std::vector<RankedOutput> heap_;  // logits; the worst of the best on top
  float threshold_ = -std::numeric_limits<float>::infinity();
  float shift_ = -std::numeric_limits<float>::infinity();  // the largest so far
  double sum_ = 0;                                         // of e^(output - shift_)
};

/// Outputs that a ranking should be given at a time: they stay in the second-level cache. The same
/// everywhere, since the sums depend on it.
inline constexpr int64_t kRankedBlock = 512;

/// The `count` best of each row of `outputs` [rows, outputs], where those numbered `excluded` count
/// as -inf.
std::vector<std::vector<RankedOutput>> ranked_outputs(const torch::Tensor& outputs, int64_t count,
                                                      const std::vector<int64_t>& excluded = {});

}  // namespace attend
