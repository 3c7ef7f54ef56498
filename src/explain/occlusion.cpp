// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Taking units out and watching the target.
#include <algorithm>

#include "method_functions.h"

namespace attend {
namespace {

std::vector<bool> without(int64_t units, int64_t begin, int64_t end) {
  std::vector<bool> keep(static_cast<size_t>(units), true);
  std::fill(keep.begin() + begin, keep.begin() + end, false);
  return keep;
}

// The log-odds that targets lose without each range of units, [ranges, targets].
torch::Tensor drops_without(const MethodInput& input, const std::vector<UnitGroup>& ranges) {
  return occlusion_drops(input.task, input.data, input.row, {input.target}, ranges,
                         input.options.removal);
}

}  // namespace

torch::Tensor log_odds(const Task& task, const TaskOutput& output, const Target& target) {
  const torch::Tensor log_p = task.target_log_probabilities(output, target);
  // log p - log(1 - p), with 1 - p kept exact where p is close to 1.
  return log_p - torch::log(-torch::expm1(log_p)).clamp_min(-700.0);
}

int64_t copies_at_once(int64_t length) {
  constexpr int64_t kPositions = 8192;
  return std::max<int64_t>(1, kPositions / std::max<int64_t>(1, length));
}

torch::Tensor log_odds_of_kept(Task& task, const Dataset& data, int64_t row,
                               const std::vector<Target>& targets,
                               const std::vector<std::vector<bool>>& keep, Removal removal) {
  torch::NoGradGuard no_grad;
  const int64_t at_once = copies_at_once(data.length(row));
  std::vector<torch::Tensor> parts;
  for (size_t begin = 0; begin < keep.size(); begin += static_cast<size_t>(at_once)) {
    const size_t end = std::min(keep.size(), begin + static_cast<size_t>(at_once));
    const auto variants = task.without_units(
        data, row,
        {keep.begin() + static_cast<int64_t>(begin), keep.begin() + static_cast<int64_t>(end)},
        removal);
    std::vector<int64_t> rows;
    for (int64_t v = 0; v < variants->size(); ++v) rows.push_back(v);
    const TaskOutput output = task.forward(task.collate(*variants, rows), {});
    std::vector<torch::Tensor> columns;
    columns.reserve(targets.size());
    for (const Target& target : targets) columns.push_back(log_odds(task, output, target));
    parts.push_back(torch::stack(columns, 1));
  }
  return torch::cat(parts);
}

torch::Tensor occlusion_drops(Task& task, const Dataset& data, int64_t row,
                              const std::vector<Target>& targets,
                              const std::vector<UnitGroup>& groups, Removal removal) {
  const auto units = static_cast<int64_t>(task.units(data, row).size());
  // The untouched input goes first; it is made by the same path as the others.
  std::vector<std::vector<bool>> keep = {without(units, 0, 0)};
  for (const UnitGroup& group : groups) keep.push_back(without(units, group.begin, group.end));
  const torch::Tensor odds = log_odds_of_kept(task, data, row, targets, keep, removal);
  return odds.slice(0, 0, 1) - odds.slice(0, 1);
}

std::vector<double> occlusion_scores(Task& task, const Dataset& data, int64_t row,
                                     const Target& target, const std::vector<UnitGroup>& groups,
                                     Removal removal) {
  return to_vector(occlusion_drops(task, data, row, {target}, groups, removal).select(1, 0));
}

MethodResult occlusion(const MethodInput& input) {
  return {{}, to_vector(drops_without(input, input.groups).select(1, 0)), ""};
}

std::vector<UnitGroup> occlusion_windows(int64_t groups, int64_t window) {
  if (window == 0) window = std::max<int64_t>(3, groups / 64);
  window = std::min(window, groups);
  const int64_t stride = window <= 3 ? 1 : window / 2;
  std::vector<UnitGroup> windows;
  for (int64_t begin = 0;; begin += stride) {
    begin = std::min(begin, groups - window);  // the last one ends with the input
    windows.push_back({begin, begin + window});
    if (begin + window == groups) return windows;
  }
}

MethodResult window_occlusion(const MethodInput& input) {
  const auto count = static_cast<int64_t>(input.groups.size());
  const std::vector<UnitGroup> windows = occlusion_windows(count, input.options.window);
  std::vector<UnitGroup> ranges;
  ranges.reserve(windows.size());
  for (const UnitGroup& window : windows) {
    ranges.push_back({input.groups[static_cast<size_t>(window.begin)].begin,
                      input.groups[static_cast<size_t>(window.end - 1)].end});
  }
  const std::vector<double> drops = to_vector(drops_without(input, ranges).select(1, 0));
  MethodResult result;
  result.scores.assign(input.groups.size(), 0.0);
  std::vector<double> covered(input.groups.size(), 0.0);
  for (size_t w = 0; w < windows.size(); ++w) {
    for (int64_t i = windows[w].begin; i < windows[w].end; ++i) {
      result.scores[static_cast<size_t>(i)] += drops[w] / static_cast<double>(windows[w].size());
      ++covered[static_cast<size_t>(i)];
    }
  }
  for (size_t i = 0; i < covered.size(); ++i) result.scores[i] /= covered[i];
  result.note = "windows of " + std::to_string(windows.front().size()) + " units";
  return result;
}

}  // namespace attend
