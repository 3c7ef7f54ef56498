// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/rationales.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "subject.h"
#include "undefined.h"

namespace attend {
namespace {

double f1(double precision, double recall) {
  return precision > 0 && recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

// Precision at each recall, from the highest score down. Equal scores stand in a drawn order: one
// step over all of them would draw a line from precision 1, and give scores that are all the same
// half the area.
double area_under_precision_recall(const std::vector<double>& scores,
                                   const std::vector<bool>& evidence) {
  const auto marked = static_cast<double>(std::count(evidence.begin(), evidence.end(), true));
  if (marked == 0) return kUndefined;
  double area = 0;
  double recall = 0;
  double precision = 1;
  double right = 0;
  double seen = 0;
  for (const int64_t place : descending_order(scores)) {
    right += evidence[static_cast<size_t>(place)] ? 1 : 0;
    ++seen;
    const double next_recall = right / marked;
    const double next_precision = right / seen;
    area += (next_recall - recall) * (next_precision + precision) / 2;
    recall = next_recall;
    precision = next_precision;
  }
  return area;
}

double intersection_over_union(const Span& a, const Span& b) {
  const int64_t common = std::min(a.end, b.end) - std::max(a.begin, b.begin);
  if (common <= 0) return 0;
  return static_cast<double>(common) /
         static_cast<double>(std::max(a.end, b.end) - std::min(a.begin, b.begin));
}

std::vector<Span> runs_of(const std::vector<bool>& chosen) {
  std::vector<Span> runs;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (!chosen[i]) continue;
    const auto index = static_cast<int64_t>(i);
    if (i == 0 || !chosen[i - 1]) runs.push_back({index, index});
    runs.back().end = index + 1;
  }
  return runs;
}

// Byte spans as token ranges.
std::vector<Span> token_spans(const RationaleRow& row) {
  std::vector<Span> ranges;
  for (const Span& span : row.spans) {
    const auto place = [&](int64_t byte) {
      return std::partition_point(row.tokens.begin(), row.tokens.end(),
                                  [&](const Span& token) { return token.end <= byte; }) -
             row.tokens.begin();
    };
    ranges.push_back({place(span.begin), place(span.end - 1) + 1});
  }
  return ranges;
}

Estimate iou_estimate(const std::vector<RationaleAgreement>& rows, uint64_t seed) {
  const auto value = [&](const std::vector<size_t>& sample) {
    double precision = 0;
    double recall = 0;
    for (const size_t i : sample) {
      precision += rows[i].runs > 0 ? rows[i].right_runs / rows[i].runs : 0;
      recall += rows[i].marked_spans > 0 ? rows[i].right_runs / rows[i].marked_spans : 0;
    }
    const auto count = static_cast<double>(sample.size());
    return f1(precision / count, recall / count);
  };
  std::vector<size_t> sample(rows.size());
  std::iota(sample.begin(), sample.end(), size_t{0});
  Estimate result;
  result.mean = value(sample);
  result.examples = static_cast<int64_t>(rows.size());
  Random random(seed);
  std::vector<double> values;
  for (int resample = 0; resample < 1000; ++resample) {
    for (auto& index : sample) index = random.below(rows.size());
    values.push_back(value(sample));
  }
  std::sort(values.begin(), values.end());
  result.low = values[25];
  result.high = values[974];
  return result;
}

}  // namespace

RationaleAgreement rationale_agreement(const std::vector<double>& scores,
                                       const std::vector<bool>& evidence,
                                       const std::vector<Span>& spans, int64_t top) {
  RationaleAgreement agreement;
  agreement.auprc = area_under_precision_recall(scores, evidence);
  const auto order = descending_order(scores);
  std::vector<bool> chosen(scores.size(), false);
  double right = 0;
  const auto count = std::min(static_cast<size_t>(top), order.size());
  for (size_t i = 0; i < count; ++i) {
    chosen[static_cast<size_t>(order[i])] = true;
    right += evidence[static_cast<size_t>(order[i])] ? 1 : 0;
  }
  const auto marked = static_cast<double>(std::count(evidence.begin(), evidence.end(), true));
  agreement.token_precision = count > 0 ? right / static_cast<double>(count) : 0;
  agreement.token_recall = marked > 0 ? right / marked : 0;
  agreement.token_f1 = f1(agreement.token_precision, agreement.token_recall);
  const auto runs = runs_of(chosen);
  agreement.runs = static_cast<double>(runs.size());
  agreement.marked_spans = static_cast<double>(spans.size());
  for (const Span& run : runs) {
    const bool matches = std::any_of(spans.begin(), spans.end(), [&](const Span& span) {
      return intersection_over_union(run, span) >= 0.5;
    });
    agreement.right_runs += matches ? 1 : 0;
  }
  return agreement;
}

std::vector<double> token_scores(const std::vector<double>& scores, const std::vector<Unit>& units,
                                 const std::vector<Span>& tokens, double missing) {
  std::vector<double> result;
  size_t unit = 0;
  for (const Span& token : tokens) {
    while (unit < units.size() && units[unit].span.end <= token.begin) ++unit;
    double score = missing;
    bool found = false;
    for (size_t i = unit; i < units.size() && units[i].span.begin < token.end; ++i) {
      score = found ? std::max(score, scores[i]) : scores[i];
      found = true;
    }
    result.push_back(score);
  }
  return result;
}

PlausibilityTable score_rationales(Task& task, const std::vector<RationaleRow>& rows,
                                   const RationaleOptionsScore& options) {
  std::vector<std::string> texts;
  std::vector<const RationaleRow*> marked;
  PlausibilityTable table;
  for (const int64_t row :
       drawn_rows(static_cast<int64_t>(rows.size()), options.limit, options.seed)) {
    const RationaleRow& one = rows[static_cast<size_t>(row)];
    if (one.spans.empty() || one.tokens.size() < 2) {
      ++table.left_out;
      continue;
    }
    texts.push_back(one.text);
    marked.push_back(&one);
    const auto tokens = static_cast<double>(one.tokens.size());
    table.tokens += tokens;
    table.share +=
        static_cast<double>(std::count(one.evidence.begin(), one.evidence.end(), true)) / tokens;
  }
  if (marked.empty()) {
    throw data_error("no row has marked evidence; name the column and the tags that are evidence");
  }
  table.rows = static_cast<int64_t>(marked.size());
  table.tokens /= static_cast<double>(marked.size());
  table.share /= static_cast<double>(marked.size());

  task.model()->eval();
  const auto data = task.from_inputs(texts);
  std::string left_out;
  const auto methods =
      methods_for(task, *data, drawn_rows(data->size(), 0, 0), options.methods, left_out);
  ExplainOptions explain_options;
  explain_options.seed = options.seed;
  std::vector<std::vector<RationaleAgreement>> agreements(methods.size());
  std::vector<double> seconds(methods.size());
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (size_t i = 0; i < marked.size(); ++i) {
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; nothing was measured");
    if (options.observe && i > 0) {
      const double rate = static_cast<double>(i) / elapsed();
      options.observe({static_cast<int64_t>(i), table.rows, rate,
                       static_cast<double>(marked.size() - i) / rate});
    }
    const RationaleRow& row = *marked[i];
    const Subject subject = make_subject(task, *data, static_cast<int64_t>(i), options.units);
    table.truncated += data->notice(static_cast<int64_t>(i)).empty() ? 0 : 1;
    const auto units = merged_units(row.text, subject.units, subject.groups);
    const auto tokens = static_cast<double>(row.tokens.size());
    const auto top = std::max<int64_t>(1, std::lround(table.share * tokens));
    const auto spans = token_spans(row);
    for (size_t m = 0; m < methods.size(); ++m) {
      const Attribution attribution = subject.attribute(methods[m], explain_options);
      const auto& scores = attribution.scores;
      const double lowest = *std::min_element(scores.begin(), scores.end());
      seconds[m] += attribution.seconds;
      agreements[m].push_back(rationale_agreement(
          token_scores(scores, units, row.tokens, lowest - 1), row.evidence, spans, top));
    }
  }
  for (size_t m = 0; m < methods.size(); ++m) {
    std::vector<double> auprc;
    std::vector<double> token_f1;
    for (const auto& one : agreements[m]) {
      auprc.push_back(one.auprc);
      token_f1.push_back(one.token_f1);
    }
    table.methods.push_back({methods[m], estimate(auprc, 1000, options.seed),
                             estimate(token_f1, 1000, options.seed),
                             iou_estimate(agreements[m], options.seed),
                             seconds[m] / static_cast<double>(marked.size())});
  }
  table.seconds = elapsed();
  return table;
}

}  // namespace attend
