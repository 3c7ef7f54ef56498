// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/steering.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "attend/base/error.h"

namespace attend {
namespace {

// What units are named in, and how it lies in the model.
struct Places {
  const std::string& input;
  const std::vector<Unit>& units;
  const std::vector<UnitGroup>& groups;
  int64_t leading;

  int64_t model_units() const { return groups.back().end; }

  // Ranges of model units.
  std::vector<UnitGroup> select(const std::string& selection) const {
    std::vector<UnitGroup> ranges;
    for (const UnitGroup& shown : select_units(selection, input, units)) {
      ranges.push_back({groups[static_cast<size_t>(shown.begin)].begin,
                        groups[static_cast<size_t>(shown.end - 1)].end});
    }
    return ranges;
  }
};

Intervention emphasis(const std::string& asked, const Places& places, const Steering& steering) {
  const size_t colon = asked.rfind(':');
  double factor = -1;
  if (colon != std::string::npos) {
    const char* end = asked.data() + asked.size();
    const auto parsed = std::from_chars(asked.data() + colon + 1, end, factor);
    if (parsed.ec != std::errc() || parsed.ptr != end) factor = -1;
  }
  if (!(factor >= 0) || !std::isfinite(factor)) {
    throw usage_error("--emphasize " + asked +
                      ": give UNITS:FACTOR with a factor of 0 (hide) or more, such as \"word:2\"");
  }
  Intervention intervention;
  intervention.label = "emphasize " + asked;
  AttentionEdit edit;
  edit.layers = steering.layers;
  edit.heads = steering.heads;
  edit.key_bias = torch::zeros({1, places.leading + places.model_units()});
  const double bias = factor > 0 ? std::log(factor) : -std::numeric_limits<double>::infinity();
  for (const UnitGroup& range : places.select(asked.substr(0, colon))) {
    edit.key_bias[0].slice(0, places.leading + range.begin, places.leading + range.end).fill_(bias);
  }
  intervention.edits = {edit};
  return intervention;
}

Intervention mask(const std::string& selection, const Places& places) {
  Intervention intervention;
  intervention.label = "mask " + selection;
  intervention.masked.assign(static_cast<size_t>(places.model_units()), false);
  for (const UnitGroup& range : places.select(selection)) {
    std::fill(intervention.masked.begin() + range.begin, intervention.masked.begin() + range.end,
              true);
  }
  return intervention;
}

Intervention heads_off(const std::vector<std::string>& heads) {
  Intervention intervention;
  for (const std::string& asked : heads) {
    AttentionEdit edit;
    edit.off = true;
    edit.layers = edit.heads = {0};
    const char* end = asked.data() + asked.size();
    const auto layer = std::from_chars(asked.data(), end, edit.layers[0]);
    const bool dot = layer.ec == std::errc() && layer.ptr != end && *layer.ptr == '.';
    const auto head = dot ? std::from_chars(layer.ptr + 1, end, edit.heads[0]) : layer;
    if (!dot || head.ec != std::errc() || head.ptr != end || edit.layers[0] < 0 ||
        edit.heads[0] < 0) {
      throw usage_error("--heads-off " + asked + ": give LAYER.HEAD from 0, such as 0.1");
    }
    intervention.label += (intervention.label.empty() ? "head " : ", ") + asked;
    intervention.edits.push_back(std::move(edit));
  }
  intervention.label += " off";
  return intervention;
}

std::string places_of(const Steering& steering) {
  std::string where;
  const auto add = [&where](const char* what, const std::vector<int64_t>& numbers) {
    if (!numbers.empty()) where += fmt::format(" {} {}", what, fmt::join(numbers, ","));
  };
  add(steering.layers.size() == 1 ? "in layer" : "in layers", steering.layers);
  add(steering.heads.size() == 1 ? "head" : "heads", steering.heads);
  return where;
}

double probability(const Task& task, const TaskOutput& output, const Target& target) {
  return std::exp(task.target_log_probabilities(output, target)[0].item<double>());
}

constexpr int64_t kOutputs = 1000;

}  // namespace

std::vector<Intervention> interventions(const Steering& steering, const std::string& input,
                                        const std::vector<Unit>& units,
                                        const std::vector<UnitGroup>& groups, int64_t leading) {
  const Places places{input, units, groups, leading};
  std::vector<Intervention> all;
  for (const std::string& asked : steering.emphasize) {
    all.push_back(emphasis(asked, places, steering));
    all.back().label += places_of(steering);
  }
  for (const std::string& asked : steering.mask_units) all.push_back(mask(asked, places));
  if (!steering.heads_off.empty()) all.push_back(heads_off(steering.heads_off));
  AttentionEdit everywhere;
  everywhere.layers = steering.layers;
  everywhere.heads = steering.heads;
  if (steering.temperature != 1) {
    AttentionEdit edit = everywhere;
    edit.temperature = steering.temperature;
    all.push_back(
        {fmt::format("temperature {:g}", steering.temperature) + places_of(steering), {edit}, {}});
  }
  if (steering.uniform) {
    AttentionEdit edit = everywhere;
    edit.uniform = true;
    all.push_back({"uniform" + places_of(steering), {edit}, {}});
  }
  if (all.size() < 2) return all;
  Intervention together;
  together.label = "all together";
  for (const Intervention& one : all) {
    together.edits.insert(together.edits.end(), one.edits.begin(), one.edits.end());
    if (together.masked.empty()) together.masked = one.masked;
    for (size_t u = 0; u < one.masked.size(); ++u) {
      together.masked[u] = together.masked[u] || one.masked[u];
    }
  }
  all.push_back(std::move(together));
  return all;
}

TaskOutput forward_under(Task& task, const Dataset& data, int64_t row,
                         const Intervention& intervention) {
  torch::NoGradGuard no_grad;
  ForwardRequest request;
  request.edits = intervention.edits;
  const std::vector<int64_t> rows = {row};
  if (intervention.masked.empty()) return task.forward(task.collate(data, rows), request);
  std::vector<bool> keep = intervention.masked;
  keep.flip();
  const auto masked = task.without_units(data, row, {keep}, Removal::kMask);
  const std::vector<int64_t> first = {0};
  return task.forward(task.collate(*masked, first), request);
}

std::vector<Effect> effects(Task& task, const Dataset& data, int64_t row, const Target& target,
                            const std::vector<Intervention>& interventions) {
  std::vector<Effect> all;
  if (interventions.empty()) return all;
  const TaskOutput before = forward_under(task, data, row, {});
  for (const Intervention& one : interventions) {
    const TaskOutput after = forward_under(task, data, row, one);
    Effect effect;
    effect.edit = one.label;
    effect.before = task.predict(before, kOutputs)[0];
    effect.after = task.predict(after, kOutputs)[0];
    effect.change = probability(task, after, target) - probability(task, before, target);
    all.push_back(std::move(effect));
  }
  return all;
}

}  // namespace attend
