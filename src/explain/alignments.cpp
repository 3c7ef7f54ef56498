// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Which input made which output: the methods with every output unit as a target of its own.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "attention_chain.h"
#include "method_functions.h"
#include "views.h"

namespace attend {
namespace {

// Gradient times input for every output unit, [output, leading + units]; one backward pass each.
torch::Tensor gradient_rows(const MethodInput& input, const std::vector<Target>& targets) {
  const torch::AutoGradMode with_gradients(true);
  const Batch batch = input.shared().batch();
  const torch::Tensor embeddings = input.task.embed(batch).detach().requires_grad_(true);
  const TaskOutput output = input.task.forward_from_embeddings(embeddings, batch, {});
  std::vector<torch::Tensor> rows;
  for (const Target& target : targets) {
    const torch::Tensor score = input.task.target_scores(output, target).sum();
    const torch::Tensor gradient =
        torch::autograd::grad({score}, {embeddings}, {}, /*retain_graph=*/true, false, true)[0];
    rows.push_back(gradient.defined() ? (gradient * embeddings).sum(-1)[0].detach()
                                      : torch::zeros({embeddings.size(1)}));
  }
  return torch::constant_pad_nd(torch::stack(rows), {input.task.leading_positions(), 0});
}

}  // namespace

void add_alignments(const MethodInput& input, const std::vector<std::string>& methods,
                    Explanation& explanation) {
  const size_t outputs = explanation.output_units.size();
  if (outputs == 0) return;
  const TaskOutput& output = input.shared().output();
  std::vector<Target> targets;
  std::vector<torch::Tensor> readouts;
  for (size_t unit = 0; unit < outputs; ++unit) {
    targets.push_back(input.task.output_target(input.data, input.row, static_cast<int64_t>(unit)));
    readouts.push_back(input.task.target_readout(output, targets.back())[0].detach());
  }
  const torch::Tensor rows = torch::stack(readouts);
  const int64_t leading = input.task.leading_positions();
  const auto merged = [&](const torch::Tensor& positions) {
    return merged_positions(positions.detach().to(torch::kDouble), leading, input.groups);
  };
  const std::vector<std::pair<std::string, std::function<torch::Tensor()>>> known = {
      {"attention",
       [&] {
         return merged(attention_rows(output.trace, rows, input.options.layer, input.options.head));
       }},
      {"rollout", [&] { return merged(rollout_rows(output.trace, rows)); }},
      {"norm-based", [&] { return merged(norm_rows(output.trace, rows)); }},
      {"gradient-x-input", [&] { return merged(gradient_rows(input, targets)); }},
      {"occlusion", [&] {
         return occlusion_drops(input.task, input.data, input.row, targets, input.groups,
                                input.options.removal)
             .t();
       }}};
  for (const auto& [name, scores] : known) {
    if (std::find(methods.begin(), methods.end(), name) == methods.end()) continue;
    const auto info =
        std::find_if(explanation_method_table().begin(), explanation_method_table().end(),
                     [&name = name](const MethodInfo& one) { return one.name == name; });
    const torch::Tensor values = scores().to(torch::kDouble).contiguous();
    Alignment alignment;
    alignment.method = name;
    alignment.is_signed = info->is_signed;
    alignment.meaning = info->meaning;
    alignment.scores.assign(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
    explanation.alignments.push_back(std::move(alignment));
  }
}

}  // namespace attend
