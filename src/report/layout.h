// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attend/explain/explanation.h"
#include "attend/report/colors.h"
#include "attend/report/comparison.h"

// What the renderers share: how an explanation falls into pieces, labels, scales and numbers.
// Private to the report layer.
namespace attend::report {

/// A stretch of the shown input: a unit, or the text between two units.
struct Piece {
  static constexpr std::size_t kGap = static_cast<std::size_t>(-1);
  std::string text;         ///< as it stands in the input (a unit without a place: its own text)
  std::size_t unit = kGap;  ///< index of the unit, or kGap
};

/// The input from left to right. Units that overlap an earlier one show their own text.
std::vector<Piece> pieces_of(const Explanation& explanation);

/// What kind of claim a method makes; decides the heading it stands under.
enum class Family { kAttention, kAttribution, kBaseline };

Family family_of(const Attribution& attribution);

/// "attention: where information was mixed" and so on.
std::string_view family_heading(Family family);

/// Largest magnitude of the scores: the end of the scale.
double scale_of(const Attribution& attribution);

/// Colour of a score on a scale that ends at `scale`.
Rgb score_color(bool is_signed, double score, double scale, Theme theme = Theme::kLight);

/// "comprehensiveness 0.31 · sufficiency ..." with the direction that is good.
std::string faithfulness_text(const Faithfulness& faithfulness);

/// The row that a method is held against: the first whose name begins with "random" and whose
/// faithfulness was measured, or null.
const Attribution* random_row(const Explanation& explanation);

/// True if a row has curves to draw.
bool has_curves(const Explanation& explanation);

/// How the test took units out: "deleting them".
std::string removal_text(const FaithfulnessTest& test);

/// Area under a curve over steps[i] / steps.back(), by trapezoids.
double area_under(const std::vector<int64_t>& steps, const std::vector<double>& values);

/// A number with as many decimals as a scale up to `scale` needs: two for 0.31, more for 0.0031;
/// scientific below 1e-5. `with_sign` puts + before positive numbers.
std::string number_text(double value, double scale, bool with_sign = false);

/// A probability or share as a whole percentage without the sign: "31".
std::string percent_text(double share);

/// What the rows (queries) and columns (keys) of a map are: units of the input or of the output. A
/// pooling map has no query units.
std::span<const Unit> query_units(const Explanation& explanation, const AttentionMap& map);
std::span<const Unit> key_units(const Explanation& explanation, const AttentionMap& map);

/// What one query row of a map is called: its unit, or the map's label for a pooling map.
std::string row_label(const Explanation& explanation, const AttentionMap& map, int64_t row);

/// The map with this index; Error(kUsage) that says how many there are, if there is none.
const AttentionMap& map_at(const Explanation& explanation, std::size_t index);

/// "layer 0, head 2" where the map has no label of its own.
std::string map_label(const AttentionMap& map);

/// A method that both sides of a comparison have.
struct MethodPair {
  const Attribution* first;
  const Attribution* second;
};
std::vector<MethodPair> shared_methods(const Comparison& comparison);

/// Maps that both sides have (same layer, head and role) over the input's units.
struct MapPair {
  const AttentionMap* first;
  const AttentionMap* second;
};
std::vector<MapPair> shared_maps(const Comparison& comparison);

/// A map made smaller: block x block weights become one, the mass that a query of the row block
/// gives to the column block (sum over columns, mean over rows), so rows still sum to what they
/// did.
struct PooledMap {
  int64_t row_block = 1;
  int64_t column_block = 1;
  AttentionMap map;
};

/// Pools so that neither side is longer than `most_rows` x `most_columns`; leaves small maps alone.
PooledMap pooled(const AttentionMap& map, int64_t most_rows, int64_t most_columns);

/// Smallest and largest weight.
struct Range {
  double low = 0;
  double high = 0;
};
Range range_of(const AttentionMap& map);

}  // namespace attend::report
