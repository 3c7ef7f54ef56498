// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

namespace attend {

/// x / sqrt(mean(x^2) + epsilon) * gain over the last axis (Zhang and Sennrich 2019). The gain
/// starts at 1.
class RmsNormImpl : public torch::nn::Module {
 public:
  explicit RmsNormImpl(int64_t size, double epsilon = 1e-6);

  /// `input` [..., size]; the same shape comes back.
  torch::Tensor forward(const torch::Tensor& input);

 private:
  double epsilon_;
  torch::Tensor gain_;  // [size]
};
TORCH_MODULE(RmsNorm);

}  // namespace attend
