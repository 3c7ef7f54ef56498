// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <string>
#include <vector>

#include "attend/nn/weights.h"
#include "attend/train/options.h"

namespace attend {

/// Rate of step `step` (0-based) of `total`: a linear warm-up, then the decay. In [0,
/// learning_rate].
double learning_rate_at(const TrainOptions& options, int64_t step, int64_t total);

/// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), global-norm clipping, and an
/// exponential moving average of the weights. Its whole state is a map of tensors, which is what
/// makes "resume bit for bit" a matter of saving that map; LibTorch's own optimiser keys its state
/// by addresses and serialises it through pickle archives.
class Optimizer {
 public:
  Optimizer(torch::nn::Module& module, const TrainOptions& options);

  void zero_gradients();

  /// Clips, updates every parameter that has a gradient, and moves the average. Returns the norm of
  /// all gradients together before clipping (NaN or infinite: nothing was updated).
  double step(double learning_rate);

  /// Averaged weights by parameter name; the live weights themselves if the average is off. The
  /// early average is corrected for its start: decay is min(ema, (1 + step) / (10 + step)).
  TensorMap averaged() const;

  /// Everything beside the weights that the next step depends on, sharing memory with the
  /// optimiser.
  TensorMap state() const;

 private:
  struct Slot {
    std::string name;
    torch::Tensor parameter;
    torch::Tensor first_moment;
    torch::Tensor second_moment;
    torch::Tensor average;  // undefined if the average is off
    double weight_decay;
  };

  TrainOptions options_;
  std::vector<Slot> slots_;
  torch::Tensor steps_;  // int64 scalar: part of the state
};

/// One update: the gradients of `loss`, a scalar, by backpropagation, then a step of `optimizer`,
/// whose gradients were zeroed before the loss was made. Returns the loss. Where it or the gradient
/// is not finite nothing is updated and Error(kCheck) says so, at which of the updates (`step`,
/// 0-based), and what to do (`advice`).
double descend(Optimizer& optimizer, const torch::Tensor& loss, double learning_rate, int64_t step,
               const std::string& advice);

}  // namespace attend
