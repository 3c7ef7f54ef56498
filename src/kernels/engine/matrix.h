// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Few rows times a packed matrix (matrix_weights.h), and the rows as it takes them.

// What the tiles of a panel share.
struct Panel {
  const float* bias;  // with int8 weights their scales stand behind it
  const uint8_t* weights;
  int64_t inputs;
  int64_t column;   // the first one of the output
  int64_t columns;  // of them, at most kPanelOutputs
  bool whole;       // kPanelOutputs columns
  Mask lanes[kPanelVectors];
};

// The explicit fma keeps the compiler from fusing in one tile what it does not fuse in another.
template <bool kScaled>
ATTEND_INLINE Vec with_bias(Vec sum, const Panel& panel, int v) {
  const Vec shift = load(panel.bias + v * kLanes);
  return kScaled ? fma(sum, load(panel.bias + kPanelOutputs + v * kLanes), shift) : add(sum, shift);
}

// One register tile: sums of kRows rows, written as `output` says.
template <bool kScaled, bool kWhole, int kRows>
ATTEND_INLINE void write_tile(const Vec (&sums)[kRows][kPanelVectors], const Panel& panel,
                              const ProductOutput& output, int64_t row) {
  float* to = output.data + row * output.stride + panel.column;
  const bool adds = output.add;
  const int64_t stride = output.stride;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r, to += stride) {
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) {
      Vec sum = with_bias<kScaled>(sums[r][v], panel, v);
      float* place = to + v * kLanes;
      if (kWhole) {
        if (adds) sum = add(sum, load(place));
        store(place, sum);
      } else {
        if (adds) sum = add(sum, load_lanes(place, panel.lanes[v]));
        store_lanes(place, panel.lanes[v], sum);
      }
    }
  }
}

// value(r, v), in 16 bits, where the panel is whole.
template <int kRows, class Value>
ATTEND_INLINE void write_rounded(const Value& value, const Panel& panel,
                                 const ProductOutput& output, int64_t row) {
  uint16_t* to = output.rounded + row * output.stride + panel.column;
  const int64_t stride = output.stride;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r, to += stride) {
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) store_bf16(to + v * kLanes, value(r, v));
  }
}

// The same through memory, where more is asked for than sums.
template <bool kScaled, int kRows>
ATTEND_INLINE void write_changed(const Vec (&sums)[kRows][kPanelVectors], const Panel& panel,
                                 const ProductOutput& output, int64_t row) {
  alignas(64) float numbers[kRows * kPanelOutputs];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) {
      store(numbers + r * kPanelOutputs + v * kLanes, with_bias<kScaled>(sums[r][v], panel, v));
    }
  }
  if (output.activation) output.activation(numbers, numbers, kRows * kPanelOutputs);
  const float* from = numbers;
  if (output.rounded && panel.whole) {
    const auto changed = [&](int r, int v) { return load(from + r * kPanelOutputs + v * kLanes); };
    return write_rounded<kRows>(changed, panel, output, row);
  }
  const ElementType type = output.rounded ? ElementType::kBFloat16 : ElementType::kFloat32;
  for (int r = 0; r < kRows; ++r, ++row, from += kPanelOutputs) {
    const int64_t at = row * output.stride + panel.column;
    char* to = output.rounded ? reinterpret_cast<char*>(output.rounded + at)
                              : reinterpret_cast<char*>(output.data + at);
    store_row(to, type, 1, from, panel.columns);
  }
}

template <class Weights, int kRows, bool kFetch>
ATTEND_INLINE void multiply_tile(const MatrixProduct& p, const Panel& panel, int64_t row,
                                 int64_t ahead = 0) {
  Vec sums[kRows][kPanelVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) sums[r][v] = zero();
  }
  Weights::template sum<kRows, kFetch>(
      panel.weights, static_cast<const uint8_t*>(p.packed_rows) + row * p.row_bytes, p.row_bytes,
      panel.inputs, sums, ahead);
  constexpr bool kScaled = Weights::kScaled;
  if (p.output.activation || (p.output.rounded && !panel.whole)) {
    write_changed<kScaled>(sums, panel, p.output, row);
  } else if (p.output.rounded) {
    const auto sum = [&](int r, int v) { return with_bias<kScaled>(sums[r][v], panel, v); };
    write_rounded<kRows>(sum, panel, p.output, row);
  } else if (panel.whole) {
    write_tile<kScaled, true>(sums, panel, p.output, row);
  } else {
    write_tile<kScaled, false>(sums, panel, p.output, row);
  }
}

// As many tiles of kRows as there are, then smaller ones. The first one fetches what it reads soon,
// the second one the next panel.
template <class Weights, int kRows>
inline void multiply_rows(const MatrixProduct& p, const Panel& panel, int64_t row) {
  if constexpr (kRows <= Weights::kMostRows) {
    for (int64_t ahead = Weights::kAhead; row < 2 * kRows && row + kRows <= p.rows; row += kRows) {
      multiply_tile<Weights, kRows, true>(p, panel, row, ahead);
      ahead = panel_bytes(p.matrix);
    }
    for (; row + kRows <= p.rows; row += kRows) multiply_tile<Weights, kRows, false>(p, panel, row);
  }
  if constexpr (kRows > 1) {
    if (row < p.rows) multiply_rows<Weights, kRows / 2>(p, panel, row);
  }
}

// Of many rows so many at a time that they stay in the second-level cache while panels pass by.
constexpr int64_t kMostRowBytes = 512 * 1024;

template <class Weights>
inline void multiply_panels(const MatrixProduct& p) {
  const int64_t tiles = at_least(1, kMostRowBytes / (p.row_bytes * kMostMatrixRows));
  const int64_t most = tiles * kMostMatrixRows;
  for (int64_t row = 0; row < p.rows; row += most) {
    ProductOutput output = p.output;
    if (output.rounded) {
      output.rounded += row * output.stride;
    } else {
      output.data += row * output.stride;
    }
    const auto* rows = static_cast<const uint8_t*>(p.packed_rows) + row * p.row_bytes;
    const MatrixProduct block{p.matrix, rows,  p.row_bytes, at_most(most, p.rows - row),
                              p.begin,  p.end, output};
    for (int64_t index = p.begin; index < p.end; ++index) {
      const PackedMatrix& m = p.matrix;
      const auto* head = static_cast<const uint8_t*>(m.memory) + index * panel_bytes(m);
      const int64_t column = index * kPanelOutputs, columns = m.outputs - column;
      Panel panel{
          reinterpret_cast<const float*>(head), head + panel_head_bytes(m.type), m.inputs, column,
          at_most(columns, kPanelOutputs),      columns >= kPanelOutputs,        {}};
      for (int v = 0; v < kPanelVectors; ++v) panel.lanes[v] = lanes_below(columns - v * kLanes);
      multiply_rows<Weights, 8>(block, panel, 0);
    }
  }
}

inline void multiply_matrix(const MatrixProduct& p) {
  switch (p.matrix.type) {
    case WeightType::kFloat32:
      return multiply_panels<Fp32Weights>(p);
    case WeightType::kBFloat16:
#ifdef ATTEND_BF16_PRODUCTS
      if (p.matrix.is_narrow()) return multiply_panels<NarrowWeights>(p);
#endif
      return multiply_panels<Bf16Weights>(p);
    case WeightType::kInt8:
      return multiply_panels<Int8Weights>(p);
  }
}

#ifdef ATTEND_BF16_PRODUCTS
// As Int8Weights reads it.
inline void pack_integer_row(const float* in, int64_t inputs, uint8_t* out) {
  const int64_t padded = padded_inputs(WeightType::kInt8, inputs);
  for (int64_t first = 0, block = 0; first < padded; first += kIntegerBlock, ++block) {
    const int64_t last = padded - first < kIntegerBlock ? padded : first + kIntegerBlock;
    Vec largest = zero();
    for (int64_t k = first; k < last; k += kLanes) {
      largest = max(largest, abs(load_lanes(in + k, lanes_below(inputs - k))));
    }
    const float most = reduce_max(largest);
    const Vec factor = broadcast(most > 0 ? kRowLimit / most : 0);
    Ints total = _mm512_setzero_si512();
    for (int64_t k = first; k < last; k += kLanes) {
      const Ints q = _mm512_cvtps_epi32(mul(load_lanes(in + k, lanes_below(inputs - k)), factor));
      total = add(total, q);
      const Ints high = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(128)), 8);
      auto* bytes = reinterpret_cast<__m128i*>(out + k * 2);
      _mm_storeu_si128(bytes, _mm512_cvtepi32_epi8(high));
      _mm_storeu_si128(bytes + 1, _mm512_cvtepi32_epi8(q));
    }
    uint8_t* tail = out + padded * 2 + block * 8;
    *reinterpret_cast<float*>(tail) = most / kRowLimit;
    // Modulo 2^32, as the products are.
    *reinterpret_cast<uint32_t*>(tail + 4) = uint32_t(_mm512_reduce_add_epi32(total)) * 128u;
  }
}
#endif

inline void pack_matrix_rows(const RowPacking& p) {
  const int64_t padded = padded_inputs(p.type, p.inputs);
  for (int64_t row = 0; row < p.count; ++row) {
    const float* in = p.rows + row * p.stride;
    auto* out = static_cast<uint8_t*>(p.memory) + row * packed_row_bytes(p.type, p.inputs);
#ifdef ATTEND_BF16_PRODUCTS
    if (p.type == WeightType::kInt8) {
      pack_integer_row(in, p.inputs, out);
      continue;
    }
    if (p.type == WeightType::kBFloat16) {
      auto* to = reinterpret_cast<uint16_t*>(out);
      int64_t k = 0;
      for (; k + kLanes <= p.inputs; k += kLanes) store_bf16(to + k, load(in + k));
      if (k < padded) store_bf16(to + k, load_lanes(in + k, lanes_below(p.inputs - k)));
      continue;
    }
#endif
    auto* to = reinterpret_cast<float*>(out);
    for (int64_t k = 0; k < padded; ++k) {
      float value = k < p.inputs ? in[k] : 0;
      if (p.type == WeightType::kBFloat16) {
        uint32_t bits;
        __builtin_memcpy(&bits, &value, 4);
        bits = value != value ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
        bits &= 0xffff0000u;
        __builtin_memcpy(&value, &bits, 4);
      }
      to[k] = value;
    }
  }
}
