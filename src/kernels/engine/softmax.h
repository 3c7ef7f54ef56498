// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The exact softmax of a row tile, one stretch of keys at a time (Milakov & Gimelshein 2018; Dao et
// al. 2022). Weights are kept as 2^(x - shift). When the product of the longest query and key
// bounds every |x| by largest_bound(), the shift is that bound from the start: no maximum is
// searched and nothing is ever rescaled, and no digit is lost, since floats are as fine at 2^-80 as
// at 1. Else the shift is the running maximum, rounded up to an integer, so that rescaling is exact
// too. Of short sequences the lengths are not even measured: the bound is taken for granted, with a
// shift of 0, and where a score shows that it does not hold the running maximum takes over.

// With an entropy it is lower: that is a difference of numbers as large as the scores.
ATTEND_INLINE float largest_bound(const Trace& trace) { return trace.entropy ? 24 : 40; }

struct SoftmaxState {
  bool bounded = false;
  bool entropy = false;   // `moment` is wanted
  bool started = false;   // `output` holds something
  bool narrowed = false;  // the weights are in bf16 already
  bool closed = false;    // the last product has divided `output` by the sums
  float shift[kWholeRows];
  float best[kWholeRows];  // largest x; -inf while nothing was seen
  // Per row kLanes partial sums: of 2^(x - shift), the sink left out, and for the entropy of
  // 2^(x - shift) * x if bounded, else of 2^(x - shift) * (x - shift).
  alignas(64) float sum[kWholeRows * kLanes];
  alignas(64) float moment[kTileRows * kLanes];
  float* output = nullptr;  // [12][output_pitch], times 2^-shift: the caller's memory or ours
  int64_t output_pitch = 0;
  bool in_place = false;
  bool checked = false;         // `most` is wanted
  Vec most;                     // the largest |x| so far, lane by lane; NaN is passed over
  float* top_scores = nullptr;  // [12][kTopPitch]; if bounded they are 2^(x - shift)
  int32_t* top_keys = nullptr;
  TopKeys top_list(int row) const {
    return {top_scores + row * kTopPitch, top_keys + row * kTopPitch};
  }
  // Once the last keys were seen: 1 / the sum, 0 for rows that see nothing, and the largest
  // magnitudes of the output, as bits.
  alignas(64) float scale[kWholeRows];
  Ints largest;
};

// Where neither keys nor values were looked at, and nothing may be taken for granted.
ATTEND_INLINE PackedHead unknown_head() {
  PackedHead head;
  head.values_ordinary = false;
  return head;
}

// For `rows` rows; `longest_query`: an upper bound of |query| over them, 0 where it was not
// measured.
inline void start_softmax(const Attention& a, const Trace& trace, int64_t query_head, int rows,
                          float longest_query, const PackedHead& head, SoftmaxState& state) {
  const float sink = a.sink ? float(a.sink[query_head] * kLog2E) : -__builtin_inff();
  const float bound = longest_query * head.key_norm;
  const float limit = largest_bound(trace);
  state.entropy = trace.entropy;
  state.bounded = !has_score_terms(a) && head.values_ordinary && bound <= limit && sink <= limit;
  state.started = state.closed = false;
  state.checked = state.bounded && head.unmeasured;
  state.most = zero();
  const float lowest = __builtin_ceilf(sink);
  const float fixed = __builtin_ceilf(bound);
  const float shift = state.bounded && fixed > lowest ? fixed : lowest;
  for (int i = 0; i < kWholeRows; i += kLanes) {
    store(state.shift + i, broadcast(shift));
    store(state.best + i, broadcast(-__builtin_inff()));
  }
  for (int i = 0; i < rows; ++i) store(state.sum + i * kLanes, zero());
  if (!trace.entropy && state.bounded) return;
  for (int i = 0; i < rows; ++i) store(state.moment + i * kLanes, zero());
}

// The rows' sums of their partial sums [kWholeRows][kLanes], a vector of rows at a time.
ATTEND_INLINE void sum_rows(const float* partial, int rows, float* sums) {
  for (int first = 0; first < rows; first += kLanes) {
    Vec each[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) each[i] = load(partial + (first + i) * kLanes);
    store(sums + first, sum_each(each));
  }
}

inline float largest_of(const float* x, int64_t count) {
  Vec largest = broadcast(-__builtin_inff());
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) largest = max(load(x + j), largest);
  if (j < count) {
    largest = max(select(lanes_below(count - j), load(x + j), largest), largest);
  }
  const float found = reduce_max(largest);
  if (found > -__builtin_inff()) return found;
  for (j = 0; j < count; ++j) {  // the vector maximum passes over NaN
    if (x[j] != x[j]) return x[j];
  }
  return found;
}

// x[0 .. count) becomes 2^(x - shift); the lanes behind become 0. Adds to kLanes sums and moments
// (those of x - centre).
template <bool kMoment>
ATTEND_INLINE void exponentials(float* x, int64_t count, float shift, float centre, float* sum,
                                float* moment) {
  const Vec shifts = broadcast(shift), centres = broadcast(centre);
  const Vec lowest = broadcast(shift - 200.0f);  // -inf would turn into NaN; NaN stays
  Vec sums[2] = {zero(), zero()}, moments = zero();
  const auto one = [&](int64_t j, int which) ATTEND_INLINE_LAMBDA {
    const Vec v = max(lowest, load(x + j));
    const Vec p = exp2_shifted(v, shifts);
    sums[which] = add(sums[which], p);
    if (kMoment) moments = fma(p, sub(v, centres), moments);
    store(x + j, p);
  };
  int64_t j = 0;
  for (; j + 2 * kLanes <= count; j += 2 * kLanes) {
    one(j, 0);
    one(j + kLanes, 1);
  }
  for (; j < count; j += kLanes) {
    const Mask valid = lanes_below(count - j);
    const Vec v = max(lowest, load(x + j));
    const Vec p = select(valid, exp2_shifted(v, shifts), zero());
    sums[0] = add(sums[0], p);
    if (kMoment) moments = fma(p, select(valid, sub(v, centres), zero()), moments);
    store(x + j, p);
  }
  store(sum, add(load(sum), add(sums[0], sums[1])));
  if (kMoment) store(moment, add(load(moment), moments));
}

// Moves the shift of a row up to the maximum of the new scores.
inline void raise_shift(const float* x, int64_t count, int row, int64_t width,
                        SoftmaxState& state) {
  const float largest = largest_of(x, count);
  if (!(largest <= state.best[row])) state.best[row] = largest;
  const float shift = __builtin_ceilf(largest);
  if (!(shift > state.shift[row])) return;
  const float difference = state.shift[row] - shift;
  state.shift[row] = shift;
  if (!(difference > -__builtin_inff())) return;  // nothing was summed yet
  const float factor = __builtin_exp2f(difference);
  float *sum = state.sum + row * kLanes, *moment = state.moment + row * kLanes;
  store(moment, mul(broadcast(factor), fma(broadcast(difference), load(sum), load(moment))));
  store(sum, mul(broadcast(factor), load(sum)));
  float* output = state.output + row * state.output_pitch;
  for (int64_t d = 0; d < width; d += kLanes) {
    store(output + d, mul(load(output + d), broadcast(factor)));
  }
}

// Whether dropout keeps keys first_key ... of a row: dropout_bits() for a vector of them.
ATTEND_INLINE Mask kept_weights(const Attention& a, uint32_t row_key, int64_t first_key) {
  const Ints keys = add(count_up(), ints(uint32_t(first_key)));
  Ints mixed = exclusive_or(mul(keys, ints(0x9e3779b1u)), ints(row_key));
  mixed = mul(exclusive_or(mixed, shift_right<16>(mixed)), ints(0x7feb352du));
  mixed = mul(exclusive_or(mixed, shift_right<15>(mixed)), ints(0x846ca68bu));
  mixed = exclusive_or(mixed, shift_right<16>(mixed));
  return unsigned_at_least(mixed, ints(dropout_threshold(a.dropout)));
}

inline void drop_weights(const Attention& a, const Sequence& s, int64_t head, int64_t row,
                         int64_t first_key, float* p, int64_t count) {
  const uint32_t row_key = dropout_row_key(a.dropout_seed, s.batch * a.heads + head, row);
  const Vec factor = broadcast(float(1.0 / (1.0 - a.dropout)));
  for (int64_t j = 0; j < count; j += kLanes) {
    const Mask kept = kept_weights(a, row_key, first_key + j);
    store(p + j, select(kept, mul(load(p + j), factor), zero()));
  }
}

// The weights of `keys`, from panel_start(keys.begin) on.
inline void drop_weights(const Attention& a, const Sequence& s, const RowTile& tile, KeyRange keys,
                         float* weights) {
  for (int i = 0; i < tile.count; ++i) {
    const KeyRange seen = intersect(tile.row(i), keys);
    if (seen.begin == seen.end) continue;
    drop_weights(a, s, tile.head, tile.first + i, seen.begin,
                 weights + i * kPitch + seen.begin - panel_start(keys.begin),
                 seen.end - seen.begin);
  }
}

// Offers the weights of `keys`, from panel_start(keys.begin) on, to the rows' lists.
inline void keep_top_keys(const RowTile& tile, int top_k, KeyRange keys, const float* weights,
                          SoftmaxState& state) {
#ifdef ATTEND_SORTS_LONGS
  if (tile.count == kTileRows && tile.all.begin <= keys.begin && keys.end <= tile.all.end &&
      keep_heaviest_keys(state.top_list(0), top_k, weights + keys.begin - panel_start(keys.begin),
                         keys.end - keys.begin, keys.begin)) {
    return;
  }
#endif
  OfferedScores rows[kTileRows];
  for (int i = 0; i < tile.count; ++i) {
    const KeyRange seen = intersect(tile.row(i), keys);
    const int64_t count = seen.end - seen.begin;
    const int64_t column = count > 0 ? seen.begin - panel_start(keys.begin) : 0;
    rows[i] = {state.top_list(i), weights + i * kPitch + column, count, seen.begin};
  }
  keep_top_keys(rows, tile.count, top_k);
}

// Raw scores of `keys` for every row -> weights times 2^-shift, zeros where a row sees nothing.
inline void soften(const Attention& a, const Sequence& s, const RowTile& tile, KeyRange keys,
                   const Trace& trace, SoftmaxState& state, float* scores) {
  const int64_t base = panel_start(keys.begin), width = rounded_up(a.value_dim, kLanes);
  const bool terms = has_score_terms(a);
  for (int i = 0; i < tile.count; ++i) {
    float* row = scores + i * kPitch;
    const KeyRange seen = intersect(tile.row(i), keys);
    const int64_t count = seen.end - seen.begin;
    if (count > 0) {
      float* x = row + (seen.begin - base);
      if (terms) add_terms(a, s, tile.head, tile.first + i, seen, x);
      if (!state.bounded) raise_shift(x, count, i, width, state);
      if (trace.top_k > 0) {
        const OfferedScores offered{state.top_list(i), x, count, seen.begin};
        keep_top_keys(&offered, 1, trace.top_k);
      }
      if (state.bounded || state.best[i] != -__builtin_inff()) {
        if (trace.entropy) {
          exponentials<true>(x, count, state.shift[i], state.bounded ? 0 : state.shift[i],
                             state.sum + i * kLanes, state.moment + i * kLanes);
        } else {
          exponentials<false>(x, count, state.shift[i], 0, state.sum + i * kLanes, nullptr);
        }
      } else {
        for (int64_t j = 0; j < count; ++j) x[j] = 0;
      }
      if (a.dropout > 0) drop_weights(a, s, tile.head, tile.first + i, seen.begin, x, count);
      for (int64_t j = keys.begin - base; j < seen.begin - base; ++j) row[j] = 0;
      for (int64_t j = seen.end - base; j < keys.end - base; ++j) row[j] = 0;
    } else {
      for (int64_t j = keys.begin - base; j < keys.end - base; ++j) row[j] = 0;
    }
  }
}
