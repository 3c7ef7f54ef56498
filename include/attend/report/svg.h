// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "attend/explain/explanation.h"

namespace attend {

// Stand-alone SVG 1.1 files for print and for web pages. Each draws its own light card, so it reads
// on a white and on a dark page; cells carry their exact number in a <title>; the caption names
// model, target and command. All throw Error(kData) if the explanation is broken
// (check_explanation).

/// One attention map as a labelled heat map; maps of more than 160 rows or columns are pooled by
/// blocks (mean weight of a cell times its columns: the mass it holds) and the caption says so.
std::string matrix_svg(const Explanation& explanation, std::size_t map_index);

/// The input once per method, on the scale of that method.
std::string highlight_svg(const Explanation& explanation);

/// Prediction bars, highlight rows and the default map in one figure.
std::string overview_svg(const Explanation& explanation);

}  // namespace attend
