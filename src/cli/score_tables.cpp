// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "score_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attend/report/text.h"

namespace attend {
namespace {

using nlohmann::json;

// JSON has no NaN.
json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json as_json(const Estimate& estimate) {
  return {{"mean", number(estimate.mean)},
          {"low", number(estimate.low)},
          {"high", number(estimate.high)},
          {"examples", estimate.examples}};
}

std::string as_tsv(const Estimate& estimate) {
  return fmt::format("{}\t{}\t{}\t{}", estimate.mean, estimate.low, estimate.high,
                     estimate.examples);
}

// The mean with half the width of its interval.
std::string cell(const Estimate& estimate) {
  if (std::isnan(estimate.mean)) return "-";
  return fmt::format("{:.3f} ±{:.3f}", estimate.mean, (estimate.high - estimate.low) / 2);
}

std::string with_interval(const Estimate& estimate) {
  return fmt::format("{:.3f} ({:.3f} to {:.3f})", estimate.mean, estimate.low, estimate.high);
}

// Rows of cells in columns; the first is flush left.
std::string columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += (i > 0 ? "  " : "") +
              pad_to_width(row[i], widths[i], i > 0 ? Align::kRight : Align::kLeft);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string milliseconds(double seconds) { return fmt::format("{:.1f}", 1000 * seconds); }

bool apart(const Estimate& a, const Estimate& b) { return a.low > b.high || b.low > a.high; }

// Who wins, and whether that is more than chance.
std::vector<std::string> findings(const ScoreTable& table) {
  std::vector<std::string> lines;
  const MethodScore* best = table.best();
  const MethodScore* random = table.find("random");
  if (best == nullptr || random == nullptr) return lines;
  const Estimate& own = best->metrics.at("faithfulness");
  const Estimate& chance = random->metrics.at("faithfulness");
  lines.push_back(fmt::format("most faithful: {}, {}; random {}: the intervals {}", best->method,
                              with_interval(own), with_interval(chance),
                              apart(own, chance) ? "do not overlap" : "overlap"));
  std::string rivals;
  std::string chancy;
  for (const MethodScore& method : table.methods) {
    if (&method == best || &method == random) continue;
    const auto& other = method.metrics.at("faithfulness");
    if (!apart(own, other)) rivals += (rivals.empty() ? "" : ", ") + method.method;
    if (!(method.over_random.low > 0)) chancy += (chancy.empty() ? "" : ", ") + method.method;
  }
  if (!rivals.empty()) lines.push_back("within its interval: " + rivals);
  if (!(best->over_random.low > 0)) {
    lines.push_back("warning: no method is better than random; do not rely on any of them");
  } else if (!chancy.empty()) {
    lines.push_back("no better than random: " + chancy);
  }
  return lines;
}

json metric_descriptions(const ScoreTable& table) {
  json described = json::object();
  for (const FaithfulnessMetric& metric : faithfulness_metrics()) {
    if (!table.methods.front().metrics.contains(metric.name)) continue;
    described[metric.name] = {{"higher_is_better", metric.higher_is_better},
                              {"meaning", metric.meaning}};
  }
  return described;
}

}  // namespace

Printable printable(const ScoreTable& table, const ScoreHeading& heading,
                    const std::vector<std::string>& metrics) {
  Printable result;
  json methods = json::array();
  result.tsv = "method\tmetric\tmean\tlow\thigh\texamples\n";
  for (const MethodScore& method : table.methods) {
    json values = json::object();
    for (const FaithfulnessMetric& metric : faithfulness_metrics()) {
      const auto found = method.metrics.find(metric.name);
      if (found == method.metrics.end()) continue;
      values[metric.name] = as_json(found->second);
      result.tsv += method.method + "\t" + metric.name + "\t" + as_tsv(found->second) + "\n";
    }
    json one = {{"method", method.method},
                {"is_signed", method.is_signed},
                {"metrics", values},
                {"seconds_per_input", method.seconds_per_input},
                {"deletion_curve", method.deletion_curve},
                {"insertion_curve", method.insertion_curve}};
    if (values.contains("faithfulness")) one["over_random"] = as_json(method.over_random);
    methods.push_back(one);
    result.tsv += fmt::format("{}\tseconds\t{}\t\t\t{}\n", method.method, method.seconds_per_input,
                              table.examples);
  }
  std::string shares;
  for (const double share : aopc_shares()) {
    shares += fmt::format("{}{:g}", shares.empty() ? "" : ", ", 100 * share);
  }
  const auto said = findings(table);
  result.json = {{"data", heading.data},
                 {"examples", table.examples},
                 {"rows", table.rows},
                 {"target", "the predicted output"},
                 {"units", heading.units},
                 {"removal", heading.removal},
                 {"seed", heading.seed},
                 {"aopc_shares", aopc_shares()},
                 {"metrics", metric_descriptions(table)},
                 {"methods", methods},
                 {"findings", said},
                 {"notices", table.notices},
                 {"seconds", table.seconds}};

  std::string& text = result.human;
  text = fmt::format(
      "{}\n{} of {} examples, target: the predicted output, units: {}, removal: {}, "
      "seed {}, {:.0f} s\n\n",
      visible_text(heading.data), table.examples, table.rows, heading.units, heading.removal,
      heading.seed, table.seconds);
  std::vector<std::vector<std::string>> rows = {{"method"}};
  for (const auto& name : metrics) rows[0].push_back(name);
  rows[0].push_back("ms/input");
  for (const MethodScore& method : table.methods) {
    rows.push_back({method.method});
    for (const auto& name : metrics) rows.back().push_back(cell(method.metrics.at(name)));
    rows.back().push_back(milliseconds(method.seconds_per_input));
  }
  text += columns(rows) + "\n";
  for (const auto& name : metrics) {
    for (const FaithfulnessMetric& metric : faithfulness_metrics()) {
      if (metric.name != name) continue;
      text += fmt::format("{} ({} is good): {}\n", name, metric.higher_is_better ? "high" : "low",
                          metric.meaning);
    }
  }
  text += fmt::format(
      "top units: mean over {} % of them, without a step of nothing removed\n"
      "±: half the width of the 95 % bootstrap interval over the examples\n\n",
      shares);
  for (const auto& line : said) text += line + "\n";
  for (const auto& notice : table.notices) text += "note: " + notice + "\n";
  return result;
}

Printable printable(const PlantedTable& table) {
  Printable result;
  json hits = json::object();
  result.tsv = "kind\tmethod\thits\tlow\thigh\texamples\n";
  std::vector<std::vector<std::string>> rows = {{"method", "top-1 hits"}};
  for (const auto& [method, hit] : table.hits) {
    hits[method] = as_json(hit);
    result.tsv += table.kind + "\t" + method + "\t" + as_tsv(hit) + "\n";
    rows.push_back({method, cell(hit)});
  }
  rows.push_back({"chance (1 / units)", fmt::format("{:.3f}       ", table.chance)});
  result.json = {{"kind", table.kind},
                 {"unit_kind", table.unit_kind},
                 {"removal", table.removal},
                 {"accuracy", table.accuracy},
                 {"examples", table.examples},
                 {"chance", table.chance},
                 {"hits", hits},
                 {"seconds", table.seconds}};
  result.human = fmt::format(
      "Planted {}: one {} of each example decides its class, the others carry nothing.\nA model "
      "trained on 1,000 of them has accuracy {:.3f}; explained are the {} test examples it gets "
      "right.\nremoval: {}, {:.0f} s\n\n{}\n",
      table.kind, table.unit_kind, table.accuracy, table.examples, table.removal, table.seconds,
      columns(rows));
  return result;
}

Printable printable(const PlausibilityTable& table, const std::string& data) {
  Printable result;
  json methods = json::array();
  result.tsv = "method\tmetric\tmean\tlow\thigh\texamples\n";
  std::vector<std::vector<std::string>> rows = {
      {"method", "AUPRC", "token F1", "IOU F1", "ms/input"}};
  for (const MethodPlausibility& method : table.methods) {
    methods.push_back({{"method", method.method},
                       {"auprc", as_json(method.auprc)},
                       {"token_f1", as_json(method.token_f1)},
                       {"iou_f1", as_json(method.iou_f1)},
                       {"seconds_per_input", method.seconds_per_input}});
    const auto line = [&](const char* metric, const Estimate& estimate) {
      result.tsv += method.method + "\t" + metric + "\t" + as_tsv(estimate) + "\n";
    };
    line("auprc", method.auprc);
    line("token_f1", method.token_f1);
    line("iou_f1", method.iou_f1);
    rows.push_back({method.method, cell(method.auprc), cell(method.token_f1), cell(method.iou_f1),
                    milliseconds(method.seconds_per_input)});
  }
  result.json = {{"data", data},
                 {"rows", table.rows},
                 {"left_out", table.left_out},
                 {"truncated", table.truncated},
                 {"marked_share", table.share},
                 {"tokens", table.tokens},
                 {"methods", methods},
                 {"seconds", table.seconds}};
  result.human = fmt::format(
      "{}\n{} rows of {:.0f} tokens on average, of which people marked {:.1f} %; explained: the "
      "predicted output; {:.0f} s\n\n{}\n"
      "AUPRC: area under precision over recall, per row, mean (the random row shows the share of "
      "marked tokens)\n"
      "token F1: of the top {:.1f} % of a row's tokens; IOU F1: of their runs, right if "
      "intersection "
      "over union with\na marked span is 0.5 or more (definitions of ERASER, DeYoung et al. 2020)\n"
      "±: half the width of the 95 % bootstrap interval over the rows\n",
      visible_text(data), table.rows, table.tokens, 100 * table.share, table.seconds, columns(rows),
      100 * table.share);
  if (table.left_out > 0) {
    result.human += fmt::format("note: {} rows without marks left out\n", table.left_out);
  }
  if (table.truncated > 0) {
    result.human += fmt::format(
        "note: of {} rows the model does not read the end; tokens there count as lowest\n",
        table.truncated);
  }
  return result;
}

Printable printable(const std::vector<RandomisedStage>& stages, const UniformTest& uniform,
                    const std::string& data) {
  Printable result;
  json staged = json::array();
  result.tsv = "test\tpart\tmethod\tmean\tlow\thigh\texamples\n";
  std::vector<std::vector<std::string>> rows = {{"method"}};
  for (const RandomisedStage& stage : stages) {
    json correlations = json::object();
    for (const auto& [method, estimate] : stage.correlation) {
      correlations[method] = as_json(estimate);
      result.tsv += "randomised\t" + stage.part + "\t" + method + "\t" + as_tsv(estimate) + "\n";
    }
    staged.push_back({{"part", stage.part}, {"correlation", correlations}});
    rows[0].push_back(stage.part);
  }
  std::string kept;
  for (const auto& [method, ignored] : stages.back().correlation) {
    rows.push_back({method});
    for (const RandomisedStage& stage : stages) {
      rows.back().push_back(cell(stage.correlation.at(method)));
    }
    const Estimate& last = stages.back().correlation.at(method);
    if (last.low > 0.5) kept += (kept.empty() ? "" : ", ") + method;
  }
  json effects = json::array();
  for (const UniformEffect& effect : uniform.effects) {
    effects.push_back({{"layer", effect.layer},
                       {"value", effect.metric},
                       {"drop", as_json(effect.drop)},
                       {"used", effect.used()}});
    result.tsv += fmt::format("uniform\t{}\t{}\t{}\n",
                              effect.layer < 0 ? "all" : std::to_string(effect.layer),
                              uniform.metric, as_tsv(effect.drop));
  }
  result.json = {{"data", data},
                 {"randomised", staged},
                 {"uniform",
                  {{"metric", uniform.metric},
                   {"trained", uniform.trained},
                   {"examples", uniform.examples},
                   {"effects", effects},
                   {"verdict", uniform.verdict}}}};
  std::string& text = result.human;
  text =
      visible_text(data) + "\n\n" +
      "Model randomisation from the head down (each column randomises one part more): rank "
      "correlation of |score|\nwith that of the trained model. It should fall; a method that stays "
      "high shows something else than the model.\n\n" +
      columns(rows) + "\n";
  text += kept.empty() ? "every method depends on what the model learnt\n"
                       : "hardly depend on what the model learnt: " + kept + "\n";
  text += fmt::format("\nUniform attention on {} examples, {} {:.4f} as trained:\n",
                      uniform.examples, uniform.metric, uniform.trained);
  for (const UniformEffect& effect : uniform.effects) {
    text += fmt::format("  {:<9} {:.4f}, drop {:.4f} ({:.4f} to {:.4f})\n",
                        effect.layer < 0 ? "all" : "layer " + std::to_string(effect.layer),
                        effect.metric, effect.drop.mean, effect.drop.low, effect.drop.high);
  }
  text += uniform.verdict + "\n";
  return result;
}

}  // namespace attend
