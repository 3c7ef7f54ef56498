// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "attend/explain/explanation.h"

namespace attend {

// Tables for programs: tab-separated, one header line, texts escaped (tsv_escaped), numbers with
// as many digits as bring the same value back. All but matrix_to_tsv check the explanation first.

/// One row per unit: index, begin, end, text, then one column per method.
std::string to_tsv(const Explanation& explanation);

/// One row per query with a header of key labels; the first column holds the query's label. A map
/// with 1 row (pooling) is labelled by the map.
std::string matrix_to_tsv(const AttentionMap& map, std::span<const Unit> units);
/// The same with the units that the map's role asks for, for decoders' maps too.
std::string matrix_to_tsv(const Explanation& explanation, const AttentionMap& map);

/// One row per head: layer, head, entropy, distance, self, previous, next, first, importance.
std::string heads_to_tsv(const Explanation& explanation);

/// One row per pair of output unit and unit: output_index, output, index, text, a column per
/// method.
std::string alignment_to_tsv(const Explanation& explanation);

/// One row per point of a curve: method, curve (deletion or insertion), units removed or kept,
/// probability; the band as methods "random 2.5 %" and "random 97.5 %".
std::string curve_to_tsv(const Explanation& explanation);

/// One row per link of a long input: layer, query, key, their texts, weight.
std::string links_to_tsv(const Explanation& explanation);

}  // namespace attend
