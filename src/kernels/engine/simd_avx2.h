// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// AVX2 and FMA: 8 floats a vector, 16 registers: 12 accumulators leave room for 2 panel vectors,
// one broadcast and a constant. Included inside the namespace of the instruction set.

constexpr int kLanes = 8;
constexpr int kAccumulators = 12;
constexpr int kValueVectors = 2;

using Vec = __m256;
using Ints = __m256i;
struct Mask {
  __m256 lanes;  // all bits of a lane set or clear
};

ATTEND_INLINE Vec load(const float* p) { return _mm256_loadu_ps(p); }
ATTEND_INLINE void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
ATTEND_INLINE Vec broadcast(float x) { return _mm256_set1_ps(x); }
ATTEND_INLINE Vec zero() { return _mm256_setzero_ps(); }
ATTEND_INLINE Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
ATTEND_INLINE Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
ATTEND_INLINE Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
ATTEND_INLINE Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
ATTEND_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
ATTEND_INLINE Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
ATTEND_INLINE Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
ATTEND_INLINE Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
// The larger of |a| and |b|, b not negative; NaN is passed over.
ATTEND_INLINE Vec larger_magnitude(Vec a, Vec b) { return max(abs(a), b); }
ATTEND_INLINE Vec round(Vec a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// 2^n is written into the exponent bits; n = -127 writes 0.0, and so does all below.
ATTEND_INLINE Vec scale_by_power(Vec p, Vec n) {
  const Ints exponent = _mm256_cvtps_epi32(_mm256_max_ps(n, _mm256_set1_ps(-127.0f)));
  const Ints power = _mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}
ATTEND_INLINE float reduce_add(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
ATTEND_INLINE float reduce_max(Vec a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

ATTEND_INLINE Mask lanes_below(int64_t count) {
  const int clamped = count >= kLanes ? kLanes : count <= 0 ? 0 : int(count);
  return {_mm256_castsi256_ps(
      _mm256_cmpgt_epi32(_mm256_set1_epi32(clamped), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))};
}
ATTEND_INLINE Mask both(Mask a, Mask b) { return {_mm256_and_ps(a.lanes, b.lanes)}; }
ATTEND_INLINE Mask without(Mask a, Mask b) { return {_mm256_andnot_ps(b.lanes, a.lanes)}; }
ATTEND_INLINE unsigned bits(Mask m) { return unsigned(_mm256_movemask_ps(m.lanes)); }
// Those of four masks, one after the other.
ATTEND_INLINE uint64_t bits(Mask a, Mask b, Mask c, Mask d) {
  return bits(a) | bits(b) << kLanes | bits(c) << 2 * kLanes | bits(d) << 3 * kLanes;
}
ATTEND_INLINE Mask greater(Vec a, Vec b) { return {_mm256_cmp_ps(a, b, _CMP_GT_OQ)}; }
ATTEND_INLINE Vec select(Mask m, Vec yes, Vec no) { return _mm256_blendv_ps(no, yes, m.lanes); }
ATTEND_INLINE Vec load_lanes(const float* p, Mask m) {
  return _mm256_maskload_ps(p, _mm256_castps_si256(m.lanes));
}
ATTEND_INLINE void store_lanes(float* p, Mask m, Vec v) {
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.lanes), v);
}

ATTEND_INLINE Ints ints(uint32_t x) { return _mm256_set1_epi32(int(x)); }
ATTEND_INLINE Ints count_up() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
ATTEND_INLINE Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
ATTEND_INLINE Ints mul(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
ATTEND_INLINE Ints exclusive_or(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
template <int kBits>
ATTEND_INLINE Ints shift_right(Ints a) {
  return _mm256_srli_epi32(a, kBits);
}
template <int kBits>
ATTEND_INLINE Ints shift_left(Ints a) {
  return _mm256_slli_epi32(a, kBits);
}
ATTEND_INLINE Mask unsigned_at_least(Ints a, Ints b) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a))};
}
ATTEND_INLINE Ints max(Ints a, Ints b) { return _mm256_max_epu32(a, b); }  // unsigned
ATTEND_INLINE Ints min(Ints a, Ints b) { return _mm256_min_epu32(a, b); }  // unsigned
ATTEND_INLINE Ints bits_of(Vec a) { return _mm256_castps_si256(a); }
ATTEND_INLINE Vec from_bits(Ints a) { return _mm256_castsi256_ps(a); }
ATTEND_INLINE void store(uint32_t* p, Ints a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a);
}
// 32-bit integers that travel through float registers.
ATTEND_INLINE Vec load_bits(const int32_t* p) {
  return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
}
ATTEND_INLINE void store_bits(int32_t* p, Vec a) {
  _mm256_storeu_ps(reinterpret_cast<float*>(p), a);
}
ATTEND_INLINE Vec broadcast_bits(int32_t x) { return _mm256_castsi256_ps(_mm256_set1_epi32(x)); }
// Lane i takes lane i - 1; lane 0 takes the last one of `before`.
ATTEND_INLINE Vec move_up(Vec a, Vec before) {
  const __m256i up = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6);
  return _mm256_blend_ps(_mm256_permutevar8x32_ps(a, up), _mm256_permutevar8x32_ps(before, up), 1);
}
ATTEND_INLINE Vec to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }

ATTEND_INLINE Vec load_bf16(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

// kLanes numbers to bf16, to nearest even; NaN stays NaN.
ATTEND_INLINE void store_bf16(uint16_t* p, Vec v) {
  const Ints bits = _mm256_castps_si256(v);
  const Ints odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const Ints rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const Ints quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const Ints unordered = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const Ints wide = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, unordered), 16);
  const Ints narrow = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(narrow));
}

// There are no products of bf16 pairs here; these are never called.
ATTEND_INLINE Vec lower_halves(Vec) { return zero(); }
ATTEND_INLINE Vec narrow_to_pairs(Vec, Vec) { return zero(); }
ATTEND_INLINE Vec narrow_and_join(Vec, Vec) { return zero(); }
ATTEND_INLINE Vec join_rows(const uint16_t*, const uint16_t*) { return zero(); }
ATTEND_INLINE void interleave_rows(Vec, Vec, Vec&, Vec&) {}
ATTEND_INLINE Ints larger_halves(Ints, Ints most) { return most; }

ATTEND_INLINE void transpose(const Vec (&in)[8], Vec (&out)[8]) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(in[i], in[i + 1]);
    a[i + 1] = _mm256_unpackhi_ps(in[i], in[i + 1]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
    b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
    b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
    b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 4; ++i) {
    out[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
    out[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
  }
}

// Lane i: the sum of in[i].
ATTEND_INLINE Vec sum_each(const Vec (&in)[8]) {
  __m256 a[4], b[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) a[i] = _mm256_hadd_ps(in[2 * i], in[2 * i + 1]);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) b[i] = _mm256_hadd_ps(a[2 * i], a[2 * i + 1]);
  return _mm256_add_ps(_mm256_permute2f128_ps(b[0], b[1], 0x20),
                       _mm256_permute2f128_ps(b[0], b[1], 0x31));
}
