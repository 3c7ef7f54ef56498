// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "attend/base/error.h"
#include "attend/nn/adamw.h"

namespace attend {

double learning_rate_at(const TrainOptions& options, int64_t step, int64_t total) {
  const double warmup_steps = std::floor(options.warmup * static_cast<double>(total));
  const auto now = static_cast<double>(step);
  if (now < warmup_steps) return options.learning_rate * (now + 1) / warmup_steps;
  if (options.decay == "constant") return options.learning_rate;
  const double rest = std::max(1.0, static_cast<double>(total) - warmup_steps);
  const double progress = std::min(1.0, (now - warmup_steps) / rest);
  const double share =
      options.decay == "linear" ? 1 - progress : 0.5 * (1 + std::cos(std::numbers::pi * progress));
  return options.learning_rate * share;
}

Optimizer::Optimizer(torch::nn::Module& module, const TrainOptions& options)
    : options_(options), steps_(torch::zeros({}, torch::kInt64)) {
  for (const auto& entry : module.named_parameters(/*recurse=*/true)) {
    const torch::Tensor& parameter = entry.value();
    if (!parameter.requires_grad()) continue;
    Slot slot;
    slot.name = entry.key();
    slot.parameter = parameter;
    slot.first_moment = torch::zeros_like(parameter);
    slot.second_moment = torch::zeros_like(parameter);
    if (options.ema > 0) slot.average = parameter.detach().clone();
    // Decaying gains and offsets of norms only shrinks what they are there to scale.
    slot.weight_decay = parameter.dim() >= 2 ? options.weight_decay : 0.0;
    slots_.push_back(std::move(slot));
  }
}

void Optimizer::zero_gradients() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = torch::Tensor();
}

double Optimizer::step(double learning_rate) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> norms;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) norms.push_back(slot.parameter.grad().norm());
  }
  if (norms.empty()) return 0.0;
  const double norm = torch::stack(norms).norm().item<double>();
  if (!std::isfinite(norm)) return norm;

  const int64_t count = steps_.item<int64_t>() + 1;
  steps_.fill_(count);
  const double decay = std::min(
      options_.ema, (1.0 + static_cast<double>(count)) / (10.0 + static_cast<double>(count)));
  AdamWStep step;
  step.learning_rate = learning_rate;
  step.beta1 = options_.beta1;
  step.beta2 = options_.beta2;
  step.correction1 = 1 - std::pow(options_.beta1, static_cast<double>(count));
  step.correction2 = 1 - std::pow(options_.beta2, static_cast<double>(count));
  step.gradient_factor = options_.clip > 0 && norm > options_.clip ? options_.clip / norm : 1.0;
  step.average_share = 1 - decay;
  for (Slot& slot : slots_) {
    step.weight_decay = slot.weight_decay;
    adamw(slot.parameter, slot.parameter.grad(), slot.first_moment, slot.second_moment,
          slot.average, step);
  }
  return norm;
}

double descend(Optimizer& optimizer, const torch::Tensor& loss, double learning_rate, int64_t step,
               const std::string& advice) {
  loss.backward();
  const double value = loss.item<double>();
  const double norm = std::isfinite(value) ? optimizer.step(learning_rate) : value;
  if (!std::isfinite(norm)) {
    throw Error(
        ExitCode::kCheck,
        fmt::format("the {} is not finite at step {} (learning rate {:.3g}); {}",
                    std::isfinite(value) ? "gradient" : "loss", step + 1, learning_rate, advice));
  }
  return value;
}

TensorMap Optimizer::averaged() const {
  TensorMap result;
  for (const Slot& slot : slots_) {
    result[slot.name] = slot.average.defined() ? slot.average : slot.parameter.detach();
  }
  return result;
}

TensorMap Optimizer::state() const {
  TensorMap result{{"steps", steps_}};
  for (const Slot& slot : slots_) {
    result["first_moment." + slot.name] = slot.first_moment;
    result["second_moment." + slot.name] = slot.second_moment;
    if (slot.average.defined()) result["average." + slot.name] = slot.average;
  }
  return result;
}

}  // namespace attend
