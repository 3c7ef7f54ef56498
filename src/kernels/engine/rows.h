// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Up to 12 query rows of one head that are worked on together, and the keys each of them sees.

constexpr int kTileRows = 12;
constexpr int64_t kChunk = 256;          // keys whose scores are held at a time
constexpr int64_t kPitch = kChunk + 16;  // of a row of scores; not a power of two: no aliasing
constexpr int64_t kScoreFloats = kTileRows * kPitch + 16;  // and a note per row behind them

struct RowTile {
  int64_t head = 0;
  int64_t first = 0;  // query row of the sequence
  int count = 0;      // rows in use, 1 to 12
  int padded = 0;     // rows computed: 4, 8 or 12
  const float* query = nullptr;
  int64_t query_pitch = 0;
  KeyRange any;  // keys that some row sees
  KeyRange all;  // keys that every row sees; may be empty
  KeyRange row[kTileRows];
  float query_norm = 0;  // an upper bound of |query| over the rows
};

// Points `tile` at its queries, copied to `buffer` ([12][dim rounded up]) unless they can be read
// in place, and bounds their length.
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
  // Per lane the largest partial square sum of any row: their sum bounds every |query|^2.
  Vec bound = zero();
  for (int i = 0; i < tile.count; ++i) {
    Vec squares = zero();
    const float* row = tile.query + i * tile.query_pitch;
    for (int64_t d = 0; d < depth; d += kLanes) {
      const Vec v =
          depth - d >= kLanes ? load(row + d) : load_lanes(row + d, lanes_below(depth - d));
      squares = pairs ? Bf16::multiply_add(v, v, squares) : fma(v, v, squares);
    }
    bound = max(bound, squares);  // NaN in `squares` stays: max gives its second operand
  }
  tile.query_norm = __builtin_sqrtf(reduce_add(bound));
}

// Rows [first, first + count) of a head and what they see.
inline RowTile make_tile(const Attention& a, const Sequence& s, int64_t head, int64_t first,
                         int count) {
  RowTile tile;
  tile.head = head;
  tile.first = first;
  tile.count = count;
  tile.padded = (count + 3) / 4 * 4;
  tile.any = {s.keys, 0};
  tile.all = {0, s.keys};
  for (int i = 0; i < count; ++i) {
    const KeyRange range = tile.row[i] = visible_keys(a, s, first + i);
    tile.all.begin = at_least(tile.all.begin, range.begin);
    tile.all.end = at_most(tile.all.end, range.end);
    if (range.begin == range.end) continue;
    tile.any.begin = at_most(tile.any.begin, range.begin);
    tile.any.end = at_least(tile.any.end, range.end);
  }
  if (tile.any.begin > tile.any.end) tile.any = {};
  return tile;
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
