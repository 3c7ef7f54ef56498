// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

namespace attend {

/// A target that counts for nothing, such as that of padding.
inline constexpr int64_t kNoTarget = -100;

/// Options of linear_cross_entropy.
struct LinearCrossEntropyOptions {
  /// In [0, 1): mass spread evenly over all outputs (Szegedy et al. 2016).
  double label_smoothing = 0;
  /// Rows with this target count for nothing.
  int64_t ignored_target = kNoTarget;
};

/// Mean over the counted rows of the cross-entropy between softmax(hidden weight^T + bias) and
/// `targets`: a scalar, nats.
///
///   hidden [rows, size]   weight [outputs, size]   bias [outputs] or undefined   targets [rows]
///
/// The logits are never held all at once: a few rows are multiplied, turned into probabilities and
/// multiplied back into both gradients while they are in the cache, so memory is that of hidden and
/// weight. Softmax runs in place with one exponential per logit; smoothing costs a matrix-vector
/// product. Gradients are made in the forward pass (not a second time differentiable). `hidden` in
/// bfloat16 makes bfloat16 products; the loss and the gradient of `weight` are in the type of
/// `weight`.
torch::Tensor linear_cross_entropy(const torch::Tensor& hidden, const torch::Tensor& weight,
                                   const torch::Tensor& bias, const torch::Tensor& targets,
                                   const LinearCrossEntropyOptions& options = {});

/// The log-probability of each target, [rows], without gradients and as sparing of memory; 0 for
/// targets below 0.
torch::Tensor linear_log_probability(const torch::Tensor& hidden, const torch::Tensor& weight,
                                     const torch::Tensor& bias, const torch::Tensor& targets);

}  // namespace attend
