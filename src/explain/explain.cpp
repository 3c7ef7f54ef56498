// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/explain.h"

#include <algorithm>

#include "attend/base/error.h"
#include "judge.h"
#include "methods.h"

namespace attend {
namespace {

std::vector<UnitGroup> groups_for(const Task& task, const std::string& input,
                                  const std::vector<Unit>& units, const std::string& kind) {
  if (kind.empty() || kind == task.unit_kind()) {
    return single_groups(static_cast<int64_t>(units.size()));
  }
  if (kind == "word") return word_groups(input, units);
  throw usage_error("--units " + kind + ": this model's units are of kind \"" + task.unit_kind() +
                    "\"; they can be merged into \"word\", not split");
}

std::vector<float> flat(const torch::Tensor& weights) {
  const auto values = weights.detach().to(torch::kFloat32).contiguous();
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

AttentionMap unit_map(const torch::Tensor& weights, int64_t layer, int64_t head,
                      std::string label) {
  AttentionMap map;
  map.layer = layer;
  map.head = head;
  map.label = std::move(label);
  map.rows = weights.size(0);
  map.columns = weights.size(1);
  map.weights = flat(weights.clamp(0.0, 1.0));
  return map;
}

// Every head, the mean of each layer, and the read-out as a map of one row.
void add_maps(const TaskOutput& output, const torch::Tensor& readout, int64_t leading,
              const std::vector<UnitGroup>& groups, Explanation& explanation) {
  const auto add = [&](const torch::Tensor& weights, int64_t layer, int64_t head,
                       const std::string& label) {
    explanation.attention.push_back(merged_map(unit_map(weights, layer, head, label), groups));
  };
  double dropped = 0;
  for (const LayerTrace& layer : output.trace.layers) {
    const torch::Tensor all = layer.weights[0];  // [heads, L, L]
    const torch::Tensor weights = all.slice(1, leading).slice(2, leading);
    dropped = std::max(dropped, 1.0 - weights.sum(2).mean().item<double>());
    const std::string name = "layer " + std::to_string(layer.layer);
    add(weights.mean(0), layer.layer, -1, name + ", mean of heads");
    for (int64_t head = 0; head < weights.size(0); ++head) {
      add(weights[head], layer.layer, head, name + ", head " + std::to_string(head));
    }
  }
  add(readout.slice(1, leading), static_cast<int64_t>(output.trace.layers.size()), -1,
      "pooling: what the head reads");
  if (dropped > 1e-3) {
    char share[16];
    std::snprintf(share, sizeof share, "%.1f", 100 * dropped);
    explanation.notices.push_back(std::string("up to ") + share +
                                  " % of the attention goes to positions that stand for no unit "
                                  "([CLS] or sink); the maps leave it out");
  }
}

std::optional<Span> span_of_segment(const std::vector<double>& scores,
                                    const std::vector<Unit>& units) {
  const auto segment = strongest_segment(scores);
  if (!segment || units.size() < 2) return std::nullopt;
  return Span{units[static_cast<size_t>(segment->first)].span.begin,
              units[static_cast<size_t>(segment->second)].span.end};
}

}  // namespace

std::optional<std::pair<int64_t, int64_t>> strongest_segment(const std::vector<double>& scores) {
  const double top = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  if (!(top > 0)) return std::nullopt;
  std::pair<int64_t, int64_t> best{0, -1};
  double best_sum = 0;
  double sum = 0;
  int64_t begin = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (sum <= 0) {
      sum = 0;
      begin = static_cast<int64_t>(i);
    }
    sum += scores[i] - 0.1 * top;
    if (sum > best_sum) {
      best_sum = sum;
      best = {begin, static_cast<int64_t>(i)};
    }
  }
  return best;
}

std::optional<Span> evidence_span(Task& task, const Dataset& data, int64_t row,
                                  const Target& target) {
  const std::string input = data.input(row);
  const auto units = task.units(data, row);
  const auto groups = word_groups(input, units);
  if (groups.size() < 2) return std::nullopt;
  return span_of_segment(occlusion_scores(task, data, row, target, groups, Removal::kDelete),
                         merged_units(input, units, groups));
}

Explanation explain(Task& task, const Dataset& data, int64_t row, const ExplainOptions& options) {
  Explanation explanation;
  explanation.task = task.name();
  explanation.input = data.input(row);
  const auto units = task.units(data, row);
  const auto groups = groups_for(task, explanation.input, units, options.units);
  explanation.unit_kind = options.units.empty() ? task.unit_kind() : options.units;
  explanation.units = merged_units(explanation.input, units, groups);
  if (const std::string notice = data.notice(row); !notice.empty()) {
    explanation.notices.push_back(notice);
  }

  const bool with_maps = static_cast<int64_t>(units.size()) <= options.max_map_units;
  const std::vector<int64_t> rows = {row};
  TaskOutput output;
  {
    torch::NoGradGuard no_grad;
    output = task.forward(task.collate(data, rows), TraceRequest::all_weights());
  }
  explanation.outputs = task.predict(output, /*top=*/1000)[0];
  const Target target = task.find_target(data, row, output, options.target);
  explanation.target = target.label;
  const MethodInput input{task, data, row, target, groups, options, output};
  for (const std::string& method : options.methods) {
    explanation.attributions.push_back(attribute(method, input));
  }
  if (options.faithfulness) {
    add_faithfulness({task, data, row, target, groups}, options, explanation);
  }
  if (with_maps) {
    add_maps(output, task.target_readout(output, target), task.leading_positions(), groups,
             explanation);
  } else {
    explanation.notices.push_back(
        std::to_string(units.size()) + " units: attention matrices are kept up to " +
        std::to_string(options.max_map_units) + "; the scores per unit are complete");
  }
  explanation.evidence = evidence_span(task, data, row, target);
  return explanation;
}

}  // namespace attend
