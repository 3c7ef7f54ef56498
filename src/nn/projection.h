// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

#include "linear.h"

namespace attend::detail {

/// A linear layer as attention uses it: Xavier-uniform weight (Glorot and Bengio 2010), which keeps
/// the variance of scores near 1, and zero bias.
inline torch::nn::Linear projection(int64_t from, int64_t to, bool bias = true) {
  torch::nn::Linear linear(torch::nn::LinearOptions(from, to).bias(bias));
  torch::nn::init::xavier_uniform_(linear->weight);
  if (bias) torch::nn::init::zeros_(linear->bias);
  return linear;
}

/// Layer normalisation over the last `size` numbers (Ba et al. 2016).
inline torch::nn::LayerNorm layer_normalisation(int64_t size) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({size}));
}

/// The layer in the type of `input`, the quickest way: bfloat16 vectors make a bfloat16 product,
/// whatever the type of the weights. One operator, where torch::nn::Linear takes a second pass for
/// the bias.
inline torch::Tensor project(const torch::nn::Linear& layer, const torch::Tensor& input) {
  if (takes_dense_products(input, layer->weight)) return linear(input, layer->weight, layer->bias);
  const auto in_type = [&](const torch::Tensor& parameter) {
    return parameter.defined() ? parameter.to(input.scalar_type()) : parameter;
  };
  return torch::linear(input, in_type(layer->weight), in_type(layer->bias));
}

}  // namespace attend::detail
