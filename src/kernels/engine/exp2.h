// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// 2^(x - shift) for an integral shift. x = n + f with |f| <= 1/2; 2^f is the polynomial of degree 5
// with the smallest relative error (7.5e-8, by Remez exchange), its constant then set to 1 so that
// equal scores get equal weights exactly: 1.6e-7. The shift joins n and costs no rounding.

ATTEND_INLINE Vec power_of_fraction(Vec f) {
  Vec p = broadcast(1.3276472454890609e-3f);
  p = fma(p, f, broadcast(9.675540961325169e-3f));
  p = fma(p, f, broadcast(5.550713092088699e-2f));
  p = fma(p, f, broadcast(2.4022120237350464e-1f));
  p = fma(p, f, broadcast(6.931469440460205e-1f));
  return fma(p, f, broadcast(1.0f));
}

ATTEND_INLINE Vec exp2_shifted(Vec x, Vec shift) {
  const Vec n = round(x);
  return scale_by_power(power_of_fraction(sub(x, n)), sub(n, shift));
}

// The same for x - shift in [-120, 0], cheaper: kRoundToInteger - shift comes as one number, whose
// sum with x holds x - shift, rounded, in its last bits.
constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23

ATTEND_INLINE Vec exp2_bounded(Vec x, Vec rounding) {
  const Vec rounded = add(x, rounding);
  const Vec p = power_of_fraction(sub(x, sub(rounded, rounding)));
  return from_bits(add(bits_of(p), shift_left<23>(bits_of(rounded))));
}
