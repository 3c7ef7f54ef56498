// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/masks.h"

namespace attend {

torch::Tensor padding_mask(const torch::Tensor& lengths, int64_t length) {
  const torch::Tensor positions = torch::arange(length, lengths.options());
  return positions.unsqueeze(0) >= lengths.unsqueeze(1);
}

torch::Tensor zero_padding(const torch::Tensor& values, const torch::Tensor& lengths) {
  if (!lengths.defined()) return values;
  torch::Tensor mask = padding_mask(lengths.to(values.device()), values.size(1));
  while (mask.dim() < values.dim()) mask = mask.unsqueeze(-1);
  return values.masked_fill(mask, 0);
}

}  // namespace attend
