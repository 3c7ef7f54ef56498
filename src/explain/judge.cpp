// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What explain() says of its own rows: the faithfulness of each on this very input, and one
// sentence on how far they can be trusted.
#include "judge.h"

#include <algorithm>

namespace attend {
namespace {

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

// Rows whose curves are further apart than those of random orders.
std::vector<std::string> better_than_random(const Explanation& explanation,
                                            const FaithfulnessReport& report) {
  std::vector<std::string> better;
  for (size_t i = 0; i < report.rows.size(); ++i) {
    const std::string& method = explanation.attributions[i].method;
    if (method != "random" && report.beats_random(report.rows[i])) better.push_back(method);
  }
  return better;
}

std::string verdict_of(const std::vector<std::string>& better, const Explanation& explanation,
                       const ExplainOptions& options) {
  const auto& rows = explanation.attributions;
  const bool shown = std::any_of(rows.begin(), rows.end(), [&](const Attribution& row) {
    return row.method == options.best_method;
  });
  if (!options.best_method.empty() && !options.best_beats_random) {
    return "warning: on dev data no method was better than random for this model; do not rely on "
           "these rows" +
           (better.empty() ? std::string() : " (on this input " + list_of(better) + " is)");
  }
  if (better.empty()) {
    return "warning: on this input no method shown is better than random; do not rely on these "
           "rows";
  }
  if (options.best_method.empty()) {
    return "better than random on this input: " + list_of(better) +
           "; which method suits this model was not measured (attend score RUN DEV --choose)";
  }
  const std::string best = options.best_method;
  if (!shown) {
    return "better than random on this input: " + list_of(better) +
           "; the most faithful for this " + "model on dev data is " + best +
           ", which is not shown";
  }
  if (std::find(better.begin(), better.end(), best) == better.end()) {
    return best +
           " is the most faithful for this model on dev data, but on this input not better " +
           "than random; that are: " + list_of(better);
  }
  return "look at " + best +
         ": the most faithful for this model on dev data, and better than random on this input";
}

}  // namespace

void add_faithfulness(const ExplainedInput& input, const ExplainOptions& options,
                      Explanation& explanation) {
  std::vector<std::vector<double>> scores;
  for (const Attribution& row : explanation.attributions) scores.push_back(row.scores);
  FaithfulnessOptions measuring;
  measuring.removal = options.removal;
  measuring.seed = options.seed;
  FaithfulnessReport report = measure_faithfulness(input, scores, measuring);
  explanation.best_method = options.best_beats_random ? options.best_method : "";
  if (!report.notice.empty()) explanation.notices.push_back(report.notice);
  if (!report.measured) return;
  explanation.verdict = verdict_of(better_than_random(explanation, report), explanation, options);
  for (size_t i = 0; i < scores.size(); ++i) {
    explanation.attributions[i].faithfulness = report.rows[i];
  }
  explanation.test = std::move(report.test);
}

}  // namespace attend
