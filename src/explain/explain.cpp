// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/explain.h"

#include <algorithm>
#include <cstdio>

#include "attend/base/error.h"
#include "judge.h"
#include "methods.h"
#include "views.h"

namespace attend {
namespace {

std::vector<UnitGroup> groups_for(const Task& task, const std::string& input,
                                  const std::vector<Unit>& units, const ExplainOptions& options) {
  const std::string& kind = options.units;
  if (!options.spans.empty() && !kind.empty()) {
    throw usage_error("--spans and --units say how units are merged: give one of them");
  }
  if (!options.spans.empty()) return span_groups(options.spans, input, units);
  if (kind.empty() || kind == task.unit_kind()) {
    return single_groups(static_cast<int64_t>(units.size()));
  }
  if (kind == "word") return word_groups(input, units);
  throw usage_error("--units " + kind + ": this model's units are of kind \"" + task.unit_kind() +
                    "\"; they can be merged into \"word\", not split");
}

// The methods to run, "all" put in words: what costs too much is left out and said so.
std::vector<std::string> chosen_methods(const MethodInput& input, Explanation& explanation) {
  std::vector<std::string> chosen;
  std::string left_out;
  for (const std::string& asked : input.options.methods) {
    if (asked != "all") {
      chosen.push_back(asked);
      continue;
    }
    for (const std::string& method : explanation_methods()) {
      if (method_work(method, input) <= static_cast<double>(input.options.max_positions)) {
        chosen.push_back(method);
      } else {
        left_out += (left_out.empty() ? "" : ", ") + method;
      }
    }
  }
  if (!left_out.empty()) {
    explanation.notices.push_back("left out, being slow for an input this long: " + left_out +
                                  "; ask for one with --method");
  }
  return chosen;
}

// The output as one text; units stand where their spans say.
std::string output_text(const std::vector<Unit>& units) {
  std::string text;
  for (const Unit& unit : units) {
    const auto begin = static_cast<size_t>(std::max<int64_t>(0, unit.span.begin));
    const auto end = static_cast<size_t>(std::max<int64_t>(0, unit.span.end));
    if (end <= begin) continue;
    if (text.size() < end) text.resize(end, ' ');
    if (unit.text.size() == end - begin) text.replace(begin, end - begin, unit.text);
  }
  return text;
}

std::optional<Span> span_of_segment(const std::vector<double>& scores,
                                    const std::vector<Unit>& units) {
  const auto segment = strongest_segment(scores);
  if (!segment || units.size() < 2) return std::nullopt;
  return Span{units[static_cast<size_t>(segment->first)].span.begin,
              units[static_cast<size_t>(segment->second)].span.end};
}

}  // namespace

std::optional<std::pair<int64_t, int64_t>> strongest_segment(const std::vector<double>& scores) {
  const double top = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  if (!(top > 0)) return std::nullopt;
  std::pair<int64_t, int64_t> best{0, -1};
  double best_sum = 0;
  double sum = 0;
  int64_t begin = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (sum <= 0) {
      sum = 0;
      begin = static_cast<int64_t>(i);
    }
    sum += scores[i] - 0.1 * top;
    if (sum > best_sum) {
      best_sum = sum;
      best = {begin, static_cast<int64_t>(i)};
    }
  }
  return best;
}

std::optional<Span> evidence_span(Task& task, const Dataset& data, int64_t row,
                                  const Target& target) {
  const std::string input = data.input(row);
  const auto units = task.units(data, row);
  const auto groups = word_groups(input, units);
  // Beyond this the words of a text take minutes to leave out one by one.
  constexpr int64_t kMostPositions = 1'000'000;
  const auto work = static_cast<int64_t>(groups.size() * units.size());
  if (groups.size() < 2 || work > kMostPositions) return std::nullopt;
  const Removal removal = task.removals().front();  // a grid, say, can only be masked
  return span_of_segment(occlusion_scores(task, data, row, target, groups, removal),
                         merged_units(input, units, groups));
}

TileRequest parse_tile(const std::string& text) {
  TileRequest tile;
  long long layer = 0, head = -1, row = 0, last_row = 0, column = 0, last_column = 0;
  int used = 0;
  const auto whole = [&](int fields, int wanted) {
    return fields == wanted && used == static_cast<int>(text.size());
  };
  const bool one_head = whole(std::sscanf(text.c_str(), "%lld.%lld:%lld-%lld,%lld-%lld%n", &layer,
                                          &head, &row, &last_row, &column, &last_column, &used),
                              6);
  if (!one_head) {
    head = -1;
    used = 0;
  }
  const bool all_heads =
      !one_head && whole(std::sscanf(text.c_str(), "%lld:%lld-%lld,%lld-%lld%n", &layer, &row,
                                     &last_row, &column, &last_column, &used),
                         5);
  const bool ranges = row >= 0 && row <= last_row && column >= 0 && column <= last_column;
  if (!(one_head || all_heads) || !ranges || layer < 0 || (one_head && head < 0)) {
    throw usage_error("--tile " + text +
                      ": give LAYER[.HEAD]:ROW-ROW,COLUMN-COLUMN with numbers from 0, such as "
                      "0.1:0-31,64-127");
  }
  return {layer, head, row, last_row - row + 1, column, last_column - column + 1};
}

Explanation explain(Task& task, const Dataset& data, int64_t row, const ExplainOptions& options) {
  Explanation explanation;
  explanation.task = task.name();
  explanation.input = data.input(row);
  const auto units = task.units(data, row);
  if (units.empty()) throw data_error("the input has no units: there is nothing to explain");
  const auto groups = groups_for(task, explanation.input, units, options);
  explanation.unit_kind = !options.spans.empty()  ? "span"
                          : options.units.empty() ? task.unit_kind()
                                                  : options.units;
  explanation.units = merged_units(explanation.input, units, groups);
  if (const std::string notice = data.notice(row); !notice.empty()) {
    explanation.notices.push_back(notice);
  }

  const auto passes = std::make_shared<Passes>(task, data, row, options.max_map_units);
  const TaskOutput& output = passes->output();
  explanation.outputs = task.predict(output, /*top=*/1000)[0];
  const Target target = task.find_target(data, row, output, options.target);
  explanation.target = target.label;
  explanation.target_position = target.position;
  explanation.output_units = task.output_units(data, row);
  explanation.output = output_text(explanation.output_units);

  const MethodInput input{task, data, row, target, groups, options, output, passes};
  const std::vector<std::string> methods = chosen_methods(input, explanation);
  for (const std::string& method : methods) {
    explanation.attributions.push_back(attribute(method, input));
  }
  if (options.faithfulness) {
    add_faithfulness({task, data, row, target, groups}, options, explanation);
  }
  if (options.views) {
    add_views(input, explanation);
    add_alignments(input, methods, explanation);
  }
  explanation.effects = effects(task, data, row, target,
                                interventions(options.steering, explanation.input,
                                              explanation.units, groups, task.leading_positions()));
  if (options.evidence) explanation.evidence = evidence_span(task, data, row, target);
  return explanation;
}

}  // namespace attend
