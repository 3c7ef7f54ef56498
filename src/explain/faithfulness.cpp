// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/faithfulness.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/random.h"
#include "attend/tasks/config.h"
#include "bounds.h"
#include "undefined.h"

namespace attend {
namespace {

size_t place(int64_t index) { return static_cast<size_t>(index); }

// The sets on the way from all units to none, along one order.
struct Chain {
  std::vector<size_t> without;  // the first steps[i] units of the order removed
  std::vector<size_t> only;     // only they kept
};

std::vector<bool> first_of(const std::vector<int64_t>& order, int64_t count, bool value) {
  std::vector<bool> set(order.size(), !value);
  for (int64_t i = 0; i < count; ++i) set[place(order[place(i)])] = value;
  return set;
}

Chain ask_chain(KeptUnits& sets, const std::vector<int64_t>& order,
                const std::vector<int64_t>& counts, bool insertion) {
  Chain chain;
  for (const int64_t count : counts) {
    chain.without.push_back(sets.ask(first_of(order, count, false)));
    if (insertion) chain.only.push_back(sets.ask(first_of(order, count, true)));
  }
  return chain;
}

std::vector<double> probabilities(const KeptUnits& sets, const std::vector<size_t>& numbers) {
  std::vector<double> values;
  values.reserve(numbers.size());
  for (const size_t number : numbers) values.push_back(sets.probability(number));
  return values;
}

std::vector<int64_t> aopc_counts(int64_t units) {
  std::vector<int64_t> counts;
  for (const double share : aopc_shares()) {
    // 0.1 * 30 is a hair above 3.
    const double exact = share * static_cast<double>(units);
    counts.push_back(std::max<int64_t>(1, static_cast<int64_t>(std::ceil(exact - 1e-9))));
  }
  return counts;
}

// What one set costs: positions that the model reads.
int64_t positions_of(int64_t kept, int64_t units, Removal removal) {
  return removal == Removal::kDelete ? std::max<int64_t>(1, kept) : units;
}

struct Plan {
  int64_t steps = 0;
  int64_t orders = 0;
  bool fits = true;
};

// Curves of `rows` rows and `orders` random orders, and the sets of AOPC.
int64_t planned_positions(const ExplainedInput& input, int64_t rows, const Plan& plan,
                          Removal removal) {
  const int64_t units = input.units();
  const int64_t half = positions_of(units / 2, units, removal);
  int64_t aopc = 0;
  for (const int64_t count : aopc_counts(units)) {
    aopc += positions_of(units - count, units, removal) + positions_of(count, units, removal);
  }
  return rows * (aopc + 2 * (plan.steps - 1) * half) + plan.orders * (plan.steps - 1) * half;
}

Plan make_plan(const ExplainedInput& input, int64_t rows, const FaithfulnessOptions& options) {
  Plan plan{std::min(options.max_steps, input.units()), options.random_orders, true};
  constexpr int64_t kFewestSteps = 4;
  constexpr int64_t kFewestOrders = 5;
  const auto too_much = [&] {
    return planned_positions(input, rows, plan, options.removal) > options.max_positions;
  };
  while (too_much() && (plan.steps > kFewestSteps || plan.orders > kFewestOrders)) {
    if (plan.orders > kFewestOrders) plan.orders = std::max(kFewestOrders, plan.orders / 2);
    if (too_much() && plan.steps > kFewestSteps) --plan.steps;
  }
  plan.fits = !too_much();
  return plan;
}

std::string plan_notice(const Plan& plan, int64_t units, const FaithfulnessOptions& options) {
  if (!plan.fits) {
    return std::to_string(units) + " units: measuring faithfulness would take more than " +
           std::to_string(options.max_positions) + " positions, so it was not measured";
  }
  if (plan.steps == std::min(options.max_steps, units) && plan.orders == options.random_orders) {
    return "";
  }
  return std::to_string(units) + " units: to bound the cost, curves have " +
         std::to_string(plan.steps) + " steps and the random band " + std::to_string(plan.orders) +
         " orders";
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(place);
  const size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
}

// The band at each step over the random curves. Those of insertion are the same sets read backwards
// (the steps are symmetrical), which is again a random order.
void fill_band(const std::vector<std::vector<double>>& curves, FaithfulnessTest& test) {
  const size_t points = test.steps.size();
  for (size_t i = 0; i < points; ++i) {
    std::vector<double> deletion;
    std::vector<double> insertion;
    for (const auto& curve : curves) {
      deletion.push_back(curve[i]);
      insertion.push_back(curve[points - 1 - i]);
    }
    test.random_deletion_low.push_back(quantile(deletion, 0.025));
    test.random_deletion_high.push_back(quantile(deletion, 0.975));
    test.random_insertion_low.push_back(quantile(insertion, 0.025));
    test.random_insertion_high.push_back(quantile(insertion, 0.975));
  }
}

// Random sets of removed units, and the sets that are kept.
struct RemovedSets {
  std::vector<std::vector<int64_t>> removed;
  std::vector<size_t> numbers;
};

RemovedSets ask_removed_sets(KeptUnits& sets, int64_t units, const FaithfulnessOptions& options) {
  RemovedSets result;
  Random random(options.seed ^ 0x696e6669ULL);
  std::vector<int64_t> order(place(units));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = 0; i < options.infidelity_sets; ++i) {
    random.shuffle(std::span<int64_t>(order));
    const auto half = static_cast<uint64_t>(std::max<int64_t>(1, units / 2));
    const auto count = 1 + static_cast<int64_t>(random.below(half));
    result.removed.emplace_back(order.begin(), order.begin() + count);
    result.numbers.push_back(sets.ask(first_of(order, count, false)));
  }
  return result;
}

double infidelity(const KeptUnits& sets, size_t whole, const RemovedSets& removed,
                  const std::vector<double>& scores) {
  double product = 0;
  double squared_sum = 0;
  double squared_drop = 0;
  for (size_t i = 0; i < removed.numbers.size(); ++i) {
    double sum = 0;
    for (const int64_t unit : removed.removed[i]) sum += scores[place(unit)];
    const double drop = sets.log_odds(whole) - sets.log_odds(removed.numbers[i]);
    product += sum * drop;
    squared_sum += sum * sum;
    squared_drop += drop * drop;
  }
  if (!(squared_drop > 0)) return kUndefined;
  const double factor = squared_sum > 0 ? std::max(0.0, product / squared_sum) : 0;
  return (factor * factor * squared_sum - 2 * factor * product + squared_drop) / squared_drop;
}

// At most so many units are left out one by one for kendall_tau.
constexpr int64_t kLeftOutAtMost = 256;

struct LeftOut {
  std::vector<int64_t> units;
  std::vector<size_t> numbers;
};

LeftOut ask_left_out(KeptUnits& sets, int64_t units, uint64_t seed) {
  LeftOut result;
  result.units.resize(place(units));
  std::iota(result.units.begin(), result.units.end(), int64_t{0});
  if (units > kLeftOutAtMost) {
    Random random(seed ^ 0x6c6f6fULL);
    random.shuffle(std::span<int64_t>(result.units));
    result.units.resize(place(kLeftOutAtMost));
  }
  for (const int64_t unit : result.units) {
    std::vector<bool> keep(place(units), true);
    keep[place(unit)] = false;
    result.numbers.push_back(sets.ask(keep));
  }
  return result;
}

double tau_with(const KeptUnits& sets, size_t whole, const LeftOut& left_out,
                const std::vector<double>& scores) {
  std::vector<double> chosen;
  std::vector<double> drops;
  for (size_t i = 0; i < left_out.units.size(); ++i) {
    chosen.push_back(scores[place(left_out.units[i])]);
    drops.push_back(sets.log_odds(whole) - sets.log_odds(left_out.numbers[i]));
  }
  return kendall_tau(chosen, drops);
}

// What one row of scores needs, in the sets that all rows share.
struct RowSets {
  Chain curve;
  Chain aopc;
};

InputFaithfulness curves_of(const KeptUnits& sets, size_t whole, const RowSets& asked,
                            const std::vector<int64_t>& steps) {
  InputFaithfulness row;
  row.deletion_curve = probabilities(sets, asked.curve.without);
  row.insertion_curve = probabilities(sets, asked.curve.only);
  row.deletion = area_under(steps, row.deletion_curve);
  row.insertion = area_under(steps, row.insertion_curve);
  const auto shares = static_cast<double>(aopc_shares().size());
  for (size_t i = 0; i < asked.aopc.without.size(); ++i) {
    const size_t without = asked.aopc.without[i];
    const size_t only = asked.aopc.only[i];
    row.comprehensiveness += (sets.probability(whole) - sets.probability(without)) / shares;
    row.sufficiency += (sets.probability(whole) - sets.probability(only)) / shares;
    row.comprehensiveness_log_odds += (sets.log_odds(whole) - sets.log_odds(without)) / shares;
    row.sufficiency_log_odds += (sets.log_odds(whole) - sets.log_odds(only)) / shares;
  }
  row.deletion_normalised = row.insertion_normalised = row.faithfulness = kUndefined;
  row.kendall_tau = row.infidelity = kUndefined;
  return row;
}

void normalise(const AttainableBounds& bounds, InputFaithfulness& row) {
  // Where no order makes a difference there is nothing to be faithful to.
  if (!(bounds.high - bounds.low > 1e-6)) return;
  const auto share = [&](double area) {
    return std::clamp((area - bounds.low) / (bounds.high - bounds.low), 0.0, 1.0);
  };
  row.deletion_normalised = share(row.deletion);
  row.insertion_normalised = share(row.insertion);
  row.faithfulness = row.insertion_normalised - row.deletion_normalised;
}

}  // namespace

const std::vector<double>& aopc_shares() {
  static const std::vector<double> shares = {0.01, 0.05, 0.1, 0.2, 0.5};
  return shares;
}

FaithfulnessReport measure_faithfulness(const ExplainedInput& input,
                                        const std::vector<std::vector<double>>& scores,
                                        const FaithfulnessOptions& options) {
  FaithfulnessReport report;
  const int64_t units = input.units();
  if (units < 2) {
    report.notice = "an input of a single unit: there is no order of units to measure";
    return report;
  }
  const Plan plan = make_plan(input, static_cast<int64_t>(scores.size()), options);
  report.notice = plan_notice(plan, units, options);
  report.measured = plan.fits;
  report.test.removal = to_string(options.removal);
  if (!plan.fits) return report;
  report.test.steps = removal_steps(units, plan.steps);

  KeptUnits sets(input, options.removal);
  const size_t whole = sets.ask(std::vector<bool>(place(units), true));
  std::vector<RowSets> asked;
  for (const auto& row : scores) {
    const auto order = descending_order(row);
    asked.push_back({ask_chain(sets, order, report.test.steps, true),
                     ask_chain(sets, order, aopc_counts(units), true)});
  }
  std::vector<Chain> random_chains;
  Random random(options.seed);
  std::vector<int64_t> order(place(units));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = 0; i < plan.orders; ++i) {
    random.shuffle(std::span<int64_t>(order));
    random_chains.push_back(ask_chain(sets, order, report.test.steps, false));
  }
  LeftOut left_out;
  if (options.correlation) left_out = ask_left_out(sets, units, options.seed);
  RemovedSets removed;
  if (options.infidelity) removed = ask_removed_sets(sets, units, options);
  sets.compute();

  std::vector<std::vector<double>> random_curves;
  std::vector<double> random_areas;
  for (const Chain& chain : random_chains) {
    random_curves.push_back(probabilities(sets, chain.without));
    random_areas.push_back(area_under(report.test.steps, random_curves.back()));
  }
  fill_band(random_curves, report.test);
  report.random_width = quantile(random_areas, 0.975) - quantile(random_areas, 0.025);
  for (size_t i = 0; i < scores.size(); ++i) {
    report.rows.push_back(curves_of(sets, whole, asked[i], report.test.steps));
    if (options.correlation) {
      report.rows.back().kendall_tau = tau_with(sets, whole, left_out, scores[i]);
    }
    if (options.infidelity) {
      report.rows.back().infidelity = infidelity(sets, whole, removed, scores[i]);
    }
  }
  if (options.bounds) {
    report.bounds = searched_bounds(sets, units, report.test.steps, options);
    const auto widen = [&](double area) {
      report.bounds.low = std::min(report.bounds.low, area);
      report.bounds.high = std::max(report.bounds.high, area);
    };
    for (const auto& row : report.rows) {
      widen(row.deletion);
      widen(row.insertion);
    }
    for (const double area : random_areas) widen(area);
    for (auto& row : report.rows) normalise(report.bounds, row);
  }
  return report;
}

std::vector<int64_t> removal_steps(int64_t units, int64_t most) {
  int64_t count = std::min(units, std::max<int64_t>(1, most));
  // An odd number of units has no middle.
  if (count < units && count % 2 == 0 && units % 2 == 1) --count;
  std::vector<int64_t> steps(place(count + 1));
  for (int64_t i = 0; 2 * i <= count; ++i) {
    steps[place(i)] = i * units / count;
    steps[place(count - i)] = units - steps[place(i)];
  }
  return steps;
}

std::vector<int64_t> descending_order(const std::vector<double>& scores) {
  // In the order of the units, a row of equal scores would gain what the start of a text tells.
  std::vector<uint64_t> draws(scores.size());
  for (size_t i = 0; i < draws.size(); ++i) draws[i] = Random(scores.size() << 32 | i).next_u64();
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (scores[place(a)] != scores[place(b)]) return scores[place(a)] > scores[place(b)];
    return draws[place(a)] < draws[place(b)];
  });
  return order;
}

double area_under(const std::vector<int64_t>& steps, const std::vector<double>& values) {
  double area = 0;
  for (size_t i = 1; i < steps.size(); ++i) {
    area += static_cast<double>(steps[i] - steps[i - 1]) * (values[i] + values[i - 1]) / 2;
  }
  return area / static_cast<double>(steps.back());
}

namespace {

// Pairs of equal entries in a sorted range.
template <typename Equal>
double tied_pairs(size_t size, Equal equal) {
  double pairs = 0;
  for (size_t begin = 0; begin < size;) {
    size_t end = begin + 1;
    while (end < size && equal(begin, end)) ++end;
    const auto run = static_cast<double>(end - begin);
    pairs += run * (run - 1) / 2;
    begin = end;
  }
  return pairs;
}

// Sorts values[begin, end) and returns how many pairs were out of order (Knight 1966).
double sort_counting_swaps(std::vector<double>& values, size_t begin, size_t end) {
  if (end - begin < 2) return 0;
  const size_t middle = begin + (end - begin) / 2;
  double swaps =
      sort_counting_swaps(values, begin, middle) + sort_counting_swaps(values, middle, end);
  std::vector<double> merged;
  merged.reserve(end - begin);
  size_t left = begin;
  size_t right = middle;
  while (left < middle || right < end) {
    const bool from_right = left == middle || (right < end && values[right] < values[left]);
    if (from_right) swaps += static_cast<double>(middle - left);
    merged.push_back(values[from_right ? right++ : left++]);
  }
  std::copy(merged.begin(), merged.end(), values.begin() + static_cast<std::ptrdiff_t>(begin));
  return swaps;
}

}  // namespace

double kendall_tau(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<size_t> order(a.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t i, size_t j) { return a[i] != a[j] ? a[i] < a[j] : b[i] < b[j]; });
  const auto pairs = static_cast<double>(a.size()) * (static_cast<double>(a.size()) - 1) / 2;
  const double tied_a =
      tied_pairs(order.size(), [&](size_t i, size_t j) { return a[order[i]] == a[order[j]]; });
  const double tied_both = tied_pairs(order.size(), [&](size_t i, size_t j) {
    return a[order[i]] == a[order[j]] && b[order[i]] == b[order[j]];
  });
  std::vector<double> values;
  values.reserve(order.size());
  for (const size_t i : order) values.push_back(b[i]);
  const double discordant = sort_counting_swaps(values, 0, values.size());
  const double tied_b =
      tied_pairs(values.size(), [&](size_t i, size_t j) { return values[i] == values[j]; });
  const double concordant = pairs - tied_a - tied_b + tied_both - discordant;
  const double norm = std::sqrt((pairs - tied_a) * (pairs - tied_b));
  return norm > 0 ? (concordant - discordant) / norm : kUndefined;
}

std::string to_string(Removal removal) {
  switch (removal) {
    case Removal::kDelete:
      return "delete";
    case Removal::kMask:
      return "mask";
    case Removal::kMean:
      return "mean";
  }
  return "";
}

Removal parse_removal(const std::string& name, const Task& task) {
  std::string known;
  for (const Removal removal : task.removals()) {
    if (name == to_string(removal)) return removal;
    known += (known.empty() ? "" : ", ") + to_string(removal);
  }
  throw usage_error("--removal " + name + ": task " + task.name() +
                    " can take units out by: " + known);
}

}  // namespace attend
