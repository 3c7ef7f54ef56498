// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
// Every view as SVG, table and terminal text.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "attend/base/error.h"
#include "attend/report/colors.h"
#include "attend/report/render.h"
#include "attend/report/svg.h"
#include "attend/report/text.h"
#include "attend/report/tsv.h"
#include "png.h"
#include "rich_examples.h"

namespace attend {
namespace {

using testing::explanation_of;
using testing::hostile;
using testing::hostile_text;
using testing::long_input;
using testing::picture;
using testing::realistic;
using testing::rich;
using testing::translation;

constexpr TerminalStyle kPlain{.color = false, .width = 80, .unicode = true};
constexpr TerminalStyle kColor{.color = true, .width = 80, .unicode = true, .truecolor = true};
constexpr TerminalStyle kAscii{.color = false, .width = 60, .unicode = false};

// hostile() with every field that the newer views show.
Explanation hostile_everything() {
  Explanation e = hostile();
  const std::string& text = hostile_text();
  const auto end = static_cast<int64_t>(text.size());
  e.output = text;
  e.output_units = {{text, {0, end}}};
  e.best_method = e.verdict = text;
  e.attributions[0].note = text;
  testing::add_faithfulness(e);
  e.test->removal = text;
  e.alignments = {{text, true, text, {0.5, -0.25}}};
  e.heads = {{0, 0, 0.99, 1, 0, 0, 0, 0, 0.1}};
  e.layers = {{0, text, {0.5, 0.5}, {1, 1}, {{0, 1, 0.5}}, 1, 1, {2}}};
  Surface surface;
  surface.width = surface.height = surface.channels = 1;
  surface.pixels = {7};
  surface.x_axis = surface.y_axis = text;
  surface.boxes = {{0, 0, 1, 1}, {0, 0, 1, 1}};
  e.surface = surface;
  e.effects = {{text, e.outputs, e.outputs, 0.25}};
  return e;
}

constexpr ReportView kAll[] = {ReportView::kOverview, ReportView::kHighlight, ReportView::kMatrix,
                               ReportView::kHeads,    ReportView::kAlignment, ReportView::kOverlay,
                               ReportView::kLong,     ReportView::kCurve};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

// Terminal text without its colours.
std::string bare(std::string text) {
  for (std::size_t at; (at = text.find('\x1b')) != std::string::npos;) {
    text.erase(at, text.find('m', at) - at + 1);
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST(Views, HostileTextStaysTextInEveryForm) {
  const Explanation e = hostile_everything();
  std::vector<std::string> figures;
  for (const ReportView view : kAll) {
    figures.push_back(svg_view(e, {.view = view}));
    for (const TerminalStyle& style : {kPlain, kColor, kAscii}) {
      const std::string text = bare(terminal_view(e, {.view = view}, style));
      for (const char c : text) {
        ASSERT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << text;
      }
      EXPECT_EQ(text.find("\xE2\x80\xAE"), std::string::npos) << "a direction override";
    }
    const std::string table = tsv_view(e, {.view = view});
    const std::vector<std::string> rows = lines_of(table);
    for (const std::string& row : rows) EXPECT_EQ(count(row, "\t"), count(rows[0], "\t")) << row;
  }
  DatasetReportBuilder builder;
  builder.add(hostile(), hostile_text(), hostile_text());
  figures.push_back(dataset_svg(builder.finish()));
  figures.push_back(compare_svg(compare(hostile(), hostile())));
  for (const std::string& svg : figures) {
    EXPECT_EQ(svg.find("<script"), std::string::npos);
    EXPECT_EQ(svg.find("\xE2\x80\xAE"), std::string::npos);
    EXPECT_EQ(svg.find('\x1b'), std::string::npos);
  }
}

TEST(Views, NothingIsWiderThanTheTerminal) {
  for (const int width : {40, 80, 132}) {
    for (TerminalStyle style : {kPlain, kColor, kAscii}) {
      style.width = width;
      for (const auto& [e, view] :
           std::vector<std::pair<Explanation, ReportView>>{{rich(), ReportView::kHeads},
                                                           {translation(), ReportView::kAlignment},
                                                           {picture(), ReportView::kOverlay},
                                                           {long_input(2000), ReportView::kLong}}) {
        for (const std::string& line : lines_of(bare(terminal_view(e, {.view = view}, style)))) {
          EXPECT_LE(display_width(line), width) << line;
        }
      }
    }
  }
}

TEST(Views, HeadsShowEntropyDistanceImportance) {
  const std::string text = terminal_heads(rich(), kPlain);
  EXPECT_NE(text.find("entropy of each head"), std::string::npos);
  EXPECT_NE(text.find("0.90"), std::string::npos) << text;
  EXPECT_NE(text.find("importance"), std::string::npos);
  Explanation e = rich();
  e.heads[3].entropy = 0.99;
  for (HeadSummary& head : e.heads) head.importance.reset();
  const std::string other = terminal_heads(e, kPlain);
  EXPECT_NE(other.find("uniform (layer.head): 0.3"), std::string::npos) << other;
  EXPECT_EQ(other.find("importance"), std::string::npos) << "it was not measured";
  const std::string svg = heads_svg(e);
  EXPECT_NE(svg.find("0.99 uniform"), std::string::npos);
  EXPECT_EQ(count(svg, "<image"), 8U) << "a map per head";
  const std::string table = heads_to_tsv(rich());
  EXPECT_EQ(lines_of(table).size(), 9U);
  EXPECT_EQ(lines_of(table)[1].substr(0, 8), "0\t0\t0.3\t");
}

TEST(Views, AlignmentNamesTheTopSources) {
  const std::vector<std::string> lines = lines_of(terminal_alignment(translation(), 0, kPlain));
  EXPECT_EQ(lines[2], "I    ← Ich 0.90   mag 0.05   Tee 0.05");
  EXPECT_EQ(lines[3], "like ← mag 0.80   Ich 0.10   Tee 0.10");
  const std::string svg = alignment_svg(translation(), 1);
  EXPECT_NE(svg.find("<title>tea → Tee: 4.5</title>"), std::string::npos);
  const std::string table = alignment_to_tsv(translation());
  EXPECT_EQ(lines_of(table)[0], "output_index\toutput\tindex\ttext\tcross-attention\tocclusion");
  EXPECT_EQ(lines_of(table)[5], "1\tlike\t1\tmag\t0.8\t3.2");
}

TEST(Views, CurvesCarryTheirNumbers) {
  const Explanation e = rich();
  const std::string svg = curve_svg(e);
  EXPECT_EQ(count(svg, "<title>occlusion</title>"), 2U) << "deletion and insertion";
  EXPECT_NE(svg.find("most faithful on dev data"), std::string::npos);
  EXPECT_EQ(count(svg, "<title>95 % of random orders</title>"), 2U);
  const std::vector<std::string> rows = lines_of(curve_to_tsv(e));
  EXPECT_EQ(rows.size(), 1U + 4 * 2 * 8 + 4 * 8);
  EXPECT_EQ(rows[1].substr(0, 20), "attention\tdeletion\t0");
  const std::string plain = terminal_curve(e, kPlain);
  EXPECT_NE(plain.find("deletion area 0.307"), std::string::npos) << plain;
  EXPECT_NE(plain.find("drawn: occlusion"), std::string::npos);
  EXPECT_NE(plain.find("░"), std::string::npos) << "the band";
  const std::string ascii = terminal_curve(e, kAscii);
  EXPECT_NE(ascii.find("occlusion            deletion  0.970"), std::string::npos) << ascii;
  for (const char c : ascii) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) < 0x80 ||
                visible_text(e.target).find(c) != std::string::npos);
  }
}

TEST(Views, NoTwoCurvesLookTheSame) {
  Explanation e = rich();
  const Attribution row = e.attributions.front();
  e.attributions.assign(14, row);
  const std::string svg = curve_svg(e);
  std::map<std::string, int> looks;  // stroke, width and dash of a path
  for (size_t at = svg.find("<path"); at != std::string::npos; at = svg.find("<path", at + 1)) {
    const std::string path = svg.substr(at, svg.find('>', at) - at);
    const size_t stroke = path.find("stroke=");
    if (path.find("stroke-width=\"2\"") == std::string::npos) continue;
    ++looks[path.substr(stroke, path.find_last_not_of("/ ") + 1 - stroke)];
  }
  EXPECT_EQ(looks.size(), 14U);
}

// A straight line from 1 to 0 over 8 rows of 4 dots: each column of cells has dots in one row.
TEST(Views, BrailleDrawsTheCurve) {
  Explanation e = explanation_of({"a", "b"});
  e.attributions = {{"m", false, "", {1, 0}, 0}};
  Faithfulness f;
  f.deletion_curve = {1, 0.5, 0};
  f.insertion_curve = {0, 0, 1};
  e.attributions[0].faithfulness = f;
  FaithfulnessTest test;
  test.steps = {0, 1, 2};
  e.test = test;
  TerminalStyle style = kPlain;
  style.width = 29;  // panels of 8 columns
  const std::vector<std::string> lines = lines_of(terminal_curve(e, style));
  const auto first = std::find_if(lines.begin(), lines.end(),
                                  [](const auto& line) { return line.find("deletion  ") == 5; });
  ASSERT_NE(first, lines.end());
  for (int row = 0; row < 8; ++row) {
    const std::string line = (first + 1)[row];
    std::vector<std::string> cells = graphemes(line);
    ASSERT_GE(cells.size(), 6U + row) << line;
    EXPECT_NE(cells[5 + row], " ") << "the diagonal: " << line;
    if (row > 1) {
      EXPECT_EQ(cells[5], " ") << line;
    }
  }
}

TEST(Views, LongInputsPrintExactTotals) {
  const Explanation e = long_input(3000);
  double received = 0;
  for (const double mass : e.layers[1].received) received += mass;
  const std::string text = terminal_long(e, 1, kPlain);
  EXPECT_NE(text.find("keys received 3000 in"), std::string::npos) << text;
  EXPECT_NEAR(received, 3000, 1e-6);
  EXPECT_NE(text.find("heaviest links"), std::string::npos);
  const std::string svg = long_svg(e, 0);
  EXPECT_NE(svg.find("keys received 3000 in all"), std::string::npos);
  EXPECT_EQ(count(svg, "<path"), 2U + 300) << "two strips and the links";
  EXPECT_EQ(lines_of(links_to_tsv(e)).size(), 1U + 2 * 2 * 3000);
  // Scores: the heaviest units, not 3,000 boxes.
  const std::string scores = terminal_highlight(e, kPlain);
  EXPECT_LT(lines_of(scores).size(), 20U);
  EXPECT_NE(scores.find("the heaviest of 3000 units"), std::string::npos);
}

TEST(Views, OverlayThumbnail) {
  const std::string plain = terminal_overlay(picture(), 0, kPlain);
  EXPECT_EQ(lines_of(plain).size(), 1U + 20) << plain;
  EXPECT_NE(plain.find("█"), std::string::npos) << "the heaviest patch";
  const std::string svg = overlay_svg(picture(), 1);
  EXPECT_EQ(count(svg, "<image"), 1U);
  EXPECT_EQ(count(svg, "<path"), 96U);
}

TEST(Views, EffectsShowBothOutputs) {
  const std::string text = terminal_effects(rich(), kPlain);
  EXPECT_NE(text.find("emphasize 热爱:2   -0.57   编程 0.970 → 阅读 0.600"), std::string::npos)
      << text;
  EXPECT_NE(overview_svg(rich()).find("emphasize 热爱:2"), std::string::npos);
}

TEST(Views, ReportCarriesVerdictAndFaithfulness) {
  const std::string text = terminal_report(rich(), kPlain);
  EXPECT_NE(text.find("most faithful for this model on dev data: occlusion"), std::string::npos);
  EXPECT_NE(text.find("attention is no better than"), std::string::npos);
  EXPECT_NE(text.find("comprehensiveness 0.663"), std::string::npos) << text;
  EXPECT_NE(text.find("completeness residual"), std::string::npos);
  EXPECT_EQ(text.find("no better than random here"), std::string::npos);
  Explanation weak = rich();
  weak.attributions[0].faithfulness->comprehensiveness = 0.1;
  EXPECT_EQ(count(terminal_highlight(weak, kPlain), "no better than random here"), 1U);
}

TEST(Views, ComparisonShowsBothAndTheChange) {
  Explanation second = realistic(true);
  second.model = "runs/other";
  second.outputs[0].probability = 0.5;
  for (double& score : second.attributions[1].scores) score += 1;
  const Comparison both = compare(realistic(true), second);
  const std::string text = terminal_comparison(both, kPlain);
  EXPECT_NE(text.find("编程: 0.970 → 0.500 (-0.47)"), std::string::npos) << text;
  EXPECT_NE(text.find("编程[+1.00]"), std::string::npos);
  const std::string svg = compare_svg(both);
  EXPECT_NE(svg.find("runs/other"), std::string::npos);
  EXPECT_NE(svg.find("difference (second minus first)"), std::string::npos);
}

TEST(Views, DatasetShowsWhatIsWrong) {
  DatasetReportBuilder builder;
  builder.add(realistic(true), "1", "编程");
  builder.add(realistic(true), "2", "阅读");
  const DatasetReport report = builder.finish();
  const std::string text = terminal_dataset(report, kPlain);
  EXPECT_NE(text.find("2 inputs, 1 of 2 wrong"), std::string::npos) << text;
  EXPECT_NE(text.find("阅读 → 编程"), std::string::npos);
  EXPECT_NE(dataset_svg(report).find("1 of 2 predicted as labelled"), std::string::npos);
  EXPECT_THROW(dataset_svg(report, "nothing"), Error);
}

TEST(Views, WhatIsMissingIsSaid) {
  const Explanation e = explanation_of({"a"});
  for (const ReportView view : {ReportView::kHeads, ReportView::kAlignment, ReportView::kOverlay,
                                ReportView::kLong, ReportView::kCurve, ReportView::kMatrix}) {
    for (const bool svg : {true, false}) {
      try {
        const std::string shown =
            svg ? svg_view(e, {.view = view}) : terminal_view(e, {.view = view}, kPlain);
        FAIL() << shown;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kUsage);
        EXPECT_NE(std::string(error.what()).find("this explanation holds no"), std::string::npos);
      }
    }
  }
}

std::string usage_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "accepted";
}

TEST(Views, UnknownNamesListWhatExists) {
  const Explanation e = rich();
  EXPECT_EQ(usage_of([] { view_named("matrx"); }),
            "--view matrx: choose one of overview, highlight, matrix, heads, alignment, overlay, "
            "long, curve");
  EXPECT_EQ(usage_of([&] { map_index_of(e, 7, {}); }), "--layer 7: there are layers 0, 1, 2");
  EXPECT_EQ(usage_of([&] { map_index_of(e, 1, 9); }),
            "--head 9: layer 1 has heads -1, 0, 1, 2, 3 (-1: the mean)");
  EXPECT_EQ(usage_of([&] {
              svg_view(translation(), {.view = ReportView::kAlignment, .method = "attn"});
            }),
            "--method attn: there is none here; there are cross-attention, occlusion");
  EXPECT_EQ(usage_of([] {
              terminal_view(long_input(9), {.view = ReportView::kLong, .layer = 5}, kPlain);
            }),
            "--layer 5: there are sums of layers 0, 1");
}

TEST(Views, MapsAreFoundByLayerAndHead) {
  const Explanation e = rich();
  EXPECT_EQ(e.attention[map_index_of(e, 1, 2)].label, "layer 1, head 2");
  EXPECT_EQ(e.attention[map_index_of(e, 1, {})].label, "layer 1, mean of heads");
  EXPECT_EQ(e.attention[map_index_of(e, {}, 3)].label, "layer 0, head 3");
  EXPECT_EQ(map_index_of(e, {}, {}), default_map_index(e));
}

TEST(Views, DecodersMapsCarryTheirUnits) {
  const Explanation e = translation();
  EXPECT_EQ(lines_of(matrix_to_tsv(e, e.attention[1]))[2], "like\t0.5\t0.5\t0\t0");
  EXPECT_EQ(lines_of(matrix_to_tsv(e, e.attention[2]))[0], "query\tIch\tmag\tTee");
  EXPECT_NE(matrix_svg(e, 2).find("<title>tea → Tee: 0.9</title>"), std::string::npos);
  EXPECT_NE(terminal_matrix(e, 1, kPlain).find("tea"), std::string::npos);
}

TEST(Png, IsWhatTheSpecificationSays) {
  const std::vector<uint8_t> pixels = {255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3};
  const std::vector<uint8_t> file = report::png_of(2, 2, pixels);
  ASSERT_GT(file.size(), 45U);
  EXPECT_EQ(std::string(file.begin() + 1, file.begin() + 4), "PNG");
  // Length of the packed rows stands before "IDAT"; unpacked: a filter byte and 6 bytes per row.
  const std::string text(file.begin(), file.end());
  const std::size_t at = text.find("IDAT");
  uint32_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | file[at - 4 + i];
  std::vector<uint8_t> rows(14);
  uLongf size = rows.size();
  ASSERT_EQ(uncompress(rows.data(), &size, &file[at + 4], length), Z_OK);
  EXPECT_EQ(rows, (std::vector<uint8_t>{0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 255, 1, 2, 3}));
}

}  // namespace
}  // namespace attend
