// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

/// All suffixes of a text in order, so that every question "does this stretch occur?" has an exact
/// answer in O(stretch * log text) (Manber and Myers 1993). Built by doubling with radix sorts:
/// O(n log r) for a longest repeat of r. Symbols are at least 0; a negative symbol matches nothing,
/// which keeps stretches from reaching across the end of a document.
class SuffixArray {
 public:
  SuffixArray() = default;
  explicit SuffixArray(std::vector<int32_t> text);

  /// How many positions `stretch` occurs at; 0 for an empty one.
  int64_t count(std::span<const int32_t> stretch) const;

  /// Length of the longest beginning of `stretch` that occurs.
  int64_t longest_prefix(std::span<const int32_t> stretch) const;

  /// Suffixes in order, by their first position.
  std::span<const int32_t> order() const { return order_; }

 private:
  struct Range {
    int64_t begin = 0, end = 0;
  };
  Range narrow(Range range, int64_t depth, int32_t symbol) const;
  int32_t symbol_at(int64_t rank, int64_t depth) const;

  std::vector<int32_t> text_;
  std::vector<int32_t> order_;
};

}  // namespace attend
