// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Few rows times a packed matrix. Traffic: every weight once, 4, 2, 1.5 or 1 bytes; rows stay in
// the first-level cache. Flops: 2 per weight and row, so that one row is bound by memory from any
// type and a core is busy from about 8 rows on. Registers: 32 outputs of at most kMostMatrixRows
// rows; the sum over the inputs runs in their order whatever the number of rows, so that a row's
// result does not depend on what stands beside it. Error: the rounding of weights and inputs
// (packed_matrix.h) plus inputs * 2^-24 of the sum of absolute products; of int8 with vpdpbusd only
// that of one fp32 sum per 512 inputs.

constexpr int kPanelVectors = int(kPanelOutputs) / kLanes;

// 24 accumulators leave no registers for the rows' broadcast numbers; 16 do, and were faster.
constexpr int kMostMatrixRows = kLanes == 16 ? 8 : kAccumulators / kPanelVectors > 1 ? 2 : 1;

// Weights are read once, the first tile of a panel does it. What it needs is asked for kAhead bytes
// ahead: by one row into L1; by eight, which keep a core busy, into L2. Between them the
// processor's own prefetching was measured to be the faster. A second tile of eight asks for the
// next panel.
template <int kRows>
ATTEND_INLINE void fetch_weights(const void* weights, int64_t ahead) {
  const char* line = static_cast<const char*>(weights) + ahead;
  if constexpr (kRows == 1) {
    __builtin_prefetch(line, 0, 3);
    __builtin_prefetch(line + 64, 0, 3);
  } else if constexpr (kRows == kMostMatrixRows) {
    __builtin_prefetch(line, 0, 2);
    __builtin_prefetch(line + 64, 0, 2);
  }
}

// Place `k` of row `r`: rows behind each other, or, kAcross, places behind each other, `stride`
// bytes apart. A pair of bf16 numbers may lie at any even address.
template <bool kAcross, typename Number>
ATTEND_INLINE Number row_place(const uint8_t* rows, int64_t stride, int r, int64_t k) {
  Number number;
  const int64_t place = kAcross ? k * stride + r * 4 : r * stride + k * 4;
  __builtin_memcpy(&number, rows + place, sizeof number);
  return number;
}

struct Fp32Weights {
  static constexpr bool kScaled = false;
  static constexpr int kMostRows = kMostMatrixRows;
  static constexpr int64_t kAhead = 8192;

  template <int kRows, bool kFetch, bool kAcross = false>
  static ATTEND_INLINE void sum(const uint8_t* weights, const uint8_t* rows, int64_t row_bytes,
                                int64_t inputs, Vec (&sums)[kRows][kPanelVectors],
                                int64_t ahead = 0) {
    const auto* w = reinterpret_cast<const float*>(weights);
#pragma GCC unroll 2
    for (int64_t k = 0; k < inputs; ++k, w += kPanelOutputs) {
      if (kFetch) fetch_weights<kRows>(w, ahead);
#pragma GCC unroll 8
      for (int v = 0; v < kPanelVectors; ++v) {
        const Vec weight = load(w + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const Vec x = broadcast(row_place<kAcross, float>(rows, row_bytes, r, k));
          sums[r][v] = fma(weight, x, sums[r][v]);
        }
      }
    }
  }
};

struct Bf16Weights {
  static constexpr bool kScaled = false;
  static constexpr int kMostRows = kMostMatrixRows;
  static constexpr int64_t kAhead = 8192;

  template <int kRows, bool kFetch, bool kAcross = false>
  static ATTEND_INLINE void sum(const uint8_t* weights, const uint8_t* rows, int64_t row_bytes,
                                int64_t inputs, Vec (&sums)[kRows][kPanelVectors],
                                int64_t ahead = 0) {
    const auto* w = reinterpret_cast<const int32_t*>(weights);
    const int64_t pairs = (inputs + 1) / 2;
#pragma GCC unroll 2
    for (int64_t k = 0; k < pairs; ++k, w += kPanelOutputs) {
      if (kFetch) fetch_weights<kRows>(w, ahead);
#pragma GCC unroll 8
      for (int v = 0; v < kPanelVectors; ++v) {
        const Vec weight = load_bits(w + v * kLanes);
#ifdef ATTEND_BF16_PRODUCTS
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const Vec pair = broadcast_bits(row_place<kAcross, int32_t>(rows, row_bytes, r, k));
          sums[r][v] = add_pair_products(weight, pair, sums[r][v]);
        }
#else
        const Vec low = from_bits(shift_left<16>(bits_of(weight)));
        const Vec high = from_bits(shift_left<16>(shift_right<16>(bits_of(weight))));
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const auto* row = reinterpret_cast<const float*>(rows + r * row_bytes);
          sums[r][v] = fma(low, broadcast(row[2 * k]), sums[r][v]);
          sums[r][v] = fma(high, broadcast(row[2 * k + 1]), sums[r][v]);
        }
#endif
      }
    }
  }
};

// A row of int8 products: 16-bit integers q = 256 * high + low, both bytes signed, as [inputs /
// 16][high 16][low 16], then a scale and the sum of q for each block. The weights w + 128 are the
// unsigned factor: 256 * (w + 128).high + (w + 128).low - 128 * sum(q) = w.q, and what overflows 32
// bits on the way comes back, since w.q itself does not.
#ifdef ATTEND_BF16_PRODUCTS
ATTEND_INLINE Ints add_byte_products(Ints sum, Ints weights, int32_t bytes) {
  return _mm512_dpbusd_epi32(sum, weights, _mm512_set1_epi32(bytes));
}

struct Int8Weights {
  static constexpr bool kScaled = true;
  static constexpr int kMostRows = kMostMatrixRows / 2;
  static constexpr int64_t kAhead = 8192;

  template <int kRows, bool kFetch>
  static ATTEND_INLINE void sum(const uint8_t* weights, const uint8_t* rows, int64_t row_bytes,
                                int64_t inputs, Vec (&sums)[kRows][kPanelVectors],
                                int64_t ahead = 0) {
    const int64_t padded = padded_inputs(WeightType::kInt8, inputs);
    for (int64_t first = 0, block = 0; first < padded; first += kIntegerBlock, ++block) {
      const int64_t last = padded - first < kIntegerBlock ? padded : first + kIntegerBlock;
      Ints high[kRows][kPanelVectors], low[kRows][kPanelVectors];
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kPanelVectors; ++v) high[r][v] = low[r][v] = _mm512_setzero_si512();
      }
      for (int64_t k = first; k < last; k += 4) {
        const uint8_t* w = weights + k * kPanelOutputs;
        const int64_t at = k / 16 * 32 + k % 16;
        if (kFetch) fetch_weights<kRows>(w, ahead);
#pragma GCC unroll 8
        for (int v = 0; v < kPanelVectors; ++v) {
          const Ints weight = _mm512_loadu_si512(w + v * 64);
#pragma GCC unroll 16
          for (int r = 0; r < kRows; ++r) {
            const auto* row = reinterpret_cast<const int32_t*>(rows + r * row_bytes + at);
            high[r][v] = add_byte_products(high[r][v], weight, row[0]);
            low[r][v] = add_byte_products(low[r][v], weight, row[4]);
          }
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const uint8_t* tail = rows + r * row_bytes + padded * 2 + block * 8;
        const Vec scale = broadcast(*reinterpret_cast<const float*>(tail));
        const int32_t shift = *reinterpret_cast<const int32_t*>(tail + 4);
#pragma GCC unroll 8
        for (int v = 0; v < kPanelVectors; ++v) {
          const Ints whole =
              _mm512_sub_epi32(add(shift_left<8>(high[r][v]), low[r][v]), _mm512_set1_epi32(shift));
          sums[r][v] = fma(to_floats(whole), scale, sums[r][v]);
        }
      }
    }
  }
};
#else
struct Int8Weights {
  static constexpr bool kScaled = true;
  static constexpr int kMostRows = kMostMatrixRows;
  static constexpr int64_t kAhead = 8192;

  template <int kByte>
  static ATTEND_INLINE Vec weight_of(Ints four) {
    return sub(to_floats(shift_right<24>(shift_left<24 - 8 * kByte>(four))), broadcast(128));
  }

  template <int kRows, bool kFetch>
  static ATTEND_INLINE void sum(const uint8_t* weights, const uint8_t* rows, int64_t row_bytes,
                                int64_t inputs, Vec (&sums)[kRows][kPanelVectors],
                                int64_t /*ahead*/) {
    const int64_t padded = padded_inputs(WeightType::kInt8, inputs);
    const auto* w = reinterpret_cast<const int32_t*>(weights);
    for (int64_t k = 0; k < padded; k += 4, w += kPanelOutputs) {
#pragma GCC unroll 8
      for (int v = 0; v < kPanelVectors; ++v) {
        const Ints four = bits_of(load_bits(w + v * kLanes));
        const Vec weight[4] = {weight_of<0>(four), weight_of<1>(four), weight_of<2>(four),
                               weight_of<3>(four)};
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const auto* row = reinterpret_cast<const float*>(rows + r * row_bytes) + k;
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) sums[r][v] = fma(weight[i], broadcast(row[i]), sums[r][v]);
        }
      }
    }
  }
};
#endif
