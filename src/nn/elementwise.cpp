// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// On CPUs the passes between the matrix products take as long as a product does: LibTorch's dropout
// alone draws its numbers one at a time and goes over memory four times. What is here goes over it
// once.
#include "elementwise.h"

#include "attend/nn/log_sum_exp.h"
#include "attend/nn/parallel.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "elementwise_dispatch.h"
#include "kernels/dropout.h"
#include "random_seed.h"

namespace attend::detail {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Elements that share a key of the mask, and that one thread takes at a time.
constexpr int64_t kChunk = 4096;
constexpr int64_t kChunksPerTask = 4;

struct Dropping {
  uint64_t seed = 0;
  double probability = 0;
};

// Calls act(mask, first element, count) for every chunk, on all threads.
template <typename Action>
void for_chunks(int64_t elements, const Dropping& dropping, const Action& act) {
  const int64_t chunks = (elements + kChunk - 1) / kChunk;
  at::parallel_for(0, chunks, kChunksPerTask, [&](int64_t begin, int64_t end) {
    Mask mask;
    mask.threshold = kernels::dropout_threshold(dropping.probability);
    mask.factor = static_cast<float>(1 / (1 - dropping.probability));
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      mask.key = kernels::dropout_row_key(dropping.seed, 0, chunk);
      const int64_t first = chunk * kChunk;
      act(mask, first, std::min(kChunk, elements - first));
    }
  });
}

const BFloat16* short_floats(const torch::Tensor& tensor) {
  return reinterpret_cast<const BFloat16*>(tensor.data_ptr<c10::BFloat16>());
}
BFloat16* writable_short_floats(const torch::Tensor& tensor) {
  return reinterpret_cast<BFloat16*>(tensor.data_ptr<c10::BFloat16>());
}

bool is_float(const torch::Tensor& tensor) { return tensor.scalar_type() == torch::kFloat; }

// Contiguous float or bfloat16 on the CPU.
bool loops_take(const torch::Tensor& tensor) {
  return tensor.is_cpu() && tensor.layout() == torch::kStrided && tensor.is_contiguous() &&
         (is_float(tensor) || tensor.scalar_type() == torch::kBFloat16);
}

torch::Tensor dropped(const torch::Tensor& input, torch::ScalarType type,
                      const Dropping& dropping) {
  torch::Tensor output = torch::empty(input.sizes(), input.options().dtype(type));
  const Loops& loops = active_loops();
  for_chunks(input.numel(), dropping, [&](const Mask& mask, int64_t first, int64_t count) {
    if (!is_float(input)) {
      loops.dropout_bfloat16(mask, short_floats(input) + first,
                             writable_short_floats(output) + first, count);
    } else if (is_float(output)) {
      loops.dropout_float(mask, input.data_ptr<float>() + first, output.data_ptr<float>() + first,
                          count);
    } else {
      loops.dropout_mixed(mask, input.data_ptr<float>() + first,
                          writable_short_floats(output) + first, count);
    }
  });
  return output;
}

void save(AutogradContext* context, const Dropping& dropping) {
  context->saved_data["seed"] = static_cast<int64_t>(dropping.seed);
  context->saved_data["probability"] = dropping.probability;
}

Dropping saved(AutogradContext* context) {
  return {static_cast<uint64_t>(context->saved_data["seed"].toInt()),
          context->saved_data["probability"].toDouble()};
}

// A gradient through the mask is the mask again, so gradients of gradients come by themselves.
struct MaskedGradient : torch::autograd::Function<MaskedGradient> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input,
                               torch::ScalarType type, const Dropping& dropping) {
    save(context, dropping);
    context->saved_data["type"] = static_cast<int64_t>(input.scalar_type());
    return dropped(input.contiguous(), type, dropping);
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    const Dropping dropping = saved(context);
    const auto type = static_cast<torch::ScalarType>(context->saved_data["type"].toInt());
    // The mask has one loop from bfloat16, to bfloat16.
    const torch::Tensor by_input = MaskedGradient::apply(by_output[0].to(type), type, dropping);
    return {by_input, {}, {}};
  }
};

struct DropoutAdd : torch::autograd::Function<DropoutAdd> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& residual,
                               const torch::Tensor& branch, const Dropping& dropping) {
    save(context, dropping);
    context->saved_data["type"] = static_cast<int64_t>(branch.scalar_type());
    torch::Tensor sum = torch::empty_like(residual);
    const Loops& loops = active_loops();
    for_chunks(sum.numel(), dropping, [&](const Mask& mask, int64_t first, int64_t count) {
      if (!is_float(sum)) {
        loops.dropout_add_bfloat16(mask, short_floats(residual) + first,
                                   short_floats(branch) + first, writable_short_floats(sum) + first,
                                   count);
      } else if (is_float(branch)) {
        loops.dropout_add_float(mask, residual.data_ptr<float>() + first,
                                branch.data_ptr<float>() + first, sum.data_ptr<float>() + first,
                                count);
      } else {
        loops.dropout_add_mixed(mask, residual.data_ptr<float>() + first,
                                short_floats(branch) + first, sum.data_ptr<float>() + first, count);
      }
    });
    return sum;
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_sum) {
    const auto type = static_cast<torch::ScalarType>(context->saved_data["type"].toInt());
    torch::Tensor by_branch;
    if (context->needs_input_grad(1)) {
      by_branch = MaskedGradient::apply(by_sum[0], type, saved(context));
    }
    return {by_sum[0], by_branch, {}};
  }
};

struct Gelu : torch::autograd::Function<Gelu> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input) {
    context->save_for_backward({input});
    torch::Tensor output = torch::empty_like(input);
    const Loops& loops = active_loops();
    for_chunks(input.numel(), {}, [&](const Mask&, int64_t first, int64_t count) {
      if (is_float(input)) {
        loops.gelu_float(input.data_ptr<float>() + first, output.data_ptr<float>() + first, count);
      } else {
        loops.gelu_bfloat16(short_floats(input) + first, writable_short_floats(output) + first,
                            count);
      }
    });
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    const torch::Tensor input = context->get_saved_variables()[0];
    // Recorded: gradients of gradients are wanted.
    if (torch::GradMode::is_enabled()) return {torch::gelu_backward(by_output[0], input)};
    const torch::Tensor gradient = by_output[0].contiguous();
    const torch::Tensor by_input = torch::empty_like(input);
    const Loops& loops = active_loops();
    for_chunks(input.numel(), {}, [&](const Mask&, int64_t first, int64_t count) {
      if (is_float(input)) {
        loops.gelu_gradient_float(input.data_ptr<float>() + first,
                                  gradient.data_ptr<float>() + first,
                                  by_input.data_ptr<float>() + first, count);
      } else {
        loops.gelu_gradient_bfloat16(short_floats(input) + first, short_floats(gradient) + first,
                                     writable_short_floats(by_input) + first, count);
      }
    });
    return {by_input};
  }
};

// Rows of a norm that one thread takes at a time, and that share a sum of d_gain and d_shift.
constexpr int64_t kRows = 64;

struct LayerNorm : torch::autograd::Function<LayerNorm> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& gain, const torch::Tensor& shift,
                               double epsilon, torch::ScalarType type) {
    const int64_t size = input.size(-1), count = input.numel() / size;
    torch::Tensor output = torch::empty(input.sizes(), input.options().dtype(type));
    std::vector<int64_t> per_row = input.sizes().vec();
    per_row.back() = 1;
    const torch::Tensor mean = torch::empty(per_row, input.options().dtype(torch::kFloat));
    const torch::Tensor inverse = torch::empty_like(mean);
    const torch::Tensor gains = gain.to(torch::kFloat), shifts = shift.to(torch::kFloat);
    context->save_for_backward({input, gain, shift, mean, inverse});
    const Loops& loops = active_loops();
    at::parallel_for(0, count, kRows, [&](int64_t begin, int64_t end) {
      NormRows rows{end - begin, size, static_cast<float>(epsilon), gains.data_ptr<float>(),
                    shifts.data_ptr<float>()};
      float* means = mean.data_ptr<float>() + begin;
      float* inverses = inverse.data_ptr<float>() + begin;
      const int64_t first = begin * size;
      if (!is_float(input)) {
        loops.layer_norm_bfloat16(rows, short_floats(input) + first,
                                  writable_short_floats(output) + first, means, inverses);
      } else if (is_float(output)) {
        loops.layer_norm_float(rows, input.data_ptr<float>() + first,
                               output.data_ptr<float>() + first, means, inverses);
      } else {
        loops.layer_norm_mixed(rows, input.data_ptr<float>() + first,
                               writable_short_floats(output) + first, means, inverses);
      }
    });
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_output) {
    const variable_list kept = context->get_saved_variables();
    const torch::Tensor &input = kept[0], &gain = kept[1], &shift = kept[2];
    const torch::Tensor &mean = kept[3], &inverse = kept[4];
    const int64_t size = input.size(-1), count = input.numel() / size;
    if (torch::GradMode::is_enabled()) {  // gradients of gradients are wanted
      const auto [by_input, by_gain, by_shift] =
          torch::native_layer_norm_backward(by_output[0].to(input.scalar_type()), input, {size},
                                            mean, inverse, gain, shift, {true, true, true});
      return {by_input, by_gain, by_shift, {}, {}};
    }
    const torch::Tensor gradient = by_output[0].contiguous();
    const torch::Tensor by_input = torch::empty_like(input);
    const torch::Tensor gains = gain.to(torch::kFloat);
    const int64_t chunks = (count + kRows - 1) / kRows;
    const torch::Tensor sums = torch::zeros({chunks, 2, size}, mean.options());
    const Loops& loops = active_loops();
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const int64_t row = chunk * kRows, first = row * size;
        NormRows rows;
        rows.count = std::min(kRows, count - row);
        rows.size = size;
        rows.gain = gains.data_ptr<float>();
        rows.mean = mean.data_ptr<float>() + row;
        rows.inverse = inverse.data_ptr<float>() + row;
        float* sum = sums.data_ptr<float>() + chunk * 2 * size;
        if (!is_float(input)) {
          loops.layer_norm_gradient_bfloat16(rows, short_floats(input) + first,
                                             short_floats(gradient) + first,
                                             writable_short_floats(by_input) + first, sum);
        } else if (is_float(gradient)) {
          loops.layer_norm_gradient_float(rows, input.data_ptr<float>() + first,
                                          gradient.data_ptr<float>() + first,
                                          by_input.data_ptr<float>() + first, sum);
        } else {
          loops.layer_norm_gradient_mixed(rows, input.data_ptr<float>() + first,
                                          short_floats(gradient) + first,
                                          by_input.data_ptr<float>() + first, sum);
        }
      }
    });
    const torch::Tensor total = sums.sum(0);
    return {by_input, total[0].to(gain.scalar_type()), total[1].to(shift.scalar_type()), {}, {}};
  }
};

}  // namespace

torch::Tensor dropout_add(const torch::Tensor& residual, const torch::Tensor& branch,
                          double probability, bool training) {
  if (!training || probability <= 0) return residual + branch;
  if (residual.sizes() != branch.sizes() || !loops_take(residual) || !loops_take(branch) ||
      (!is_float(residual) && is_float(branch))) {
    return residual + torch::dropout(branch, probability, true);
  }
  return DropoutAdd::apply(residual, branch, Dropping{draw_seed(), probability});
}

torch::Tensor gelu(const torch::Tensor& input) {
  return loops_take(input) ? Gelu::apply(input) : torch::gelu(input);
}

torch::Tensor layer_norm(torch::nn::LayerNorm layer, const torch::Tensor& input,
                         torch::ScalarType type) {
  const torch::Tensor &gain = layer->weight, &shift = layer->bias;
  const bool out_fits = type == torch::kBFloat16 || (type == torch::kFloat && is_float(input));
  if (!loops_take(input) || !out_fits || input.numel() == 0 || !gain.defined() ||
      !loops_take(gain) || !loops_take(shift) || gain.dim() != 1) {
    return layer->forward(input).to(type);
  }
  return LayerNorm::apply(input, gain, shift, layer->options.eps(), type);
}

}  // namespace attend::detail

namespace attend {

float log_sum_exp(std::span<const float> numbers) {
  const detail::Loops& loops = detail::active_loops();
  const auto count = static_cast<int64_t>(numbers.size());
  const float largest = loops.largest_of(numbers.data(), count);
  if (largest == -std::numeric_limits<float>::infinity()) return largest;
  return largest + std::log(loops.sum_of_exp(numbers.data(), count, largest));
}

}  // namespace attend
