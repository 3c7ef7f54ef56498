// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Decoding: few queries against a long cache. Packing keys would cost as much as the products, so
// keys and values are read where they lie, once, for all query rows of their group. Per key there
// are 4 * rows * dim flops for 2 * dim numbers read: the memory is the limit, and it must never
// wait.

constexpr int64_t kDecodeChunk = 256;    // keys
constexpr int64_t kMostDecodeRows = 64;  // of a group: heads * queries
// Measured: packing pays from 8 queries on when keys are few, and never up to 12 when they are
// many.
constexpr int64_t kMostDecodeQueries = 4, kMostLongDecodeQueries = kTileRows, kLongCache = 1024;
constexpr int64_t kBytesPerTeam = 256 * 1024;  // a cache below this is not worth waking a team

ATTEND_INLINE bool is_decoding(const Attention& a, const Trace& trace) {
  return a.queries <= (a.keys >= kLongCache ? kMostLongDecodeQueries : kMostDecodeQueries) &&
         a.heads / a.kv_heads * a.queries <= kMostDecodeRows && !a.query_starts &&
         !trace.received && !trace.pooled;
}

// The rows of one group, head by head: a tile per head, as in the other passes.
struct DecodeState {
  RowTile* tiles;         // [group]
  SoftmaxState* softmax;  // [group]
  float* output;          // [rows][output_pitch]
  float* top_scores;      // [rows][kTopPitch]
  int32_t* top_keys;
};

struct DecodeCall {
  const ForwardCall& forward;
  const Attention& attention;
  int64_t group, rows, query_pitch, output_pitch;
  float key_factor;
};

inline DecodeCall make_decode(const ForwardCall& call) {
  const Attention& a = call.attention;
  const int64_t group = a.heads / a.kv_heads;
  return {call,
          a,
          group,
          group * a.queries,
          rounded_up(depth_of(a, a.dim), kLanes),
          rounded_up(a.value_dim, 2 * kLanes),
          key_factor(a)};
}

inline int64_t layout(const DecodeCall& call, float* memory, DecodeState* state) {
  MemoryParts block(memory);
  const int64_t top = call.forward.trace.top_k > 0 ? call.rows * kTopPitch : 0;
  DecodeState own;
  own.tiles = reinterpret_cast<RowTile*>(block.take(floats_of<RowTile>(call.group)));
  own.softmax = reinterpret_cast<SoftmaxState*>(block.take(floats_of<SoftmaxState>(call.group)));
  own.output = block.take(call.rows * call.output_pitch);
  own.top_scores = block.take(top);
  own.top_keys = reinterpret_cast<int32_t*>(block.take(top));
  if (state) *state = own;
  return block.used();
}

// What a thread works with.
struct DecodeMemory {
  float* queries;       // [rows][query_pitch]
  float* scores;        // [rows][kPitch]
  float* weight_pairs;  // [rows][kPitch / 2]
  float* products;      // [rows][output_pitch]: weights * values of a chunk
  char* rows;           // keys or values of a chunk side by side, where they are not contiguous
};

inline int64_t layout(const DecodeCall& call, float* memory, DecodeMemory* parts) {
  MemoryParts block(memory);
  const Attention& a = call.attention;
  const bool strided = a.key.strides.dim != 1 || a.value.strides.dim != 1;
  DecodeMemory own;
  own.queries = block.take(call.rows * call.query_pitch);
  own.scores = block.take(call.rows * kPitch + 16);
  own.weight_pairs = block.take(uses_pairs(a) ? call.rows * kPitch / 2 : 0);
  own.products = block.take(call.rows * call.output_pitch);
  own.rows = reinterpret_cast<char*>(
      block.take(strided ? kDecodeChunk * rounded_up(at_least(a.dim, a.value_dim), 16) : 0));
  if (parts) *parts = own;
  return block.used();
}

// Some keys or values of one head.
struct CacheRows {
  const ConstTensor& tensor;
  const Sequence& sequence;
  int64_t kv_head;
  KeyRange keys;
};

// Where the rows of a chunk lie. The last address is repeated up to a whole block, so that this can
// be read in full; then come those that are read next, to be fetched meanwhile.
struct RowAddresses {
  const char* rows[kDecodeChunk + kLanes + kFetchAhead];
  int64_t count = 0;
};

inline int64_t add_addresses(const Attention& a, const CacheRows& which, const char** out) {
  const int64_t size = element_size(a);
  const char* base = static_cast<const char*>(which.tensor.data);
  int64_t count = 0;
  for (int64_t key = which.keys.begin; key < which.keys.end;) {
    const int64_t page_end = a.pages ? (key / a.page_size + 1) * a.page_size : which.keys.end;
    const char* row =
        base + key_row_offset(a, which.sequence, which.tensor.strides, which.kv_head, key) * size;
    for (const int64_t stop = at_most(page_end, which.keys.end); key < stop; ++key) {
      out[count++] = row;
      row += which.tensor.strides.row * size;
    }
  }
  return count;
}

inline void locate_rows(const Attention& a, const CacheRows& which, CacheRows next,
                        RowAddresses& out) {
  int64_t place = out.count = add_addresses(a, which, out.rows);
  const int64_t block_end = rounded_up(place, kLanes), end = block_end + kFetchAhead;
  const auto repeat_last = [&](int64_t stop) {
    for (const char* last = out.rows[place - 1]; place < stop;) out.rows[place++] = last;
  };
  repeat_last(block_end);
  next.keys.end = at_most(next.keys.end, next.keys.begin + kFetchAhead);
  place += add_addresses(a, next, out.rows + place);
  repeat_last(end);
}

// Copies rows whose numbers do not lie side by side, and points at the copies.
inline void gather_rows(const Attention& a, int64_t step, int64_t dims, char* memory,
                        RowAddresses& rows) {
  if (step == 1) return;
  const int64_t pitch = rounded_up(dims, 16) * element_size(a);
  for (int64_t i = 0; i < rows.count; ++i) {
    char* to = memory + i * pitch;
    for (int64_t d = 0; d < dims; ++d) {
      if (a.type == ElementType::kFloat32) {
        reinterpret_cast<float*>(to)[d] = reinterpret_cast<const float*>(rows.rows[i])[d * step];
      } else {
        reinterpret_cast<uint16_t*>(to)[d] =
            reinterpret_cast<const uint16_t*>(rows.rows[i])[d * step];
      }
    }
    rows.rows[i] = to;
  }
  for (int i = 0; i < kLanes; ++i) rows.rows[rows.count + i] = rows.rows[rows.count - 1];
}

// The queries of a group, as the products read them.
inline void load_group(const DecodeCall& call, const Sequence& s, int64_t kv_head,
                       const DecodeMemory& memory) {
  const Attention& a = call.attention;
  const bool pairs = uses_pairs(a);
  const int64_t step = a.query.strides.dim;
  for (int64_t i = 0; i < call.rows; ++i) {
    const int64_t head = kv_head * call.group + i / a.queries;
    const char* from =
        static_cast<const char*>(a.query.data) +
        query_row_offset(a, s, a.query.strides, head, i % a.queries) * element_size(a);
    float* to = memory.queries + i * call.query_pitch;
    for (int64_t d = 0; d < call.query_pitch; d += kLanes) {
      store(to + d, pairs ? load_pairs(from, step, 2 * d, a.dim - 2 * d)
                          : load_row(from, a.type, step, d, a.dim - d));
    }
  }
}

inline void start_group(const DecodeCall& call, const Sequence& s, int64_t kv_head,
                        const DecodeMemory& memory, DecodeState& state) {
  const Attention& a = call.attention;
  load_group(call, s, kv_head, memory);
  for (int64_t i = 0; i < call.group; ++i) {
    const int64_t head = kv_head * call.group + i, first = i * a.queries;
    make_tile(a, s, head, 0, int(a.queries), state.tiles[i]);
    SoftmaxState& softmax = *new (&state.softmax[i]) SoftmaxState;
    softmax.output = state.output + first * call.output_pitch;
    softmax.output_pitch = call.output_pitch;
    softmax.top_scores = state.top_scores + first * kTopPitch;
    softmax.top_keys = state.top_keys + first * kTopPitch;
    start_softmax(a, call.forward.trace, head, int(a.queries), 0, unknown_head(), softmax);
    for (int64_t row = 0; call.forward.trace.top_k > 0 && row < a.queries; ++row) {
      start_top_keys({softmax.top_scores + row * kTopPitch, softmax.top_keys + row * kTopPitch});
    }
  }
  for (int64_t i = 0; i < call.rows * call.output_pitch; ++i) state.output[i] = 0;
}

// The next keys from `from` on that some head of the group sees.
inline KeyRange next_group_keys(const DecodeCall& call, const Sequence& s, const DecodeState& state,
                                int64_t from, int64_t end) {
  const Attention& a = call.attention;
  for (; from < end;) {
    const int64_t limit = at_most(end, (from / kDecodeChunk + 1) * kDecodeChunk);
    if (!a.block_mask.data) return {from, limit};
    KeyRange keys{limit, from};
    for (int64_t i = 0; i < call.group; ++i) {
      const KeyRange own = next_keys(a, s, state.tiles[i], from, limit);
      if (own.begin >= own.end) continue;
      keys = {at_most(keys.begin, own.begin), at_least(keys.end, own.end)};
    }
    if (keys.begin < keys.end) return keys;
    from = limit;
  }
  return {end, end};
}

// Where a weight is 0 the value may be anything.
inline void add_cache_carefully(const DecodeCall& call, const RowAddresses& values,
                                const float* weights, float* output) {
  const Attention& a = call.attention;
  for (int64_t i = 0; i < call.rows; ++i) {
    float* out = output + i * call.output_pitch;
    for (int64_t j = 0; j < values.count; ++j) {
      const float weight = weights[i * kPitch + j];
      if (weight == 0) continue;
      for (int64_t d = 0; d < a.value_dim; d += kLanes) {
        const Vec v = load_row(values.rows[j], a.type, 1, d, a.value_dim - d);
        store(out + d, fma(broadcast(weight), v, load(out + d)));
      }
    }
  }
}

// products = weights * values.
template <class Rows>
inline void multiply_weights(const DecodeCall& call, const char* const* values, int64_t count,
                             float* weights, bool fetch, const DecodeMemory& memory) {
  const int64_t width = call.attention.value_dim;
  if constexpr (Rows::kKeys == 2) {
    for (int64_t i = 0; i < call.rows; ++i) {
      float* row = weights + i * kPitch;
      if (count % 2) row[count] = 0;
      for (int64_t j = 0; j < count; j += 2 * kLanes) {
        store(memory.weight_pairs + (i * kPitch + j) / 2,
              narrow_to_pairs(load(row + j), load(row + j + kLanes)));
      }
    }
    multiply_values<Rows>(values, count, memory.weight_pairs, kPitch / 2, call.rows, width, fetch,
                          memory.products, call.output_pitch);
  } else {
    multiply_values<Rows>(values, count, weights, kPitch, call.rows, width, fetch, memory.products,
                          call.output_pitch);
  }
}

// Keys that some query of the sequence sees.
inline KeyRange seen_keys(const Attention& a, const Sequence& s) {
  KeyRange seen{s.keys, 0};
  for (int64_t row = 0; row < a.queries; ++row) {
    const KeyRange own = visible_keys(a, s, row);
    if (own.begin == own.end) continue;
    seen = {at_most(seen.begin, own.begin), at_least(seen.end, own.end)};
  }
  return seen.begin < seen.end ? seen : KeyRange{};
}

// The keys of the pair behind that of `s` and `kv_head`; none behind the last one.
inline KeyRange keys_behind(const Attention& a, Sequence& s, int64_t& kv_head) {
  if (++kv_head == a.kv_heads) {
    kv_head = 0;
    if (s.batch + 1 == a.batch) return {0, 0};
    s = sequence_of(a, s.batch + 1);
  }
  return seen_keys(a, s);
}

// All keys of `range` for one group. `careful`: where values are not finite.
template <class Rows>
inline void decode_keys(const DecodeCall& call, const Sequence& s, int64_t kv_head, KeyRange range,
                        bool careful, const DecodeMemory& memory, DecodeState& state) {
  const Attention& a = call.attention;
  const int64_t width = rounded_up(a.value_dim, kLanes);
  RowAddresses rows;
  Sequence next_sequence = s;
  int64_t next_head = kv_head;
  const KeyRange keys_there = keys_behind(a, next_sequence, next_head);
  for (KeyRange keys{range.begin, range.begin};;) {
    keys = next_group_keys(call, s, state, keys.end, range.end);
    if (keys.begin >= keys.end) return;
    float* scores = memory.scores + (keys.begin - panel_start(keys.begin));
    const CacheRows chunk_values{a.value, s, kv_head, keys};
    locate_rows(a, {a.key, s, kv_head, keys}, chunk_values, rows);
    gather_rows(a, a.key.strides.dim, a.dim, memory.rows, rows);
    multiply_cache<Rows>(rows.rows, rows.count, memory.queries, call.rows, call.query_pitch, a.dim,
                         call.key_factor, true, scores);
    for (int64_t i = 0; i < call.group; ++i) {
      soften(a, s, state.tiles[i], keys, call.forward.trace, state.softmax[i],
             memory.scores + i * a.queries * kPitch);
      state.softmax[i].started = true;
    }
    const CacheRows next_pair{a.key, next_sequence, next_head, keys_there};
    const CacheRows next_chunk{a.key, s, kv_head, {keys.end, range.end}};
    locate_rows(a, chunk_values, keys.end < range.end ? next_chunk : next_pair, rows);
    gather_rows(a, a.value.strides.dim, a.value_dim, memory.rows, rows);
    if (careful) {
      add_cache_carefully(call, rows, scores, state.output);
      continue;
    }
    multiply_weights<Rows>(call, rows.rows, rows.count, scores, true, memory);
    for (int64_t i = 0; i < call.rows; ++i) {
      float* out = state.output + i * call.output_pitch;
      const float* product = memory.products + i * call.output_pitch;
      for (int64_t d = 0; d < width; d += kLanes)
        store(out + d, add(load(out + d), load(product + d)));
    }
  }
}

// The state of the keys in front (`into`) and of those behind.
inline void merge_groups(const DecodeCall& call, DecodeState& into, const DecodeState& from) {
  const int top_k = call.forward.trace.top_k;
  for (int64_t i = 0; i < call.rows; ++i) {
    const int64_t queries = call.attention.queries, row = i % queries;
    SoftmaxState& a = into.softmax[i / queries];
    const SoftmaxState& b = from.softmax[i / queries];
    if (b.best[row] == -__builtin_inff()) continue;
    const float shift = a.shift[row] > b.shift[row] ? a.shift[row] : b.shift[row];
    const bool empty = a.best[row] == -__builtin_inff();
    // Of the two, what a factor 2^(own shift - shift) makes of the sums; shifts are integers.
    const float lag_a = empty ? 0 : a.shift[row] - shift, lag_b = b.shift[row] - shift;
    const Vec factor_a = broadcast(__builtin_exp2f(lag_a)),
              factor_b = broadcast(__builtin_exp2f(lag_b));
    float *sum = a.sum + row * kLanes, *moment = a.moment + row * kLanes;
    const Vec sum_b = load(b.sum + row * kLanes);
    const Vec moment_a = fma(broadcast(lag_a), load(sum), load(moment));
    const Vec moment_b = fma(broadcast(lag_b), sum_b, load(b.moment + row * kLanes));
    store(moment, fma(factor_a, moment_a, mul(factor_b, moment_b)));
    store(sum, fma(factor_a, load(sum), mul(factor_b, sum_b)));
    float* out = into.output + i * call.output_pitch;
    const float* out_b = from.output + i * call.output_pitch;
    for (int64_t d = 0; d < call.output_pitch; d += kLanes) {
      store(out + d, fma(factor_a, load(out + d), mul(factor_b, load(out_b + d))));
    }
    a.shift[row] = shift;
    if (!(b.best[row] <= a.best[row])) a.best[row] = b.best[row];
    a.started = true;
    if (top_k == 0) continue;
    const TopKeys top{into.top_scores + i * kTopPitch, into.top_keys + i * kTopPitch};
    const float* scores = from.top_scores + i * kTopPitch;
    int found = 0;
    while (found < top_k && scores[found] > -__builtin_inff()) ++found;
    const int32_t* keys = from.top_keys + i * kTopPitch;
    (top_k <= kLanes ? insert_top_keys<1> : insert_top_keys<kTopVectors>)(top, found, scores, keys);
  }
}
