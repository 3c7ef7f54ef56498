// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The roof of this instruction set: kAccumulators independent chains, nothing but products.

inline double peak_fp32(int64_t rounds) {
  Vec chains[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) chains[i] = broadcast(1.0f + float(i));
  Vec factor = broadcast(0.999999f), term = broadcast(1e-7f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kAccumulators; ++i) chains[i] = fma(chains[i], factor, term);
    __asm__ volatile("" : "+x"(factor), "+x"(term));  // the loop must not be folded
  }
  Vec sum = chains[0];
  for (int i = 1; i < kAccumulators; ++i) sum = add(sum, chains[i]);
  volatile float keep = reduce_add(sum);
  (void)keep;
  return double(rounds) * kAccumulators * kLanes * 2;
}

#ifdef ATTEND_BF16_PRODUCTS
inline double peak_bf16(int64_t rounds) {
  Vec chains[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) chains[i] = broadcast(1.0f + float(i));
  Vec a = broadcast_bits(0x3f803f80), b = broadcast_bits(0x33803380);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kAccumulators; ++i) chains[i] = add_pair_products(a, b, chains[i]);
    __asm__ volatile("" : "+x"(a), "+x"(b));
  }
  Vec sum = chains[0];
  for (int i = 1; i < kAccumulators; ++i) sum = add(sum, chains[i]);
  volatile float keep = reduce_add(sum);
  (void)keep;
  return double(rounds) * kAccumulators * kLanes * 4;
}
#endif

inline void exp2_table(const float* in, float* out, int64_t count, bool bounded) {
  for (int64_t i = 0; i < count; ++i) {
    alignas(64) float lanes[kLanes];
    const Vec x = broadcast(in[i]);
    store(lanes, bounded ? exp2_bounded(x, broadcast(kExp2Rounding))
                         : exp2_shifted(max(broadcast(-200.0f), x), zero()));
    out[i] = lanes[0];
  }
}
