// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The products of decoding, with keys and values as they lie in the cache: scores are dot products
// of row-major keys, and each value row is added to the outputs of all rows of a group while it is
// in L1. What the next product reads is fetched meanwhile.

// How stored rows become vectors: kNumbers of a row in one. join() makes of kKeys rows of values
// what a product takes, and restore() puts the columns of what it gives in order.
struct Fp32Rows {
  using Arithmetic = Fp32;
  static constexpr int kNumbers = kLanes;
  static constexpr int kBytes = 4;  // of a number
  static constexpr int kKeys = 1;
  static ATTEND_INLINE Vec at(const char* row, int64_t d) {
    return load(reinterpret_cast<const float*>(row) + d);
  }
  static ATTEND_INLINE Vec below(const char* row, int64_t d, int64_t end) {
    return load_lanes(reinterpret_cast<const float*>(row) + d, lanes_below(end - d));
  }
  static ATTEND_INLINE void join(const Vec (&rows)[1], Vec* out) { out[0] = rows[0]; }
  static ATTEND_INLINE void restore(Vec*) {}
};

ATTEND_INLINE const uint16_t* copied_tail(const char* row, int64_t d, int64_t end, uint16_t* tail) {
  __builtin_memcpy(tail, reinterpret_cast<const uint16_t*>(row) + d, size_t(end - d) * 2);
  return tail;
}

#ifdef ATTEND_BF16_PRODUCTS
struct Bf16Rows {
  using Arithmetic = Bf16;
  static constexpr int kNumbers = 2 * kLanes;
  static constexpr int kBytes = 2;  // of a number
  static constexpr int kKeys = 2;
  static ATTEND_INLINE Vec at(const char* row, int64_t d) {
    return load(reinterpret_cast<const float*>(row + 2 * d));
  }
  static ATTEND_INLINE Vec below(const char* row, int64_t d, int64_t end) {
    alignas(64) uint16_t tail[kNumbers] = {};
    return load(reinterpret_cast<const float*>(copied_tail(row, d, end, tail)));
  }
  static ATTEND_INLINE void join(const Vec (&rows)[2], Vec* out) {
    interleave_halves(rows[0], rows[1], out[0], out[1]);
  }
  static ATTEND_INLINE void restore(Vec* columns) { restore_columns(columns[0], columns[1]); }
};
#else
struct Bf16Rows {
  using Arithmetic = Fp32;
  static constexpr int kNumbers = kLanes;
  static constexpr int kBytes = 2;  // of a number
  static constexpr int kKeys = 1;
  static ATTEND_INLINE Vec at(const char* row, int64_t d) {
    return load_bf16(reinterpret_cast<const uint16_t*>(row) + d);
  }
  static ATTEND_INLINE Vec below(const char* row, int64_t d, int64_t end) {
    uint16_t tail[kLanes] = {};
    return load_bf16(copied_tail(row, d, end, tail));
  }
  static ATTEND_INLINE void join(const Vec (&rows)[1], Vec* out) { out[0] = rows[0]; }
  static ATTEND_INLINE void restore(Vec*) {}
};
#endif

// Rows of this many keys ahead are asked for, into L2: the processor's own prefetching ends at
// every page. What comes while the queue of L2 is full seems to be dropped, so that every line is
// asked for again. fp32, dim 128, 4 rows, one core of a Zen 4: about a third of the bandwidth of a
// plain read without asking, 60 percent asking once, 75 twice, 80 to 84 three times.
constexpr int64_t kFetchAhead = 32;
constexpr int64_t kFetches[] = {kFetchAhead, 20, 8};

ATTEND_INLINE void fetch_row(const char* const* rows, int64_t bytes) {
#pragma GCC unroll 3
  for (const int64_t ahead : kFetches) {
    for (int64_t byte = 0; byte < bytes; byte += 64) {
      __builtin_prefetch(rows[ahead] + byte, 0, 1);
    }
  }
}

// Rows that one pass over values asks for, some at every kFetchKeys-th key.
constexpr int64_t kFetchKeys = 4;

struct Fetch {
  const char* const* rows = nullptr;
  int64_t count = 0;
  int64_t at_once = 0;
  int64_t bytes = 0;  // of a row

  ATTEND_INLINE void next() {
    for (int64_t i = 0; i < at_once && count > 0; ++i, --count) fetch_row(rows++, bytes);
  }
};

template <class Fetch, class Visit>
ATTEND_INLINE void visit_row_groups(int64_t rows, Fetch first, const Visit& visit) {
  using std::integral_constant;
  constexpr std::false_type later{};
  int64_t i = 4;
  if (rows >= 4) {
    visit(integral_constant<int, 4>{}, first, 0);
    for (; i + 4 <= rows; i += 4) visit(integral_constant<int, 4>{}, later, i);
    if (i + 2 <= rows) visit(integral_constant<int, 2>{}, later, i);
    if (rows % 2) visit(integral_constant<int, 1>{}, later, rows - 1);
  } else if (rows >= 2) {
    visit(integral_constant<int, 2>{}, first, 0);
    if (rows % 2) visit(integral_constant<int, 1>{}, later, rows - 1);
  } else if (rows == 1) {
    visit(integral_constant<int, 1>{}, first, 0);
  }
}

// Calls visit(rows, whether to fetch, first row) for groups of 4, 2 and 1 rows; the first two as
// constants. Only the first call fetches, and none without `fetch`.
template <class Visit>
ATTEND_INLINE void for_row_groups(int64_t rows, bool fetch, const Visit& visit) {
  if (fetch) {
    visit_row_groups(rows, std::true_type{}, visit);
  } else {
    visit_row_groups(rows, std::false_type{}, visit);
  }
}

// Dot products of kRows queries ([kRows][pitch]) and kLanes / kRows keys into out[kRows][kPitch].
template <class Rows, int kRows, bool kFetch>
ATTEND_INLINE void multiply_keys(const char* const* keys, const float* queries, int64_t pitch,
                                 int64_t dim, Vec factor, float* out) {
  constexpr int kKeys = kLanes / kRows;
  constexpr int kPlace = Rows::kNumbers / kLanes;  // numbers of a query in 4 bytes
  for (int j = 0; kFetch && j < kKeys; ++j) fetch_row(keys + j, dim * Rows::kBytes);
  Vec c[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) c[i] = zero();
  const auto step = [&](int64_t d, auto&& load_key) ATTEND_INLINE_LAMBDA {
    Vec k[kKeys];
#pragma GCC unroll 16
    for (int j = 0; j < kKeys; ++j) k[j] = load_key(keys[j]);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const Vec q = load(queries + i * pitch + d / kPlace);
#pragma GCC unroll 16
      for (int j = 0; j < kKeys; ++j) {
        c[i * kKeys + j] = Rows::Arithmetic::multiply_add(k[j], q, c[i * kKeys + j]);
      }
    }
  };
  int64_t d = 0;
  for (; d + Rows::kNumbers <= dim; d += Rows::kNumbers) {
    step(d, [&](const char* row) ATTEND_INLINE_LAMBDA { return Rows::at(row, d); });
  }
  if (d < dim) {
    step(d, [&](const char* row) ATTEND_INLINE_LAMBDA { return Rows::below(row, d, dim); });
  }
  const Vec sums = mul(sum_each(c), factor);
  if constexpr (kRows == 1) {
    store(out, sums);
  } else {
    alignas(64) float lanes[kLanes];
    store(lanes, sums);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      __builtin_memcpy(out + i * kPitch, lanes + i * kKeys, kKeys * sizeof(float));
    }
  }
}

template <class Rows, int kRows, bool kFetch>
ATTEND_INLINE void multiply_key_block(const char* const* keys, const float* queries, int64_t pitch,
                                      int64_t dim, Vec factor, float* out) {
  for (int j = 0; j < kLanes; j += kLanes / kRows) {
    multiply_keys<Rows, kRows, kFetch>(keys + j, queries, pitch, dim, factor, out + j);
  }
}

// Scores of `rows` queries against `count` keys into out[rows][kPitch]. The addresses are
// those of RowAddresses.
template <class Rows>
inline void multiply_cache(const char* const* keys, int64_t count, const float* queries,
                           int64_t rows, int64_t pitch, int64_t dim, float factor, bool fetch,
                           float* out) {
  const Vec factors = broadcast(factor);
  for (int64_t j = 0; j < count; j += kLanes) {
    const auto block = [&](auto kRows, auto kFetch, int64_t i) ATTEND_INLINE_LAMBDA {
      multiply_key_block<Rows, kRows, kFetch>(keys + j, queries + i * pitch, pitch, dim, factors,
                                              out + i * kPitch + j);
    };
    for_row_groups(rows, fetch, block);
  }
}

// out[kRows][out_pitch] (+)= weights[kRows][weight_pitch] * values, kUnits * kNumbers columns from
// d on; the last unit reaches to `end` only.
template <class Rows, int kRows, int kUnits, bool kTail>
ATTEND_INLINE void add_values(const char* const* values, int64_t count, const float* weights,
                              int64_t weight_pitch, int64_t d, int64_t end, bool first, float* out,
                              int64_t out_pitch, Fetch fetch) {
  constexpr int kKeys = Rows::kKeys, kVectors = kUnits * kKeys;
  Vec c[kRows][kVectors];
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) c[i][v] = zero();
  }
  for (int64_t k = 0; k * kKeys < count; ++k) {
    if (fetch.count > 0 && k * kKeys % kFetchKeys == 0) fetch.next();
    Vec v[kVectors];
#pragma GCC unroll 4
    for (int unit = 0; unit < kUnits; ++unit) {
      const int64_t column = d + unit * Rows::kNumbers;
      Vec row[kKeys];
#pragma GCC unroll 2
      for (int key = 0; key < kKeys; ++key) {
        const char* from = values[k * kKeys + key];
        row[key] = kTail ? Rows::below(from, column, end) : Rows::at(from, column);
      }
      Rows::join(row, v + unit * kKeys);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const Vec factor = broadcast(weights[i * weight_pitch + k]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        c[i][j] = Rows::Arithmetic::multiply_add(factor, v[j], c[i][j]);
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
    float* target = out + i * out_pitch + d;
#pragma GCC unroll 4
    for (int unit = 0; unit < kUnits; ++unit) Rows::restore(c[i] + unit * kKeys);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(target + v * kLanes, first ? c[i][v] : add(c[i][v], load(target + v * kLanes)));
    }
  }
}

template <class Rows, int kRows, bool kFetch>
inline void add_all_columns(const char* const* values, int64_t count, const float* weights,
                            int64_t weight_pitch, int64_t width, bool first, float* out,
                            int64_t out_pitch) {
  constexpr int kUnits = kValueVectors / Rows::kKeys, kColumns = kUnits * Rows::kNumbers;
  // Every pass over the rows asks for its share of those to come.
  const int64_t passes = at_least(1, width / kColumns), share = (count + passes - 1) / passes;
  const auto fetch_of = [&](int64_t pass) {
    Fetch fetch;
    if (!kFetch || pass >= passes) return fetch;
    fetch.rows = values + pass * share;
    fetch.count = at_most(share, count - pass * share);
    fetch.at_once = (kFetchKeys + passes - 1) / passes;
    fetch.bytes = width * Rows::kBytes;
    return fetch;
  };
  int64_t d = 0, pass = 0;
  for (; d + kColumns <= width; d += kColumns, ++pass) {
    add_values<Rows, kRows, kUnits, false>(values, count, weights, weight_pitch, d, width, first,
                                           out, out_pitch, fetch_of(pass));
  }
  for (; d + Rows::kNumbers <= width; d += Rows::kNumbers, ++pass) {
    add_values<Rows, kRows, 1, false>(values, count, weights, weight_pitch, d, width, first, out,
                                      out_pitch, fetch_of(pass));
  }
  if (d < width) {
    add_values<Rows, kRows, 1, true>(values, count, weights, weight_pitch, d, width, first, out,
                                     out_pitch, fetch_of(pass));
  }
}

constexpr int64_t kValueBlockBytes = 4096;  // of values that stay in L1 while all rows take them

// out[rows][out_pitch] = weights ([rows][weight_pitch], pairs for Bf16 arithmetic) * values.
template <class Rows>
inline void multiply_values(const char* const* values, int64_t count, const float* weights,
                            int64_t weight_pitch, int64_t rows, int64_t width, bool fetch,
                            float* out, int64_t out_pitch) {
  const int64_t step = at_least(kFetchKeys, kValueBlockBytes / (width * Rows::kBytes) / 2 * 2);
  for (int64_t j = 0; j < count; j += step) {
    const int64_t keys = at_most(step, count - j);
    const auto block = [&](auto kRows, auto kFetch, int64_t i) ATTEND_INLINE_LAMBDA {
      add_all_columns<Rows, kRows, kFetch>(
          values + j, keys, weights + i * weight_pitch + j / Rows::kKeys, weight_pitch, width,
          j == 0, out + i * out_pitch, out_pitch);
    };
    for_row_groups(rows, fetch, block);
  }
}
