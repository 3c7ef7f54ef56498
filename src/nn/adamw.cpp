// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/adamw.h"

#include "attend/nn/parallel.h"

#include <algorithm>
#include <cmath>

#include "elementwise_dispatch.h"

namespace attend {
namespace {

constexpr int64_t kWorthAThread = 1 << 14;  // elements, some 10 us

bool loops_take(const torch::Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat && tensor.is_contiguous();
}

void adamw_by_operators(const torch::Tensor& parameter, const torch::Tensor& gradient,
                        const torch::Tensor& first_moment, const torch::Tensor& second_moment,
                        const AdamWStep& step) {
  const torch::Tensor scaled = gradient * step.gradient_factor;
  parameter.mul_(1 - step.learning_rate * step.weight_decay);
  first_moment.mul_(step.beta1).add_(scaled, 1 - step.beta1);
  second_moment.mul_(step.beta2).addcmul_(scaled, scaled, 1 - step.beta2);
  const torch::Tensor denominator =
      (second_moment.sqrt() / std::sqrt(step.correction2)).add_(step.epsilon);
  parameter.addcdiv_(first_moment, denominator, -step.learning_rate / step.correction1);
}

}  // namespace

void adamw(const torch::Tensor& parameter, const torch::Tensor& gradient,
           const torch::Tensor& first_moment, const torch::Tensor& second_moment,
           const torch::Tensor& average, const AdamWStep& step) {
  const torch::NoGradGuard no_grad;
  const bool in_one_pass = gradient.defined() && loops_take(parameter) && loops_take(gradient) &&
                           loops_take(first_moment) && loops_take(second_moment) &&
                           (!average.defined() || loops_take(average));
  if (!in_one_pass) {
    if (gradient.defined()) {
      adamw_by_operators(parameter, gradient, first_moment, second_moment, step);
    }
    if (average.defined()) average.lerp_(parameter, step.average_share);
    return;
  }
  const auto number = [](double value) { return static_cast<float>(value); };
  const detail::AdamWNumbers numbers{number(step.gradient_factor),
                                     number(1 - step.learning_rate * step.weight_decay),
                                     number(step.beta1),
                                     number(1 - step.beta1),
                                     number(step.beta2),
                                     number(1 - step.beta2),
                                     number(1 / std::sqrt(step.correction2)),
                                     number(step.epsilon),
                                     number(step.learning_rate / step.correction1),
                                     number(step.average_share)};
  const detail::Loops& loops = detail::active_loops();
  at::parallel_for(0, parameter.numel(), kWorthAThread, [&](int64_t begin, int64_t end) {
    loops.adamw(numbers, gradient.data_ptr<float>() + begin, parameter.data_ptr<float>() + begin,
                first_moment.data_ptr<float>() + begin, second_moment.data_ptr<float>() + begin,
                average.defined() ? average.data_ptr<float>() + begin : nullptr, end - begin);
  });
}

}  // namespace attend
