// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// AVX-512: 16 floats a vector, 32 registers: 24 accumulators leave room for 4 panel vectors, one
// broadcast and constants. Included inside the namespace of the instruction set.

constexpr int kLanes = 16;
constexpr int kAccumulators = 24;  // of one register tile
constexpr int kValueVectors = 4;   // widest register tile in P V, in vectors

using Vec = __m512;
using Ints = __m512i;
using Mask = __mmask16;

ATTEND_INLINE Vec load(const float* p) { return _mm512_loadu_ps(p); }
ATTEND_INLINE void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
ATTEND_INLINE Vec broadcast(float x) { return _mm512_set1_ps(x); }
ATTEND_INLINE Vec zero() { return _mm512_setzero_ps(); }
ATTEND_INLINE Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
ATTEND_INLINE Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
ATTEND_INLINE Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
ATTEND_INLINE Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
ATTEND_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
ATTEND_INLINE Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }  // b when a is NaN
ATTEND_INLINE Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
ATTEND_INLINE Vec abs(Vec a) { return _mm512_abs_ps(a); }
// The larger of |a| and |b|, b not negative; NaN is passed over.
ATTEND_INLINE Vec larger_magnitude(Vec a, Vec b) { return _mm512_range_ps(a, b, 0b1011); }
ATTEND_INLINE Vec round(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// p * 2^n for integral n; p in [0.5, 2]. 0 below the range of floats.
ATTEND_INLINE Vec scale_by_power(Vec p, Vec n) { return _mm512_scalef_ps(p, n); }
ATTEND_INLINE float reduce_add(Vec a) { return _mm512_reduce_add_ps(a); }
ATTEND_INLINE float reduce_max(Vec a) { return _mm512_reduce_max_ps(a); }

// Lanes [0, count); every count is allowed.
ATTEND_INLINE Mask lanes_below(int64_t count) {
  return count >= kLanes ? Mask(0xffff) : count <= 0 ? Mask(0) : Mask((1u << count) - 1);
}
ATTEND_INLINE Mask both(Mask a, Mask b) { return a & b; }
ATTEND_INLINE Mask without(Mask a, Mask b) { return Mask(a & ~b); }
ATTEND_INLINE unsigned bits(Mask m) { return m; }
// Those of four masks, one after the other.
ATTEND_INLINE uint64_t bits(Mask a, Mask b, Mask c, Mask d) {
  return _mm512_kunpackd(_mm512_kunpackw(d, c), _mm512_kunpackw(b, a));
}
// In the order in which `a` may come from memory.
ATTEND_INLINE Mask greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(b, a, _CMP_LT_OQ); }
ATTEND_INLINE Vec select(Mask m, Vec yes, Vec no) { return _mm512_mask_blend_ps(m, no, yes); }
ATTEND_INLINE Vec load_lanes(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
ATTEND_INLINE void store_lanes(float* p, Mask m, Vec v) { _mm512_mask_storeu_ps(p, m, v); }

ATTEND_INLINE Ints ints(uint32_t x) { return _mm512_set1_epi32(int(x)); }
ATTEND_INLINE Ints count_up() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
ATTEND_INLINE Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
ATTEND_INLINE Ints mul(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
ATTEND_INLINE Ints exclusive_or(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
template <int kBits>
ATTEND_INLINE Ints shift_right(Ints a) {
  return _mm512_srli_epi32(a, kBits);
}
template <int kBits>
ATTEND_INLINE Ints shift_left(Ints a) {
  return _mm512_slli_epi32(a, kBits);
}
// Lane i: table[index i modulo 32].
#define ATTEND_LOOKS_UP_32 1
ATTEND_INLINE Ints look_up_32(const uint32_t* table, Ints index) {
  return _mm512_permutex2var_epi32(_mm512_loadu_si512(table), index,
                                   _mm512_loadu_si512(table + 16));
}
// 8 places of 64 bits: those of a float that is not negative above those of a key's complement.
#define ATTEND_SORTS_LONGS 1
using Longs = __m512i;
ATTEND_INLINE Longs join(const float* scores, const int32_t* keys) {
  const __m256i high = _mm256_castps_si256(_mm256_loadu_ps(scores));
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys));
  const __m256i complement = _mm256_xor_si256(low, _mm256_set1_epi32(-1));
  return _mm512_or_si512(_mm512_slli_epi64(_mm512_cvtepu32_epi64(high), 32),
                         _mm512_cvtepu32_epi64(complement));
}
ATTEND_INLINE void split(Longs list, float* scores, int32_t* keys) {
  const __m256i high = _mm512_cvtepi64_epi32(_mm512_srli_epi64(list, 32));
  const __m256i complement = _mm512_cvtepi64_epi32(list);
  _mm256_storeu_ps(scores, _mm256_castsi256_ps(high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(keys),
                      _mm256_xor_si256(complement, _mm256_set1_epi32(-1)));
}
// Unsigned a >= b.
ATTEND_INLINE Mask unsigned_at_least(Ints a, Ints b) { return _mm512_cmpge_epu32_mask(a, b); }
ATTEND_INLINE Ints max(Ints a, Ints b) { return _mm512_max_epu32(a, b); }  // unsigned
ATTEND_INLINE Ints min(Ints a, Ints b) { return _mm512_min_epu32(a, b); }  // unsigned
ATTEND_INLINE Ints bits_of(Vec a) { return _mm512_castps_si512(a); }
ATTEND_INLINE Vec from_bits(Ints a) { return _mm512_castsi512_ps(a); }
ATTEND_INLINE void store(uint32_t* p, Ints a) { _mm512_storeu_si512(p, a); }
// 32-bit integers that travel through float registers.
ATTEND_INLINE Vec load_bits(const int32_t* p) { return _mm512_castsi512_ps(_mm512_loadu_si512(p)); }
ATTEND_INLINE void store_bits(int32_t* p, Vec a) { _mm512_storeu_si512(p, _mm512_castps_si512(a)); }
ATTEND_INLINE Vec broadcast_bits(int32_t x) { return _mm512_castsi512_ps(_mm512_set1_epi32(x)); }
// Lane i takes lane i - 1; lane 0 takes the last one of `before`.
ATTEND_INLINE Vec move_up(Vec a, Vec before) {
  return _mm512_castsi512_ps(
      _mm512_alignr_epi32(_mm512_castps_si512(a), _mm512_castps_si512(before), 15));
}
ATTEND_INLINE Vec to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }

ATTEND_INLINE Vec load_bf16(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

// kLanes numbers to bf16, to nearest even; NaN stays NaN.
ATTEND_INLINE void store_bf16(uint16_t* p, Vec v) {
#ifdef ATTEND_BF16_PRODUCTS
  const __m256i narrow = (__m256i)_mm512_cvtneps_pbh(v);
#else
  const Ints bits = _mm512_castps_si512(v);
  const Ints odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const Ints rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const Ints quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const Mask unordered = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m256i narrow = _mm512_cvtepi32_epi16(
      _mm512_srli_epi32(_mm512_mask_blend_epi32(unordered, rounded, quiet), 16));
#endif
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow);
}

// The lower halves of bf16 pairs, widened.
ATTEND_INLINE Vec lower_halves(Vec pairs) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs), 16));
}
#ifdef ATTEND_BF16_PRODUCTS
ATTEND_INLINE Vec add_pair_products(Vec a, Vec b, Vec c) {
  return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
// 32 numbers to bf16, to nearest even, in order.
ATTEND_INLINE Vec narrow_to_pairs(Vec low, Vec high) { return (Vec)_mm512_cvtne2ps_pbh(high, low); }
// The same, but the two vectors become the halves of each place.
ATTEND_INLINE Vec narrow_and_join(Vec even, Vec odd) {
  const Ints order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                      23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const Ints narrow = (Ints)_mm512_cvtne2ps_pbh(odd, even);
  return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, narrow));
}
// kLanes numbers of two bf16 rows, each place a pair.
ATTEND_INLINE Vec join_rows(const uint16_t* even, const uint16_t* odd) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(even));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd));
  const Ints upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16);
  return _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(low), upper));
}
// The same of 2 * kLanes numbers, loaded as pairs of neighbours.
ATTEND_INLINE void interleave_rows(Vec even, Vec odd, Vec& low, Vec& high) {
  const Ints first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                                      39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const Ints second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
  low = from_bits(_mm512_permutex2var_epi16(bits_of(even), first, bits_of(odd)));
  high = from_bits(_mm512_permutex2var_epi16(bits_of(even), second, bits_of(odd)));
}
// Of bf16 numbers, as bits: the larger ones of |pairs| and `most`, which has no signs.
ATTEND_INLINE Ints larger_halves(Ints pairs, Ints most) {
  return _mm512_max_epu16(_mm512_and_si512(pairs, _mm512_set1_epi16(0x7fff)), most);
}
// Two bf16 rows as pairs (a, b): of each 4 neighbouring places the lower 4 columns in `low`, the
// upper ones in `high`; and numbers in this order back in that of the columns.
ATTEND_INLINE void interleave_halves(Vec a, Vec b, Vec& low, Vec& high) {
  low = _mm512_castsi512_ps(_mm512_unpacklo_epi16(_mm512_castps_si512(a), _mm512_castps_si512(b)));
  high = _mm512_castsi512_ps(_mm512_unpackhi_epi16(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
ATTEND_INLINE void restore_columns(Vec& low, Vec& high) {
  const Vec first = _mm512_shuffle_f32x4(low, high, 0x44);
  const Vec second = _mm512_shuffle_f32x4(low, high, 0xee);
  low = _mm512_shuffle_f32x4(first, first, 0xd8);
  high = _mm512_shuffle_f32x4(second, second, 0xd8);
}
#else
ATTEND_INLINE Vec narrow_to_pairs(Vec, Vec) { return zero(); }                    // never called
ATTEND_INLINE Vec narrow_and_join(Vec, Vec) { return zero(); }                    // never called
ATTEND_INLINE Vec join_rows(const uint16_t*, const uint16_t*) { return zero(); }  // never called
ATTEND_INLINE void interleave_rows(Vec, Vec, Vec&, Vec&) {}                       // never called
ATTEND_INLINE Ints larger_halves(Ints, Ints most) { return most; }                // never called
#endif

// out[i], lane j: in[j], lane i.
ATTEND_INLINE void transpose(const Vec (&in)[16], Vec (&out)[16]) {
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_ps(in[i], in[i + 1]);
    a[i + 1] = _mm512_unpackhi_ps(in[i], in[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    b[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a[i]), _mm512_castps_pd(a[i + 2])));
    b[i + 1] =
        _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a[i]), _mm512_castps_pd(a[i + 2])));
    b[i + 2] = _mm512_castpd_ps(
        _mm512_unpacklo_pd(_mm512_castps_pd(a[i + 1]), _mm512_castps_pd(a[i + 3])));
    b[i + 3] = _mm512_castpd_ps(
        _mm512_unpackhi_pd(_mm512_castps_pd(a[i + 1]), _mm512_castps_pd(a[i + 3])));
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; ++i) {
    a[i] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0x88);
    a[i + 4] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0xdd);
    a[i + 8] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0x88);
    a[i + 12] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; ++i) {
    out[i] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
    out[i + 8] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
    out[i + 4] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0x88);
    out[i + 12] = _mm512_shuffle_f32x4(a[i + 4], a[i + 12], 0xdd);
  }
}

// Lane i: the sum of in[i].
ATTEND_INLINE Vec sum_each(const Vec (&in)[16]) {
  __m512 a[8], b[4], c[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    a[i] = _mm512_add_ps(_mm512_unpacklo_ps(in[2 * i], in[2 * i + 1]),
                         _mm512_unpackhi_ps(in[2 * i], in[2 * i + 1]));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d x = _mm512_castps_pd(a[2 * i]), y = _mm512_castps_pd(a[2 * i + 1]);
    b[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    c[i] = _mm512_add_ps(_mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0x88),
                         _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0xdd));
  }
  return _mm512_add_ps(_mm512_shuffle_f32x4(c[0], c[1], 0x88),
                       _mm512_shuffle_f32x4(c[0], c[1], 0xdd));
}
