// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// softmax(scores) V without the matrix of weights. Per row tile and chunk of keys: scores into an
// L1 buffer (12 x 256), softmax there, times the values. Traffic: a chunk of packed keys and values
// (128 KiB at dim 64) stays in L2 while the kBlockTiles tiles of a block pass over it, so that L3
// or memory is read once per 96 rows. Flops: 4 * dim per score; the exponential takes about 12
// instructions for 16 scores beside 8 * dim. Sums run per chunk and are then added, which keeps the
// rounding error at sqrt(256) + sqrt(keys / 256) halves of an ulp rather than sqrt(keys).

constexpr int64_t kBlockTiles = 8;
// Under a causal mask so few rows go by tiles of 8: what lies behind the diagonal of a tile is
// computed for nothing.
constexpr int64_t kFewRows = 64;
constexpr int kLowTileRows = 8;
constexpr int64_t kKeptFloats = 128 * 1024;  // of weights that a block keeps: half of an L2
constexpr int64_t kMostKeptKeys = 8192;      // beyond, column sums take a second pass

ATTEND_INLINE int64_t chunks_of(int64_t keys) { return (keys + kChunk - 1) / kChunk; }

struct ForwardCall {
  const Attention& attention;
  const MutableTensor& output;
  const Trace& trace;
  // Rows of a block are kBlockTiles tiles or, where a block keeps its weights until their sums are
  // known (Trace::received and pooled), as many as leave them in L2.
  int64_t block_tiles = kBlockTiles;
  bool keeps_weights = false;
};

// Where an output row lies.
ATTEND_INLINE char* output_row(const ForwardCall& call, const Sequence& s, int64_t head,
                               int64_t row) {
  return static_cast<char*>(call.output.data) +
         query_row_offset(call.attention, s, call.output.strides, head, row) *
             element_size(call.attention);
}

// What the trace asks of row i, once its denominator is known.
inline void trace_row(const ForwardCall& call, const Sequence& s, const RowTile& tile, int i,
                      bool dead, float sum, float total, const SoftmaxState& state) {
  const Trace& trace = call.trace;
  const float shift = state.shift[i];
  const int64_t index = row_index(call.attention, s, tile.head, tile.first + i);
  const float log_total = dead || !(trace.lse || trace.entropy) ? 0.0f : __builtin_log2f(total);
  if (trace.lse) {
    trace.lse[index] = dead ? -__builtin_inff() : float((double(shift) + log_total) * kLn2);
  }
  if (trace.entropy) {
    const float moment = reduce_add(load(state.moment + i * kLanes));
    const double log_sum = double(log_total) + (state.bounded ? shift : 0.0f);
    trace.entropy[index] = dead ? 0.0f : float((sum * log_sum - moment) / total * kLn2);
  }
  for (int k = 0; k < trace.top_k; k += kLanes) {
    const Vec scores = load(state.top_scores + i * kTopPitch + k);
    const Vec terms = state.bounded
                          ? scores
                          : exp2_shifted(max(broadcast(shift - 200.0f), scores), broadcast(shift));
    const Vec weights = mul(terms, broadcast(state.scale[i]));
    Mask found = greater(scores, broadcast(-__builtin_inff()));
    if (dead) found = lanes_below(0);
    const Vec keys =
        select(found, load_bits(state.top_keys + i * kTopPitch + k), broadcast_bits(-1));
    const Mask asked = lanes_below(trace.top_k - k);
    const int64_t place = index * trace.top_k + k;
    store_lanes(reinterpret_cast<float*>(trace.top_keys + place), asked, keys);
    if (trace.top_weights) {
      store_lanes(trace.top_weights + place, asked, select(found, weights, zero()));
    }
  }
}

// The factors that the rows' outputs still want, once all their keys were seen, and what the trace
// asks of them.
inline void close_tile(const ForwardCall& call, const Sequence& s, const RowTile& tile,
                       SoftmaxState& state) {
  const Attention& a = call.attention;
  const Trace& trace = call.trace;
  alignas(64) float sums[kWholeRows], totals[kWholeRows];
  sum_rows(state.sum, tile.count, sums);
  for (int first = 0; first < tile.count; first += kLanes) {
    store(totals + first, load(sums + first));
  }
  const auto is_dead = [&](int i) {
    return !state.started || tile.begin[i] == tile.end[i] ||
           (!state.bounded && state.best[i] == -__builtin_inff());
  };
  for (int i = 0; a.sink && i < tile.count; ++i) {
    if (is_dead(i)) continue;
    totals[i] += __builtin_exp2f(float(a.sink[tile.head] * kLog2E) - state.shift[i]);
  }
  for (int first = 0; first < tile.count; first += kLanes) {
    store(state.scale + first, div(broadcast(1.0f), load(totals + first)));
  }
  const bool all_see = state.started && state.bounded && tile.all.begin < tile.all.end;
  for (int i = all_see ? tile.count : 0; i < tile.padded; ++i) {
    if (i >= tile.count || is_dead(i)) state.scale[i] = 0;
  }
  if (trace.lse || trace.entropy || trace.top_k > 0) {
    for (int i = 0; i < tile.count; ++i) {
      trace_row(call, s, tile, i, is_dead(i), sums[i], totals[i], state);
    }
  }
}

// Whether magnitudes are those of ordinary values: finite, and not so small that digits were lost.
inline bool is_ordinary(Ints largest) {
  constexpr uint32_t kTiny = (127 - 60) << 23;  // 2^-60, as bits
  const bool nothing = bits(unsigned_at_least(ints(0), largest)) == bits(lanes_below(kLanes));
  return !bits(unsigned_at_least(largest, ints(0x7f800000u))) &&
         (nothing || bits(unsigned_at_least(largest, ints(kTiny))));
}

// What is left to do when all keys of a tile were seen. False when the output shows that scores or
// values were not ordinary after all.
inline bool finish_tile(const ForwardCall& call, const Sequence& s, const RowTile& tile,
                        SoftmaxState& state) {
  const Attention& a = call.attention;
  if (!state.closed) {
    close_tile(call, s, tile, state);
    state.largest = ints(0);
    const int64_t width = rounded_up(a.value_dim, kLanes);
    for (int i = 0; i < tile.count; ++i) {
      float* out = state.output + i * state.output_pitch;
      const Vec scale = broadcast(state.scale[i]);
      for (int64_t d = 0; d < width; d += kLanes) {
        const Vec v = state.scale[i] == 0 ? zero() : mul(load(out + d), scale);
        state.largest = max(bits_of(abs(v)), state.largest);
        store(out + d, v);
      }
    }
  }
  for (int i = 0; !state.in_place && i < tile.count; ++i) {
    store_row(output_row(call, s, tile.head, tile.first + i), a.type, call.output.strides.dim,
              state.output + i * state.output_pitch, a.value_dim);
  }
  return is_ordinary(state.largest);
}

struct BlockMemory {
  RowTile* tiles;
  SoftmaxState* states;
  float* scores;        // [12][kPitch]; for weights that are kept one of them per tile and chunk
  float* weight_pairs;  // [12][kPitch / 2]: the weights of a chunk in bf16
  float* queries;       // [rows][dim rounded up]
  float* output;        // [rows][value_dim rounded up]
  float* top_scores;    // [rows][kTopPitch]
  int32_t* top_keys;
};

// Both are plain old data, written before they are read.
template <class T>
ATTEND_INLINE int64_t floats_of(int64_t count) {
  return (count * int64_t(sizeof(T)) + 3) / 4;
}

inline int64_t layout(const ForwardCall& call, float* memory, BlockMemory* parts) {
  const Attention& a = call.attention;
  const int64_t rows = call.block_tiles * kTileRows;
  MemoryParts block(memory);
  BlockMemory own;
  own.tiles = reinterpret_cast<RowTile*>(block.take(floats_of<RowTile>(call.block_tiles)));
  own.states =
      reinterpret_cast<SoftmaxState*>(block.take(floats_of<SoftmaxState>(call.block_tiles)));
  own.scores =
      block.take(kScoreFloats * (call.keeps_weights ? call.block_tiles * chunks_of(a.keys) : 1));
  own.weight_pairs = block.take(uses_pairs(a) ? kTileRows * kPitch / 2 : 0);
  own.queries = block.take(rows * rounded_up(a.dim, kLanes));
  own.output = block.take(rows * rounded_up(a.value_dim, kLanes));
  own.top_scores = block.take(call.trace.top_k > 0 ? rows * kTopPitch : 0);
  own.top_keys =
      reinterpret_cast<int32_t*>(block.take(call.trace.top_k > 0 ? rows * kTopPitch : 0));
  if (parts) *parts = own;
  return block.used();
}

// Columns of [rows][kPitch] to bf16 pairs [rows][kPitch / 2]. Pairs begin at an even column; what
// that adds to the range is 0. Returns the range of columns that the pairs cover.
inline KeyRange narrow_rows(int rows, KeyRange columns, float* from, float* pairs) {
  const KeyRange even{columns.begin / 2 * 2, (columns.end + 1) / 2 * 2};
  for (int i = 0; i < rows; ++i) {
    float* row = from + i * kPitch;
    if (even.begin < columns.begin) row[even.begin] = 0;
    if (even.end > columns.end) row[columns.end] = 0;
    for (int64_t j = even.begin; j < even.end; j += 2 * kLanes) {
      store(pairs + i * kPitch / 2 + j / 2, narrow_to_pairs(load(row + j), load(row + j + kLanes)));
    }
  }
  return even;
}

// output (+)= weights * values for one stretch of keys, and divided by the sums if it is the last.
inline void multiply_weights(const ForwardCall& call, const Sequence& s, const RowTile& tile,
                             const PackedHead& packed, KeyRange keys, bool ordinary, float* scores,
                             float* weight_pairs, SoftmaxState& state) {
  const Attention& a = call.attention;
  const int64_t base = panel_start(keys.begin), pitch = packed.value_pitch;
  const int64_t width = rounded_up(a.value_dim, kLanes);
  const bool first = !state.started;
  state.started = true;
  const bool ends = !a.block_mask.data && keys.end == tile.any.end;
  if (ends) {
    close_tile(call, s, tile, state);
    state.closed = true;
  }
  RowTerms terms;
  terms.scale = ends ? state.scale : nullptr;
  terms.largest = ints(0);
  const int pair = uses_pairs(a) ? 2 : 1;
  if (tile.all.end < keys.end) terms.ends = tile.end;
  terms.first_key = keys.begin / pair * pair;
  if (uses_pairs(a)) {
    KeyRange even{(keys.begin - base) / 2 * 2, (keys.end - base + 1) / 2 * 2};
    if (!state.narrowed) {
      even = narrow_rows(tile.count, {keys.begin - base, keys.end - base}, scores, weight_pairs);
    }
    const auto add =
        ordinary ? add_product<kPitch / 2, 1, Bf16> : add_product_carefully<kPitch / 2, 1, Bf16>;
    add(tile.count, weight_pairs + even.begin / 2, packed.values + (even.begin + base) / 2 * pitch,
        pitch, (even.end - even.begin) / 2, first, state.output, state.output_pitch, width, &terms);
  } else {
    const auto add = ordinary ? add_product<kPitch, 1> : add_product_carefully<kPitch, 1>;
    add(tile.count, scores + (keys.begin - base), packed.values + keys.begin * pitch, pitch,
        keys.end - keys.begin, first, state.output, state.output_pitch, width, &terms);
  }
  state.largest = terms.largest;
}

// Adds the finished weights of a tile to the sums over its columns. A row's weights were taken with
// the shift of that moment, noted beside them; sums run over rows of one row of the pooled map.
inline void add_columns_of(const ForwardCall& call, const Sequence& s, const RowTile& tile,
                           const SoftmaxState& state, KeyRange keys, const float* kept) {
  const Attention& a = call.attention;
  const Trace& trace = call.trace;
  const int64_t base = panel_start(keys.begin);
  const float* shifts = kept + kTileRows * kPitch;
  Vec factors[kTileRows];
  for (int i = 0; i < tile.count; ++i) {
    const float lag = shifts[i] - state.shift[i];
    const bool used = state.scale[i] != 0 && lag > -__builtin_inff();
    factors[i] = broadcast(used ? state.scale[i] * (lag == 0 ? 1.0f : __builtin_exp2f(lag)) : 0);
  }
  const int64_t sequence = a.key_starts ? 0 : s.batch;
  float* received = trace.received
                        ? trace.received + (sequence * a.heads + tile.head) * a.keys + s.first_key
                        : nullptr;
  for (int begin = 0; begin < tile.count;) {
    int end = tile.count;
    int64_t pooled_row = 0;
    if (trace.pooled) {
      pooled_row = part_of(tile.first + begin, trace.pooled_rows, s.rows);
      const int64_t limit = (pooled_row + 1) * s.rows / trace.pooled_rows - tile.first;
      end = int(at_most(end, limit));
    }
    alignas(64) float sums[kPitch];
    for (int64_t j = keys.begin - base; j < keys.end - base; j += kLanes) {
      Vec sum = zero();
      for (int i = begin; i < end; ++i) sum = fma(load(kept + i * kPitch + j), factors[i], sum);
      store(sums + j, sum);
      if (received) {
        const Mask valid = lanes_below(keys.end - base - j);
        float* target = received + base + j;
        store_lanes(target, valid, add(sum, load_lanes(target, valid)));
      }
    }
    if (trace.pooled) {
      float* cells =
          trace.pooled +
          ((s.batch * a.heads + tile.head) * trace.pooled_rows + pooled_row) * trace.pooled_columns;
      for (int64_t key = keys.begin; key < keys.end;) {
        const int64_t column = part_of(key, trace.pooled_columns, s.all_keys);
        const int64_t stop = at_most((column + 1) * s.all_keys / trace.pooled_columns, keys.end);
        float sum = 0;
        for (; key < stop; ++key) sum += sums[key - base];
        cells[column] += sum;
      }
    }
    begin = end;
  }
}

// The keys of `chunk` for one tile.
inline void advance_tile(const ForwardCall& call, const Sequence& s, const PackedHead& packed,
                         const RowTile& tile, KeyRange chunk, bool ordinary, float* scores,
                         const BlockMemory& memory, SoftmaxState& state) {
  const Attention& a = call.attention;
  const KeyRange mine = intersect(tile.any, chunk);
  for (KeyRange keys{mine.begin, mine.begin};;) {
    keys = next_keys(a, s, tile, keys.end, mine.end);
    if (keys.begin >= keys.end) return;
    state.narrowed = uses_pairs(a) && state.bounded && a.dropout == 0;
    const int top_k = call.trace.top_k;
    if (state.bounded) {
      bounded_weights(a, tile, packed, keys, state,
                      !state.narrowed || call.keeps_weights || top_k > 0 ? scores : nullptr,
                      state.narrowed ? memory.weight_pairs : nullptr);
      if (state.checked && bits(greater(state.most, broadcast(largest_bound(call.trace))))) {
        // The running maximum instead. So short a sequence has no other stretch of keys.
        static_assert(kLongestInPlace <= kChunk);
        start_softmax(a, call.trace, tile.head, tile.padded, 0, unknown_head(), state);
      }
    }
    if (state.bounded) {
      if (top_k > 0) keep_top_keys(tile, top_k, keys, scores, state);
      if (a.dropout > 0) drop_weights(a, s, tile, keys, scores);
    } else {
      raw_scores(a, tile, packed, keys, scores);
      soften(a, s, tile, keys, call.trace, state, scores);
    }
    multiply_weights(call, s, tile, packed, keys, ordinary, scores, memory.weight_pairs, state);
    if (!call.keeps_weights) continue;
    for (int i = 0; i < tile.count; ++i) scores[kTileRows * kPitch + i] = state.shift[i];
  }
}

// Tile number `place` of a block, all but its softmax.
inline void start_tile(const ForwardCall& call, const Sequence& s, int64_t head, int64_t row,
                       int height, int64_t place, const BlockMemory& memory) {
  const Attention& a = call.attention;
  const int64_t width = rounded_up(a.value_dim, kLanes);
  RowTile& tile = memory.tiles[place];
  SoftmaxState& state = memory.states[place];
  make_tile(a, s, head, row, int(at_most(height, s.rows - row)), tile);
  state.in_place = a.type == ElementType::kFloat32 && call.output.strides.dim == 1 &&
                   a.value_dim == width && tile.count % 4 == 0;
  state.output = memory.output + place * kTileRows * width;
  state.output_pitch = width;
  if (state.in_place) {
    state.output = reinterpret_cast<float*>(output_row(call, s, head, row));
    state.output_pitch = call.output.strides.row;
  }
  state.top_scores = memory.top_scores + place * kTileRows * kTopPitch;
  state.top_keys = memory.top_keys + place * kTileRows * kTopPitch;
  for (int i = 0; call.trace.top_k > 0 && i < kTileRows; ++i) {
    start_top_keys(state.top_list(i));
  }
  if (tile.any.begin < tile.any.end) {
    load_queries(a, s, tile, memory.queries + place * kTileRows * rounded_up(a.dim, kLanes));
  }
}

// Rows [first, first + block_tiles * 12) of one query head.
inline void forward_block(const ForwardCall& call, const Sequence& s, const PackedHead& packed,
                          int64_t head, int64_t first, const BlockMemory& memory) {
  const Attention& a = call.attention;
  RowTile* tiles = memory.tiles;
  SoftmaxState* states = memory.states;
  int count = 0;
  KeyRange any{s.keys, 0};
  Ints squares = ints(0);
  const int64_t last = at_most(first + call.block_tiles * kTileRows, s.rows);
  const int height =
      a.causal && s.rows <= kFewRows && !call.keeps_weights ? kLowTileRows : kTileRows;
  for (int64_t row = first; row < last; row += height, ++count) {
    start_tile(call, s, head, row, height, count, memory);
    const KeyRange mine = tiles[count].any;
    if (mine.begin == mine.end) continue;
    if (!packed.unmeasured) measure_queries(a, tiles[count], squares);
    any = {at_most(any.begin, mine.begin), at_least(any.end, mine.end)};
  }
  float longest_query = 0;
  if (!packed.unmeasured) {
    longest_query = __builtin_sqrtf(reduce_add(from_bits(squares)));
    if (longest_query * packed.key_norm > largest_bound(call.trace)) {
      longest_query = longest_row(a, tiles, count);
    }
  }
  for (int t = 0; t < count; ++t) {
    start_softmax(a, call.trace, head, tiles[t].padded, longest_query, packed, states[t]);
  }
  const auto scores_of = [&](int tile, int64_t chunk) {
    const int64_t place = call.keeps_weights ? tile * chunks_of(s.keys) + chunk / kChunk : 0;
    return memory.scores + place * kScoreFloats;
  };
  const int64_t first_chunk = any.begin / kChunk * kChunk;
  for (int64_t chunk = first_chunk; chunk < any.end; chunk += kChunk) {
    for (int t = 0; t < count; ++t) {
      advance_tile(call, s, packed, tiles[t], {chunk, chunk + kChunk}, packed.values_ordinary,
                   scores_of(t, chunk), memory, states[t]);
    }
  }
  for (int t = 0; t < count; ++t) {
    if (!finish_tile(call, s, tiles[t], states[t]) && packed.unmeasured) {
      // Once more with care: the running maximum, and no product of 0 with what is not a number.
      PackedHead careful = packed;
      careful.values_ordinary = false;
      start_tile(call, s, head, tiles[t].first, height, t, memory);
      start_softmax(a, call.trace, head, tiles[t].padded, longest_query, careful, states[t]);
      for (int64_t chunk = first_chunk; chunk < any.end; chunk += kChunk) {
        advance_tile(call, s, careful, tiles[t], {chunk, chunk + kChunk}, false,
                     scores_of(t, chunk), memory, states[t]);
      }
      finish_tile(call, s, tiles[t], states[t]);
    }
    for (int64_t chunk = 0; call.keeps_weights && chunk < s.keys; chunk += kChunk) {
      const KeyRange keys = intersect(tiles[t].any, {chunk, chunk + kChunk});
      if (keys.begin == keys.end) continue;
      add_columns_of(call, s, tiles[t], states[t], keys, scores_of(t, chunk));
    }
  }
}
