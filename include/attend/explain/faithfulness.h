// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Is an explanation true of the model? Units are taken away in the order it names, and the output
// is watched. Works for every task through Task::without_units.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "attend/explain/explanation.h"
#include "attend/explain/grouping.h"
#include "attend/tasks/task.h"

namespace attend {

/// An input, the output of it that is explained, and the units that are removed together.
struct ExplainedInput {
  Task& task;
  const Dataset& data;
  int64_t row;
  const Target& target;
  const std::vector<UnitGroup>& groups;

  int64_t units() const { return static_cast<int64_t>(groups.size()); }
};

/// The target's log-probability with only some units kept. Every set of units is computed once,
/// however often it is asked for, and sets are computed together in batches of similar length.
class KeptUnits {
 public:
  KeptUnits(const ExplainedInput& input, Removal removal) : input_(input), removal_(removal) {}

  /// Asks for a set: `keep` has an entry per unit (group). Returns the set's number.
  size_t ask(const std::vector<bool>& keep);

  /// Computes every set asked for since the last call.
  void compute();

  /// Natural log of the target's probability; compute() must have run since ask().
  double log_probability(size_t set) const { return log_probabilities_[set]; }
  double probability(size_t set) const;
  /// log(p / (1 - p)): does not saturate where the model is sure.
  double log_odds(size_t set) const;

  /// How many sets were computed.
  int64_t computed() const { return static_cast<int64_t>(log_probabilities_.size()); }

 private:
  std::vector<bool> of_model_units(const std::vector<bool>& keep) const;

  ExplainedInput input_;
  Removal removal_;
  std::unordered_map<std::vector<bool>, size_t> numbers_;
  std::vector<std::vector<bool>> pending_;
  std::vector<double> log_probabilities_;
};

/// Numbers of units from 0 to `units`: all of them if that is at most `most` + 1 numbers, else at
/// most so many, evenly spaced. With k, units - k is among them.
std::vector<int64_t> removal_steps(int64_t units, int64_t most);

/// Units from the highest score down. Equal scores come in an order drawn for this number of units.
std::vector<int64_t> descending_order(const std::vector<double>& scores);

/// Area under `values` over steps / last step, by trapezoids: a mean, in the unit of the values.
double area_under(const std::vector<int64_t>& steps, const std::vector<double>& values);

/// Kendall's tau-b (Kendall 1945), in [-1, 1]; NaN where one side is constant. O(n log n).
double kendall_tau(const std::vector<double>& a, const std::vector<double>& b);

/// Everything measured for one row of scores on one input. What was not asked for is NaN.
struct InputFaithfulness : Faithfulness {
  // Comprehensiveness and sufficiency as drops of the log-odds instead of the probability.
  double comprehensiveness_log_odds = 0;
  double sufficiency_log_odds = 0;
  // The areas on the scale of what any order of the units can reach on this input: (area - low) /
  // (high - low), in [0, 1] (Edin et al. 2025, "Normalized AOPC"); see AttainableBounds.
  double deletion_normalised = 0;
  double insertion_normalised = 0;
  /// insertion_normalised - deletion_normalised, in [-1, 1]: the area between the curves of keeping
  /// the best and removing the best (Samek et al. 2017, ABPC) as a share of the attainable. Random
  /// orders give 0 in the mean, since a random order read backwards is random.
  double faithfulness = 0;
  /// Kendall's tau-b of the scores with the drops of the log-odds when one unit is left out.
  double kendall_tau = 0;
  /// How far the sum of the scores of removed units is from the drop of the log-odds, over random
  /// sets of units: E[(beta sum - drop)^2] / E[drop^2] (Yeh et al. 2019), with the factor beta >= 0
  /// that fits best, since scores have no unit. 0: exact; 1: no better than scores of 0.
  double infidelity = 0;
};

/// The smallest and the largest area under a deletion curve over all orders of the units. They
/// bound insertion as well, since an insertion curve is the deletion curve of the reversed order.
/// Exact for few units (all sets of units). Otherwise what was reached by greedy search from either
/// side or by any order that was measured.
struct AttainableBounds {
  double low = 0;
  double high = 0;
  bool exact = false;
};

struct FaithfulnessOptions {
  Removal removal = Removal::kDelete;
  int64_t max_steps = 20;      ///< points of a curve beyond the first, >= 2
  int64_t random_orders = 20;  ///< of the random band, >= 1
  // What is not needed for Faithfulness, and costs more.
  bool bounds = false;       ///< also normalised areas and `faithfulness`
  bool correlation = false;  ///< also kendall_tau
  bool infidelity = false;
  int64_t exact_bound_units = 8;     ///< up to so many units bounds are exact: 2^n sets
  int64_t bound_positions = 20'000;  ///< positions that greedy search may run, per side
  int64_t infidelity_sets = 32;      ///< random sets of 1 to half of the units
  /// Positions that the model may run for one input; curves get fewer steps and the band fewer
  /// orders until they fit.
  int64_t max_positions = 300'000;
  uint64_t seed = 1;
};

struct FaithfulnessReport {
  bool measured = false;                ///< false: `notice` says why
  FaithfulnessTest test;                ///< its band is over random orders
  std::vector<InputFaithfulness> rows;  ///< as the scores that were given
  AttainableBounds bounds;
  /// Width of the 95 % range of the area under a random order's curve. An area is that of deletion
  /// or, read backwards, of insertion.
  double random_width = 0;
  std::string notice;  ///< what was left out to bound the cost; may be empty

  /// Insertion lies further above deletion than random_width. Both areas of one random order would
  /// have to be at opposite ends of their ranges for that.
  bool beats_random(const Faithfulness& row) const {
    return row.insertion - row.deletion > random_width;
  }
};

/// Measures rows of scores, one score per unit. All rows are measured on the same sets where these
/// coincide. Of an input of fewer than two units nothing can be said.
FaithfulnessReport measure_faithfulness(const ExplainedInput& input,
                                        const std::vector<std::vector<double>>& scores,
                                        const FaithfulnessOptions& options = {});

/// Shares of the units in AOPC: 1, 5, 10, 20 and 50 % (DeYoung et al. 2020), at least one unit,
/// rounded up. The mean is over these five, without a step of nothing removed (as the scorer
/// released with that paper does; the formula printed in it divides by one more). Shares that name
/// the same set count each.
const std::vector<double>& aopc_shares();

/// "delete", "mask" or "mean".
std::string to_string(Removal removal);

/// The reverse of to_string, among what `task` can do; anything else is Error(kUsage).
Removal parse_removal(const std::string& name, const Task& task);

}  // namespace attend
