// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Scores to weights while they are still in registers: where the shift is known beforehand
// (SoftmaxState::bounded), a score is never stored.

// Where the weights of a panel go, row by row.
struct PanelWeights {
  const SeenKeys* seen;  // what its rows see, or null when every row sees the whole panel
  int first_row;         // in `seen`
  float* sums;           // [rows][kLanes], added to
  float* moments;        // the same for the entropy, or null
  Vec* most;             // grows to the largest |score|, lane by lane; or null
  float* weights;        // [rows][kPitch]; with products of pairs it may be null
  float* pairs;          // [rows][kPitch / 2]: the weights in bf16, for products of pairs; or null

  PanelWeights from_row(int row) const {
    return {seen,
            first_row + row,
            sums + row * kLanes,
            moments ? moments + row * kLanes : nullptr,
            most,
            weights ? weights + row * kPitch : nullptr,
            pairs ? pairs + row * kPitch / 2 : nullptr};
  }
};

// kRows x kVectors weights from their scores; `key` is the first one. kPlain: every row sees them
// all, and what products read is all that is wanted.
template <class Arithmetic, bool kPlain, bool kTraced, bool kChecked, int kRows, int kVectors>
ATTEND_INLINE void store_weights(Vec (&c)[kRows][kVectors], float factor, Vec rounding, int64_t key,
                                 const PanelWeights& to) {
  Ints keys[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) keys[v] = add(count_up(), ints(uint32_t(key + v * kLanes)));
  Vec most = kChecked ? *to.most : zero();
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
    Vec sum = load(to.sums + i * kLanes), moment = zero();
    if (kTraced) moment = load(to.moments + i * kLanes);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      Vec x = Arithmetic::kPairs ? mul(c[i][v], broadcast(factor)) : c[i][v];
      if (kChecked) most = larger_magnitude(x, most);
      c[i][v] = exp2_bounded(x, rounding);
      if (!kPlain && to.seen) {
        const int row = to.first_row + i;
        const Mask seen = without(unsigned_at_least(keys[v], ints(to.seen->begin[row])),
                                  unsigned_at_least(keys[v], ints(to.seen->end[row])));
        c[i][v] = select(seen, c[i][v], zero());
        if (kTraced) x = select(seen, x, zero());  // it may be NaN
      }
      sum = add(sum, c[i][v]);
      if (kTraced) moment = fma(c[i][v], x, moment);
      if (!Arithmetic::kPairs || (!kPlain && to.weights))
        store(to.weights + i * kPitch + v * kLanes, c[i][v]);
    }
    store(to.sums + i * kLanes, sum);
    if (kTraced) store(to.moments + i * kLanes, moment);
    if (Arithmetic::kPairs && (kPlain || to.pairs)) {
      store(to.pairs + i * kPitch / 2, narrow_to_pairs(c[i][0], kVectors == 2 ? c[i][1] : zero()));
    }
  }
  if (kChecked) *to.most = most;
}

template <class Arithmetic, int kRows, int kVectors>
ATTEND_INLINE void bounded_panel(const float* rows, int64_t pitch, const float* panel,
                                 int64_t depth, float factor, Vec rounding, int64_t key,
                                 const PanelWeights& to) {
  Vec c[kRows][kVectors];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) c[i][v] = zero();
  }
  multiply_tile<Arithmetic, kRows, kVectors>(rows, pitch, 1, panel, kPanel, depth, c);
  // Inlined, so that the scores stay in registers.
  const bool plain = !to.seen && (!Arithmetic::kPairs || (to.pairs && !to.weights));
  if (to.moments && to.most) {
    store_weights<Arithmetic, false, true, true>(c, factor, rounding, key, to);
  } else if (to.moments) {
    store_weights<Arithmetic, false, true, false>(c, factor, rounding, key, to);
  } else if (to.most) {
    store_weights<Arithmetic, false, false, true>(c, factor, rounding, key, to);
  } else if (!plain) {
    store_weights<Arithmetic, false, false, false>(c, factor, rounding, key, to);
  } else {
    store_weights<Arithmetic, true, false, false>(c, factor, rounding, key, to);
  }
}

template <class Arithmetic, int kRows, int kVectors>
inline void bounded_panels(const float* rows, int64_t pitch, const float* panel, int64_t depth,
                           float factor, float rounding, int64_t key, const PanelWeights& to) {
  constexpr int kPart = kRows * kVectors <= kAccumulators ? kRows : kRows / 2;
#pragma GCC unroll 2
  for (int part = 0; part < kRows; part += kPart) {
    bounded_panel<Arithmetic, kPart, kVectors>(rows + part * pitch, pitch, panel, depth, factor,
                                               broadcast(rounding), key, to.from_row(part));
  }
}

// Weights times 2^-shift of `keys` (keys.end - panel_start(keys.begin) <= kChunk) for every row, 0
// where a row sees nothing; adds to the rows' sums and moments. As soften(raw_scores()) does, and
// for bf16 products narrow_rows().
template <class Arithmetic, int kRows>
inline void bounded_weights(const Attention& a, const RowTile& tile, const PackedHead& head,
                            KeyRange keys, SoftmaxState& state, float* weights, float* pairs) {
  const int64_t first = panel_start(keys.begin), depth = depth_of(a, a.dim);
  const float* panels = head.key_panels + (first - head.first_key) * depth;
  const float factor = Arithmetic::kPairs ? key_factor(a) : 1,
              rounding = kExp2Rounding - state.shift[0];
  const int64_t columns = keys.end - first;
  for (int64_t j = 0; j < columns; j += kPanel) {
    const int64_t key = first + j;
    const bool half = columns - j <= kLanes;
    const bool whole = tile.all.begin <= key && key + (half ? kLanes : kPanel) <= tile.all.end;
    const auto panel =
        half ? bounded_panels<Arithmetic, kRows, 1> : bounded_panels<Arithmetic, kRows, 2>;
    panel(tile.query, tile.query_pitch, panels + j * depth, depth, factor, rounding, key,
          {whole ? nullptr : &tile, 0, state.sum, state.entropy ? state.moment : nullptr,
           state.checked ? &state.most : nullptr, weights ? weights + j : nullptr,
           pairs ? pairs + j / 2 : nullptr});
  }
}

inline void bounded_weights(const Attention& a, const RowTile& tile, const PackedHead& head,
                            KeyRange keys, SoftmaxState& state, float* weights, float* pairs) {
  const auto of = [&]<class Arithmetic>(Arithmetic) {
    (tile.padded == 12 ? bounded_weights<Arithmetic, 12>
     : tile.padded == 8
         ? bounded_weights<Arithmetic, 8>
         : bounded_weights<Arithmetic, 4>)(a, tile, head, keys, state, weights, pairs);
  };
  if (uses_pairs(a)) {
    of(Bf16{});
  } else {
    of(Fp32{});
  }
}
