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

// The same for x - shift in [-126, 127], cheaper: kExp2Rounding - shift comes as one number, whose
// sum with x holds x - shift, rounded, in its last bits.
#ifdef ATTEND_LOOKS_UP_32
// Rounded to 32nds: x - shift = n + j / 32 + f with |f| <= 1/64. 2^f = 1 + f (c1 + c2 f), with the
// smallest relative error 5.3e-8; 2^(j / 32) from a table, so that a lookup takes the place of two
// of the products, which the product of the scores leaves no room for. 1.7e-7 in all.
constexpr float kExp2Rounding = 393216.0f;  // 1.5 * 2^18

// The bits of 2^(j / 32), less the j that the shifted sum adds below its n.
alignas(64) constexpr uint32_t kRootsOfTwo[32] = {
    0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3, 0x3f78f4f0,
    0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6,
    0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c, 0x3f76a81e,
    0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3};

ATTEND_INLINE Vec exp2_bounded(Vec x, Vec rounding) {
  const Vec rounded = add(x, rounding);
  const Vec f = sub(x, sub(rounded, rounding));
  const Ints root = look_up_32(kRootsOfTwo, bits_of(rounded));
  const Vec power = from_bits(add(root, shift_left<18>(bits_of(rounded))));
  const Vec rest = mul(f, fma(broadcast(2.4022692e-1f), f, broadcast(6.9315732e-1f)));
  return fma(power, rest, power);
}
#else
constexpr float kExp2Rounding = 12582912.0f;  // 1.5 * 2^23

ATTEND_INLINE Vec exp2_bounded(Vec x, Vec rounding) {
  const Vec rounded = add(x, rounding);
  const Vec p = power_of_fraction(sub(x, sub(rounded, rounding)));
  return from_bits(add(bits_of(p), shift_left<23>(bits_of(rounded))));
}
#endif
