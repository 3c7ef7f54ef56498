// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/render.h"

#include <algorithm>
#include <cctype>
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

std::size_t chosen_map(const Explanation& explanation, const RenderOptions& options) {
  if (options.map_index != RenderOptions::kDefaultMap) return options.map_index;
  return explanation.attention.empty() ? 0 : default_map_index(explanation);
}

std::string svg_of(const Explanation& explanation, const RenderOptions& options) {
  switch (options.view) {
    case ReportView::kOverview:
      return overview_svg(explanation);
    case ReportView::kHighlight:
      return highlight_svg(explanation);
    case ReportView::kMatrix:
      return matrix_svg(explanation, chosen_map(explanation, options));
  }
  return "";
}

std::string tsv_of(const Explanation& explanation, const RenderOptions& options) {
  if (options.view != ReportView::kMatrix) return to_tsv(explanation);
  check_explanation(explanation);
  return matrix_to_tsv(report::map_at(explanation, chosen_map(explanation, options)),
                       explanation.units);
}

}  // namespace

std::size_t default_map_index(const Explanation& explanation) {
  const auto& maps = explanation.attention;
  const auto first = [&](auto wanted) {
    return static_cast<std::size_t>(std::find_if(maps.begin(), maps.end(), wanted) - maps.begin());
  };
  std::size_t index = first([](const AttentionMap& map) { return map.layer < 0 && map.head < 0; });
  if (index == maps.size()) index = first([](const AttentionMap& map) { return map.head < 0; });
  return index == maps.size() ? 0 : index;
}

void render(const Explanation& explanation, const std::filesystem::path& path,
            const RenderOptions& options) {
  std::string form = path.extension().string();
  std::transform(form.begin(), form.end(), form.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string bytes;
  if (form == ".html") {
    bytes = to_html(explanation, {.max_bytes = options.max_html_bytes});
  } else if (form == ".svg") {
    bytes = svg_of(explanation, options);
  } else if (form == ".json") {
    bytes = to_json(explanation);
  } else if (form == ".tsv") {
    bytes = tsv_of(explanation, options);
  } else {
    throw usage_error(printable(path.string()) +
                      ": no such form; let the name end in .html, .svg, .json or .tsv");
  }
  write_file_atomically(path, bytes);
}

}  // namespace attend
