// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Where rows lie and which keys they see: shared by all passes, the same for every instruction set.
#pragma once

#include <cmath>
#include <cstdint>

#include "attend/kernels/attention.h"

namespace attend::kernels {

constexpr double kLog2E = 1.4426950408889634074;
constexpr double kLn2 = 0.69314718055994530942;

inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t rounded_up(int64_t a, int64_t step) { return (a + step - 1) / step * step; }

/// Keys [begin, end).
struct KeyRange {
  int64_t begin = 0;
  int64_t end = 0;
};

/// One batch element: its rows in memory and its masks.
struct Sequence {
  int64_t batch = 0;
  int64_t first_query = 0;  ///< row in memory of query 0 (packed sequences), else 0
  int64_t first_key = 0;
  int64_t rows = 0;     ///< rows to write, padding included
  int64_t queries = 0;  ///< rows that see anything
  int64_t keys = 0;
  int64_t all_keys = 0;  ///< padding included
  int64_t offset = 0;    ///< position of query 0
};

inline Sequence sequence_of(const Attention& a, int64_t batch) {
  Sequence s;
  s.batch = batch;
  s.offset = a.query_offsets ? a.query_offsets[batch] : a.query_offset;
  if (a.query_starts) {
    s.first_query = a.query_starts[batch];
    s.first_key = a.key_starts[batch];
    s.rows = s.queries = a.query_starts[batch + 1] - s.first_query;
    s.keys = s.all_keys = a.key_starts[batch + 1] - s.first_key;
    return s;
  }
  s.rows = a.queries;
  s.all_keys = a.keys;
  s.queries = a.query_lengths ? a.query_lengths[batch] : a.queries;
  s.keys = a.key_lengths ? a.key_lengths[batch] : a.keys;
  return s;
}

/// The keys that causality and the window leave to a row.
inline KeyRange visible_keys(const Attention& a, const Sequence& s, int64_t row) {
  if (row >= s.queries) return {};
  const int64_t position = s.offset + row;
  KeyRange range{0, s.keys};
  if (a.window_left >= 0) range.begin = at_least(0, position - a.window_left);
  if (a.window_right >= 0) range.end = at_most(range.end, position + a.window_right + 1);
  if (a.causal) range.end = at_most(range.end, position + 1);
  if (range.end <= range.begin) return {};
  return range;
}

/// Rows of the longest of packed sequences.
inline int64_t longest(const int64_t* starts, int64_t batch) {
  int64_t rows = 0;
  for (int64_t b = 0; b < batch; ++b) rows = at_least(rows, starts[b + 1] - starts[b]);
  return rows;
}

inline int64_t element_size(const Attention& a) { return a.type == ElementType::kBFloat16 ? 2 : 4; }

inline double scale_of(const Attention& a) {
  return a.scale < 0 ? 1.0 / std::sqrt(double(a.dim)) : a.scale;
}

/// In elements, of row `row` of a tensor laid out like query or output.
inline int64_t query_row_offset(const Attention& a, const Sequence& s, const Strides& strides,
                                int64_t head, int64_t row) {
  const int64_t batch = a.query_starts ? 0 : s.batch;
  return batch * strides.batch + head * strides.head + (s.first_query + row) * strides.row;
}

/// In elements, of key `j` in a tensor laid out like key or value. Short sequences feel a call.
__attribute__((always_inline)) inline int64_t key_row_offset(const Attention& a, const Sequence& s,
                                                             const Strides& strides,
                                                             int64_t kv_head, int64_t j) {
  int64_t block = s.batch, row = s.first_key + j;
  if (a.pages) {
    const int64_t page = a.page_size == 1 ? j : j / a.page_size;
    block = a.pages[s.batch * a.pages_per_batch + page];
    row = j - page * a.page_size;
  } else if (a.key_starts) {
    block = 0;
  }
  return block * strides.batch + kv_head * strides.head + row * strides.row;
}

/// Index of (head, row) in a dense [batch, heads, queries] array; packed: [heads, queries].
inline int64_t row_index(const Attention& a, const Sequence& s, int64_t head, int64_t row) {
  const int64_t batch = a.query_starts ? 0 : s.batch;
  return (batch * a.heads + head) * a.queries + s.first_query + row;
}

}  // namespace attend::kernels
