// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Who does what: with many (batch, kv head) pairs a thread packs and finishes a pair on its own,
// and short sequences never leave its cache; with few, the team packs all heads together, and the
// blocks of rows are the work items.

// Work items of the column sums: columns of the pooled map, or stretches of keys.
inline int64_t column_items(const Trace& trace, const Sequence& s) {
  return trace.pooled ? trace.pooled_columns : chunks_of(s.keys);
}

inline void sum_column_item(const ForwardCall& call, const Sequence& s, const PackedHead& packed,
                            int64_t head, int64_t item, const float* lse) {
  const int64_t items = column_items(call.trace, s);
  if (call.trace.pooled) {
    const KeyRange column{item * s.all_keys / items, (item + 1) * s.all_keys / items};
    sum_columns(call, s, packed, head, intersect(column, {0, s.keys}), item, lse);
  } else {
    sum_columns(call, s, packed, head, {item * kChunk, at_most((item + 1) * kChunk, s.keys)}, -1,
                lse);
  }
}

// What column sums leave out: padded keys received nothing.
inline void clear_column_sums(const Attention& a, const Trace& trace) {
  if (trace.received) {
    const int64_t batch = a.key_starts ? 1 : a.batch;
    for (int64_t i = 0; i < batch * a.heads * a.keys; ++i) trace.received[i] = 0;
  }
  if (trace.pooled) {
    const int64_t cells = a.batch * a.heads * trace.pooled_rows * trace.pooled_columns;
    for (int64_t i = 0; i < cells; ++i) trace.pooled[i] = 0;
  }
}

// That a thread takes, of `pairs` of a sequence and a head: of many a few, since threads that ask
// for the next one wait for each other.
inline int64_t pairs_at_a_time(int64_t pairs, int threads) {
  return at_least(1, pairs / (32 * threads));
}

inline void forward_by_pairs(const ForwardCall& call, int threads) {
  const Attention& a = call.attention;
  const int64_t group = a.heads / a.kv_heads;
  const bool columns = call.trace.received || call.trace.pooled;
  int64_t keys = 0;
  for (int64_t b = 0; b < a.batch; ++b) keys = at_least(keys, sequence_of(a, b).keys);
  const int64_t packed_floats = rounded_up(pack_floats(a, keys), 16);  // a cache line
  const int64_t pairs = a.batch * a.kv_heads, chunk = pairs_at_a_time(pairs, threads);
#pragma omp parallel num_threads(threads)
  {
    float* memory = pair_scratch().floats(packed_floats + layout(call, nullptr, nullptr));
    BlockMemory parts;
    layout(call, memory + packed_floats, &parts);
#pragma omp for schedule(dynamic, chunk) nowait
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const Sequence s = sequence_of(a, pair / a.kv_heads);
      const int64_t kv_head = pair % a.kv_heads;
      const PackedHead packed = pack_head(a, s, kv_head, memory);
      const bool brief = is_brief(call, s, packed);
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        if (brief && forward_brief(call, s, packed, head, parts)) continue;
        for (int64_t first = 0; first < s.rows; first += call.block_tiles * kTileRows) {
          forward_block(call, s, packed, head, first, parts);
        }
        if (!columns || call.keeps_weights) continue;
        for (int64_t item = 0; item < column_items(call.trace, s); ++item) {
          sum_column_item(call, s, packed, head, item, call.trace.lse);
        }
      }
    }
  }
}

inline void forward_by_blocks(const ForwardCall& call, int threads) {
  const Attention& a = call.attention;
  const int64_t group = a.heads / a.kv_heads;
  const int64_t pairs = a.batch * a.kv_heads;
  int64_t total = 0;
  for (int64_t b = 0; b < a.batch; ++b) {
    total += a.kv_heads * pack_floats(a, sequence_of(a, b).keys);
  }
  const int64_t heads_floats = pairs * int64_t(sizeof(PackedHead) / sizeof(float) + 1);
  float* memory = team_scratch().floats(total + heads_floats + 64);
  PackedHead* packed = reinterpret_cast<PackedHead*>(memory);
  float* place = memory + rounded_up(heads_floats, 64);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const Sequence s = sequence_of(a, pair / a.kv_heads);
    packed[pair] = PackedHead{};
    place_head(a, s, pair % a.kv_heads, place, packed[pair]);
    place += pack_floats(a, s.keys);
  }
  const int64_t pack_items = (a.keys + kChunk - 1) / kChunk;
  const int64_t block_rows = call.block_tiles * kTileRows;
  const int64_t blocks = (a.queries + block_rows - 1) / block_rows;
  const bool columns = call.trace.received || call.trace.pooled;
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(dynamic) collapse(2)
    for (int64_t pair = 0; pair < pairs; ++pair) {
      for (int64_t item = 0; item < pack_items; ++item) {
        const Sequence s = sequence_of(a, pair / a.kv_heads);
        const KeyRange keys = intersect({0, s.keys}, {item * kChunk, (item + 1) * kChunk});
        if (keys.begin == keys.end) continue;
        const PackedPart part = pack_part(a, s, pair % a.kv_heads, keys, packed[pair]);
#pragma omp critical(attend_pack)
        merge(part, packed[pair]);
      }
    }
#pragma omp for schedule(dynamic) collapse(2)
    for (int64_t row = 0; row < a.batch * a.heads; ++row) {
      for (int64_t item = 0; item < blocks; ++item) {
        // The last rows first: under a causal mask they are the longest.
        const Sequence s = sequence_of(a, row / a.heads);
        const int64_t first = (blocks - 1 - item) * block_rows;
        if (first >= s.rows) continue;
        const int64_t head = row % a.heads;
        BlockMemory parts;
        layout(call, pair_scratch().floats(layout(call, nullptr, nullptr)), &parts);
        forward_block(call, s, packed[row / a.heads * a.kv_heads + head / group], head, first,
                      parts);
      }
    }
    if (columns) {
      const int64_t items =
          call.trace.pooled ? call.trace.pooled_columns : (a.keys + kChunk - 1) / kChunk;
#pragma omp for schedule(dynamic) collapse(2)
      for (int64_t row = 0; row < a.batch * a.heads; ++row) {
        for (int64_t item = 0; item < items; ++item) {
          const Sequence s = sequence_of(a, row / a.heads);
          const int64_t head = row % a.heads;
          if (item < column_items(call.trace, s)) {
            sum_column_item(call, s, packed[row / a.heads * a.kv_heads + head / group], head, item,
                            call.trace.lse);
          }
        }
      }
    }
  }
}

inline void forward(const Attention& a, const MutableTensor& output, const Trace& trace) {
  Trace wanted = trace;
  if (!wanted.top_keys) wanted.top_k = 0;
  clear_column_sums(a, wanted);
  if ((wanted.received || wanted.pooled) && !wanted.lse) {
    wanted.lse = column_scratch().floats(a.heads * a.queries * (a.query_starts ? 1 : a.batch));
  }
  ForwardCall call{a, output, wanted};
  const int threads = thread_count(a);
  if (is_decoding(a, wanted)) return decode(call, threads);
  const int64_t pairs = a.batch * a.kv_heads;
  const bool by_pairs = threads == 1 || pairs % threads == 0 || pairs >= 8 * threads;
  if (by_pairs && (wanted.received || wanted.pooled) && a.keys <= kMostKeptKeys &&
      !a.block_mask.data && a.dropout == 0) {
    call.keeps_weights = true;
    const int64_t tile_floats = chunks_of(a.keys) * kScoreFloats;
    call.block_tiles = at_least(2, at_most(kBlockTiles, kKeptFloats / at_least(1, tile_floats)));
  }
  if (by_pairs) {
    forward_by_pairs(call, threads);
  } else {
    forward_by_blocks(call, threads);
  }
}
