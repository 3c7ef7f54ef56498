// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ansi.h"
#include "attend/report/json.h"
#include "attend/report/terminal.h"
#include "attend/report/text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

std::string ascii(std::string text) {
  for (std::size_t at; (at = text.find("·")) != std::string::npos;) text.replace(at, 2, "-");
  return text;
}

// The scale as a strip of colours between its ends, e.g. "0.00 to 0.31" without colour; symmetric
// for signed methods. Then what one number means and how faithful the row is, wrapped.
std::string legend(const Attribution& attribution, const std::string& name,
                   const std::string& target, const Attribution* random,
                   const TerminalStyle& style) {
  const double scale = scale_of(attribution);
  const bool is_signed = attribution.is_signed;
  const double low = is_signed ? -scale : 0;
  std::vector<StyledText> parts = {{number_text(low, scale, is_signed) + ' '}};
  if (style.color) {
    constexpr int kCells = 9;
    for (int i = 0; i < kCells; ++i) {
      const double score = low + (scale - low) * i / (kCells - 1);
      parts.push_back({" ", paint(score_color(is_signed, score, scale), style)});
    }
  } else {
    parts.push_back({"to"});
  }
  parts.push_back({' ' + number_text(scale, scale, is_signed)});
  std::string meaning = attribution.meaning.empty() ? "" : "  " + attribution.meaning;
  if (is_signed) {
    meaning += meaning.empty() ? "  " : "; ";
    meaning += style.color ? fmt::format("blue speaks for {0}, orange against it", target)
                           : fmt::format("+ speaks for {0}, - against it", target);
  }
  if (!attribution.note.empty()) meaning += "; " + attribution.note;
  for (StyledText& word : words_of(visible_text(meaning, style.unicode))) {
    parts.push_back(std::move(word));
  }
  std::string out = wrapped(parts, name, display_width(name), style.width);
  if (attribution.faithfulness) {
    std::string figures = faithfulness_text(*attribution.faithfulness);
    if (random != nullptr && random != &attribution &&
        attribution.faithfulness->comprehensiveness <= random->faithfulness->comprehensiveness) {
      figures += " · no better than random here";
    }
    out +=
        wrapped_sentence(style.unicode ? figures : ascii(figures),
                         std::string(display_width(name), ' '), display_width(name), style.width);
  }
  return out;
}

// Rows of a long input would fill screens: its heaviest units instead.
constexpr std::size_t kMostUnits = 400;

std::string heaviest_units(const Explanation& e, const Attribution& attribution,
                           const std::string& name, const TerminalStyle& style) {
  constexpr std::size_t kMost = 12;
  const double scale = scale_of(attribution);
  std::vector<std::size_t> order(e.units.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const std::size_t count = std::min(kMost, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) {
                      const double left = std::abs(attribution.scores[a]);
                      const double right = std::abs(attribution.scores[b]);
                      return left != right ? left > right : a < b;
                    });
  std::vector<StyledText> parts;
  for (std::size_t i = 0; i < count; ++i) {
    const double score = attribution.scores[order[i]];
    parts.push_back(
        {truncate_to_width(visible_text(e.units[order[i]].text, style.unicode), 24, style.unicode),
         paint(score_color(attribution.is_signed, score, scale), style)});
    parts.push_back(
        {fmt::format(" ({}) {}   ", order[i], number_text(score, scale, attribution.is_signed))});
  }
  return wrapped(parts, name, display_width(name), style.width);
}

}  // namespace

std::string terminal_highlight(const Explanation& explanation, const TerminalStyle& style) {
  check_explanation(explanation);
  const std::vector<Piece> pieces = pieces_of(explanation);
  int name_width = 0;
  std::vector<std::string> names;
  for (const Attribution& attribution : explanation.attributions) {
    const std::string name = visible_text(attribution.method, style.unicode);
    names.push_back(truncate_to_width(name, std::max(8, style.width / 4), style.unicode));
    name_width = std::max(name_width, display_width(names.back()));
  }
  const Attribution* random = random_row(explanation);
  const int indent = name_width + 2;
  std::string rows, scales;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Attribution& attribution = explanation.attributions[i];
    const double scale = scale_of(attribution);
    if (explanation.units.size() > kMostUnits) {
      const std::string heading = pad_to_width(names[i], indent);
      rows += heaviest_units(explanation, attribution, heading, style);
      scales += legend(attribution, heading, explanation.target, random, style);
      continue;
    }
    std::vector<StyledText> parts;
    for (const Piece& piece : pieces) {
      std::string text = visible_text(piece.text, style.unicode);
      if (piece.unit == Piece::kGap) {
        parts.push_back({text});
        continue;
      }
      const double score = attribution.scores[piece.unit];
      if (!style.color) text += '[' + number_text(score, scale, attribution.is_signed) + ']';
      parts.push_back({text, paint(score_color(attribution.is_signed, score, scale), style)});
    }
    const std::string name = pad_to_width(names[i], indent);
    rows += wrapped(parts, name, indent, style.width);
    scales += legend(attribution, name, explanation.target, random, style);
  }
  std::string headings;
  bool seen[3] = {false, false, false};
  for (const Attribution& attribution : explanation.attributions) {
    const Family family = family_of(attribution);
    if (seen[static_cast<int>(family)]) continue;
    seen[static_cast<int>(family)] = true;
    headings += headings.empty() ? "" : " | ";
    headings += family_heading(family);
  }
  if (explanation.units.size() > kMostUnits) {
    headings += fmt::format("; the heaviest of {} units (index)", explanation.units.size());
  }
  std::string trust;
  if (!explanation.best_method.empty()) {
    trust += fmt::format("most faithful for this model on dev data: {}\n",
                         visible_text(explanation.best_method, style.unicode));
  }
  if (!explanation.verdict.empty()) {
    trust += wrapped_sentence(visible_text(explanation.verdict, style.unicode), "", 0, style.width);
  }
  return wrapped_sentence(headings, "", 0, style.width) + rows + "scale\n" + scales + trust;
}

}  // namespace attend
