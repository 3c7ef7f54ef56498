// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Up to 12 query rows of one head that are worked on together, and the keys each of them sees.

constexpr int kTileRows = 12;
constexpr int kWholeRows = (kTileRows + kLanes - 1) / kLanes * kLanes;  // in whole vectors
constexpr int64_t kChunk = 256;          // keys whose scores are held at a time
constexpr int64_t kPitch = kChunk + 16;  // of a row of scores; not a power of two: no aliasing
constexpr int64_t kScoreFloats = kTileRows * kPitch + 16;  // and a note per row behind them

// Keys [begin, end) that each row of a tile sees, begin <= end.
struct SeenKeys {
  alignas(64) uint32_t begin[kWholeRows];
  alignas(64) uint32_t end[kWholeRows];

  KeyRange row(int i) const { return {begin[i], end[i]}; }
  void set_row(int i, KeyRange keys) {
    begin[i] = uint32_t(keys.begin);
    end[i] = uint32_t(keys.end);
  }
};

struct RowTile : SeenKeys {  // of `padded` rows
  int64_t head = 0;
  int64_t first = 0;  // query row of the sequence
  int count = 0;      // rows in use, 1 to 12
  int padded = 0;     // rows computed: 4, 8 or 12
  const float* query = nullptr;
  int64_t query_pitch = 0;
  KeyRange any;  // keys that some row sees
  KeyRange all;  // keys that every row sees; may be empty
};

// Partial sums of the squares of a query row that load_queries() made ready.
ATTEND_INLINE Vec row_squares(const Attention& a, const float* row) {
  const int64_t depth = depth_of(a, a.dim);
  Vec sum = zero();
  for (int64_t d = 0; d < depth; d += kLanes) {
    const Vec v = depth - d >= kLanes ? load(row + d) : load_lanes(row + d, lanes_below(depth - d));
    sum = uses_pairs(a) ? Bf16::multiply_add(v, v, sum) : fma(v, v, sum);
  }
  return sum;
}

// Points `tile` at its queries, copied to `buffer` ([12][dim rounded up]) unless they can be read
// in place.
inline void load_queries(const Attention& a, const Sequence& s, RowTile& tile, float* buffer) {
  const Strides& strides = a.query.strides;
  const char* base = static_cast<const char*>(a.query.data);
  const int64_t size = element_size(a);
  const bool pairs = uses_pairs(a);
  const int64_t depth = depth_of(a, a.dim);
  const auto row_at = [&](int i) {
    return base + query_row_offset(a, s, strides, tile.head, tile.first + i) * size;
  };
  const bool readable =
      pairs ? a.dim % 2 == 0 && strides.row % 2 == 0 : a.type == ElementType::kFloat32;
  if (readable && strides.dim == 1 && tile.count % 4 == 0) {
    tile.query = reinterpret_cast<const float*>(row_at(0));
    tile.query_pitch = strides.row * size / 4;
  } else {
    tile.query = buffer;
    tile.query_pitch = rounded_up(depth, kLanes);
    for (int i = 0; i < tile.padded; ++i) {
      for (int64_t d = 0; d < depth; d += kLanes) {
        Vec v = zero();
        if (i < tile.count) {
          v = pairs ? load_pairs(row_at(i), strides.dim, 2 * d, a.dim - 2 * d)
                    : load_row(row_at(i), a.type, strides.dim, d, a.dim - d);
        }
        store(buffer + i * tile.query_pitch + d, v);
      }
    }
  }
}

// `squares` grows to the largest partial square sums of any row, lane by lane (as bits, so that a
// NaN stays): their sum bounds every |query|^2.
inline void measure_queries(const Attention& a, const RowTile& tile, Ints& squares) {
  for (int i = 0; i < tile.count; ++i) {
    squares = max(bits_of(row_squares(a, tile.query + i * tile.query_pitch)), squares);
  }
}

// max |query| over the rows of tiles that see anything: a closer look than the bound above. NaN
// when one is NaN.
inline float longest_row(const Attention& a, const RowTile* tiles, int count) {
  Ints largest = ints(0);
  for (int t = 0; t < count; ++t) {
    if (tiles[t].any.begin == tiles[t].any.end) continue;
    for (int i = 0; i < tiles[t].count; ++i) {
      const Vec squares = row_squares(a, tiles[t].query + i * tiles[t].query_pitch);
      largest = max(bits_of(broadcast(reduce_add(squares))), largest);
    }
  }
  alignas(64) uint32_t lanes[kLanes];
  store(lanes, largest);
  float square;
  __builtin_memcpy(&square, lanes, sizeof square);
  return __builtin_sqrtf(square);
}

// What rows [first, first + count) see where only a causal mask narrows it, if any, and none stands
// before the first key.
ATTEND_INLINE void set_plain_rows(const Attention& a, const Sequence& s, int64_t first, int count,
                                  SeenKeys& seen) {
  for (int i = 0; i < kWholeRows; i += kLanes) {
    Ints end = ints(uint32_t(s.keys));
    if (a.causal) end = min(add(count_up(), ints(uint32_t(s.offset + first + 1 + i))), end);
    store(seen.begin + i, ints(0));
    store(seen.end + i, bits_of(select(lanes_below(count - i), from_bits(end), zero())));
  }
}

// Rows [first, first + count) of a head and what they see.
inline void make_tile(const Attention& a, const Sequence& s, int64_t head, int64_t first, int count,
                      RowTile& tile) {
  tile.head = head;
  tile.first = first;
  tile.count = count;
  tile.padded = (count + 3) / 4 * 4;
  KeyRange any{s.keys, 0}, all{0, s.keys};
  const int64_t ends = s.offset + first + 1;  // under a causal mask those of row 0
  if (a.window_left < 0 && a.window_right < 0 && first + count <= s.queries &&
      (!a.causal || (ends >= 0 && ends < INT32_MAX - kTileRows))) {
    set_plain_rows(a, s, first, count, tile);
    any = tile.row(count - 1);
    all = tile.row(0);
  } else {
    for (int i = count; i < tile.padded; ++i) tile.set_row(i, {});
    for (int i = 0; i < count; ++i) {
      const KeyRange range = visible_keys(a, s, first + i);
      tile.set_row(i, range);
      all.begin = at_least(all.begin, range.begin);
      all.end = at_most(all.end, range.end);
      if (range.begin == range.end) continue;
      any.begin = at_most(any.begin, range.begin);
      any.end = at_least(any.end, range.end);
    }
  }
  if (any.begin >= any.end) any = {};
  tile.any = any;
  tile.all = all;
}

// The part p of `parts` that `index` falls into, where p covers [p * length / parts, (p + 1) *
// ...).
ATTEND_INLINE int64_t part_of(int64_t index, int64_t parts, int64_t length) {
  return ((index + 1) * parts - 1) / length;
}

ATTEND_INLINE KeyRange intersect(KeyRange a, KeyRange b) {
  const KeyRange range{at_least(a.begin, b.begin), at_most(a.end, b.end)};
  return range.begin < range.end ? range : KeyRange{};
}
