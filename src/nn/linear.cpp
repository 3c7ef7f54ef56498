// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "attend/kernels/dense_product.h"
#include "attend/nn/parallel.h"
#include "elementwise_dispatch.h"

namespace attend::detail {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Measured on a Zen 4: below, packing costs more than the products gain over OpenBLAS.
constexpr int64_t kFewestRows = 256;
// Rows of a gradient that share a sum over rows.
constexpr int64_t kRowsPerSum = 64;

kernels::ElementType element_type(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kFloat ? kernels::ElementType::kFloat32
                                               : kernels::ElementType::kBFloat16;
}

int64_t rows_of(const torch::Tensor& tensor) { return tensor.numel() / tensor.size(-1); }

// The tensor as [rows, last size], or the transposed of that.
kernels::ConstMatrix matrix(const torch::Tensor& tensor) {
  return {tensor.data_ptr(), element_type(tensor), tensor.size(-1), 1};
}
kernels::ConstMatrix transposed(const torch::Tensor& tensor) {
  return {tensor.data_ptr(), element_type(tensor), 1, tensor.size(-1)};
}

// left * right + bias (undefined: none, else contiguous floats) into `output`, contiguous. The
// factors are rounded to the type of the left one.
void multiply(const kernels::ConstMatrix& left, const kernels::ConstMatrix& right, int64_t depth,
              const torch::Tensor& bias, const torch::Tensor& output) {
  kernels::DenseProduct product;
  product.rows = rows_of(output);
  product.columns = output.size(-1);
  product.depth = depth;
  product.left = left;
  product.right = right;
  product.factors = left.type;
  product.bias = bias.defined() ? bias.data_ptr<float>() : nullptr;
  product.output = output.data_ptr();
  product.output_type = element_type(output);
  product.output_stride = product.columns;
  product.threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  kernels::multiply(product);
}

// Of the type and shape of `tensor`, but for the last size.
torch::Tensor empty_rows(const torch::Tensor& tensor, int64_t last) {
  std::vector<int64_t> shape = tensor.sizes().vec();
  shape.back() = last;
  return torch::empty(shape, tensor.options());
}

torch::Tensor row_sums(const torch::Tensor& gradient) {
  const int64_t rows = rows_of(gradient), columns = gradient.size(-1);
  const int64_t chunks = (rows + kRowsPerSum - 1) / kRowsPerSum;
  const torch::Tensor sums =
      torch::zeros({chunks, columns}, gradient.options().dtype(torch::kFloat));
  const Loops& loops = active_loops();
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kRowsPerSum, count = std::min(kRowsPerSum, rows - first);
      float* to = sums.data_ptr<float>() + chunk * columns;
      if (gradient.scalar_type() == torch::kFloat) {
        loops.add_rows_float(gradient.data_ptr<float>() + first * columns, to, count, columns);
      } else {
        const auto* from = reinterpret_cast<const BFloat16*>(gradient.data_ptr<at::BFloat16>());
        loops.add_rows_bfloat16(from + first * columns, to, count, columns);
      }
    }
  });
  return sums.sum(0);
}

struct Linear : torch::autograd::Function<Linear> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& weight,
                               const c10::optional<torch::Tensor>& bias) {
    context->save_for_backward({input, weight});
    context->saved_data["bias"] = bias.has_value();
    return linear_output(input, weight, bias.value_or(torch::Tensor()));
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    const variable_list kept = context->get_saved_variables();
    const torch::Tensor &input = kept[0], &weight = kept[1];
    const bool with_bias = context->saved_data["bias"].toBool();
    variable_list gradients(3);
    if (torch::GradMode::is_enabled()) {  // gradients of gradients are wanted
      const torch::Tensor& rows = by_output[0];
      gradients[0] = rows.matmul(weight.to(rows.scalar_type()));
      gradients[1] = rows.flatten(0, -2).t().matmul(input.flatten(0, -2)).to(weight.scalar_type());
      if (with_bias) gradients[2] = rows.flatten(0, -2).sum(0, false, weight.scalar_type());
      return gradients;
    }
    const torch::Tensor rows = by_output[0].contiguous();
    if (context->needs_input_grad(0)) gradients[0] = linear_by_input(rows, weight);
    if (context->needs_input_grad(1)) gradients[1] = linear_by_weight(rows, input, weight);
    if (with_bias && context->needs_input_grad(2))
      gradients[2] = row_sums(rows).to(weight.scalar_type());
    return gradients;
  }
};

}  // namespace

bool takes_dense_products(const torch::Tensor& input, const torch::Tensor& weight) {
  if (!input.is_cpu() || !weight.is_cpu() || input.dim() < 2 ||
      input.numel() < kFewestRows * input.size(-1) || input.size(-1) != weight.size(1)) {
    return false;
  }
  const torch::ScalarType type = input.scalar_type(), weights = weight.scalar_type();
  if (type == torch::kBFloat16) {
    return (weights == torch::kFloat || weights == torch::kBFloat16) &&
           kernels::active_isa() == kernels::Isa::kAvx512Bf16;
  }
  return type == torch::kFloat && weights == torch::kFloat &&
         kernels::active_isa() >= kernels::Isa::kAvx512;
}

torch::Tensor linear_output(const torch::Tensor& input, const torch::Tensor& weight,
                            const torch::Tensor& bias) {
  const torch::Tensor weights = weight.contiguous();
  const torch::Tensor shift = bias.defined() ? bias.to(torch::kFloat).contiguous() : bias;
  torch::Tensor output = empty_rows(input, weight.size(0));
  multiply(matrix(input), transposed(weights), weight.size(1), shift, output);
  return output;
}

torch::Tensor linear_by_input(const torch::Tensor& by_output, const torch::Tensor& weight) {
  const torch::Tensor weights = weight.contiguous();
  torch::Tensor by_input = empty_rows(by_output, weight.size(1));
  multiply(matrix(by_output), matrix(weights), weight.size(0), {}, by_input);
  return by_input;
}

torch::Tensor linear_by_weight(const torch::Tensor& by_output, const torch::Tensor& input,
                               const torch::Tensor& weight) {
  torch::Tensor by_weight = torch::empty(weight.sizes(), weight.options());
  multiply(transposed(by_output), matrix(input), rows_of(input), {}, by_weight);
  return by_weight;
}

torch::Tensor linear(const torch::Tensor& input, const torch::Tensor& weight,
                     const torch::Tensor& bias) {
  // A custom function refuses an undefined tensor.
  return Linear::apply(input.contiguous(), weight,
                       bias.defined() ? c10::make_optional(bias) : c10::nullopt);
}

}  // namespace attend::detail
