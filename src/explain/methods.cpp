// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "methods.h"

#include <chrono>
#include <functional>
#include <limits>

#include "attend/base/error.h"
#include "attend/base/random.h"
#include "attend/tasks/config.h"
#include "method_functions.h"

namespace attend {
namespace {

MethodResult random_scores(const MethodInput& input) {
  Random random(input.options.seed);
  MethodResult result;
  result.scores.resize(input.groups.size());
  for (double& score : result.scores) score = random.uniform();
  return result;
}

struct Method {
  MethodInfo info;
  std::function<MethodResult(const MethodInput&)> scores;
  // Forward passes over the whole input; a backward pass counts as two.
  std::function<double(const MethodInput&)> passes;
};

std::function<double(const MethodInput&)> fixed(double passes) {
  return [passes](const MethodInput&) { return passes; };
}

double windows_of(const MethodInput& input) {
  return static_cast<double>(
      occlusion_windows(static_cast<int64_t>(input.groups.size()), input.options.window).size());
}

// The matrices of value zeroing are whole ones.
double zeroing_passes(const MethodInput& input) {
  constexpr int64_t kMostPositions = 1024;
  const Trace& trace = input.shared().output().trace;
  const int64_t length = input.data.length(input.row);
  if (length > kMostPositions) return std::numeric_limits<double>::infinity();
  return static_cast<double>(length) * static_cast<double>(trace.layers.size());
}

double path_passes(const MethodInput& input) {
  return 48.0 * static_cast<double>(input.shared().output().trace.layers.size());
}

const std::vector<Method>& all_methods() {
  static const std::vector<Method> methods = {
      {{"attention", false, "share of what the head reads, by one layer's attention",
        "one forward pass"},
       attention_of_layer,
       fixed(1)},
      {{"attention-mean", false, "share of what the head reads, by the mean over layers and heads",
        "one forward pass"},
       mean_attention,
       fixed(1)},
      {{"rollout", false, "share of what the head reads, attention followed through all layers",
        "one forward pass"},
       rollout,
       fixed(1)},
      {{"norm-based", false, "size of the vector that the last layer carries to the read-out",
        "one forward pass"},
       norm_based,
       fixed(1)},
      {{"value-zeroing", false,
        "change of the vectors on the way to the read-out without its value",
        "one forward pass per unit and layer, batched"},
       value_zeroing,
       zeroing_passes},
      {{"grad-attention", false,
        "attention that raises the target's score, followed through all layers",
        "one forward and one backward pass"},
       gradient_attention,
       fixed(3)},
      {{"integrated-attention", false,
        "attention that raises the target's score while it grows from nothing, through all layers",
        "16 forward and backward passes per layer, batched"},
       integrated_attention,
       path_passes},
      {{"attention-x-gradient", true,
        "first-order share of the target's score by the last layer's attention",
        "one forward and one backward pass"},
       attention_times_gradient,
       fixed(3)},
      {{"gradient", false, "length of the gradient of the target's score by the unit's vector",
        "one forward and one backward pass"},
       gradient_norm,
       fixed(3)},
      {{"gradient-x-input", true, "first-order share of the target's score",
        "one forward and one backward pass"},
       gradient_times_input,
       fixed(3)},
      {{"integrated-gradients", true,
        "share of the change of the target's score against vectors of zeros",
        "16 to 256 forward and backward passes, batched"},
       integrated_gradients,
       fixed(48)},
      {{"occlusion", true, "log-odds of the target that are lost without the unit",
        "one forward pass per unit, batched"},
       occlusion,
       [](const MethodInput& input) { return static_cast<double>(input.groups.size()); }},
      {{"occlusion-window", true,
        "log-odds lost per unit without a window of units, mean over its windows",
        "one forward pass per window, batched"},
       window_occlusion,
       windows_of},
      {{"random", false, "nothing: random numbers, for comparison", "none"},
       random_scores,
       fixed(0)}};
  return methods;
}

const Method& find_method(const std::string& name) {
  for (const Method& method : all_methods()) {
    if (method.info.name == name) return method;
  }
  std::string list;
  for (const auto& known : explanation_methods()) list += (list.empty() ? "" : ", ") + known;
  const std::string near = nearest_name(name, explanation_methods());
  throw usage_error("unknown method \"" + name + "\"; " +
                    (near.empty() ? "known: " + list : "did you mean \"" + near + "\"?"));
}

}  // namespace

std::vector<double> to_vector(const torch::Tensor& numbers) {
  const auto values = numbers.detach().to(torch::kFloat64).contiguous();
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

const std::vector<MethodInfo>& explanation_method_table() {
  static const std::vector<MethodInfo> table = [] {
    std::vector<MethodInfo> infos;
    for (const Method& method : all_methods()) infos.push_back(method.info);
    return infos;
  }();
  return table;
}

std::vector<std::string> explanation_methods() {
  std::vector<std::string> names;
  for (const MethodInfo& method : explanation_method_table()) names.push_back(method.name);
  return names;
}

torch::Tensor merged_positions(const torch::Tensor& positions, int64_t leading,
                               const std::vector<UnitGroup>& groups) {
  const int64_t units = groups.back().end;
  torch::Tensor kept = positions.slice(-1, leading, leading + units);
  if (static_cast<int64_t>(groups.size()) == units) return kept;
  std::vector<int64_t> group_of;
  for (size_t g = 0; g < groups.size(); ++g) {
    group_of.insert(group_of.end(), static_cast<size_t>(groups[g].size()), static_cast<int64_t>(g));
  }
  std::vector<int64_t> shape = kept.sizes().vec();
  shape.back() = static_cast<int64_t>(groups.size());
  return torch::zeros(shape, kept.options())
      .index_add(-1, torch::tensor(group_of, torch::kInt64), kept);
}

double method_work(const std::string& method, const MethodInput& input) {
  const auto length = static_cast<double>(input.data.length(input.row));
  return find_method(method).passes(input) * length * (1 + length / 2048);
}

Attribution attribute(const std::string& method, const MethodInput& input) {
  const Method& known = find_method(method);
  if (known.passes(input) == std::numeric_limits<double>::infinity()) {
    throw usage_error("method \"" + method + "\" makes a matrix of units by units: " +
                      std::to_string(input.data.length(input.row)) +
                      " are too many, give at most 1024");
  }
  const auto start = std::chrono::steady_clock::now();
  MethodResult found = known.scores(input);
  Attribution result;
  result.method = known.info.name;
  result.is_signed = known.info.is_signed;
  result.meaning = known.info.meaning;
  result.scores = std::move(found.scores);
  if (found.positions.defined()) {
    const torch::Tensor merged = merged_positions(found.positions.to(torch::kFloat64),
                                                  input.task.leading_positions(), input.groups);
    result.scores = to_vector(merged);
  }
  result.note = std::move(found.note);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace attend
