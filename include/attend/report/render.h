// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>

#include "attend/explain/explanation.h"

namespace attend {

/// What of an explanation a figure or table shows. HTML and JSON always hold all of it.
enum class ReportView { kOverview, kHighlight, kMatrix };

struct RenderOptions {
  ReportView view = ReportView::kOverview;  ///< .svg: which figure; .tsv: kMatrix = map, else units
  std::size_t map_index = kDefaultMap;      ///< for kMatrix; kDefaultMap: default_map_index()
  std::size_t max_html_bytes = 5'000'000;   ///< see HtmlOptions

  static constexpr std::size_t kDefaultMap = static_cast<std::size_t>(-1);
};

/// The map to show when nobody chose: the mean over layers and heads, else a mean over heads, else
/// the first. The explanation must have a map.
std::size_t default_map_index(const Explanation& explanation);

/// Writes the explanation to `path` in the form its extension names (.html .svg .json .tsv, any
/// case), atomically. Throws Error(kUsage) for another extension or a map that is not there,
/// Error(kData) if the explanation is broken or the file cannot be written.
void render(const Explanation& explanation, const std::filesystem::path& path,
            const RenderOptions& options = {});

}  // namespace attend
