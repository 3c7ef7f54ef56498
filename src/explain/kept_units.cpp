// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "attend/explain/faithfulness.h"

namespace attend {
namespace {

// Large enough to keep the processor busy, small enough to stay in its cache.
constexpr size_t kPositionsAtOnce = 8192;
constexpr size_t kVariantsAtOnce = 512;

}  // namespace

size_t KeptUnits::ask(const std::vector<bool>& keep) {
  const auto [entry, is_new] = numbers_.try_emplace(keep, numbers_.size());
  if (is_new) pending_.push_back(keep);
  return entry->second;
}

std::vector<bool> KeptUnits::of_model_units(const std::vector<bool>& keep) const {
  std::vector<bool> units(static_cast<size_t>(input_.groups.back().end), true);
  for (size_t group = 0; group < keep.size(); ++group) {
    if (keep[group]) continue;
    const UnitGroup& of = input_.groups[group];
    std::fill(units.begin() + of.begin, units.begin() + of.end, false);
  }
  return units;
}

void KeptUnits::compute() {
  if (pending_.empty()) return;
  torch::NoGradGuard no_grad;
  std::vector<std::vector<bool>> keeps;
  std::vector<size_t> lengths;
  for (const auto& keep : pending_) {
    keeps.push_back(of_model_units(keep));
    const auto kept =
        static_cast<size_t>(std::count(keeps.back().begin(), keeps.back().end(), true));
    lengths.push_back(removal_ == Removal::kDelete ? std::max<size_t>(1, kept)
                                                   : keeps.back().size());
  }
  std::vector<size_t> order(keeps.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] < lengths[b]; });
  const size_t first_number = log_probabilities_.size();
  log_probabilities_.resize(first_number + keeps.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && end - begin < kVariantsAtOnce &&
           (end - begin + 1) * lengths[order[end]] <= kPositionsAtOnce) {
      ++end;
    }
    std::vector<std::vector<bool>> chosen;
    std::vector<int64_t> rows;
    for (size_t i = begin; i < end; ++i) {
      rows.push_back(static_cast<int64_t>(chosen.size()));
      chosen.push_back(keeps[order[i]]);
    }
    const auto variants = input_.task.without_units(input_.data, input_.row, chosen, removal_);
    const TaskOutput output = input_.task.forward(input_.task.collate(*variants, rows), {});
    const torch::Tensor values = input_.task.target_log_probabilities(output, input_.target)
                                     .to(torch::kFloat64)
                                     .contiguous();
    for (size_t i = begin; i < end; ++i) {
      log_probabilities_[first_number + order[i]] = values.data_ptr<double>()[i - begin];
    }
    begin = end;
  }
  pending_.clear();
}

double KeptUnits::probability(size_t set) const { return std::exp(log_probabilities_[set]); }

double KeptUnits::log_odds(size_t set) const {
  // 1 - p is kept exact where p is close to 1; where it rounds to 0 the value stays finite.
  const double log_p = log_probabilities_[set];
  return log_p - std::max(-700.0, std::log(-std::expm1(log_p)));
}

}  // namespace attend
