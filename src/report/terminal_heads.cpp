// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "ansi.h"
#include "attend/base/error.h"
#include "attend/report/json.h"
#include "attend/report/terminal.h"
#include "attend/report/text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

constexpr double kUniform = 0.95;

// A table of one number per head.
struct Measure {
  std::string title;
  std::function<std::optional<double>(const HeadSummary&)> value;
  bool is_signed = false;
  double scale = 0;  ///< 0: the largest
};

std::string grid(const std::vector<HeadSummary>& heads, const Measure& measure,
                 const TerminalStyle& style) {
  std::map<int64_t, std::map<int64_t, double>> layers;
  std::set<int64_t> columns;
  double scale = measure.scale;
  for (const HeadSummary& head : heads) {
    const std::optional<double> value = measure.value(head);
    if (!value) continue;
    layers[head.layer][head.head] = *value;
    columns.insert(head.head);
    if (measure.scale == 0) scale = std::max(scale, std::abs(*value));
  }
  if (layers.empty()) return "";
  constexpr int kLabel = 9;
  int cell = 6;
  for (const auto& [layer, row] : layers) {
    for (const auto& [head, value] : row) {
      cell = std::max(cell, 2 + display_width(number_text(value, scale, measure.is_signed)));
    }
  }
  std::string out = wrapped_sentence(measure.title, "", 0, style.width);
  const std::vector<int64_t> all(columns.begin(), columns.end());
  const auto at_once = static_cast<std::size_t>(std::max(1, (style.width - kLabel) / (cell + 1)));
  for (std::size_t first = 0; first < all.size(); first += at_once) {
    const std::size_t last = std::min(all.size(), first + at_once);
    std::string header = pad_to_width("  head", kLabel);
    for (std::size_t i = first; i < last; ++i) {
      header += pad_to_width(std::to_string(all[i]), cell, Align::kRight) + ' ';
    }
    header.erase(header.find_last_not_of(' ') + 1);
    out += header + '\n';
    for (const auto& [layer, row] : layers) {
      std::string line = pad_to_width(fmt::format("layer {}", layer), kLabel);
      for (std::size_t i = first; i < last; ++i) {
        const auto found = row.find(all[i]);
        if (found == row.end()) {
          line += std::string(cell + 1, ' ');
          continue;
        }
        const double share = scale > 0 ? found->second / scale : 0;
        line += number_cell(number_text(found->second, scale, measure.is_signed),
                            score_color(measure.is_signed, found->second, scale), std::abs(share),
                            cell, style) +
                ' ';
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
  }
  return out;
}

}  // namespace

std::string terminal_heads(const Explanation& explanation, const TerminalStyle& style) {
  check_explanation(explanation);
  if (explanation.heads.empty()) {
    throw usage_error("this explanation holds no summaries of attention heads");
  }
  const auto& heads = explanation.heads;
  std::string out = grid(
      heads,
      {fmt::format("entropy of each head, as a share of that of equal weights (from {} on it looks "
                   "everywhere alike)",
                   kUniform),
       [](const HeadSummary& head) { return std::optional(head.entropy); }, false, 1},
      style);
  out += grid(heads,
              {"mean distance |query - key| in units",
               [](const HeadSummary& head) { return std::optional(head.distance); }, false, 0},
              style);
  out += grid(heads,
              {"importance: drop of the metric on dev data with this head off",
               [](const HeadSummary& head) { return head.importance; }, true, 0},
              style);
  std::string uniform;
  for (const HeadSummary& head : heads) {
    if (head.entropy >= kUniform) uniform += fmt::format(" {}.{}", head.layer, head.head);
  }
  if (!uniform.empty()) {
    out += wrapped_sentence("uniform (layer.head):" + uniform, "note: ", 6, style.width);
  }
  return out;
}

std::string terminal_alignment(const Explanation& explanation, std::size_t index,
                               const TerminalStyle& style) {
  check_explanation(explanation);
  if (index >= explanation.alignments.size()) {
    throw usage_error("this explanation holds no alignment of an output");
  }
  constexpr std::size_t kMost = 3;
  const Alignment& alignment = explanation.alignments[index];
  const std::size_t units = explanation.units.size();
  double scale = 0;
  for (const double score : alignment.scores) scale = std::max(scale, std::abs(score));
  int label_width = 0;
  std::vector<std::string> labels;
  for (const Unit& unit : explanation.output_units) {
    labels.push_back(truncate_to_width(visible_text(unit.text, style.unicode),
                                       std::max(8, style.width / 4), style.unicode));
    label_width = std::max(label_width, display_width(labels.back()));
  }
  std::string out = wrapped_sentence(
      visible_text(
          fmt::format("alignment by {}: each unit of the output and what it came from ({})",
                      alignment.method, alignment.meaning),
          style.unicode),
      "", 0, style.width);
  for (std::size_t o = 0; o < labels.size(); ++o) {
    std::vector<std::size_t> order(units);
    for (std::size_t i = 0; i < units; ++i) order[i] = i;
    const auto score = [&](std::size_t i) { return alignment.scores[o * units + i]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return score(a) > score(b); });
    const std::string first =
        pad_to_width(labels[o], label_width) + (style.unicode ? " ← " : " <- ");
    std::vector<StyledText> parts;
    for (std::size_t i = 0; i < std::min(kMost, units); ++i) {
      parts.push_back({visible_text(explanation.units[order[i]].text, style.unicode),
                       paint(score_color(alignment.is_signed, score(order[i]), scale), style)});
      parts.push_back({' ' + number_text(score(order[i]), scale, alignment.is_signed) + "   "});
    }
    out += wrapped(parts, first, label_width + 3, style.width);
  }
  return out;
}

std::string terminal_effects(const Explanation& explanation, const TerminalStyle& style) {
  check_explanation(explanation);
  if (explanation.effects.empty()) return "";
  double most = 0;
  int width = 0;
  for (const Effect& effect : explanation.effects) {
    most = std::max(most, std::abs(effect.change));
    width = std::max(width, display_width(visible_text(effect.edit, style.unicode)));
  }
  width = std::min(width, std::max(12, style.width / 3));
  const auto best = [&](const Prediction& outputs) {
    if (outputs.empty()) return std::string("-");
    return fmt::format("{} {:.3f}", visible_text(outputs[0].label, style.unicode),
                       outputs[0].probability);
  };
  std::string out = wrapped_sentence(
      fmt::format("steered: output before and after, change of the probability of {}",
                  visible_text(explanation.target, style.unicode)),
      "", 0, style.width);
  for (const Effect& effect : explanation.effects) {
    const std::string name =
        truncate_to_width(visible_text(effect.edit, style.unicode), width, style.unicode);
    const Rgb color = score_color(true, effect.change, most);
    out +=
        fmt::format("  {}  {}  {} {} {}\n", pad_to_width(name, width),
                    painted(fmt::format(" {} ", number_text(effect.change, 1, true)), color, style),
                    best(effect.before), style.unicode ? "→" : "->", best(effect.after));
  }
  return out;
}

}  // namespace attend
