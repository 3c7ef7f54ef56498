// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "attend/explain/explanation.h"

// What a page is drawn from: JSON for a <script> island. Private to the report layer.
namespace attend::report {

/// How far a page gives up detail to stay small; each level holds less than the one before.
enum class Detail : int {
  kAll,          ///< maps with 16 bits a weight
  kEightBits,    ///< 8 bits a weight: (n / 255)^2 of the largest
  kPooledHeads,  ///< and single heads pooled to 96 x 96
  kMeans,        ///< and no single heads
  kPooledMeans,  ///< and means pooled to 96 x 96
  kNoMaps,       ///< and no maps; pictures at a quarter of the size, 2,000 links
};

/// What a reader is told about a level; "" for kAll. `maps`: how many maps are left out.
std::string detail_notice(Detail detail, std::size_t left_out, std::size_t maps);

/// Maps that a level leaves out.
std::size_t maps_left_out(const Explanation& explanation, Detail detail);

/// A guess from above at the size in bytes of explanation_data, without making it.
std::size_t estimated_size(const Explanation& explanation, Detail detail);

/// One explanation as an object.
std::string explanation_data(const Explanation& explanation, Detail detail);

/// Both themes' colour ramps as an object: [[background, ink], ...] from the low to the high end.
std::string ramps_data();

/// `text` in quotes for a <script>, control and direction characters made visible; `lines`: line
/// breaks and tabs stay, because the page lays the text out as it is.
std::string script_text(std::string_view text, bool lines = false);

/// "[a,b]" of visit(item).
template <class Items, class Visit>
std::string script_list(const Items& items, Visit visit) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += visit(item);
  }
  return out + ']';
}

}  // namespace attend::report
