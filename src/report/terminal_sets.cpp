// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
// Comparisons and data sets on a terminal.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ansi.h"
#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/report/json.h"
#include "attend/report/terminal.h"
#include "attend/report/text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

std::string name_of(const Comparison& both, int side, const TerminalStyle& style) {
  const Explanation& e = side == 0 ? both.first : both.second;
  if (both.first.model == both.second.model) return fmt::format("input {}", side + 1);
  return visible_text(e.model, style.unicode);
}

void show_units(std::vector<StyledText>& parts, const Explanation& e,
                const std::function<std::optional<double>(std::size_t)>& score, bool is_signed,
                double scale, const TerminalStyle& style) {
  for (const Piece& piece : pieces_of(e)) {
    std::string text = visible_text(piece.text, style.unicode);
    const std::optional<double> value =
        piece.unit == Piece::kGap ? std::nullopt : score(piece.unit);
    if (!value) {
      parts.push_back({text});
      continue;
    }
    if (!style.color) text += '[' + number_text(*value, scale, is_signed) + ']';
    parts.push_back({text, paint(score_color(is_signed, *value, scale), style)});
  }
}

}  // namespace

std::string terminal_comparison(const Comparison& both, const TerminalStyle& style) {
  check_explanation(both.first, "first");
  check_explanation(both.second, "second");
  std::string out;
  for (const int side : {0, 1}) {
    const Explanation& e = side == 0 ? both.first : both.second;
    out += name_of(both, side, style) + ": " + terminal_prediction(e, style, 3) + '\n';
  }
  const auto probability = [&](const Explanation& e) -> std::optional<double> {
    for (const OutputScore& output : e.outputs) {
      if (output.label == both.first.target) return output.probability;
    }
    return std::nullopt;
  };
  const auto before = probability(both.first), after = probability(both.second);
  if (before && after) {
    out += fmt::format("{}: {:.3f} {} {:.3f} ({})\n",
                       visible_text(both.first.target, style.unicode), *before,
                       style.unicode ? "→" : "->", *after, number_text(*after - *before, 1, true));
  }
  out += fmt::format("{} units correspond (of {} and {})\n", both.pairs.size(),
                     both.first.units.size(), both.second.units.size());
  for (const MethodPair& pair : shared_methods(both)) {
    const double scale = std::max(scale_of(*pair.first), scale_of(*pair.second));
    out += '\n' + visible_text(pair.first->method, style.unicode) + '\n';
    constexpr int kIndent = 12;
    const auto line = [&](const std::string& name, const std::vector<StyledText>& parts) {
      out +=
          wrapped(parts, pad_to_width(truncate_to_width(name, kIndent - 2, style.unicode), kIndent),
                  kIndent, style.width);
    };
    for (const int side : {0, 1}) {
      const Attribution& row = side == 0 ? *pair.first : *pair.second;
      std::vector<StyledText> parts;
      show_units(
          parts, side == 0 ? both.first : both.second,
          [&](std::size_t i) { return std::optional(row.scores[i]); }, row.is_signed, scale, style);
      line(name_of(both, side, style), parts);
    }
    std::vector<std::optional<double>> change(both.second.units.size());
    double reach = 0;
    for (const auto& [i, j] : both.pairs) {
      change[j] = pair.second->scores[j] - pair.first->scores[i];
      reach = std::max(reach, std::abs(*change[j]));
    }
    std::vector<StyledText> parts;
    show_units(
        parts, both.second, [&](std::size_t i) { return change[i]; }, true, reach, style);
    line("change", parts);
    out += wrapped_sentence(
        fmt::format("scale {}, change {} (second minus first{})", number_text(scale, scale),
                    number_text(reach, reach), style.color ? "; blue more, orange less" : ""),
        pad_to_width("", kIndent), kIndent, style.width);
  }
  return out;
}

std::string terminal_dataset(const DatasetReport& report, const TerminalStyle& style,
                             const std::string& method) {
  check_dataset(report);
  const auto chosen = std::find(report.methods.begin(), report.methods.end(), method);
  if (!method.empty() && chosen == report.methods.end()) {
    throw usage_error(fmt::format("--method {}: this report has {}", printable(method),
                                  fmt::join(report.methods, ", ")));
  }
  constexpr std::size_t kMostLabels = 12, kMostWrong = 8;
  const auto shown = [&](const std::string& text, int width) {
    return truncate_to_width(visible_text(text, style.unicode), width, style.unicode);
  };
  std::vector<const DatasetRow*> wrong;
  std::size_t with_gold = 0;
  for (const DatasetRow& row : report.rows) {
    with_gold += row.gold.empty() ? 0 : 1;
    if (!row.gold.empty() && row.gold != row.prediction) wrong.push_back(&row);
  }
  std::string out = fmt::format("{}: {} inputs", shown(report.data, 60), report.rows.size());
  if (with_gold > 0) out += fmt::format(", {} of {} wrong", wrong.size(), with_gold);
  out += '\n';
  const Confusion confusion = confusion_of(report);
  const std::size_t labels = std::min(kMostLabels, confusion.labels.size());
  if (with_gold > 0 && labels > 0) {
    int64_t most = 0;
    int label_width = 4;
    for (const int64_t count : confusion.counts) most = std::max(most, count);
    for (std::size_t i = 0; i < labels; ++i) {
      label_width = std::max(label_width, display_width(shown(confusion.labels[i], 16)));
    }
    out += "\nconfusion: rows = gold, columns = predicted in the same order\n";
    for (std::size_t r = 0; r < labels; ++r) {
      std::string line = pad_to_width(shown(confusion.labels[r], 16), label_width) + ' ';
      for (std::size_t c = 0; c < labels; ++c) {
        const int64_t count = confusion.counts[r * confusion.labels.size() + c];
        const double share = most > 0 ? static_cast<double>(count) / static_cast<double>(most) : 0;
        line += number_cell(std::to_string(count), sequential_color(share), share, 6, style) + ' ';
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
    if (labels < confusion.labels.size()) {
      out += fmt::format("  and {} rarer labels\n", confusion.labels.size() - labels);
    }
  }
  const std::string by = !method.empty() || report.methods.empty() ? method : report.methods[0];
  bool headed = false;
  for (const ClassUnits& each : report.classes) {
    if (each.method != by) continue;
    if (!headed) out += fmt::format("\nunits that weigh most for each output, by {}\n", by);
    headed = true;
    std::vector<StyledText> parts;
    for (const auto& unit : each.units) {
      parts.push_back({fmt::format("{} {:.2f}  ", shown(unit.text, 20), unit.score)});
    }
    const std::string name = pad_to_width(shown(each.label, 16), 18);
    out += wrapped(parts, name, 18, style.width);
  }
  std::stable_sort(wrong.begin(), wrong.end(), [](const DatasetRow* a, const DatasetRow* b) {
    return a->confidence > b->confidence;
  });
  if (!wrong.empty()) out += "\nwrong and sure of it\n";
  for (std::size_t i = 0; i < std::min(kMostWrong, wrong.size()); ++i) {
    out += fmt::format("  {:.3f}  {} {} {}  {}\n", wrong[i]->confidence, shown(wrong[i]->gold, 14),
                       style.unicode ? "→" : "->", shown(wrong[i]->prediction, 14),
                       shown(wrong[i]->input, std::max(10, style.width - 45)));
  }
  for (const std::string& notice : report.notices) {
    out += wrapped_sentence(visible_text(notice, style.unicode), "note: ", 6, style.width);
  }
  return out;
}

}  // namespace attend
