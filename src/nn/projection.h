// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

namespace attend::detail {

/// A linear layer as attention uses it: Xavier-uniform weight (Glorot and Bengio 2010), which keeps
/// the variance of scores near 1, and zero bias.
inline torch::nn::Linear projection(int64_t from, int64_t to, bool bias = true) {
  torch::nn::Linear linear(torch::nn::LinearOptions(from, to).bias(bias));
  torch::nn::init::xavier_uniform_(linear->weight);
  if (bias) torch::nn::init::zeros_(linear->bias);
  return linear;
}

}  // namespace attend::detail
