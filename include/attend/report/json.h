// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "attend/explain/explanation.h"
#include "attend/report/tsv.h"

namespace attend {

/// Throws Error(kData), one line that starts with `origin` and names the JSON path, unless: scores
/// are one per unit; a map's weights are rows * columns and its sides what its role says (see
/// AttentionMap); curves are one number per step; long-input summaries, tiles and boxes lie inside
/// the units and the surface; every number is finite, probabilities and weights in [0, 1]; spans
/// lie inside the text and on UTF-8 boundaries. Every renderer calls it first.
void check_explanation(const Explanation& explanation, std::string_view origin = "explanation");

/// The JSON form that docs/explanation-format.md describes: fixed field order, one line per score
/// row or map row, numbers with as many digits as bring the same value back.
std::string to_json(const Explanation& explanation);

/// Reads what to_json() wrote; explanation_from_json(to_json(e)) equals e. Unknown fields are
/// ignored (a later version may add some). Throws Error(kData) in one line with `origin` and the
/// JSON path, e.g. "run.json: $.units[3].span: ends at 99, past the input's 12 bytes".
Explanation explanation_from_json(std::string_view text, const std::string& origin);

}  // namespace attend
