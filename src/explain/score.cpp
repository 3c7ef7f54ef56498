// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/score.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "attend/tasks/config.h"
#include "subject.h"
#include "undefined.h"

namespace attend {
namespace {

constexpr size_t kCurvePoints = 21;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The value of a curve at a share of the units, by straight lines between its steps.
double curve_at(const std::vector<int64_t>& steps, const std::vector<double>& values,
                double share) {
  const double place = share * static_cast<double>(steps.back());
  size_t i = 1;
  while (i + 1 < steps.size() && static_cast<double>(steps[i]) < place) ++i;
  const double width = static_cast<double>(steps[i] - steps[i - 1]);
  const double part = (place - static_cast<double>(steps[i - 1])) / width;
  return values[i - 1] + part * (values[i] - values[i - 1]);
}

void add_curve(const std::vector<int64_t>& steps, const std::vector<double>& values,
               std::vector<double>& sum) {
  sum.resize(kCurvePoints, 0.0);
  for (size_t i = 0; i < kCurvePoints; ++i) {
    sum[i] += curve_at(steps, values, static_cast<double>(i) / (kCurvePoints - 1));
  }
}

const FaithfulnessMetric& find_metric(const std::string& name) {
  std::vector<std::string> known;
  for (const FaithfulnessMetric& metric : faithfulness_metrics()) {
    if (metric.name == name) return metric;
    known.push_back(metric.name);
  }
  std::string list;
  for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
  const std::string near = nearest_name(name, known);
  throw usage_error("unknown metric \"" + name + "\"; " +
                    (near.empty() ? "known: " + list : "did you mean \"" + near + "\"?"));
}

// What the metrics asked for need beyond the curves.
FaithfulnessOptions options_for(const std::vector<const FaithfulnessMetric*>& metrics,
                                const ScoreOptions& options) {
  FaithfulnessOptions needed = options.faithfulness;
  for (const FaithfulnessMetric* metric : metrics) {
    const bool normalised = metric->name == "faithfulness" || metric->name.ends_with("normalised");
    needed.bounds = needed.bounds || normalised;
    needed.correlation = needed.correlation || metric->name == "tau";
    needed.infidelity = needed.infidelity || metric->name == "infidelity";
  }
  needed.seed = options.seed;
  return needed;
}

void summarise(ScoreTable& table, const std::vector<const FaithfulnessMetric*>& metrics,
               uint64_t seed) {
  const auto examples = static_cast<double>(table.examples);
  const MethodScore* random = table.find("random");
  for (MethodScore& method : table.methods) {
    for (const FaithfulnessMetric* metric : metrics) {
      method.metrics[metric->name] = estimate(method.values[metric->name], 1000, seed);
    }
    if (const auto own = method.values.find("faithfulness"); own != method.values.end()) {
      std::vector<double> differences;
      for (size_t i = 0; i < own->second.size(); ++i) {
        differences.push_back(own->second[i] - random->values.at("faithfulness")[i]);
      }
      method.over_random = estimate(differences, 1000, seed);
    }
    method.seconds_per_input /= examples;
    for (double& value : method.deletion_curve) value /= examples;
    for (double& value : method.insertion_curve) value /= examples;
  }
}

}  // namespace

Estimate estimate(const std::vector<double>& values, int64_t resamples, uint64_t seed) {
  std::vector<double> present;
  for (const double value : values) {
    if (!std::isnan(value)) present.push_back(value);
  }
  const auto count = static_cast<int64_t>(present.size());
  if (count == 0) return {kUndefined, kUndefined, kUndefined, 0};
  const double mean = std::accumulate(present.begin(), present.end(), 0.0) / count;
  Random random(seed);
  std::vector<double> means;
  for (int64_t resample = 0; resample < resamples; ++resample) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      sum += present[random.below(static_cast<uint64_t>(count))];
    }
    means.push_back(sum / count);
  }
  std::sort(means.begin(), means.end());
  const auto at = [&](double share) {
    return means[static_cast<size_t>(std::lround(share * static_cast<double>(means.size() - 1)))];
  };
  return {mean, at(0.025), at(0.975), count};
}

const std::vector<FaithfulnessMetric>& faithfulness_metrics() {
  using In = InputFaithfulness;
  static const std::vector<FaithfulnessMetric> metrics = {
      {"faithfulness", true,
       "insertion minus deletion, as a share of what any order can reach; random is 0",
       [](const In& in) { return in.faithfulness; }},
      {"comprehensiveness", true, "drop of the probability without the top units",
       [](const In& in) { return in.comprehensiveness; }},
      {"sufficiency", false, "drop of the probability with the top units only",
       [](const In& in) { return in.sufficiency; }},
      {"deletion", false, "area under the probability while the top units are removed",
       [](const In& in) { return in.deletion; }},
      {"insertion", true, "area under the probability while the top units are put in",
       [](const In& in) { return in.insertion; }},
      {"tau", true, "rank correlation with the drops when one unit is left out",
       [](const In& in) { return in.kendall_tau; }},
      {"infidelity", false, "share of the drops that sums of scores do not explain",
       [](const In& in) { return in.infidelity; }},
      {"comprehensiveness-log-odds", true, "the same in log-odds",
       [](const In& in) { return in.comprehensiveness_log_odds; }},
      {"sufficiency-log-odds", false, "the same in log-odds",
       [](const In& in) { return in.sufficiency_log_odds; }},
      {"deletion-normalised", false, "0: the best that any order can reach, 1: the worst",
       [](const In& in) { return in.deletion_normalised; }},
      {"insertion-normalised", true, "1: the best that any order can reach, 0: the worst",
       [](const In& in) { return in.insertion_normalised; }}};
  return metrics;
}

const MethodScore* ScoreTable::find(const std::string& method) const {
  for (const MethodScore& one : methods) {
    if (one.method == method) return &one;
  }
  return nullptr;
}

const MethodScore* ScoreTable::best() const {
  const MethodScore* best = nullptr;
  double highest = -std::numeric_limits<double>::infinity();
  for (const MethodScore& one : methods) {
    const auto found = one.metrics.find("faithfulness");
    if (one.method == "random" || found == one.metrics.end()) continue;
    if (!(found->second.mean > highest)) continue;
    highest = found->second.mean;
    best = &one;
  }
  return best;
}

std::vector<int64_t> drawn_rows(int64_t rows, int64_t limit, uint64_t seed) {
  std::vector<int64_t> drawn(static_cast<size_t>(rows));
  std::iota(drawn.begin(), drawn.end(), int64_t{0});
  if (limit <= 0 || limit >= rows) return drawn;
  Random(seed).shuffle(std::span<int64_t>(drawn));
  drawn.resize(static_cast<size_t>(limit));
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

ScoreTable score_methods(Task& task, const Dataset& data, const ScoreOptions& options) {
  std::vector<const FaithfulnessMetric*> metrics;
  for (const std::string& name : options.metrics) metrics.push_back(&find_metric(name));
  if (metrics.empty()) {
    for (const FaithfulnessMetric& metric : faithfulness_metrics()) metrics.push_back(&metric);
  }
  const FaithfulnessOptions measuring = options_for(metrics, options);
  ScoreTable table;
  ExplainOptions explain_options;
  explain_options.removal = options.faithfulness.removal;
  explain_options.seed = options.seed;

  const bool was_training = task.model()->is_training();
  task.model()->eval();
  const auto start = Clock::now();
  table.rows = data.size();
  const auto rows = drawn_rows(data.size(), options.limit, options.seed);
  std::string left_out;
  for (const auto& name : methods_for(task, data, rows, options.methods, left_out)) {
    table.methods.emplace_back();
    table.methods.back().method = name;
  }
  int64_t shortened = 0;
  for (size_t i = 0; i < rows.size() && !interrupted(); ++i) {
    if (options.observe && i > 0) {
      const double rate = static_cast<double>(i) / seconds_since(start);
      options.observe({static_cast<int64_t>(i), static_cast<int64_t>(rows.size()), rate,
                       static_cast<double>(rows.size() - i) / rate});
    }
    const Subject subject = make_subject(task, data, rows[i], options.units);
    if (subject.groups.size() < 2) {
      ++table.too_short;
      continue;
    }
    std::vector<std::vector<double>> scores;
    std::vector<double> seconds;
    for (MethodScore& method : table.methods) {
      Attribution attribution = subject.attribute(method.method, explain_options);
      method.is_signed = attribution.is_signed;
      seconds.push_back(attribution.seconds);
      scores.push_back(std::move(attribution.scores));
    }
    const FaithfulnessReport report = measure_faithfulness(subject.input(), scores, measuring);
    if (!report.measured) {
      ++table.too_long;
      continue;
    }
    shortened += report.notice.empty() ? 0 : 1;
    ++table.examples;
    for (size_t m = 0; m < table.methods.size(); ++m) {
      MethodScore& method = table.methods[m];
      for (const FaithfulnessMetric* metric : metrics) {
        method.values[metric->name].push_back(metric->value(report.rows[m]));
      }
      method.seconds_per_input += seconds[m];
      add_curve(report.test.steps, report.rows[m].deletion_curve, method.deletion_curve);
      add_curve(report.test.steps, report.rows[m].insertion_curve, method.insertion_curve);
    }
  }
  task.model()->train(was_training);
  table.seconds = seconds_since(start);
  table.interrupted = interrupted();
  if (table.examples == 0) {
    if (table.interrupted) return table;
    throw data_error("none of the " + std::to_string(rows.size()) +
                     " examples can be measured: it takes two units or more, and at most " +
                     std::to_string(measuring.max_positions) + " positions per example");
  }
  const auto note = [&](int64_t count, const std::string& what) {
    if (count > 0) table.notices.push_back(std::to_string(count) + " " + what);
  };
  if (!left_out.empty()) {
    table.notices.push_back("left out, being slow for inputs this long: " + left_out +
                            "; ask for one with --method");
  }
  note(table.too_short, "examples of a single unit left out");
  note(table.too_long, "examples left out: measuring one would take more than " +
                           std::to_string(measuring.max_positions) + " positions");
  note(shortened, "long examples measured with fewer steps, to bound the cost");
  summarise(table, metrics, options.seed);
  return table;
}

}  // namespace attend
