// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// bf16 weights in 12 bits (packed_layout.h): the same numbers, and a quarter less memory to read.
// Of a line (4 inputs of a panel, 128 weights) 3 vectors are loaded, and 9 instructions make the 4
// vectors of pairs. They hide behind memory, and nearly so behind the products of 8 rows (3 percent
// at 64 rows, one core of a Zen 4); spreading a panel out once for all rows was slower.

#ifdef ATTEND_BF16_PRODUCTS
struct NarrowWeights {
  static constexpr bool kScaled = false;
  static constexpr int kMostRows = kMostMatrixRows;
  static constexpr int64_t kAhead = 16384;

  // From 4 rows on all of a line is asked for, far ahead and into L2, which makes 8 rows a quarter
  // faster. For fewer the processor's own prefetching is the faster, by a sixth, and asking for
  // some of a line halves it (one core of a Zen 4, 38 MB, measured in turn).
  template <int kRows>
  static ATTEND_INLINE void fetch_line(const uint8_t* line) {
    if constexpr (kRows >= 4) {
#pragma GCC unroll 3
      for (int64_t i = 0; i < kNarrowLineBytes; i += 64) __builtin_prefetch(line + i, 0, 2);
    }
  }

  // The pairs of the first 2 inputs of a line, then those of the others.
  static ATTEND_INLINE void spread(const uint8_t* line, Ints upper, Vec (&pairs)[2][2]) {
    const Ints codes = _mm512_loadu_si512(line), fifteen = _mm512_set1_epi8(15);
    const Ints high[2] = {
        _mm512_shuffle_epi8(upper, _mm512_and_si512(codes, fifteen)),
        _mm512_shuffle_epi8(upper, _mm512_and_si512(_mm512_srli_epi16(codes, 4), fifteen))};
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const Ints low = _mm512_loadu_si512(line + 64 * (i + 1));
      pairs[i][0] = from_bits(_mm512_unpacklo_epi8(low, high[i]));
      pairs[i][1] = from_bits(_mm512_unpackhi_epi8(low, high[i]));
    }
  }

  template <int kRows, bool kFetch>
  static ATTEND_INLINE void sum(const uint8_t* weights, const uint8_t* rows, int64_t row_bytes,
                                int64_t inputs, Vec (&sums)[kRows][kPanelVectors], int64_t ahead) {
    const auto& head = *reinterpret_cast<const NarrowHead*>(weights);
    const Ints upper =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(head.upper)));
    const uint8_t* line = weights + sizeof(NarrowHead);
    const int64_t pairs = padded_inputs(WeightType::kBFloat16, inputs) / 2;
    for (int64_t k = 0; k < pairs; k += 2, line += kNarrowLineBytes) {
      if (kFetch) fetch_line<kRows>(line + ahead);
      Vec two[2][2];
      spread(line, upper, two);
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const Vec x = broadcast_bits(row_place<false, int32_t>(rows, row_bytes, r, k + i));
#pragma GCC unroll 2
          for (int v = 0; v < 2; ++v) sums[r][v] = add_pair_products(two[i][v], x, sums[r][v]);
        }
      }
    }
    const auto* stray = reinterpret_cast<const Stray*>(line);
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      for (const Stray* end = stray + head.strays[v]; stray != end; ++stray) {
        const auto lane = Mask(1u << stray->lane);
        const Vec pair = broadcast_bits(stray->pair);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const Vec x = broadcast_bits(row_place<false, int32_t>(rows, row_bytes, r, stray->place));
          sums[r][v] = select(lane, add_pair_products(pair, x, sums[r][v]), sums[r][v]);
        }
      }
    }
  }
};
#endif
