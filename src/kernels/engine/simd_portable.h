// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// 4 floats a vector in GCC's and Clang's portable vector types: SSE2 on any x86-64, NEON on ARM.
// Included inside the namespace of the instruction set.

constexpr int kLanes = 4;
constexpr int kAccumulators = 12;
constexpr int kValueVectors = 2;

typedef float Vec __attribute__((vector_size(16)));
typedef uint32_t Ints __attribute__((vector_size(16)));
typedef int32_t SignedInts __attribute__((vector_size(16)));
struct Mask {
  Ints lanes;  // all bits of a lane set or clear
};

ATTEND_INLINE Vec load(const float* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
ATTEND_INLINE void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }
ATTEND_INLINE Vec broadcast(float x) { return Vec{x, x, x, x}; }
ATTEND_INLINE Vec zero() { return Vec{}; }
ATTEND_INLINE Vec add(Vec a, Vec b) { return a + b; }
ATTEND_INLINE Vec sub(Vec a, Vec b) { return a - b; }
ATTEND_INLINE Vec mul(Vec a, Vec b) { return a * b; }
ATTEND_INLINE Vec div(Vec a, Vec b) { return a / b; }
ATTEND_INLINE Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
ATTEND_INLINE Vec pick(Ints m, Vec yes, Vec no) { return (Vec)((m & (Ints)yes) | (~m & (Ints)no)); }
ATTEND_INLINE Vec max(Vec a, Vec b) { return pick((Ints)(a > b), a, b); }
ATTEND_INLINE Vec min(Vec a, Vec b) { return pick((Ints)(a < b), a, b); }
ATTEND_INLINE Vec abs(Vec a) { return (Vec)((Ints)a & 0x7fffffffu); }
// Adding and taking away 1.5 * 2^23 rounds |a| < 2^22; larger ones keep their value.
// The larger of |a| and |b|, b not negative; NaN is passed over.
ATTEND_INLINE Vec larger_magnitude(Vec a, Vec b) { return max(abs(a), b); }
ATTEND_INLINE Vec round(Vec a) {
  const Vec magic = broadcast(12582912.0f);
  Vec shifted = a + magic;
  __asm__("" : "+m"(shifted));  // keeps the compiler from cancelling the two
  return pick((Ints)(abs(a) < broadcast(4194304.0f)), shifted - magic, a);
}
ATTEND_INLINE Vec scale_by_power(Vec p, Vec n) {
  const Vec clamped = min(max(n, broadcast(-127.0f)), broadcast(127.0f));
  const SignedInts exponent = __builtin_convertvector(clamped, SignedInts);
  return p * (Vec)((Ints)(exponent + 127) << 23);
}
ATTEND_INLINE float reduce_add(Vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }
ATTEND_INLINE float reduce_max(Vec a) {
  const float x = a[0] > a[2] ? a[0] : a[2], y = a[1] > a[3] ? a[1] : a[3];
  return x > y ? x : y;
}

ATTEND_INLINE Mask lanes_below(int64_t count) {
  const int32_t n = count >= kLanes ? kLanes : count <= 0 ? 0 : int32_t(count);
  return {(Ints)(SignedInts{0, 1, 2, 3} < SignedInts{n, n, n, n})};
}
ATTEND_INLINE Mask both(Mask a, Mask b) { return {a.lanes & b.lanes}; }
ATTEND_INLINE Mask without(Mask a, Mask b) { return {a.lanes & ~b.lanes}; }
ATTEND_INLINE unsigned bits(Mask m) {
  return (m.lanes[0] & 1) | (m.lanes[1] & 2) | (m.lanes[2] & 4) | (m.lanes[3] & 8);
}
// Those of four masks, one after the other.
ATTEND_INLINE uint64_t bits(Mask a, Mask b, Mask c, Mask d) {
  return bits(a) | bits(b) << kLanes | bits(c) << 2 * kLanes | bits(d) << 3 * kLanes;
}
ATTEND_INLINE Mask greater(Vec a, Vec b) { return {(Ints)(a > b)}; }
ATTEND_INLINE Vec select(Mask m, Vec yes, Vec no) { return pick(m.lanes, yes, no); }
ATTEND_INLINE Vec load_lanes(const float* p, Mask m) {
  Vec v{};
  for (int i = 0; i < kLanes; ++i) {
    if (m.lanes[i]) v[i] = p[i];
  }
  return v;
}
ATTEND_INLINE void store_lanes(float* p, Mask m, Vec v) {
  for (int i = 0; i < kLanes; ++i) {
    if (m.lanes[i]) p[i] = v[i];
  }
}

ATTEND_INLINE Ints ints(uint32_t x) { return Ints{x, x, x, x}; }
ATTEND_INLINE Ints count_up() { return Ints{0, 1, 2, 3}; }
ATTEND_INLINE Ints add(Ints a, Ints b) { return a + b; }
ATTEND_INLINE Ints mul(Ints a, Ints b) { return a * b; }
ATTEND_INLINE Ints exclusive_or(Ints a, Ints b) { return a ^ b; }
template <int kBits>
ATTEND_INLINE Ints shift_right(Ints a) {
  return a >> kBits;
}
template <int kBits>
ATTEND_INLINE Ints shift_left(Ints a) {
  return a << kBits;
}
ATTEND_INLINE Mask unsigned_at_least(Ints a, Ints b) { return {(Ints)(a >= b)}; }
ATTEND_INLINE Ints max(Ints a, Ints b) { return (Ints)pick((Ints)(a > b), (Vec)a, (Vec)b); }
ATTEND_INLINE Ints min(Ints a, Ints b) { return (Ints)pick((Ints)(a < b), (Vec)a, (Vec)b); }
ATTEND_INLINE Ints bits_of(Vec a) { return (Ints)a; }
ATTEND_INLINE Vec from_bits(Ints a) { return (Vec)a; }
ATTEND_INLINE void store(uint32_t* p, Ints a) { __builtin_memcpy(p, &a, sizeof a); }
// 32-bit integers that travel through float registers.
ATTEND_INLINE Vec load_bits(const int32_t* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
ATTEND_INLINE void store_bits(int32_t* p, Vec a) { __builtin_memcpy(p, &a, sizeof a); }
ATTEND_INLINE Vec broadcast_bits(int32_t x) { return (Vec)ints(uint32_t(x)); }
// Lane i takes lane i - 1; lane 0 takes the last one of `before`.
ATTEND_INLINE Vec move_up(Vec a, Vec before) { return Vec{before[3], a[0], a[1], a[2]}; }
ATTEND_INLINE Vec to_floats(Ints a) { return __builtin_convertvector((SignedInts)a, Vec); }

ATTEND_INLINE Vec load_bf16(const uint16_t* p) {
  return (Vec)Ints{uint32_t(p[0]) << 16, uint32_t(p[1]) << 16, uint32_t(p[2]) << 16,
                   uint32_t(p[3]) << 16};
}

// kLanes numbers to bf16, to nearest even; NaN stays NaN.
ATTEND_INLINE void store_bf16(uint16_t* p, Vec v) {
  const Ints bits = (Ints)v;
  const Ints rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const Ints wide = (Ints)pick((Ints)(v == v), (Vec)rounded, (Vec)(bits | 0x400000u)) >> 16;
  for (int i = 0; i < kLanes; ++i) p[i] = uint16_t(wide[i]);
}

// There are no products of bf16 pairs here; these are never called.
ATTEND_INLINE Vec lower_halves(Vec) { return zero(); }
ATTEND_INLINE Vec narrow_to_pairs(Vec, Vec) { return zero(); }
ATTEND_INLINE Vec narrow_and_join(Vec, Vec) { return zero(); }
ATTEND_INLINE Vec join_rows(const uint16_t*, const uint16_t*) { return zero(); }
ATTEND_INLINE void interleave_rows(Vec, Vec, Vec&, Vec&) {}
ATTEND_INLINE Ints larger_halves(Ints, Ints most) { return most; }

ATTEND_INLINE void transpose(const Vec (&in)[4], Vec (&out)[4]) {
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) out[j][i] = in[i][j];
  }
}

// Lane i: the sum of in[i].
ATTEND_INLINE Vec sum_each(const Vec (&in)[4]) {
  return Vec{reduce_add(in[0]), reduce_add(in[1]), reduce_add(in[2]), reduce_add(in[3])};
}
