// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A [batch, heads, rows, dim] array in its own memory, in the layouts that callers have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "attend/kernels/attention.h"

namespace attend::kernels::testing {

enum class Layout {
  kHeadsFirst,  ///< dense [batch, heads, rows, dim], aligned to 64 bytes
  kRowsFirst,   ///< dense [batch, rows, heads, dim], as a projection leaves it
  kUnaligned,   ///< one element behind an aligned address, 3 elements between rows
  kDimSpread,   ///< every third element of a row
  kDimOutside,  ///< dense [batch, heads, dim, rows]
};
inline constexpr Layout kLayouts[] = {Layout::kHeadsFirst, Layout::kRowsFirst, Layout::kUnaligned,
                                      Layout::kDimSpread, Layout::kDimOutside};
const char* to_string(Layout layout);

/// Ends exactly where the last element ends, so that the address sanitizer sees one step too far.
template <typename T>
struct Aligned {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};
  Aligned() = default;
  template <typename U>
  Aligned(const Aligned<U>&) {}
  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* data, size_t) { ::operator delete(data, kAlignment); }
  bool operator==(const Aligned&) const { return true; }
};

/// The element at `offset`, widened exactly.
double element(const void* data, ElementType type, int64_t offset);

class Array {
 public:
  Array() = default;
  Array(ElementType type, Layout layout, int64_t batch, int64_t heads, int64_t rows, int64_t dim);

  double get(int64_t batch, int64_t head, int64_t row, int64_t column) const;
  /// Rounds to the storage type, to nearest even.
  void set(int64_t batch, int64_t head, int64_t row, int64_t column, double value);
  void fill_row(int64_t batch, int64_t head, int64_t row, double value);

  ConstTensor view() const { return {start(), strides_}; }
  MutableTensor mutable_view() { return {const_cast<std::byte*>(start()), strides_}; }

  /// True while nothing was written between and around the elements (all bits are set there).
  bool gaps_untouched() const;
  bool operator==(const Array& other) const { return memory_ == other.memory_; }

  int64_t batch() const { return batch_; }
  int64_t heads() const { return heads_; }
  int64_t rows() const { return rows_; }
  int64_t dim() const { return dim_; }

 private:
  int64_t offset(int64_t batch, int64_t head, int64_t row, int64_t column) const;
  const std::byte* start() const { return memory_.data() + lead_ * size_; }

  ElementType type_ = ElementType::kFloat32;
  int64_t batch_ = 0, heads_ = 0, rows_ = 0, dim_ = 0;
  int64_t size_ = 4;  // bytes per element
  int64_t lead_ = 0;  // elements before the first
  Strides strides_;
  std::vector<std::byte, Aligned<std::byte>> memory_;
};

}  // namespace attend::kernels::testing
