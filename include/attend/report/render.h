// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "attend/explain/explanation.h"
#include "attend/report/comparison.h"
#include "attend/report/dataset.h"
#include "attend/report/terminal.h"

namespace attend {

/// What of an explanation a figure or table shows. HTML and JSON always hold all of it.
enum class ReportView {
  kOverview,
  kHighlight,  ///< scores of units, per method
  kMatrix,     ///< one attention map
  kHeads,
  kAlignment,
  kOverlay,  ///< scores over a picture
  kLong,     ///< sums of one layer of a long input
  kCurve     ///< deletion and insertion
};

/// "overview", "highlight", ... Error(kUsage) that lists them for any other name.
ReportView view_named(const std::string& name);

struct RenderOptions {
  ReportView view = ReportView::kOverview;  ///< .svg, .tsv and terminal: which figure or table
  std::size_t map_index = kDefaultMap;      ///< for kMatrix; kDefaultMap: default_map_index()
  std::string method = {};            ///< for kAlignment, kOverlay and data sets; empty: the first
  std::optional<int64_t> layer = {};  ///< for kLong; nothing: the last
  std::size_t max_html_bytes = 5'000'000;  ///< see HtmlOptions

  static constexpr std::size_t kDefaultMap = static_cast<std::size_t>(-1);
};

/// The map to show when nobody chose: the mean over layers and heads, else a mean over heads, else
/// the first. The explanation must have a map.
std::size_t default_map_index(const Explanation& explanation);

/// The map of a layer (-1: mean over layers) and head (-1: mean over heads); where only one is
/// given, the mean over heads of the layer, or the head of the only layer that has it.
/// Error(kUsage) that lists what there is if there is none.
std::size_t map_index_of(const Explanation& explanation, std::optional<int64_t> layer,
                         std::optional<int64_t> head);

// One view as a text. All throw Error(kUsage) if the explanation lacks what the view shows, or has
// no method or layer of the name that was asked for (the message lists those it has), and
// Error(kData) if what they are given is broken.

std::string svg_view(const Explanation& explanation, const RenderOptions& options);
std::string tsv_view(const Explanation& explanation, const RenderOptions& options);
std::string terminal_view(const Explanation& explanation, const RenderOptions& options,
                          const TerminalStyle& style);

/// Writes what it is given to `path` in the form its extension names (.html .svg .json .tsv, any
/// case), atomically. Throws as above, Error(kUsage) for another extension (a comparison has no
/// JSON form: it is made from two), and Error(kData) if the file cannot be written.
void render(const Explanation& explanation, const std::filesystem::path& path,
            const RenderOptions& options = {});
void render(const Comparison& comparison, const std::filesystem::path& path,
            const RenderOptions& options = {});
void render(const DatasetReport& report, const std::filesystem::path& path,
            const RenderOptions& options = {});

}  // namespace attend
