// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The one register tile that every product here is made of:
//
//   c[i][v] += sum over k < steps of a[i * a_row + k * a_step] * b[k * b_step + v * kLanes ...]
//
// kRows x kVectors accumulators stay in registers; per step there are kVectors loads and kRows
// broadcasts for kRows * kVectors products: 14 loads for 24 (scores: 12 x 2), 10 for 24 (P V: 6 x
// 4), so two loads a cycle feed two products a cycle. With bf16 an element is a pair of neighbours
// along k, and so are a_row, a_step and b_step counted in pairs.

struct Fp32 {
  static constexpr bool kPairs = false;
  static ATTEND_INLINE Vec multiply_add(Vec a, Vec b, Vec c) { return fma(a, b, c); }
};

#ifdef ATTEND_BF16_PRODUCTS
struct Bf16 {
  static constexpr bool kPairs = true;
  static ATTEND_INLINE Vec multiply_add(Vec a, Vec b, Vec c) { return add_pair_products(a, b, c); }
};
constexpr bool kBf16Products = true;
#else
using Bf16 = Fp32;  // never called
constexpr bool kBf16Products = false;
#endif

// Whether products take bf16 pairs as they are stored, rather than numbers widened to fp32.
ATTEND_INLINE bool uses_pairs(const Attention& a) {
  return kBf16Products && a.type == ElementType::kBFloat16;
}

template <class Arithmetic, int kRows, int kVectors>
ATTEND_INLINE void multiply_tile(const float* __restrict a, int64_t a_row, int64_t a_step,
                                 const float* __restrict b, int64_t b_step, int64_t steps,
                                 Vec (&c)[kRows][kVectors]) {
#pragma GCC unroll 2
  for (int64_t k = 0; k < steps; ++k) {
    Vec panel[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) panel[v] = load(b + v * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const Vec factor = broadcast(a[i * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        c[i][v] = Arithmetic::multiply_add(factor, panel[v], c[i][v]);
      }
    }
    a += a_step;
    b += b_step;
  }
}

// What is particular about the rows of a product.
struct RowTerms {
  const float* scale = nullptr;    // the last product of a sum: factors on the way to memory
  const uint32_t* ends = nullptr;  // of the keys that each row sees, where some see fewer
  int64_t first_key = 0;           // of the product
  Ints largest;                    // with `scale`: of the magnitudes, as bits
};

// kRows x kVectors of the same product, added to `out` or, when `first`, stored there. The steps of
// `a` are template arguments, so that they become part of the instructions.
template <class Arithmetic, int kRows, int kVectors, int kARow, int kAStep>
ATTEND_INLINE void add_tile(const float* a, const float* b, int64_t b_step, int64_t steps,
                            bool first, float* out, int64_t out_pitch, RowTerms* terms,
                            int first_row) {
  Vec c[kRows][kVectors];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) c[i][v] = zero();
  }
  if (terms && terms->ends) {
    uint32_t end = 0;
    for (int i = 0; i < kRows; ++i) {
      end = terms->ends[first_row + i] > end ? terms->ends[first_row + i] : end;
    }
    const int64_t seen = at_least(0, int64_t(end) - terms->first_key);
    steps = at_most(steps, Arithmetic::kPairs ? (seen + 1) / 2 : seen);
  }
  multiply_tile<Arithmetic, kRows, kVectors>(a, kARow, kAStep, b, b_step, steps, c);
  // In registers: for all that the compiler knows, `out` might be `terms`.
  const float* scale = terms && terms->scale ? terms->scale + first_row : nullptr;
  Ints largest = terms ? terms->largest : ints(0);
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* target = out + i * out_pitch + v * kLanes;
      if (!first) c[i][v] = add(c[i][v], load(target));
      if (scale) {
        c[i][v] = mul(c[i][v], broadcast(scale[i]));
        largest = max(bits_of(abs(c[i][v])), largest);
      }
      store(target, c[i][v]);
    }
  }
  if (terms) terms->largest = largest;
}

// kVectors columns for kRows rows, in register tiles of at most kAccumulators.
template <class Arithmetic, int kRows, int kVectors, int kARow, int kAStep>
inline void add_columns(const float* a, const float* b, int64_t b_step, int64_t steps, bool first,
                        float* out, int64_t out_pitch, RowTerms* terms) {
  constexpr int kPart = kRows * kVectors <= kAccumulators       ? kRows
                        : kRows * kVectors <= 2 * kAccumulators ? kRows / 2
                                                                : kRows / 4;
  for (int part = 0; part < kRows; part += kPart) {
    add_tile<Arithmetic, kPart, kVectors, kARow, kAStep>(
        a + part * kARow, b, b_step, steps, first, out + part * out_pitch, out_pitch, terms, part);
  }
}

// All `width` columns (a multiple of kLanes) for kRows rows.
template <class Arithmetic, int kRows, int kARow, int kAStep>
inline void add_rows(const float* a, const float* b, int64_t b_step, int64_t steps, bool first,
                     float* out, int64_t out_pitch, int64_t width, RowTerms* terms) {
  int64_t column = 0;
  for (; column + kValueVectors * kLanes <= width; column += kValueVectors * kLanes) {
    add_columns<Arithmetic, kRows, kValueVectors, kARow, kAStep>(
        a, b + column, b_step, steps, first, out + column, out_pitch, terms);
  }
  if constexpr (kValueVectors == 4) {
    if (column + 2 * kLanes <= width) {
      add_columns<Arithmetic, kRows, 2, kARow, kAStep>(a, b + column, b_step, steps, first,
                                                       out + column, out_pitch, terms);
      column += 2 * kLanes;
    }
  }
  if (column < width) {
    add_columns<Arithmetic, kRows, 1, kARow, kAStep>(a, b + column, b_step, steps, first,
                                                     out + column, out_pitch, terms);
  }
}

// out[rows][out_pitch], its first `width` columns, (+)= a b; rows are rounded up to 4, 8 or 12, and
// so must be the memory.
template <int kARow, int kAStep, class Arithmetic = Fp32>
inline void add_product(int rows, const float* a, const float* b, int64_t b_step, int64_t steps,
                        bool first, float* out, int64_t out_pitch, int64_t width,
                        RowTerms* terms = nullptr) {
  if (rows > 8) {
    add_rows<Arithmetic, 12, kARow, kAStep>(a, b, b_step, steps, first, out, out_pitch, width,
                                            terms);
  } else if (rows > 4) {
    add_rows<Arithmetic, 8, kARow, kAStep>(a, b, b_step, steps, first, out, out_pitch, width,
                                           terms);
  } else {
    add_rows<Arithmetic, 4, kARow, kAStep>(a, b, b_step, steps, first, out, out_pitch, width,
                                           terms);
  }
}

// Round to nearest, ties to even; NaN stays NaN.
inline uint16_t to_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  if (x != x) return uint16_t((bits >> 16) | 0x40);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float from_bf16(uint16_t x) {
  const uint32_t bits = uint32_t(x) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// The same where b holds infinities or NaN, which a factor of 0 must not meet.
template <int kARow, int kAStep, class Arithmetic = Fp32>
inline void add_product_carefully(int rows, const float* a, const float* b, int64_t b_step,
                                  int64_t steps, bool first, float* out, int64_t out_pitch,
                                  int64_t width, RowTerms* terms) {
  const auto add_row = [&](float factor, const float* row, int half, float* target) {
    if (factor == 0) return;
    const uint16_t* pairs = reinterpret_cast<const uint16_t*>(row) + half;
    for (int64_t d = 0; d < width; ++d) {
      target[d] += factor * (Arithmetic::kPairs ? from_bf16(pairs[2 * d]) : row[d]);
    }
  };
  for (int i = 0; i < rows; ++i) {
    float* target = out + i * out_pitch;
    for (int64_t d = 0; first && d < width; ++d) target[d] = 0;
    for (int64_t k = 0; k < steps; ++k) {
      const float* factor = a + i * kARow + k * kAStep;
      const float* row = b + k * b_step;
      if (Arithmetic::kPairs) {
        const uint16_t* pair = reinterpret_cast<const uint16_t*>(factor);
        add_row(from_bf16(pair[0]), row, 0, target);
        add_row(from_bf16(pair[1]), row, 1, target);
      } else {
        add_row(*factor, row, 0, target);
      }
    }
    for (int64_t d = 0; terms && terms->scale && d < width; d += kLanes) {
      const Vec v = mul(load(target + d), broadcast(terms->scale[i]));
      terms->largest = max(bits_of(abs(v)), terms->largest);
      store(target + d, v);
    }
  }
}
