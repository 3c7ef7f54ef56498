// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Methods that differentiate the target's score: by the embeddings, or by attention weights.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "attention_chain.h"
#include "method_functions.h"

namespace attend {
namespace {

// What n-grams add to the target directly, [length]; exactly additive, so it counts as it is.
torch::Tensor with_additive(const MethodInput& input, const torch::Tensor& scores) {
  torch::NoGradGuard no_grad;
  const torch::Tensor direct = input.task.additive_contributions(input.shared().batch());
  if (!direct.defined()) return scores;
  TaskOutput as_scores;
  as_scores.scores = direct[0];  // positions take the place of the batch
  return scores + input.task.target_scores(as_scores, input.target);
}

// Embeddings have no row for the positions before the first unit.
MethodResult of_units(const MethodInput& input, const torch::Tensor& units, std::string note = "") {
  const torch::Tensor values = units.detach().to(torch::kDouble);
  return {torch::constant_pad_nd(values, {input.task.leading_positions(), 0}), {}, std::move(note)};
}

// One layer's weights and the target's gradient by them, a few queries at a time: a weight's
// gradient is that of its query's output times its key's value.
class GradientTiles {
 public:
  GradientTiles(const AttentionInputs& inputs, const torch::Tensor& by_output)
      : inputs_(inputs), by_output_(by_output[0].detach()) {
    const int64_t sharing = inputs.heads() / inputs.value.size(1);
    value_ = inputs.value[0].detach();  // [heads, key, dim]
    if (sharing > 1) value_ = value_.repeat_interleave(sharing, 0);
  }

  // visit(first query, gradient times weights [heads, queries, key])
  template <typename Visit>
  void each(const Visit& visit) const {
    torch::NoGradGuard no_grad;
    constexpr int64_t kElements = 1 << 21;
    const int64_t at_once =
        std::max<int64_t>(1, kElements / std::max<int64_t>(1, inputs_.keys() * inputs_.heads()));
    for (int64_t first = 0; first < inputs_.queries(); first += at_once) {
      WeightsTile tile;
      tile.first_query = first;
      tile.queries = std::min(at_once, inputs_.queries() - first);
      tile.keys = inputs_.keys();
      const torch::Tensor gradient =
          torch::bmm(by_output_.narrow(1, first, tile.queries), value_.transpose(1, 2));
      visit(first, inputs_.tile(tile)[0] * gradient);
    }
  }

  int64_t queries() const { return inputs_.queries(); }
  int64_t keys() const { return inputs_.keys(); }

 private:
  const AttentionInputs& inputs_;
  torch::Tensor by_output_, value_;
};

// mean_h (dy/dA_h * A_h)+ as Chefer et al. use it.
class TiledRelevance : public RelevanceLayer {
 public:
  TiledRelevance(AttentionRole role, const AttentionInputs& inputs, const torch::Tensor& by_output)
      : role_(role), tiles_(inputs, by_output) {}

  AttentionRole role() const override { return role_; }

  torch::Tensor left(const torch::Tensor& row) const override {
    torch::Tensor sum = torch::zeros({tiles_.keys()}, row.options());
    each([&](int64_t first, const torch::Tensor& rows) {
      sum += torch::matmul(row.narrow(0, first, rows.size(0)), rows);
    });
    return sum;
  }
  torch::Tensor right(const torch::Tensor& column) const override {
    std::vector<torch::Tensor> parts;
    each([&](int64_t, const torch::Tensor& rows) { parts.push_back(torch::matmul(rows, column)); });
    return torch::cat(parts);
  }
  torch::Tensor matrix() const override {
    std::vector<torch::Tensor> parts;
    each([&](int64_t, const torch::Tensor& rows) { parts.push_back(rows); });
    return torch::cat(parts);
  }

 private:
  template <typename Visit>
  void each(const Visit& visit) const {
    tiles_.each([&](int64_t first, const torch::Tensor& products) {
      visit(first, products.clamp_min(0.0).mean(0).to(torch::kDouble));
    });
  }

  AttentionRole role_;
  GradientTiles tiles_;
};

// Nodes in (0, 1) and weights of Gauss-Legendre quadrature.
struct Quadrature {
  std::vector<double> nodes, weights;
};

Quadrature gauss_legendre(int64_t count) {
  Quadrature rule;
  const auto n = static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) {
    double x = std::cos(std::numbers::pi * (static_cast<double>(i) + 0.75) / (n + 0.5));
    double slope = 1;
    for (int step = 0; step < 50; ++step) {  // Newton on the Legendre polynomial
      double previous = 1, value = x;
      for (int64_t k = 2; k <= count; ++k) {
        const auto degree = static_cast<double>(k);
        const double next = ((2 * degree - 1) * x * value - (degree - 1) * previous) / degree;
        previous = value;
        value = next;
      }
      slope = n * (x * value - previous) / (x * x - 1);
      const double move = value / slope;
      x -= move;
      if (std::abs(move) < 1e-15) break;
    }
    rule.nodes.push_back((1 - x) / 2);
    rule.weights.push_back(1 / ((1 - x * x) * slope * slope));
  }
  return rule;
}

// Mean gradient along the straight path from zero to `embeddings`, [length, dim].
torch::Tensor path_gradient(const MethodInput& input, const torch::Tensor& embeddings,
                            int64_t steps) {
  const Quadrature rule = gauss_legendre(steps);
  const torch::Tensor nodes = torch::tensor(rule.nodes, embeddings.options()).view({-1, 1, 1});
  const torch::Tensor weights = torch::tensor(rule.weights, embeddings.options()).view({-1, 1, 1});
  torch::Tensor sum = torch::zeros_like(embeddings[0]);
  const int64_t at_once = copies_at_once(embeddings.size(1));
  for (int64_t begin = 0; begin < steps; begin += at_once) {
    const int64_t count = std::min(at_once, steps - begin);
    const torch::AutoGradMode with_gradients(true);
    const torch::Tensor points =
        (embeddings * nodes.narrow(0, begin, count)).detach().requires_grad_(true);
    const TaskOutput output =
        input.task.forward_from_embeddings(points, input.shared().batch(count), {});
    const torch::Tensor score = input.task.target_scores(output, input.target).sum();
    const torch::Tensor gradient = torch::autograd::grad({score}, {points})[0];
    sum += (gradient * weights.narrow(0, begin, count)).sum(0);
  }
  return sum;
}

// Mean of the target's gradient by the layer's output while its attention grows from nothing to all
// (Hao et al. 2021), [1, heads, query, dim]. Attention times a is values times a.
torch::Tensor path_gradient_of_layer(const MethodInput& input, const LayerTrace& layer) {
  constexpr int64_t kSteps = 16;
  const TargetGradients& gradients = input.shared().gradients(input.target);
  const Quadrature rule = gauss_legendre(kSteps);
  const auto real = layer.inputs->value.options().requires_grad(false);
  const torch::Tensor nodes = torch::tensor(rule.nodes, real);
  const torch::Tensor weights = torch::tensor(rule.weights, real).view({-1, 1, 1, 1});
  torch::Tensor sum;
  const int64_t at_once = std::min(kSteps, copies_at_once(layer.inputs->keys()));
  for (int64_t begin = 0; begin < kSteps; begin += at_once) {
    const int64_t count = std::min(at_once, kSteps - begin);
    const torch::AutoGradMode with_gradients(true);
    ForwardRequest request;
    request.trace.layers = {layer.layer};
    request.trace.statistics.inputs = true;
    AttentionEdit edit;
    edit.layers = {layer.layer};
    edit.value_scale =
        nodes.narrow(0, begin, count).unsqueeze(1).expand({count, layer.inputs->keys()});
    request.edits = {edit};
    const torch::Tensor copies =
        gradients.embeddings.detach().repeat({count, 1, 1}).requires_grad_(true);
    const TaskOutput output =
        input.task.forward_from_embeddings(copies, input.shared().batch(count), request);
    const torch::Tensor score = input.task.target_scores(output, input.target).sum();
    const torch::Tensor& mixed = output.trace.find(layer.layer)->inputs->output;
    const torch::Tensor gradient =
        torch::autograd::grad({score}, {mixed}, {}, c10::nullopt, false, /*allow_unused=*/true)[0];
    if (!gradient.defined()) return torch::zeros_like(layer.inputs->output);
    const torch::Tensor part =
        (gradient * weights.narrow(0, begin, count)).sum(c10::IntArrayRef{0}, /*keepdim=*/true);
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

// Chefer et al.'s rules with the gradients `by_layer_output`.
MethodResult propagated(const MethodInput& input,
                        const std::vector<torch::Tensor>& by_layer_output) {
  const TargetGradients& gradients = input.shared().gradients(input.target);
  std::vector<TiledRelevance> layers;
  layers.reserve(by_layer_output.size());
  for (const LayerTrace& layer : gradients.output.trace.layers) {
    if (!layer.inputs) continue;
    layers.emplace_back(layer.role, *layer.inputs, by_layer_output[layers.size()]);
  }
  std::vector<const RelevanceLayer*> chain;
  chain.reserve(layers.size());
  for (const TiledRelevance& layer : layers) chain.push_back(&layer);
  torch::Tensor start = input.task.target_readout(gradients.output, input.target)[0].detach();
  // Pooling by attention is the last link of the chain, with a gradient of its own.
  const bool weighed = gradients.by_readout_weights.defined();
  if (weighed) {
    start = (gradients.by_readout_weights * gradients.output.readout_weights.detach())[0]
                .clamp_min(0.0)
                .mean(0);
  }
  return {propagate_relevance(chain, start.to(torch::kDouble), /*pooled=*/weighed), {}, ""};
}

}  // namespace

MethodResult gradient_norm(const MethodInput& input) {
  const TargetGradients& gradients = input.shared().gradients(input.target);
  return of_units(input, gradients.by_embeddings[0].norm(2, -1));
}

MethodResult gradient_times_input(const MethodInput& input) {
  const TargetGradients& gradients = input.shared().gradients(input.target);
  const torch::Tensor scores = (gradients.by_embeddings * gradients.embeddings).sum(-1)[0].detach();
  return of_units(input, with_additive(input, scores));
}

MethodResult integrated_gradients(const MethodInput& input) {
  const torch::Tensor embeddings = input.shared().gradients(input.target).embeddings.detach();
  double change = 0;
  {
    torch::NoGradGuard no_grad;
    const TaskOutput ends = input.task.forward_from_embeddings(
        torch::cat({torch::zeros_like(embeddings), embeddings}), input.shared().batch(2), {});
    const torch::Tensor scores =
        input.task.target_scores(ends, input.target).to(torch::kDouble).view({2, -1}).sum(1);
    change = (scores[1] - scores[0]).item<double>();
  }
  constexpr int64_t kFirstSteps = 16, kEnoughSteps = 64, kMostSteps = 256;
  int64_t steps = input.options.path_steps > 0 ? input.options.path_steps : kFirstSteps;
  double before = std::numeric_limits<double>::infinity();
  for (;; steps *= 2) {
    const torch::Tensor scores = (path_gradient(input, embeddings, steps) * embeddings[0]).sum(-1);
    const double residual = change - scores.to(torch::kDouble).sum().item<double>();
    const bool complete = std::abs(residual) <= 0.01 * std::abs(change);
    // Where a layer norm makes the score jump at the baseline, or bfloat16 rounds it, more steps do
    // not help; the residual says so.
    const bool helps = steps < kEnoughSteps || std::abs(residual) <= 0.5 * before;
    before = std::abs(residual);
    if (!complete && helps && input.options.path_steps == 0 && 2 * steps <= kMostSteps) continue;
    return of_units(
        input, with_additive(input, scores),
        fmt::format("baseline: vectors of zeros; {} steps; completeness residual {:.2g} "
                    "of a change of {:.3g}",
                    steps, residual, change));
  }
}

MethodResult gradient_attention(const MethodInput& input) {
  return propagated(input, input.shared().gradients(input.target).by_layer_output);
}

MethodResult integrated_attention(const MethodInput& input) {
  std::vector<torch::Tensor> means;
  for (const LayerTrace& layer : input.shared().gradients(input.target).output.trace.layers) {
    if (layer.inputs) means.push_back(path_gradient_of_layer(input, layer));
  }
  return propagated(input, means);
}

MethodResult attention_times_gradient(const MethodInput& input) {
  const TargetGradients& gradients = input.shared().gradients(input.target);
  const LayerTrace* last = last_input_layer(gradients.output.trace);
  if (last == nullptr) {
    if (!gradients.by_readout_weights.defined()) {
      return {torch::zeros_like(input.output.readout[0]), {}, "this model has no attention"};
    }
    return {(gradients.by_readout_weights * gradients.output.readout_weights.detach())[0].sum(0),
            {},
            "pooling weights: this model has no attention layer"};
  }
  const auto index = static_cast<size_t>(last - gradients.output.trace.layers.data());
  torch::Tensor sum = torch::zeros({last->inputs->keys()}, torch::kDouble);
  GradientTiles(*last->inputs, gradients.by_layer_output[index])
      .each([&](int64_t, const torch::Tensor& products) {
        sum += products.sum(c10::IntArrayRef{0, 1}).to(torch::kDouble);
      });
  return {sum, {}, ""};
}

}  // namespace attend
