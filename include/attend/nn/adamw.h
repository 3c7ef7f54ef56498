// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

namespace attend {

/// One step of AdamW (Loshchilov and Hutter 2019) for one parameter; the corrections are 1 - beta^t
/// of step t (Kingma and Ba 2015).
struct AdamWStep {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double correction1 = 1;
  double correction2 = 1;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double gradient_factor = 1;  ///< the gradient is multiplied by it first, as clipping wants
  double average_share = 0;    ///< of the new value in the average
};

/// Updates `parameter`, both moments and, where it is defined, the average, all of one shape;
/// without a gradient only the average. One pass for float on the CPU; otherwise LibTorch's
/// operators.
void adamw(const torch::Tensor& parameter, const torch::Tensor& gradient,
           const torch::Tensor& first_moment, const torch::Tensor& second_moment,
           const torch::Tensor& average, const AdamWStep& step);

}  // namespace attend
