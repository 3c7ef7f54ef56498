// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "ansi.h"
#include "attend/report/json.h"
#include "attend/report/terminal.h"
#include "attend/report/text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

constexpr int kMostHeaderLines = 8;

// Everything the three forms of the map need.
struct MapView {
  const Explanation& explanation;
  const AttentionMap& map;
  const TerminalStyle& style;
  std::vector<std::string> row_labels;
  int label_width = 0;
  double scale = 0;

  int room() const { return style.width - label_width - 1; }
  double weight(int64_t row, int64_t column) const {
    return map.weights[row * map.columns + column];
  }
  Rgb color(int64_t row, int64_t column) const {
    return score_color(false, weight(row, column), scale);
  }
};

MapView view_of(const Explanation& explanation, const AttentionMap& map,
                const TerminalStyle& style) {
  MapView view{explanation, map, style, {}, 0, range_of(map).high};
  const int most = std::clamp(style.width / 4, 4, 16);
  for (int64_t row = 0; row < map.rows; ++row) {
    const std::string label = visible_text(row_label(explanation, map, row), style.unicode);
    view.row_labels.push_back(truncate_to_width(label, most, style.unicode));
    view.label_width = std::max(view.label_width, display_width(view.row_labels.back()));
  }
  return view;
}

// Key labels above their cells: side by side if all fit, else written downwards, one character a
// line.
std::string column_header(const MapView& view, int cell) {
  const TerminalStyle& style = view.style;
  std::vector<std::string> labels;
  bool fits = true;
  for (const Unit& unit : key_units(view.explanation, view.map)) {
    labels.push_back(visible_text(unit.text, style.unicode));
    fits &= display_width(labels.back()) <= std::max(cell - 1, 2);
  }
  std::vector<std::vector<std::string>> stacks;
  std::size_t lines = 1;
  for (const std::string& label : labels) {
    std::vector<std::string> stack = fits ? std::vector<std::string>{label} : graphemes(label);
    if (stack.size() > kMostHeaderLines) {
      stack.resize(kMostHeaderLines - 1);
      stack.push_back(style.unicode ? "…" : "~");
    }
    lines = std::max(lines, stack.size());
    stacks.push_back(std::move(stack));
  }
  std::string out;
  for (std::size_t line = 0; line < lines; ++line) {
    std::string text(view.label_width + 1, ' ');
    for (const auto& stack : stacks) {
      const std::size_t above = lines - stack.size();  // labels stand on their cells
      const std::string part =
          line < above ? "" : truncate_to_width(stack[line - above], cell, false);
      text += pad_to_width(part, cell, cell == 2 ? Align::kLeft : Align::kRight);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + '\n';
  }
  return out;
}

std::string cell_text(double share, double scale, int cell, const TerminalStyle& style) {
  const std::string percent = percent_text(share);
  if (style.color) return cell == 2 ? "  " : pad_to_width(percent, cell, Align::kRight);
  const std::string_view mark = shade(scale > 0 ? share / scale : 0, style);
  // A cell of 3 columns has room for the shade and two digits; 100 % is the full shade alone.
  if (cell == 2 || (cell == 3 && percent.size() > 2)) {
    std::string fill;
    for (int i = 0; i < cell; ++i) fill += mark;
    return fill;
  }
  return std::string(mark) + pad_to_width(percent, cell - 1, Align::kRight);
}

std::string labelled_map(const MapView& view, int cell) {
  std::string out = column_header(view, cell);
  for (int64_t row = 0; row < view.map.rows; ++row) {
    std::string line = pad_to_width(view.row_labels[row], view.label_width) + ' ';
    for (int64_t column = 0; column < view.map.columns; ++column) {
      line += painted(cell_text(view.weight(row, column), view.scale, cell, view.style),
                      view.color(row, column), view.style);
    }
    out += line + '\n';
  }
  return out;
}

// One column per key; with colour two queries per line.
std::string dense_map(const MapView& view, int64_t row_block) {
  const bool halves = view.style.color && view.style.unicode;
  const int64_t step = halves ? 2 : 1;
  std::string out;
  for (int64_t row = 0; row < view.map.rows; row += step) {
    const std::string& label = view.row_labels[row * row_block];
    std::string line = pad_to_width(label, view.label_width) + ' ';
    for (int64_t column = 0; column < view.map.columns; ++column) {
      if (halves) {
        const bool has_lower = row + 1 < view.map.rows;
        const Rgb lower = has_lower ? view.color(row + 1, column) : sequential_color(0);
        line += painted_half_block(view.color(row, column), lower, view.style);
      } else if (view.style.color) {
        line += painted(" ", view.color(row, column), view.style);
      } else {
        line += shade(view.scale > 0 ? view.weight(row, column) / view.scale : 0, view.style);
      }
    }
    out += line + '\n';
  }
  return out;
}

std::string legend(const MapView& view, std::string_view of_what) {
  const Range range = range_of(view.map);
  std::string strip;
  constexpr int kCells = 9;
  for (int i = 0; i < kCells; ++i) {
    const double t = static_cast<double>(i) / (kCells - 1);
    strip += view.style.color ? painted(" ", sequential_color(t), view.style)
                              : std::string(shade(t, view.style));
  }
  return fmt::format("scale 0 {} {}   {} from {} to {}\n", strip,
                     number_text(view.scale, view.scale), of_what,
                     number_text(range.low, view.scale), number_text(range.high, view.scale));
}

}  // namespace

std::string terminal_matrix(const Explanation& explanation, std::size_t map_index,
                            const TerminalStyle& style) {
  check_explanation(explanation);
  const AttentionMap& map = map_at(explanation, map_index);
  MapView view = view_of(explanation, map, style);
  std::string out = wrapped_sentence(
      fmt::format("attention weights in percent, {}: rows = queries, columns = keys, each row sums "
                  "to 100",
                  visible_text(map_label(map), style.unicode)),
      "", 0, style.width);
  for (const int cell : {4, 3, 2}) {
    if (map.columns * cell <= view.room()) {
      return out + labelled_map(view, cell) + legend(view, "weights");
    }
  }
  const bool halves = style.color && style.unicode;
  const std::string lines = halves && map.rows > 1 ? "two queries to a line, " : "";
  if (map.columns <= view.room()) {
    return out + dense_map(view, 1) + legend(view, "weights") +
           wrapped_sentence(fmt::format("too wide for {} columns: {}numbers and the {} key labels "
                                        "left out; --out FILE.html shows them",
                                        style.width, lines, map.columns),
                            "note: ", 6, style.width);
  }
  const int64_t block = (map.columns + view.room() - 1) / std::max(1, view.room());
  const PooledMap small =
      pooled(map, map.rows > 1 ? (map.rows + block - 1) / block : 1, std::max(1, view.room()));
  const MapView dense{explanation,     small.map,        style,
                      view.row_labels, view.label_width, range_of(small.map).high};
  return out + dense_map(dense, small.row_block) + legend(dense, "block masses") +
         wrapped_sentence(
             fmt::format("{} x {} weights pooled to {} x {}: one cell is the mass that {} {} in a "
                         "row give{} to {} keys in a row; {}numbers and key labels left out; --out "
                         "FILE.html or .tsv holds all weights",
                         map.rows, map.columns, small.map.rows, small.map.columns, small.row_block,
                         small.row_block == 1 ? "query" : "queries",
                         small.row_block == 1 ? "s" : "", small.column_block, lines),
             "note: ", 6, style.width);
}

}  // namespace attend
