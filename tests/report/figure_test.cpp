// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/report/html.h"
#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/svg.h"
#include "rich_examples.h"

namespace attend {
namespace {

using testing::explanation_of;
using testing::hostile;
using testing::map_of;
using testing::realistic;

std::filesystem::path scratch(const std::string& name) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "attend_report_figure_test";
  std::filesystem::create_directories(folder);
  return folder / name;
}

// Lets an XML parser read all of `files`, in one process because starting one takes longest.
void expect_well_formed(const std::vector<std::string>& files) {
  if (std::system("python3 -c 'import xml.etree' 2>/dev/null") != 0) {
    GTEST_SKIP() << "no python3 to parse the XML";
  }
  std::string command =
      "python3 -c 'import sys, xml.etree.ElementTree as t; [t.parse(f) for f in sys.argv[1:]]'";
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto path = scratch(std::string("checked").append(std::to_string(i)).append(".svg"));
    std::ofstream(path, std::ios::binary) << files[i];
    command += ' ' + path.string();
  }
  EXPECT_EQ(std::system(command.c_str()), 0);
}

// The JSON island of a page.
nlohmann::json whole_island(const std::string& page) {
  const std::string open = "id=\"data\">";
  const std::size_t begin = page.find(open) + open.size();
  return nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

// Its only explanation, with the notices of the page.
nlohmann::json island(const std::string& page) {
  const nlohmann::json whole = whole_island(page);
  nlohmann::json explanation = whole["explanations"][0];
  explanation["notices"] = whole["notices"];
  return explanation;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

TEST(Svg, FiguresAreWellFormed) {
  std::vector<std::string> files;
  for (const Explanation& e : {realistic(false), realistic(true), hostile(), Explanation{}}) {
    files.push_back(overview_svg(e));
    files.push_back(highlight_svg(e));
    for (std::size_t i = 0; i < e.attention.size(); ++i) files.push_back(matrix_svg(e, i));
  }
  std::vector<std::string> texts(400, "x");
  Explanation large = explanation_of(texts);
  large.attention = {map_of(400, 0, 0, 1)};
  files.push_back(matrix_svg(large, 0));
  expect_well_formed(files);
}

TEST(Svg, MatrixCarriesExactNumbersLegendAndCaption) {
  Explanation e = explanation_of({"编", "b"});
  e.attention = {{0, 1, "layer 0, head 1", 2, 2, {1.0F, 0.0F, 0.25F, 0.75F}}};
  const std::string svg = matrix_svg(e, 0);
  EXPECT_NE(svg.find("<title>b → 编: 0.25</title>"), std::string::npos);
  EXPECT_EQ(count(svg, " → "), 4U) << "one title per cell";
  EXPECT_NE(svg.find(">layer 0, head 1</text>"), std::string::npos);
  EXPECT_NE(svg.find("model runs/demo"), std::string::npos);
  EXPECT_NE(svg.find("target A"), std::string::npos);
  EXPECT_NE(svg.find("attend explain runs/demo TEXT"), std::string::npos);
  EXPECT_NE(svg.find("Noto Sans CJK SC"), std::string::npos);
}

TEST(Svg, LargeMapsArePooledAndSaySo) {
  std::vector<std::string> texts(400, "x");
  Explanation e = explanation_of(texts);
  e.attention = {map_of(400, 0, 0, 1)};
  const std::string svg = matrix_svg(e, 0);
  EXPECT_NE(svg.find("400 x 400 weights pooled"), std::string::npos);
  EXPECT_LT(svg.size(), 5'000'000U);
}

TEST(Svg, NoticesAreShown) {
  Explanation e = realistic(true);
  e.notices = {"the input was cut"};
  EXPECT_NE(overview_svg(e).find("note: the input was cut"), std::string::npos);
}

TEST(Html, HoldsEverythingAndNothingFromTheNetwork) {
  const std::string page = to_html(realistic(false));
  EXPECT_LT(page.size(), 130'000U);
  EXPECT_EQ(page.find("{{"), std::string::npos) << "every part of the template is filled";
  EXPECT_EQ(page.find("src="), std::string::npos);
  EXPECT_EQ(page.find("@import"), std::string::npos);
  EXPECT_EQ(count(page, "http"), 2U) << "only http-equiv and the SVG name space";
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  const nlohmann::json data = island(page);
  EXPECT_EQ(data["target"], "编程");
  EXPECT_EQ(data["units"].size(), 10U);
  EXPECT_EQ(data["attributions"].size(), 4U);
  EXPECT_EQ(data["attributions"][1]["scores"][6], 2.31);
  EXPECT_EQ(data["attention"].size(), 5U);
  EXPECT_EQ(data["default_map"], 4) << "the mean";
  EXPECT_EQ(data["evidence"][1], "热爱编程");
}

TEST(Html, HostileTextStaysText) {
  const std::string page = to_html(hostile());
  EXPECT_EQ(count(page, "<script"), 2U) << "the island and the program";
  EXPECT_EQ(count(page, "</script"), 2U);
  EXPECT_EQ(page.find("\xE2\x80\xAE"), std::string::npos) << "a direction override";
  EXPECT_EQ(page.find('\x1b'), std::string::npos);
  EXPECT_NE(island(page)["target"].get<std::string>().find("</script>"), std::string::npos);
}

TEST(Html, InvalidUtf8BecomesReplacementCharacters) {
  Explanation e = explanation_of({"a"});
  e.model = "runs/\xFF\xFE";
  EXPECT_EQ(island(to_html(e))["model"], "runs/\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Html, KeepsTheMeansWhenMapsExceedTheBudget) {
  const int64_t n = 120;
  std::vector<std::string> texts(n, "x");
  Explanation e = explanation_of(texts);
  for (int64_t head = 0; head < 12; ++head) e.attention.push_back(map_of(n, 0, head, 1));
  e.attention.push_back(map_of(n, 0, -1, 1));
  EXPECT_EQ(island(to_html(e))["attention"].size(), 13U) << "all fit into 5 MB";

  // Every step down says what it cost, and the page stays under its budget.
  const auto page_of = [&](std::size_t bytes) {
    const std::string page = to_html(e, {.max_bytes = bytes});
    EXPECT_LE(page.size(), bytes);
    return island(page);
  };
  const nlohmann::json eight_bits = page_of(450'000);
  EXPECT_EQ(eight_bits["attention"].size(), 13U);
  EXPECT_EQ(eight_bits["attention"][0]["bits"], 8);
  EXPECT_EQ(eight_bits["notices"][0],
            "to keep this page under 0.5 MB, weights are rounded to 8 bits; a .json file holds "
            "everything");

  const nlohmann::json blocks = page_of(320'000);
  EXPECT_EQ(blocks["attention"].size(), 13U);
  EXPECT_EQ(blocks["attention"][0]["row_block"], 2);
  EXPECT_EQ(blocks["attention"][12]["row_block"], 1) << "the mean";
  EXPECT_NE(blocks["notices"][0].get<std::string>().find("single heads pooled"), std::string::npos);

  const nlohmann::json means = page_of(180'000);
  ASSERT_EQ(means["attention"].size(), 1U);
  EXPECT_EQ(means["attention"][0]["label"], "layer 0, mean of heads");
  EXPECT_EQ(means["default_map"], 0);
  EXPECT_NE(means["notices"][0].get<std::string>().find(
                "12 of 13 attention maps are left out (the means are kept)"),
            std::string::npos);

  const nlohmann::json none = island(to_html(e, {.max_bytes = 60'000}));
  EXPECT_TRUE(none["attention"].empty());
  EXPECT_EQ(none["notices"].size(), 1U);
}

TEST(Html, LongInputsStaySmall) {
  const Explanation e = testing::long_input(32'768);
  const std::string page = to_html(e);
  EXPECT_LE(page.size(), 5'000'000U);
  const nlohmann::json data = island(page);
  EXPECT_EQ(data["layers"][0]["all_links"], 2 * 32'768);
  EXPECT_EQ(data["units"].size(), 32'768U);
}

TEST(Html, PicturesAreMadeSmallerAndTheirBoxesWithThem) {
  Explanation e = testing::picture();
  e.surface->width = 1920;  // 20 times
  e.surface->height = 1280;
  e.surface->pixels.assign(1920 * 1280 * 3, 7);
  for (auto& box : e.surface->boxes)
    box = {box.x * 20, box.y * 20, box.width * 20, box.height * 20};
  const nlohmann::json surface = island(to_html(e))["surface"];
  EXPECT_EQ(surface["reduced"], 3);
  EXPECT_EQ(surface["width"], 640);
  EXPECT_EQ(surface["height"], 427);
  EXPECT_NEAR(surface["boxes"][4 * 95 + 2].get<double>(), 160 / 3.0, 1e-5);
}

TEST(Html, ComparisonHoldsBothAndTheirPairs) {
  Explanation second = explanation_of({"我", "是", "很", "热爱", "阅读", "的", "人"});
  const nlohmann::json data = whole_island(to_html(compare(realistic(true), second)));
  EXPECT_EQ(data["kind"], "comparison");
  EXPECT_EQ(data["explanations"].size(), 2U);
  const nlohmann::json pairs = {{0, 0}, {1, 1}, {3, 3}, {5, 5}, {6, 6}};
  EXPECT_EQ(data["pairs"], pairs);
}

TEST(Html, DatasetsAreCutToTheBudgetAndSaySo) {
  DatasetReportBuilder builder;
  Explanation e = realistic(true);
  for (int i = 0; i < 500; ++i) {
    e.input = std::string("我是一个热爱编程的人").append(3000, 'x');
    builder.add(e, std::to_string(i), "编程");
  }
  const DatasetReport report = builder.finish();
  const nlohmann::json cut = whole_island(to_html(report, {.max_bytes = 800'000}));
  EXPECT_EQ(cut["dataset"]["rows"].size(), 500U);
  EXPECT_NE(cut["notices"][0].get<std::string>().find("inputs are cut after"), std::string::npos);
  const std::string page = to_html(report, {.max_bytes = 250'000});
  EXPECT_LE(page.size(), 250'000U);
  const nlohmann::json few = whole_island(page);
  EXPECT_LT(few["dataset"]["rows"].size(), 500U);
  EXPECT_EQ(few["notices"].size(), 2U);
}

TEST(Html, WeightsSurviveTheirEncoding) {
  Explanation e = explanation_of({"a", "b"});
  e.attention = {{0, 0, "h", 2, 2, {0.5F, 0.0F, 0.25F, 0.125F}}};
  const nlohmann::json map = island(to_html(e))["attention"][0];
  EXPECT_EQ(map["scale"], 0.5);
  EXPECT_EQ(map["data"], "//8AAACAAEA=") << "65535 0 32768 16384, low byte first";
}

TEST(Render, PicksTheFormByExtension) {
  const Explanation e = realistic(true);
  render(e, scratch("a.JSON"));
  EXPECT_EQ(read_file(scratch("a.JSON")), to_json(e));
  render(e, scratch("a.svg"), {.view = ReportView::kMatrix, .map_index = 2});
  EXPECT_EQ(read_file(scratch("a.svg")), matrix_svg(e, 2));
  render(e, scratch("a.tsv"), {.view = ReportView::kMatrix});
  EXPECT_EQ(read_file(scratch("a.tsv")), matrix_to_tsv(e.attention[4], e.units));
  render(e, scratch("a.tsv"));
  EXPECT_EQ(read_file(scratch("a.tsv")), to_tsv(e));
  render(e, scratch("a.html"));
  EXPECT_EQ(read_file(scratch("a.html")), to_html(e));
}

TEST(Render, NamesTheFormsItKnows) {
  for (const char* name : {"a.png", "a", "html"}) {
    try {
      render(realistic(true), name);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_EQ(std::string(error.what()), std::string(name) +
                                               ": no such form; let the name end in "
                                               ".html, .svg, .json or .tsv");
    }
  }
}

TEST(Render, MissingMapIsAUsageError) {
  Explanation e = realistic(true);
  e.attention.clear();
  for (const char* name : {"b.svg", "b.tsv"}) {
    EXPECT_THROW(render(e, scratch(name), {.view = ReportView::kMatrix}), Error);
    EXPECT_FALSE(std::filesystem::exists(scratch(name)));
  }
}

TEST(Render, DefaultMapPrefersMeans) {
  Explanation e = explanation_of({"a"});
  e.attention = {map_of(1, 0, 0, 1), map_of(1, 0, -1, 1), map_of(1, -1, -1, 1)};
  EXPECT_EQ(default_map_index(e), 2U);
  e.attention.pop_back();
  EXPECT_EQ(default_map_index(e), 1U);
  e.attention.pop_back();
  EXPECT_EQ(default_map_index(e), 0U);
}

}  // namespace
}  // namespace attend
