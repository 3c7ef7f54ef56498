// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

namespace attend {

/// The n-grams of a batch as flat lists, one entry per occurrence, in any order; all undefined =
/// none. Flat, because a position may hold any number of them (hashing, Weinberger et al. 2009).
struct NgramBatch {
  torch::Tensor ids;        ///< [total] int64, row of the table, in [0, features)
  torch::Tensor positions;  ///< [total] int64, batch index * length + position
  torch::Tensor values;     ///< [total] float; undefined = 1

  bool empty() const { return !ids.defined() || ids.numel() == 0; }
};

/// Options of NgramTable.
struct NgramTableOptions {
  int64_t features = 0;  ///< rows, >= 1
  int64_t size = 0;      ///< columns, >= 1
  /// Probability in [0, 1) of dropping an n-gram in training; the rest are scaled up.
  double dropout = 0;
  /// Gradients as sparse tensors: saves a pass over the table per step, needs an optimiser that
  /// takes them (SGD, Adagrad).
  bool sparse_gradient = false;
};

/// A table with a row per n-gram feature, zero at first (the model starts as if it were not
/// there). Parameter: weight [features, size].
class NgramTableImpl : public torch::nn::Module {
 public:
  explicit NgramTableImpl(const NgramTableOptions& table_options);

  /// Sum of value * row over the n-grams of each segment: [segments, size]. N-gram n belongs to
  /// segment positions[n] / positions_per_segment: 1 gives a sum per position, `length` a sum
  /// per batch element.
  torch::Tensor forward(const NgramBatch& ngrams, int64_t segments, int64_t positions_per_segment);

  /// [features, size]
  torch::Tensor& weight() { return weight_; }

 private:
  NgramTableOptions options_;
  torch::Tensor weight_;
};
TORCH_MODULE(NgramTable);

}  // namespace attend
