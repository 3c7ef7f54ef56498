// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "methods.h"

#include <chrono>
#include <functional>
#include <map>

#include "attend/base/error.h"
#include "attend/base/random.h"
#include "attend/tasks/config.h"

namespace attend {
namespace {

std::vector<double> to_vector(const torch::Tensor& scores) {
  const auto values = scores.detach().to(torch::kFloat64).contiguous();
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

// Positions that stand for no unit are cut off; padding there is none in a batch of one.
torch::Tensor unit_part(const torch::Tensor& positions, int64_t leading) {
  return positions.slice(-1, leading);
}

std::vector<double> attention_scores(const MethodInput& input) {
  const int64_t leading = input.task.leading_positions();
  torch::Tensor scores = input.task.target_readout(input.output, input.target);  // [1, length]
  if (!input.output.trace.layers.empty()) {
    const torch::Tensor mean = input.output.trace.layers.back().weights.mean(1);  // [1, L, L]
    scores = torch::matmul(scores.unsqueeze(1), mean).squeeze(1);
  }
  return merged_scores(to_vector(unit_part(scores[0], leading)), input.groups);
}

std::vector<double> gradient_scores(const MethodInput& input) {
  const std::vector<int64_t> rows = {input.row};
  const Batch batch = input.task.collate(input.data, rows);
  const torch::Tensor embeddings = input.task.embed(batch).detach().requires_grad_(true);
  const TaskOutput output = input.task.forward_from_embeddings(embeddings, batch, {});
  const torch::Tensor target = input.task.target_scores(output, input.target).sum();
  const torch::Tensor gradient = torch::autograd::grad({target}, {embeddings})[0];
  torch::Tensor scores = (gradient * embeddings).sum(-1)[0].detach();
  const torch::Tensor direct = input.task.additive_contributions(batch);
  if (direct.defined()) {
    TaskOutput as_scores;
    as_scores.scores = direct[0].detach();  // positions take the place of the batch
    scores = scores + input.task.target_scores(as_scores, input.target);
  }
  return merged_scores(to_vector(scores), input.groups);
}

std::vector<double> random_scores(const MethodInput& input) {
  Random random(input.options.seed);
  std::vector<double> scores(input.groups.size());
  for (double& score : scores) score = random.uniform();
  return scores;
}

struct Method {
  bool is_signed;
  std::string meaning;
  std::function<std::vector<double>(const MethodInput&)> scores;
};

const std::vector<std::pair<std::string, Method>>& all_methods() {
  static const std::vector<std::pair<std::string, Method>> methods = {
      {"attention",
       {false, "share of what the head reads, by the last layer's attention", attention_scores}},
      {"occlusion",
       {true, "log-odds of the target that are lost without the unit",
        [](const MethodInput& in) {
          return occlusion_scores(in.task, in.data, in.row, in.target, in.groups,
                                  in.options.removal);
        }}},
      {"gradient-x-input", {true, "first-order share of the target's logit", gradient_scores}},
      {"random", {false, "nothing: random numbers, for comparison", random_scores}}};
  return methods;
}

}  // namespace

std::vector<std::string> explanation_methods() {
  std::vector<std::string> names;
  for (const auto& [name, method] : all_methods()) names.push_back(name);
  return names;
}

torch::Tensor log_odds(const Task& task, const TaskOutput& output, const Target& target) {
  const torch::Tensor log_p = task.target_log_probabilities(output, target);
  // log p - log(1 - p), with 1 - p kept exact where p is close to 1.
  return log_p - torch::log(-torch::expm1(log_p)).clamp_min(-700.0);
}

std::vector<double> occlusion_scores(Task& task, const Dataset& data, int64_t row,
                                     const Target& target, const std::vector<UnitGroup>& groups,
                                     Removal removal) {
  torch::NoGradGuard no_grad;
  const auto units = static_cast<size_t>(groups.back().end);
  // The untouched input goes first; it is made by the same path as the others.
  std::vector<std::vector<bool>> keep{std::vector<bool>(units, true)};
  for (const UnitGroup& group : groups) {
    keep.emplace_back(units, true);
    std::fill(keep.back().begin() + group.begin, keep.back().begin() + group.end, false);
  }
  const auto variants = task.without_units(data, row, keep, removal);
  std::vector<double> odds;
  constexpr int64_t kVariantsAtOnce = 64;
  for (int64_t begin = 0; begin < variants->size(); begin += kVariantsAtOnce) {
    std::vector<int64_t> rows;
    for (int64_t v = begin; v < std::min(variants->size(), begin + kVariantsAtOnce); ++v) {
      rows.push_back(v);
    }
    const TaskOutput output = task.forward(task.collate(*variants, rows), {});
    const auto part = to_vector(log_odds(task, output, target));
    odds.insert(odds.end(), part.begin(), part.end());
  }
  std::vector<double> scores;
  for (size_t v = 1; v < odds.size(); ++v) scores.push_back(odds[0] - odds[v]);
  return scores;
}

Attribution attribute(const std::string& method, const MethodInput& input) {
  for (const auto& [name, known] : all_methods()) {
    if (name != method) continue;
    const auto start = std::chrono::steady_clock::now();
    Attribution result;
    result.method = name;
    result.is_signed = known.is_signed;
    result.meaning = known.meaning;
    result.scores = known.scores(input);
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }
  std::string list;
  for (const auto& name : explanation_methods()) list += (list.empty() ? "" : ", ") + name;
  const std::string near = nearest_name(method, explanation_methods());
  throw usage_error("unknown method \"" + method + "\"; " +
                    (near.empty() ? "known: " + list : "did you mean \"" + near + "\"?"));
}

}  // namespace attend
