// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "attend/report/json.h"
#include "attend/report/text.h"
#include "json_text.h"
#include "page_assets.h"
#include "page_data.h"

namespace attend {
namespace {

using namespace report;

// The page's program, in the order in which its parts need each other.
std::string page_script() {
  std::string script;
  for (const std::string_view part :
       {core_js, pen_js, tokens_js, matrix_js, align_js, long_js, compare_js, table_js, main_js}) {
    script += part;
  }
  return script;
}

// Fills the template in one pass, so that a "{{data}}" inside the data stays text.
std::string filled(const std::string& title, const std::string& data) {
  std::string_view page = page_html;
  std::string out;
  while (!page.empty()) {
    const std::size_t open = std::min(page.find("{{"), page.size());
    out += page.substr(0, open);
    page.remove_prefix(open);
    if (page.empty()) break;
    const std::size_t close = page.find("}}");
    const std::string_view name = page.substr(2, close - 2);
    if (name == "title") out += title;
    if (name == "style") out += page_css;
    if (name == "script") out += page_script();
    if (name == "data") out += data;
    page.remove_prefix(close + 2);
  }
  return out;
}

std::string page_title(std::string_view text) {
  return xml_escaped(truncate_to_width(visible_text(text.substr(0, 2000)), 90));
}

// Notices are shown once, in the order of first appearance.
void add_notice(std::vector<std::string>& notices, const std::string& notice) {
  if (notice.empty()) return;
  if (std::find(notices.begin(), notices.end(), notice) == notices.end()) {
    notices.push_back(notice);
  }
}

// The page of one explanation or of two that are compared, at the first level of detail that fits.
std::string explanations_page(std::string_view kind, const std::vector<const Explanation*>& shown,
                              const std::string& pairs, const HtmlOptions& options) {
  const std::size_t frame = page_html.size() + page_css.size() + page_script().size() + 12'000;
  Detail detail = Detail::kAll;
  const auto fits = [&] {
    std::size_t size = frame + pairs.size();
    for (const Explanation* e : shown) size += estimated_size(*e, detail);
    return size <= options.max_bytes;
  };
  while (detail != Detail::kNoMaps && !fits()) {
    detail = static_cast<Detail>(static_cast<int>(detail) + 1);
  }
  std::vector<std::string> notices;
  std::size_t left_out = 0, maps = 0;
  for (const Explanation* e : shown) {
    for (const std::string& notice : e->notices) add_notice(notices, notice);
    left_out += maps_left_out(*e, detail);
    maps += e->attention.size();
  }
  const std::string lost = detail_notice(detail, left_out, maps);
  if (!lost.empty()) {
    add_notice(notices, fmt::format("to keep this page under {:.1f} MB, {}; a .json file holds "
                                    "everything",
                                    options.max_bytes / 1e6, lost));
  }
  const std::string data = fmt::format(
      R"({{"kind":"{}","ramps":{},"notices":{},"pairs":{},"dataset":null,"explanations":{}}})",
      kind, ramps_data(),
      script_list(notices, [](const std::string& notice) { return script_text(notice); }), pairs,
      script_list(shown, [&](const Explanation* e) { return explanation_data(*e, detail); }));
  const std::string target = shown[0]->target.empty() ? "" : shown[0]->target + " · ";
  return filled(page_title(target + shown[0]->input), data);
}

std::string dataset_data(const DatasetReport& report) {
  const auto text = [](const std::string& each) { return script_text(each); };
  const auto unit = [](const UnitScore& each) {
    return fmt::format("[{},{}]", script_text(each.text),
                       json_number(static_cast<float>(each.score)));
  };
  const auto row = [&](const DatasetRow& each) {
    return fmt::format(
        R"({{"id":{},"input":{},"gold":{},"prediction":{},"confidence":{},"top":{}}})",
        text(each.id), text(each.input), text(each.gold), text(each.prediction),
        json_number(static_cast<float>(each.confidence)),
        script_list(each.top, [&](const auto& units) { return script_list(units, unit); }));
  };
  const auto entry = [](const ClassUnits::Entry& each) {
    return fmt::format("[{},{},{}]", script_text(each.text),
                       json_number(static_cast<float>(each.score)), each.inputs);
  };
  const auto of_class = [&](const ClassUnits& each) {
    return fmt::format(R"({{"label":{},"method":{},"inputs":{},"units":{}}})", text(each.label),
                       text(each.method), each.inputs, script_list(each.units, entry));
  };
  const Confusion confusion = confusion_of(report);
  const bool has_gold = std::any_of(report.rows.begin(), report.rows.end(),
                                    [](const DatasetRow& each) { return !each.gold.empty(); });
  std::string out = fmt::format(
      R"({{"task":{},"model":{},"command":{},"data":{},"unit_kind":{},"methods":{},"is_signed":{},)",
      text(report.task), text(report.model), text(report.command), text(report.data),
      text(report.unit_kind), script_list(report.methods, text),
      script_list(report.is_signed,
                  [](bool each) { return std::string(each ? "true" : "false"); }));
  out += fmt::format(
      R"("has_gold":{},"labels":{},"confusion":{},"rows":{},"classes":{}}})", has_gold,
      script_list(confusion.labels, text),
      script_list(confusion.counts, [](int64_t count) { return std::to_string(count); }),
      script_list(report.rows, row), script_list(report.classes, of_class));
  return out;
}

}  // namespace

std::string to_html(const Explanation& explanation, const HtmlOptions& options) {
  check_explanation(explanation);
  return explanations_page("explanation", {&explanation}, "[]", options);
}

std::string to_html(const Comparison& comparison, const HtmlOptions& options) {
  check_explanation(comparison.first, "first");
  check_explanation(comparison.second, "second");
  const std::string pairs = script_list(comparison.pairs, [](const auto& pair) {
    return fmt::format("[{},{}]", pair.first, pair.second);
  });
  return explanations_page("comparison", {&comparison.first, &comparison.second}, pairs, options);
}

std::string to_html(const DatasetReport& report, const HtmlOptions& options) {
  check_dataset(report);
  // Long inputs are what makes a table large: they are cut, and then rows are left out.
  DatasetReport shown = report;
  std::vector<std::string> notices = report.notices;
  const auto made = [&] {
    return fmt::format(
        R"({{"kind":"dataset","ramps":{},"notices":{},"pairs":[],"explanations":[],"dataset":{}}})",
        ramps_data(),
        script_list(notices, [](const std::string& notice) { return script_text(notice); }),
        dataset_data(shown));
  };
  const std::size_t frame = page_html.size() + page_css.size() + page_script().size() + 1'000;
  std::string data = made();
  if (frame + data.size() > options.max_bytes) {
    constexpr int kMostColumns = 200;
    for (DatasetRow& row : shown.rows) row.input = truncate_to_width(row.input, kMostColumns);
    notices.push_back(
        fmt::format("inputs are cut after {} columns to keep this page under {:.1f} "
                    "MB; a .json file holds them",
                    kMostColumns, options.max_bytes / 1e6));
    data = made();
  }
  while (frame + data.size() > options.max_bytes && shown.rows.size() > 1) {
    shown.rows.resize(shown.rows.size() / 2);
    if (notices.size() > report.notices.size() + 1) notices.pop_back();
    notices.push_back(
        fmt::format("only the first {} of {} inputs are on this page; a .json file "
                    "holds them all",
                    shown.rows.size(), report.rows.size()));
    data = made();
  }
  return filled(page_title(report.data + " · " + report.model), data);
}

}  // namespace attend
