// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "bounds.h"

#include <algorithm>
#include <limits>

namespace attend {
namespace {

size_t at(int64_t index) { return static_cast<size_t>(index); }

// What the value after `count` removals weighs in the area; 0 between the steps.
std::vector<double> area_weights(const std::vector<int64_t>& steps) {
  std::vector<double> weights(at(steps.back() + 1), 0.0);
  for (size_t i = 1; i < steps.size(); ++i) {
    const double half = static_cast<double>(steps[i] - steps[i - 1]) / 2;
    weights[at(steps[i - 1])] += half / static_cast<double>(steps.back());
    weights[at(steps[i])] += half / static_cast<double>(steps.back());
  }
  return weights;
}

AttainableBounds exact_bounds(KeptUnits& sets, int64_t units, const std::vector<int64_t>& steps) {
  const size_t all = size_t{1} << units;
  std::vector<size_t> numbers;
  for (size_t mask = 0; mask < all; ++mask) {
    std::vector<bool> keep(at(units));
    for (int64_t unit = 0; unit < units; ++unit) keep[at(unit)] = (mask >> unit & 1) == 0;
    numbers.push_back(sets.ask(keep));  // mask: what is removed
  }
  sets.compute();
  const auto weights = area_weights(steps);
  std::vector<double> low(all);
  std::vector<double> high(all);
  for (size_t mask = 0; mask < all; ++mask) {
    const double value = weights[at(__builtin_popcountll(mask))] * sets.probability(numbers[mask]);
    double best = mask == 0 ? 0 : std::numeric_limits<double>::infinity();
    double worst = -best;
    for (int64_t unit = 0; unit < units; ++unit) {
      if ((mask >> unit & 1) == 0) continue;
      const size_t before = mask & ~(size_t{1} << unit);
      best = std::min(best, low[before]);
      worst = std::max(worst, high[before]);
    }
    low[mask] = value + best;
    high[mask] = value + worst;
  }
  return {low[all - 1], high[all - 1], true};
}

// Positions read by one search that asks all remaining units anew after every `block` removals.
int64_t search_positions(int64_t units, int64_t block, Removal removal) {
  int64_t positions = 0;
  for (int64_t left = units; left > 1; left -= block) {
    positions += left * (removal == Removal::kDelete ? left - 1 : units);
  }
  return positions;
}

// The area under the curve of the order found by always removing the units with the lowest (sign 1)
// or highest (sign -1) probability without them.
double greedy_area(KeptUnits& sets, int64_t units, const std::vector<int64_t>& steps, int64_t block,
                   double sign) {
  std::vector<bool> keep(at(units), true);
  std::vector<size_t> curve = {sets.ask(keep)};  // after each removal
  std::vector<int64_t> left;
  for (int64_t unit = 0; unit < units; ++unit) left.push_back(unit);
  while (!left.empty()) {
    std::vector<size_t> numbers(at(units));
    for (const int64_t unit : left) {
      keep[at(unit)] = false;
      numbers[at(unit)] = sets.ask(keep);
      keep[at(unit)] = true;
    }
    sets.compute();
    std::stable_sort(left.begin(), left.end(), [&](int64_t a, int64_t b) {
      return sign * sets.probability(numbers[at(a)]) < sign * sets.probability(numbers[at(b)]);
    });
    const auto removed = std::min<int64_t>(block, static_cast<int64_t>(left.size()));
    for (int64_t i = 0; i < removed; ++i) {
      keep[at(left[at(i)])] = false;
      curve.push_back(sets.ask(keep));
    }
    left.erase(left.begin(), left.begin() + removed);
  }
  sets.compute();
  std::vector<double> values;
  values.reserve(steps.size());
  for (const int64_t step : steps) values.push_back(sets.probability(curve[at(step)]));
  return area_under(steps, values);
}

}  // namespace

AttainableBounds searched_bounds(KeptUnits& sets, int64_t units, const std::vector<int64_t>& steps,
                                 const FaithfulnessOptions& options) {
  if (units <= options.exact_bound_units) return exact_bounds(sets, units, steps);
  int64_t block = 1;
  while (block < units &&
         search_positions(units, block, options.removal) > options.bound_positions) {
    ++block;
  }
  if (search_positions(units, block, options.removal) > options.bound_positions) {
    const double infinity = std::numeric_limits<double>::infinity();
    return {infinity, -infinity, false};
  }
  return {greedy_area(sets, units, steps, block, 1), greedy_area(sets, units, steps, block, -1),
          false};
}

}  // namespace attend
