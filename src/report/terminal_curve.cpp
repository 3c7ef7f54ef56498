// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ansi.h"
#include "attend/base/error.h"
#include "attend/report/json.h"
#include "attend/report/terminal.h"
#include "attend/report/text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

constexpr Rgb kBand = {206, 211, 220};
constexpr std::array<Rgb, 6> kSeriesInks = {
    {{11, 95, 165}, {192, 90, 0}, {109, 63, 158}, {58, 66, 82}, {0, 144, 176}, {160, 82, 122}}};

// Characters of 2 x 4 dots (Unicode block "Braille Patterns"), each in one colour.
class BraillePlot {
 public:
  BraillePlot(int columns, int rows)
      : columns_(columns),
        rows_(rows),
        dots_(static_cast<size_t>(columns) * rows, 0),
        colors_(dots_.size(), -1),
        band_(dots_.size(), false) {}

  int dot_columns() const { return 2 * columns_; }
  int dot_rows() const { return 4 * rows_; }

  void dot(int x, int y, int color) {
    if (x < 0 || y < 0 || x >= dot_columns() || y >= dot_rows()) return;
    // Bits of the dots of a cell, column by column (U+2800 + bits).
    constexpr int kBits[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};
    const int cell = y / 4 * columns_ + x / 2;
    dots_[cell] |= kBits[x % 2][y % 4];
    colors_[cell] = color;
  }

  void fill(int x, int low, int high) {
    for (int y = std::min(low, high); y <= std::max(low, high); ++y) {
      if (x >= 0 && y >= 0 && x < dot_columns() && y < dot_rows()) {
        band_[y / 4 * columns_ + x / 2] = true;
      }
    }
  }

  std::string row(int row, const TerminalStyle& style) const {
    std::string out;
    for (int column = 0; column < columns_; ++column) {
      const int cell = row * columns_ + column;
      std::string text = " ";
      if (dots_[cell] != 0) {
        const int code = 0x2800 + dots_[cell];
        text = {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
                static_cast<char>(0x80 | (code & 0x3F))};
      }
      if (!style.color) {
        out += text == " " && band_[cell] ? "░" : text;
        continue;
      }
      const Rgb background = band_[cell] ? kBand : Rgb{255, 255, 255};
      out +=
          ink(text, background, colors_[cell] < 0 ? background : kSeriesInks[colors_[cell]], style);
    }
    return out;
  }

 private:
  int columns_, rows_;
  std::vector<int> dots_, colors_;
  std::vector<bool> band_;
};

// Value of a curve at `share` of all units, between its steps.
double value_at(const std::vector<int64_t>& steps, const std::vector<double>& values,
                double share) {
  const double at = share * static_cast<double>(steps.back());
  std::size_t next = 1;
  while (next + 1 < steps.size() && static_cast<double>(steps[next]) < at) ++next;
  const double before = static_cast<double>(steps[next - 1]);
  const double part = (at - before) / (static_cast<double>(steps[next]) - before);
  return values[next - 1] + std::clamp(part, 0.0, 1.0) * (values[next] - values[next - 1]);
}

void draw_curve(BraillePlot& plot, const std::vector<int64_t>& steps,
                const std::vector<double>& values, int color) {
  const auto row_of = [&](double value) {
    return static_cast<int>(std::lround((1 - value) * (plot.dot_rows() - 1)));
  };
  int previous = -1;
  for (int x = 0; x < plot.dot_columns(); ++x) {
    const int y =
        row_of(value_at(steps, values, static_cast<double>(x) / (plot.dot_columns() - 1)));
    const int from = previous < 0 ? y : previous;
    for (int k = std::min(from, y); k <= std::max(from, y); ++k) {
      if (k != from || from == y) plot.dot(x, k, color);
    }
    previous = y;
  }
}

void draw_band(BraillePlot& plot, const std::vector<int64_t>& steps, const std::vector<double>& low,
               const std::vector<double>& high) {
  if (low.empty() || high.empty()) return;
  for (int x = 0; x < plot.dot_columns(); ++x) {
    const double share = static_cast<double>(x) / (plot.dot_columns() - 1);
    const auto row_of = [&](const std::vector<double>& values) {
      return static_cast<int>(
          std::lround((1 - value_at(steps, values, share)) * (plot.dot_rows() - 1)));
    };
    plot.fill(x, row_of(high), row_of(low));
  }
}

std::string table(const Explanation& e, const TerminalStyle& style) {
  std::string out;
  for (const Attribution& row : e.attributions) {
    if (!row.faithfulness || row.faithfulness->deletion_curve.empty()) continue;
    for (const bool deletion : {true, false}) {
      std::string line;
      const auto& curve =
          deletion ? row.faithfulness->deletion_curve : row.faithfulness->insertion_curve;
      for (const double share : {0.0, 0.1, 0.2, 0.5, 1.0}) {
        line += fmt::format(" {:.3f}", value_at(e.test->steps, curve, share));
      }
      out += fmt::format(
          "  {} {:<9}{}\n",
          pad_to_width(
              truncate_to_width(visible_text(row.method, style.unicode), 20, style.unicode), 20),
          deletion ? "deletion" : "insertion", line);
    }
  }
  return "  at 0, 10, 20, 50 and 100 % of the units\n" + out;
}

}  // namespace

std::string terminal_curve(const Explanation& explanation, const TerminalStyle& style) {
  check_explanation(explanation);
  if (!has_curves(explanation)) {
    throw usage_error("this explanation holds no faithfulness curves");
  }
  const FaithfulnessTest& test = *explanation.test;
  std::string out = wrapped_sentence(
      fmt::format("probability of {} when units are taken out (by {}) from the heaviest down "
                  "(deletion), and with only them (insertion); band: 95 % of random orders",
                  visible_text(explanation.target, style.unicode),
                  visible_text(removal_text(test), style.unicode)),
      "", 0, style.width);
  if (style.unicode) {
    constexpr int kRows = 8, kAxis = 5, kGap = 3;
    const int columns = std::clamp((style.width - 2 * kAxis - kGap) / 2, 8, 44);
    BraillePlot deletion(columns, kRows), insertion(columns, kRows);
    draw_band(deletion, test.steps, test.random_deletion_low, test.random_deletion_high);
    draw_band(insertion, test.steps, test.random_insertion_low, test.random_insertion_high);
    // Without colour lines could not be told apart: the best alone.
    int series = 0;
    std::vector<std::pair<const Attribution*, int>> drawn;
    for (const Attribution& row : explanation.attributions) {
      if (!row.faithfulness || row.faithfulness->deletion_curve.empty()) continue;
      drawn.emplace_back(&row, series++ % static_cast<int>(kSeriesInks.size()));
    }
    const auto best = std::find_if(drawn.begin(), drawn.end(), [&](const auto& each) {
      return each.first->method == explanation.best_method;
    });
    if (!style.color) drawn = {best == drawn.end() ? drawn.front() : *best};
    for (const auto& [row, color] : drawn) {
      draw_curve(deletion, test.steps, row->faithfulness->deletion_curve, color);
      draw_curve(insertion, test.steps, row->faithfulness->insertion_curve, color);
    }
    out +=
        pad_to_width("", kAxis) + pad_to_width("deletion", columns + kGap + kAxis) + "insertion\n";
    for (int r = 0; r < kRows; ++r) {
      const std::string axis = pad_to_width(r == 0           ? "1 "
                                            : r == kRows - 1 ? "0 "
                                                             : "",
                                            kAxis, Align::kRight);
      std::string line =
          axis + deletion.row(r, style) + std::string(kGap, ' ') + axis + insertion.row(r, style);
      if (!style.color) line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
    const std::string scale =
        pad_to_width("0 %", columns - 5) + pad_to_width("100 %", 5, Align::kRight);
    out += pad_to_width("", kAxis) + scale + pad_to_width("", kGap + kAxis) + scale + '\n';
    if (!style.color) {
      out += wrapped_sentence(
          fmt::format("drawn: {}", visible_text(drawn[0].first->method, style.unicode)), "  ", 2,
          style.width);
    }
  } else {
    out += table(explanation, style);
  }
  int series = 0;
  for (const Attribution& row : explanation.attributions) {
    if (!row.faithfulness) continue;
    const bool has_curve = !row.faithfulness->deletion_curve.empty();
    std::string mark = "  ";
    if (style.color && has_curve) {
      mark = painted("  ", kSeriesInks[series++ % static_cast<int>(kSeriesInks.size())], style);
    }
    out += fmt::format(
        "  {} {}  deletion area {:.3f}  insertion area {:.3f}{}\n", mark,
        pad_to_width(truncate_to_width(visible_text(row.method, style.unicode), 20, style.unicode),
                     20),
        row.faithfulness->deletion, row.faithfulness->insertion,
        row.method == explanation.best_method ? "  best on dev data" : "");
  }
  if (!test.random_deletion_low.empty() && !test.random_insertion_low.empty()) {
    out += fmt::format("     {}  deletion area {:.3f} to {:.3f}  insertion area {:.3f} to {:.3f}\n",
                       pad_to_width("random orders", 20),
                       area_under(test.steps, test.random_deletion_low),
                       area_under(test.steps, test.random_deletion_high),
                       area_under(test.steps, test.random_insertion_low),
                       area_under(test.steps, test.random_insertion_high));
  }
  return out;
}

}  // namespace attend
