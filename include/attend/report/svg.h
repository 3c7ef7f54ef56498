// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "attend/explain/explanation.h"
#include "attend/report/comparison.h"
#include "attend/report/dataset.h"

namespace attend {

// Stand-alone SVG 1.1 files for print and for web pages. Each draws its own light card, so it reads
// on a white and on a dark page; cells carry their exact number in a <title>; the caption names
// model, target and command. All throw Error(kData) if what they are given is broken
// (check_explanation) and Error(kUsage) if it lacks what the figure shows.

/// One attention map as a labelled heat map; maps of more than 160 rows or columns are pooled by
/// blocks (mean weight of a cell times its columns: the mass it holds) and the caption says so.
std::string matrix_svg(const Explanation& explanation, std::size_t map_index);

/// The input once per method, on the scale of that method.
std::string highlight_svg(const Explanation& explanation);

/// One tile per head, a row per layer: the map where there is one, entropy, distance, importance.
std::string heads_svg(const Explanation& explanation);

/// Output units by input units for alignments[index]; the heaviest of each row is framed.
std::string alignment_svg(const Explanation& explanation, std::size_t index);

/// The surface in grey with the scores of attributions[index] over it.
std::string overlay_svg(const Explanation& explanation, std::size_t index);

/// Entropy, received mass, heaviest links and pooled map of layers[index].
std::string long_svg(const Explanation& explanation, std::size_t index);

/// Deletion and insertion curves of every method with the band of random orders.
std::string curve_svg(const Explanation& explanation);

/// Prediction bars, highlight rows, the default map and what steering did, in one figure.
std::string overview_svg(const Explanation& explanation);

/// Both predictions, every shared method on both sides on one scale with the difference, and the
/// default map on both sides with the difference.
std::string compare_svg(const Comparison& comparison);

/// The confusion matrix (where there is gold) and the top units per class, by `method` (the first
/// if it is empty; Error(kUsage) if there is none of this name).
std::string dataset_svg(const DatasetReport& report, const std::string& method = "");

}  // namespace attend
