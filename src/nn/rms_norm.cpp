// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/rms_norm.h"

namespace attend {

RmsNormImpl::RmsNormImpl(int64_t size, double epsilon) : epsilon_(epsilon) {
  gain_ = register_parameter("gain", torch::ones({size}));
}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& input) {
  return input * torch::rsqrt(input.pow(2).mean(-1, true) + epsilon_) * gain_;
}

}  // namespace attend
