// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A linear layer on our own products of matrices (attend/kernels/dense_product.h), forward and
// backward: on a CPU with AVX-512 they are closer to its peak than what LibTorch has
// (`attend bench --what linear` shows both).
#pragma once

#include "attend/nn/torch.h"

namespace attend::detail {

/// Whether linear() below is the faster way, and possible: on the CPU, float vectors and weights
/// with AVX-512 or bfloat16 vectors with its bfloat16 products, rows enough for packing to pay.
bool takes_dense_products(const torch::Tensor& input, const torch::Tensor& weight);

/// input [..., inputs] times the transposed of weight [outputs, inputs], plus bias [outputs]
/// (undefined: none) -> [..., outputs], of the type of `input`; weights of bfloat16 vectors are
/// rounded. Differentiable, any number of times.
torch::Tensor linear(const torch::Tensor& input, const torch::Tensor& weight,
                     const torch::Tensor& bias);

/// Its parts, for contiguous `input` and `by_output`, the gradient with respect to its output:
/// the output, and the gradients with respect to the input and, in the type of `weight`, the
/// weight.
torch::Tensor linear_output(const torch::Tensor& input, const torch::Tensor& weight,
                            const torch::Tensor& bias);
torch::Tensor linear_by_input(const torch::Tensor& by_output, const torch::Tensor& weight);
torch::Tensor linear_by_weight(const torch::Tensor& by_output, const torch::Tensor& input,
                               const torch::Tensor& weight);

}  // namespace attend::detail
