// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Scores of a row tile against up to kChunk keys, in base 2 (log2(e) * score), into [12][kPitch].

// Column of key `j` in the score buffer of a range that starts at key `begin`.
ATTEND_INLINE int64_t panel_start(int64_t begin) { return begin / kPanel * kPanel; }

// Products of pairs are stored times `factor`; fp32 panels hold it already.
template <class Arithmetic, int kRows, int kVectors>
inline void multiply_panel(const float* rows, int64_t pitch, const float* panel, int64_t depth,
                           float factor, float* out) {
  constexpr int kPart = kRows * kVectors <= kAccumulators ? kRows : kRows / 2;
  const Vec factors = broadcast(factor);
#pragma GCC unroll 2
  for (int part = 0; part < kRows; part += kPart) {
    Vec c[kPart][kVectors];
#pragma GCC unroll 12
    for (int i = 0; i < kPart; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) c[i][v] = zero();
    }
    multiply_tile<Arithmetic, kPart, kVectors>(rows + part * pitch, pitch, 1, panel, kPanel, depth,
                                               c);
#pragma GCC unroll 12
    for (int i = 0; i < kPart; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        store(out + (part + i) * kPitch + v * kLanes,
              Arithmetic::kPairs ? mul(c[i][v], factors) : c[i][v]);
      }
    }
  }
}

template <class Arithmetic, int kVectors>
inline void multiply_panel(int padded, const float* rows, int64_t pitch, const float* panel,
                           int64_t depth, float factor, float* out) {
  if (padded == 12) {
    multiply_panel<Arithmetic, 12, kVectors>(rows, pitch, panel, depth, factor, out);
  } else if (padded == 8) {
    multiply_panel<Arithmetic, 8, kVectors>(rows, pitch, panel, depth, factor, out);
  } else {
    multiply_panel<Arithmetic, 4, kVectors>(rows, pitch, panel, depth, factor, out);
  }
}

// Rows times panels [columns / kPanel][depth][kPanel] into out[row][kPitch]; of the last panel only
// the first half where that is enough.
template <class Arithmetic>
inline void multiply_panels(int padded, const float* rows, int64_t pitch, const float* panels,
                            int64_t depth, int64_t columns, float factor, float* out) {
  int64_t j = 0;
  for (; j + kLanes < columns; j += kPanel) {
    multiply_panel<Arithmetic, 2>(padded, rows, pitch, panels + j * depth, depth, factor, out + j);
  }
  if (j < columns) {
    multiply_panel<Arithmetic, 1>(padded, rows, pitch, panels + j * depth, depth, factor, out + j);
  }
}

// scale * q.k for all rows of the tile; keys.end - panel_start(keys.begin) <= kChunk.
inline void raw_scores(const Attention& a, const RowTile& tile, const PackedHead& head,
                       KeyRange keys, float* scores) {
  const int64_t first = panel_start(keys.begin), depth = depth_of(a, a.dim);
  const float* panels = head.key_panels + (first - head.first_key) * depth;
  if (uses_pairs(a)) {
    multiply_panels<Bf16>(tile.padded, tile.query, tile.query_pitch, panels, depth,
                          keys.end - first, key_factor(a), scores);
  } else {
    multiply_panels<Fp32>(tile.padded, tile.query, tile.query_pitch, panels, depth,
                          keys.end - first, 1.0f, scores);
  }
}

ATTEND_INLINE bool has_score_terms(const Attention& a) {
  return a.soft_cap > 0 || a.bias.data || a.distance_bias || a.alibi_slopes || a.block_mask.data;
}

// c * tanh(x / c) = c - 2c / (2^(2 log2(e) x / c) + 1), with c and x in base 2 units. Where |x| is
// small beside c the difference would lose digits, and an odd polynomial takes over.
inline void cap_scores(float cap, float* x, int64_t count) {
  const float natural = float(cap * kLn2);
  const Vec to_exponent = broadcast(float(2 / natural)), limit = broadcast(30.0f);
  const Vec one = broadcast(1.0f), two = broadcast(2.0f), c = broadcast(cap);
  const Vec inverse = broadcast(1.0f / cap);
  for (int64_t j = 0; j < count; j += kLanes) {
    const Vec v = load(x + j);
    const Vec y = mul(v, inverse);
    const Vec y2 = mul(y, y);
    Vec p = broadcast(-1382.0f / 155925.0f);
    p = fma(p, y2, broadcast(62.0f / 2835.0f));
    p = fma(p, y2, broadcast(-17.0f / 315.0f));
    p = fma(p, y2, broadcast(2.0f / 15.0f));
    p = fma(p, y2, broadcast(-1.0f / 3.0f));
    const Vec near = fma(mul(p, y2), y, y);
    const Vec e = exp2_shifted(min(max(mul(v, to_exponent), sub(zero(), limit)), limit), zero());
    const Vec far = sub(one, div(two, add(e, one)));
    store(x + j, mul(c, select(greater(broadcast(0.3f), abs(y)), near, far)));
  }
}

// Columns of a row by their distance: [0, near) lies left of the reach of distance_bias, [far, ...)
// right of it.
struct DistanceParts {
  int64_t near = 0;
  int64_t far = 0;
};

inline DistanceParts distance_parts(const Attention& a, KeyRange keys, int64_t position) {
  const int64_t count = keys.end - keys.begin, first = keys.begin - position;
  const int64_t near = at_most(at_least(0, -a.distance_reach - first), count);
  return {near, at_least(near, at_most(a.distance_reach + 1 - first, count))};
}

// What is added to the (capped) scores of one row, keys [keys.begin, keys.end) at x[0 ...].
inline void add_biases(const Attention& a, const Sequence& s, int64_t head, int64_t row,
                       KeyRange keys, float* x) {
  const int64_t count = keys.end - keys.begin;
  const int64_t position = s.offset + row;
  const float log2e = float(kLog2E);
  if (a.bias.data) {
    const Strides& strides = a.bias.strides;
    const float* bias = a.bias.data + s.batch * strides.batch + head * strides.head +
                        row * strides.row + keys.begin * strides.dim;
    // -inf forbids a key even where its score is NaN.
    const float forbidden = -__builtin_inff();
    int64_t j = 0;
    for (; strides.dim == 1 && j + kLanes <= count; j += kLanes) {
      const Vec b = load(bias + j);
      store(x + j, select(greater(b, broadcast(forbidden)), fma(b, broadcast(log2e), load(x + j)),
                          broadcast(forbidden)));
    }
    for (; j < count; ++j) {
      const float b = bias[j * strides.dim];
      x[j] = b > forbidden ? x[j] + b * log2e : forbidden;
    }
  }
  if (a.distance_bias) {
    const float* table = a.distance_bias + head * (2 * a.distance_reach + 1) + a.distance_reach;
    const DistanceParts parts = distance_parts(a, keys, position);
    const auto add_constant = [&](int64_t begin, int64_t end, float value) {
      for (int64_t j = begin; j < end; ++j) x[j] += value;
    };
    add_constant(0, parts.near, table[-a.distance_reach] * log2e);
    add_constant(parts.far, count, table[a.distance_reach] * log2e);
    const float* from = table + (keys.begin - position);
    for (int64_t j = parts.near; j < parts.far; j += kLanes) {
      const Mask valid = lanes_below(parts.far - j);
      const Vec bias = load_lanes(from + j, valid);
      store_lanes(x + j, valid, fma(bias, broadcast(log2e), load_lanes(x + j, valid)));
    }
  }
  if (a.alibi_slopes) {
    const Vec slope = broadcast(-a.alibi_slopes[head] * log2e);
    Vec distance = add(to_floats(count_up()), broadcast(float(keys.begin - position)));
    for (int64_t j = 0; j < count; j += kLanes) {
      store(x + j, fma(abs(distance), slope, load(x + j)));
      distance = add(distance, broadcast(float(kLanes)));
    }
  }
  if (a.block_mask.data) {
    const BlockMask& mask = a.block_mask;
    const uint8_t* bits = mask.data + s.batch * mask.strides.batch + head * mask.strides.head +
                          row / mask.query_block * mask.strides.row;
    for (int64_t j = 0; j < count;) {
      const int64_t block = (keys.begin + j) / mask.key_block;
      const int64_t end = at_most(count, (block + 1) * mask.key_block - keys.begin);
      if (!bits[block * mask.strides.dim]) {
        for (int64_t i = j; i < end; ++i) x[i] = -__builtin_inff();
      }
      j = end;
    }
  }
}

inline void add_terms(const Attention& a, const Sequence& s, int64_t head, int64_t row,
                      KeyRange keys, float* x) {
  if (a.soft_cap > 0) cap_scores(float(a.soft_cap * kLog2E), x, keys.end - keys.begin);
  add_biases(a, s, head, row, keys, x);
}

// Finds the next stretch of at most kChunk keys, from `from` on, that a block mask does not empty
// for the whole tile. Empty when there is none before `end`.
inline KeyRange next_keys(const Attention& a, const Sequence& s, const RowTile& tile, int64_t from,
                          int64_t end) {
  const BlockMask& mask = a.block_mask;
  if (!mask.data) {
    return {from, at_most(end, panel_start(from) + kChunk)};
  }
  const auto wanted = [&](int64_t key) {
    const uint8_t* bits = mask.data + s.batch * mask.strides.batch + tile.head * mask.strides.head +
                          key / mask.key_block * mask.strides.dim;
    const int64_t last = (tile.first + tile.count - 1) / mask.query_block;
    for (int64_t block = tile.first / mask.query_block; block <= last; ++block) {
      if (bits[block * mask.strides.row]) return true;
    }
    return false;
  };
  const auto block_end = [&](int64_t key) { return (key / mask.key_block + 1) * mask.key_block; };
  while (from < end && !wanted(from)) from = block_end(from);
  if (from >= end) return {end, end};
  const int64_t limit = at_most(end, panel_start(from) + kChunk);
  int64_t stop = block_end(from);
  while (stop < limit && wanted(stop)) stop = block_end(stop);
  return {from, at_most(stop, limit)};
}
