// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/linear_cross_entropy.h"

#include <algorithm>

namespace attend {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits of one chunk: about what a core's second-level cache holds, and enough rows for the
// products to run at full speed.
int64_t rows_per_chunk(int64_t outputs) {
  return std::clamp<int64_t>((1 << 20) / outputs, 64, 512);
}

// With x the logits of a row, t its target, V outputs and smoothing e, the loss is
//   lse(x) - (1 - e) x_t - e mean(x)
// and its gradient softmax(x) - (1 - e) onehot(t) - e / V. Only softmax(x) is a full matrix; the
// two other terms enter the gradients of hidden and weight as gathers and sums over small axes.

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& hidden, const Tensor& weight,
                        const c10::optional<Tensor>& optional_bias, const Tensor& targets,
                        double smoothing, bool needs_gradient) {
    const torch::NoGradGuard no_grad;
    const Tensor bias = optional_bias.value_or(Tensor());
    const auto wide = weight.scalar_type();
    const int64_t outputs = weight.size(0), rows = hidden.size(0);
    const Tensor typed_weight = weight.to(hidden.scalar_type());
    const Tensor weight_sum = weight.sum(0);  // of the rows: mean(x) = hidden . weight_sum / V
    const Tensor bias_sum = bias.defined() ? bias.sum() : Tensor();
    const double share = smoothing / static_cast<double>(outputs);
    Tensor loss = torch::zeros({}, weight.options());
    Tensor hidden_gradient, weight_gradient, bias_gradient;
    if (needs_gradient) {
      hidden_gradient = torch::empty_like(hidden);
      weight_gradient = torch::zeros_like(weight);
      if (bias.defined()) bias_gradient = torch::zeros_like(bias);
    }
    const int64_t step = rows_per_chunk(outputs);
    for (int64_t begin = 0; begin < rows; begin += step) {
      const int64_t count = std::min(step, rows - begin);
      const Tensor h = hidden.narrow(0, begin, count);
      const Tensor wide_h = h.to(wide);
      const Tensor target = targets.narrow(0, begin, count);
      Tensor logits = torch::mm(h, typed_weight.t()).to(wide);
      if (bias.defined()) logits.add_(bias);
      const Tensor of_target = logits.gather(1, target.unsqueeze(1)).squeeze(1);
      const Tensor largest = logits.amax(1);
      Tensor sum = torch::mv(wide_h, weight_sum);
      if (bias.defined()) sum.add_(bias_sum);
      const Tensor probability = torch::softmax(logits, 1);
      // The largest probability is at least 1 / V: its logarithm is exact where the target's might
      // have vanished.
      const Tensor lse = largest - probability.amax(1).log();
      loss.add_((lse - (1 - smoothing) * of_target - share * sum).sum());
      if (!needs_gradient) continue;
      const Tensor typed = probability.to(h.scalar_type());
      Tensor gradient = torch::mm(typed, typed_weight).to(wide);
      gradient.sub_(weight.index_select(0, target), 1 - smoothing).sub_(weight_sum, share);
      hidden_gradient.narrow(0, begin, count).copy_(gradient);
      if (h.scalar_type() == wide) {
        weight_gradient.addmm_(typed.t(), h);
      } else {
        weight_gradient.add_(torch::mm(typed.t(), h));
      }
      weight_gradient.index_add_(0, target, wide_h, smoothing - 1).sub_(wide_h.sum(0), share);
      if (bias.defined()) {
        bias_gradient.add_(probability.sum(0)).sub_(share * static_cast<double>(count));
        bias_gradient.index_add_(0, target, torch::ones({count}, bias.options()), smoothing - 1);
      }
    }
    const double scale = 1.0 / static_cast<double>(std::max<int64_t>(1, rows));
    if (needs_gradient) {
      context->saved_data["scale"] = scale;
      context->saved_data["hidden"] = hidden_gradient;
      context->saved_data["weight"] = weight_gradient;
      context->saved_data["bias"] = bias_gradient;
    }
    return loss.mul_(scale);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor factor = gradients[0] * context->saved_data["scale"].toDouble();
    const auto scaled = [&](const char* name) {
      const auto& stored = context->saved_data[name];
      if (!stored.isTensor() || !stored.toTensor().defined()) return Tensor();
      const Tensor gradient = stored.toTensor();
      return gradient * factor.to(gradient.scalar_type());
    };
    return {scaled("hidden"), scaled("weight"), scaled("bias"), {}, {}, {}};
  }
};

}  // namespace

Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& bias,
                            const Tensor& targets, const LinearCrossEntropyOptions& options) {
  TORCH_CHECK(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1) &&
                  targets.sizes() == hidden.sizes().slice(0, 1),
              "linear_cross_entropy: hidden [rows, size], weight [outputs, size], targets [rows]");
  // Ignored rows are dropped before any product: padding costs nothing.
  const Tensor counted = (targets != options.ignored_target).nonzero().squeeze(1);
  const bool all = counted.size(0) == targets.size(0);
  const Tensor kept = all ? hidden : hidden.index_select(0, counted);
  const Tensor kept_targets = all ? targets : targets.index_select(0, counted);
  const bool needs_gradient =
      torch::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad() ||
                                        (bias.defined() && bias.requires_grad()));
  return LinearCrossEntropy::apply(kept, weight,
                                   bias.defined() ? c10::make_optional(bias) : c10::nullopt,
                                   kept_targets, options.label_smoothing, needs_gradient);
}

Tensor linear_log_probability(const Tensor& hidden, const Tensor& weight, const Tensor& bias,
                              const Tensor& targets) {
  const torch::NoGradGuard no_grad;
  const int64_t rows = hidden.size(0), step = rows_per_chunk(weight.size(0));
  Tensor result = torch::empty({rows}, weight.options());
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    const Tensor logits =
        torch::linear(hidden.narrow(0, begin, count).to(weight.scalar_type()), weight, bias);
    const Tensor target = targets.narrow(0, begin, count).clamp_min(0).unsqueeze(1);
    result.narrow(0, begin, count)
        .copy_(logits.gather(1, target).squeeze(1) - torch::logsumexp(logits, 1));
  }
  return result.masked_fill_(targets < 0, 0);
}

}  // namespace attend
