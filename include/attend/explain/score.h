// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The faithfulness of methods over a data set.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "attend/explain/explain.h"
#include "attend/explain/faithfulness.h"

namespace attend {

/// A mean with its 95 % percentile bootstrap interval over the examples (Efron 1979).
struct Estimate {
  double mean = 0;
  double low = 0;
  double high = 0;
  int64_t examples = 0;  ///< with a value; the others were not counted
};

/// Of `values` without the NaNs among them. All NaN or empty: NaN.
Estimate estimate(const std::vector<double>& values, int64_t resamples = 1000, uint64_t seed = 1);

/// One number per row of scores and input.
struct FaithfulnessMetric {
  std::string name;
  bool higher_is_better;
  std::string meaning;
  double (*value)(const InputFaithfulness&);
};

/// comprehensiveness, sufficiency, deletion, insertion, faithfulness, tau, infidelity, and the
/// others that InputFaithfulness holds, in the order tables show them.
const std::vector<FaithfulnessMetric>& faithfulness_metrics();

/// How far a long command has come.
struct ScoreProgress {
  int64_t done = 0;
  int64_t total = 0;
  double per_second = 0;
  double seconds_left = 0;
};

struct ScoreOptions {
  /// Names, or "all": every method that is not too slow for these inputs. "random" is added.
  std::vector<std::string> methods = {"all"};
  std::vector<std::string> metrics;  ///< names of faithfulness_metrics(); empty: all
  std::string units;                 ///< as ExplainOptions
  int64_t limit = 500;               ///< examples, drawn with the seed if there are more; 0: all
  FaithfulnessOptions faithfulness{};
  uint64_t seed = 1;
  std::function<void(const ScoreProgress&)> observe;  ///< after each example; may be empty
};

/// One method on all examples.
struct MethodScore {
  std::string method;
  bool is_signed = false;
  std::map<std::string, Estimate> metrics;  ///< by name
  /// This method's `faithfulness` minus that of the random row, paired by example.
  Estimate over_random;
  double seconds_per_input = 0;  ///< of the method itself, without measuring it
  std::map<std::string, std::vector<double>> values;  ///< by metric, one per example
  // Mean curves at the shares 0, 0.05, ..., 1 of the units removed (or kept).
  std::vector<double> deletion_curve;
  std::vector<double> insertion_curve;
};

struct ScoreTable {
  std::vector<MethodScore> methods;  ///< in the order asked for
  int64_t examples = 0;              ///< measured
  int64_t rows = 0;                  ///< in the data set
  int64_t too_short = 0;             ///< drawn, but of a single unit
  int64_t too_long = 0;              ///< drawn, but over FaithfulnessOptions::max_positions
  double seconds = 0;
  bool interrupted = false;
  std::vector<std::string> notices;

  const MethodScore* find(const std::string& method) const;
  /// The method with the highest mean `faithfulness` beside random; null if it was not measured.
  const MethodScore* best() const;
};

/// Explains the predicted output of each example with every method and measures all of them on the
/// same removed sets. Ctrl-C stops after an example. Throws Error(kUsage) for an unknown method,
/// metric or kind of units, Error(kData) if no example can be measured.
ScoreTable score_methods(Task& task, const Dataset& data, const ScoreOptions& options = {});

/// The rows that are looked at: all, or `limit` of them drawn without replacement, ascending.
std::vector<int64_t> drawn_rows(int64_t rows, int64_t limit, uint64_t seed);

}  // namespace attend
