// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/text.h"
#include "attend/report/html.h"
#include "attend/report/json.h"
#include "attend/report/svg.h"
#include "layout.h"

namespace attend {
namespace {

constexpr std::array<std::pair<std::string_view, ReportView>, 8> kViews = {
    {{"overview", ReportView::kOverview},
     {"highlight", ReportView::kHighlight},
     {"matrix", ReportView::kMatrix},
     {"heads", ReportView::kHeads},
     {"alignment", ReportView::kAlignment},
     {"overlay", ReportView::kOverlay},
     {"long", ReportView::kLong},
     {"curve", ReportView::kCurve}}};

std::size_t chosen_map(const Explanation& explanation, const RenderOptions& options) {
  if (options.map_index != RenderOptions::kDefaultMap) return options.map_index;
  return explanation.attention.empty() ? 0 : default_map_index(explanation);
}

// Place of the chosen method; the first if none was asked for.
template <class Methods>
std::size_t chosen_method(const Methods& methods, const RenderOptions& options) {
  if (options.method.empty()) return 0;
  std::string names;
  for (std::size_t i = 0; i < methods.size(); ++i) {
    if (methods[i].method == options.method) return i;
    names += (names.empty() ? "" : ", ") + printable(methods[i].method);
  }
  throw usage_error(fmt::format("--method {}: there is none here; there are {}",
                                printable(options.method), names.empty() ? "none at all" : names));
}

std::size_t chosen_layer(const Explanation& explanation, const RenderOptions& options) {
  const auto& layers = explanation.layers;
  if (!options.layer) return layers.empty() ? 0 : layers.size() - 1;
  std::string numbers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].layer == *options.layer) return i;
    numbers += fmt::format("{}{}", numbers.empty() ? "" : ", ", layers[i].layer);
  }
  if (layers.empty()) return 0;  // the view says what is missing
  throw usage_error(
      fmt::format("--layer {}: there are sums of layers {}", *options.layer, numbers));
}

std::string extension_of(const std::filesystem::path& path) {
  std::string form = path.extension().string();
  std::transform(form.begin(), form.end(), form.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return form;
}

[[noreturn]] void refuse_form(const std::filesystem::path& path, std::string_view forms) {
  throw usage_error(
      fmt::format("{}: no such form; let the name end in {}", printable(path.string()), forms));
}

}  // namespace

ReportView view_named(const std::string& name) {
  std::string names;
  for (const auto& [known, view] : kViews) {
    if (name == known) return view;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known);
  }
  throw usage_error(fmt::format("--view {}: choose one of {}", printable(name), names));
}

std::string svg_view(const Explanation& explanation, const RenderOptions& options) {
  switch (options.view) {
    case ReportView::kOverview:
      return overview_svg(explanation);
    case ReportView::kHighlight:
      return highlight_svg(explanation);
    case ReportView::kMatrix:
      return matrix_svg(explanation, chosen_map(explanation, options));
    case ReportView::kHeads:
      return heads_svg(explanation);
    case ReportView::kAlignment:
      return alignment_svg(explanation, chosen_method(explanation.alignments, options));
    case ReportView::kOverlay:
      return overlay_svg(explanation, chosen_method(explanation.attributions, options));
    case ReportView::kLong:
      return long_svg(explanation, chosen_layer(explanation, options));
    case ReportView::kCurve:
      return curve_svg(explanation);
  }
  return "";
}

std::string tsv_view(const Explanation& explanation, const RenderOptions& options) {
  switch (options.view) {
    case ReportView::kMatrix:
      check_explanation(explanation);
      return matrix_to_tsv(explanation,
                           report::map_at(explanation, chosen_map(explanation, options)));
    case ReportView::kHeads:
      return heads_to_tsv(explanation);
    case ReportView::kAlignment:
      return alignment_to_tsv(explanation);
    case ReportView::kLong:
      return links_to_tsv(explanation);
    case ReportView::kCurve:
      return curve_to_tsv(explanation);
    case ReportView::kOverlay:  // the table has every method, but a name that is none is refused
      chosen_method(explanation.attributions, options);
      return to_tsv(explanation);
    default:
      return to_tsv(explanation);
  }
}

std::string terminal_view(const Explanation& explanation, const RenderOptions& options,
                          const TerminalStyle& style) {
  switch (options.view) {
    case ReportView::kOverview:
      return terminal_report(explanation, style);
    case ReportView::kHighlight:
      return terminal_highlight(explanation, style);
    case ReportView::kMatrix:
      return terminal_matrix(explanation, chosen_map(explanation, options), style);
    case ReportView::kHeads:
      return terminal_heads(explanation, style);
    case ReportView::kAlignment:
      return terminal_alignment(explanation, chosen_method(explanation.alignments, options), style);
    case ReportView::kOverlay:
      return terminal_overlay(explanation, chosen_method(explanation.attributions, options), style);
    case ReportView::kLong:
      return terminal_long(explanation, chosen_layer(explanation, options), style);
    case ReportView::kCurve:
      return terminal_curve(explanation, style);
  }
  return "";
}

std::size_t default_map_index(const Explanation& explanation) {
  const auto& maps = explanation.attention;
  const auto first = [&](auto wanted) {
    return static_cast<std::size_t>(std::find_if(maps.begin(), maps.end(), wanted) - maps.begin());
  };
  std::size_t index = first([](const AttentionMap& map) { return map.layer < 0 && map.head < 0; });
  if (index == maps.size()) index = first([](const AttentionMap& map) { return map.head < 0; });
  return index == maps.size() ? 0 : index;
}

std::size_t map_index_of(const Explanation& explanation, std::optional<int64_t> layer,
                         std::optional<int64_t> head) {
  const auto& maps = explanation.attention;
  if (!layer && !head) return maps.empty() ? 0 : default_map_index(explanation);
  std::set<int64_t> layers, heads;
  std::size_t found = maps.size();
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const AttentionMap& map = maps[i];
    layers.insert(map.layer);
    const bool in_layer = !layer || map.layer == *layer;
    if (in_layer) heads.insert(map.head);
    if (!in_layer || (head && map.head != *head)) continue;
    // Of a layer without a head the mean is wanted, wherever it stands.
    if (found == maps.size() || (!head && map.head < 0 && maps[found].head >= 0)) found = i;
  }
  if (found < maps.size()) return found;
  if (maps.empty()) return 0;  // map_at() says what is missing
  if (heads.empty()) {
    throw usage_error(fmt::format("--layer {}: there are layers {}{}", *layer,
                                  fmt::join(layers, ", "),
                                  layers.contains(-1) ? " (-1: the mean)" : ""));
  }
  throw usage_error(fmt::format(
      "--head {}: {} heads {}{}", *head, layer ? fmt::format("layer {} has", *layer) : "there are",
      fmt::join(heads, ", "), heads.contains(-1) ? " (-1: the mean)" : ""));
}

void render(const Explanation& explanation, const std::filesystem::path& path,
            const RenderOptions& options) {
  const std::string form = extension_of(path);
  std::string bytes;
  if (form == ".html") {
    bytes = to_html(explanation, {.max_bytes = options.max_html_bytes});
  } else if (form == ".svg") {
    bytes = svg_view(explanation, options);
  } else if (form == ".json") {
    bytes = to_json(explanation);
  } else if (form == ".tsv") {
    bytes = tsv_view(explanation, options);
  } else {
    refuse_form(path, ".html, .svg, .json or .tsv");
  }
  write_file_atomically(path, bytes);
}

void render(const Comparison& comparison, const std::filesystem::path& path,
            const RenderOptions& options) {
  const std::string form = extension_of(path);
  std::string bytes;
  if (form == ".html") {
    bytes = to_html(comparison, {.max_bytes = options.max_html_bytes});
  } else if (form == ".svg") {
    bytes = compare_svg(comparison);
  } else if (form == ".tsv") {
    bytes = comparison_to_tsv(comparison);
  } else {
    refuse_form(path, ".html, .svg or .tsv (a comparison is made from two .json files)");
  }
  write_file_atomically(path, bytes);
}

void render(const DatasetReport& report, const std::filesystem::path& path,
            const RenderOptions& options) {
  const std::string form = extension_of(path);
  std::string bytes;
  if (form == ".html") {
    bytes = to_html(report, {.max_bytes = options.max_html_bytes});
  } else if (form == ".svg") {
    bytes = dataset_svg(report, options.method);
  } else if (form == ".json") {
    bytes = to_json(report);
  } else if (form == ".tsv") {
    bytes = to_tsv(report);
  } else {
    refuse_form(path, ".html, .svg, .json or .tsv");
  }
  write_file_atomically(path, bytes);
}

}  // namespace attend
