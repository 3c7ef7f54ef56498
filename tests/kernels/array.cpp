// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "array.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace attend::kernels::testing {
namespace {

uint16_t to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace

const char* to_string(Layout layout) {
  constexpr const char* kNames[] = {"heads first", "rows first", "unaligned", "dim spread",
                                    "dim outside"};
  return kNames[int(layout)];
}

double element(const void* data, ElementType type, int64_t offset) {
  if (type == ElementType::kFloat32) return static_cast<const float*>(data)[offset];
  const uint32_t bits = static_cast<const uint16_t*>(data)[offset];
  return std::bit_cast<float>(bits << 16);
}

Array::Array(ElementType type, Layout layout, int64_t batch, int64_t heads, int64_t rows,
             int64_t dim)
    : type_(type),
      batch_(batch),
      heads_(heads),
      rows_(rows),
      dim_(dim),
      size_(type == ElementType::kFloat32 ? 4 : 2) {
  switch (layout) {
    case Layout::kHeadsFirst:
      strides_ = {heads * rows * dim, rows * dim, dim, 1};
      break;
    case Layout::kRowsFirst:
      strides_ = {rows * heads * dim, dim, heads * dim, 1};
      break;
    case Layout::kUnaligned:
      lead_ = 1;
      strides_ = {heads * rows * (dim + 3), rows * (dim + 3), dim + 3, 1};
      break;
    case Layout::kDimSpread:
      strides_ = {heads * rows * dim * 3, rows * dim * 3, dim * 3, 3};
      break;
    case Layout::kDimOutside:
      strides_ = {heads * dim * rows, dim * rows, 1, rows};
      break;
  }
  const bool empty = batch * heads * rows * dim == 0;
  const int64_t count = empty ? 0 : offset(batch - 1, heads - 1, rows - 1, dim - 1) + 1;
  memory_.assign(size_t((lead_ + count) * size_), std::byte(0xff));
}

int64_t Array::offset(int64_t batch, int64_t head, int64_t row, int64_t column) const {
  return batch * strides_.batch + head * strides_.head + row * strides_.row + column * strides_.dim;
}

double Array::get(int64_t batch, int64_t head, int64_t row, int64_t column) const {
  return element(start(), type_, offset(batch, head, row, column));
}

void Array::set(int64_t batch, int64_t head, int64_t row, int64_t column, double value) {
  std::byte* at = memory_.data() + (lead_ + offset(batch, head, row, column)) * size_;
  const float rounded = float(value);
  const uint16_t bits = to_bfloat16(rounded);
  std::memcpy(at, type_ == ElementType::kFloat32 ? static_cast<const void*>(&rounded) : &bits,
              size_t(size_));
}

void Array::fill_row(int64_t batch, int64_t head, int64_t row, double value) {
  for (int64_t column = 0; column < dim_; ++column) set(batch, head, row, column, value);
}

bool Array::gaps_untouched() const {
  std::vector<bool> used(memory_.size());
  for (int64_t b = 0; b < batch_; ++b) {
    for (int64_t h = 0; h < heads_; ++h) {
      for (int64_t r = 0; r < rows_; ++r) {
        for (int64_t c = 0; c < dim_; ++c) {
          const int64_t first = (lead_ + offset(b, h, r, c)) * size_;
          for (int64_t byte = 0; byte < size_; ++byte) used[size_t(first + byte)] = true;
        }
      }
    }
  }
  for (size_t byte = 0; byte < memory_.size(); ++byte) {
    if (!used[byte] && memory_[byte] != std::byte(0xff)) return false;
  }
  return true;
}

}  // namespace attend::kernels::testing
