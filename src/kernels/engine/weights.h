// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The weights again from query, key and LSE: tiles on request, and the sums over columns that a
// forward pass cannot know before a row's denominator is complete. Half of the forward's flops.

// Weights of the tile's rows for `keys` into scores + (key - panel_start(keys.begin)); 0 where a
// row sees nothing. `lse` points at the LSE of the tile's first row.
inline void recompute_weights(const Attention& a, const Sequence& s, const RowTile& tile,
                              const PackedHead& packed, KeyRange keys, const float* lse,
                              float* scores) {
  const int64_t base = panel_start(keys.begin);
  raw_scores(a, tile, packed, keys, scores);
  const bool terms = has_score_terms(a);
  for (int i = 0; i < tile.count; ++i) {
    float* row = scores + i * kPitch;
    KeyRange seen = intersect(tile.row(i), keys);
    if (lse[i] == -__builtin_inff()) seen = {};
    if (seen.begin == seen.end) seen = {keys.begin, keys.begin};
    float* x = row + (seen.begin - base);
    const int64_t count = seen.end - seen.begin;
    if (terms && count > 0) add_terms(a, s, tile.head, tile.first + i, seen, x);
    const Vec shift = broadcast(float(lse[i] * kLog2E)), lowest = broadcast(-200.0f);
    for (int64_t j = 0; j < count; j += kLanes) {
      store(x + j, exp2_shifted(max(lowest, sub(load(x + j), shift)), zero()));
    }
    for (int64_t j = keys.begin - base; j < seen.begin - base; ++j) row[j] = 0;
    for (int64_t j = seen.end - base; j < keys.end - base; ++j) row[j] = 0;
  }
}

// Calls visit(tile, keys, weights) for every stretch of keys of `range` that rows [first, last) of
// a head may see.
template <class Visit>
inline void visit_weights(const Attention& a, const Sequence& s, const PackedHead& packed,
                          int64_t head, KeyRange rows, KeyRange range, const float* lse,
                          float* memory, const Visit& visit) {
  float* scores = memory;
  float* queries = memory + kScoreFloats;
  for (int64_t first = rows.begin; first < rows.end; first += kTileRows) {
    RowTile tile;
    make_tile(a, s, head, first, int(at_most(kTileRows, rows.end - first)), tile);
    const KeyRange mine = intersect(tile.any, range);
    if (mine.begin == mine.end) continue;
    load_queries(a, s, tile, queries);
    for (int64_t from = mine.begin; from < mine.end;) {
      const KeyRange keys = next_keys(a, s, tile, from, mine.end);
      if (keys.begin == keys.end) break;
      from = keys.end;
      recompute_weights(a, s, tile, packed, keys, lse + row_index(a, s, head, first), scores);
      visit(tile, keys, scores + (keys.begin - panel_start(keys.begin)));
    }
  }
}

inline int64_t visit_floats(const Attention& a) {
  return kScoreFloats + kTileRows * rounded_up(a.dim, kLanes);
}

inline void weights_of_head(const Attention& a, const WeightsRequest& request, int64_t batch,
                            int64_t head, float* out) {
  const Sequence s = sequence_of(a, batch);
  const int64_t first_panel = panel_start(request.first_key);
  const int64_t end = request.first_key + request.keys;
  const KeyRange rows{request.first_query, at_most(request.first_query + request.queries, s.rows)};
  const int64_t panel_floats = rounded_up(end - first_panel, kPanel) * depth_of(a, a.dim);
  float* memory = thread_scratch().floats(panel_floats + visit_floats(a));
  PackedHead packed;
  packed.key_panels = memory;
  packed.first_key = first_panel;
  for (int64_t key = first_panel; key < at_most(end, s.keys); key += kPanel) {
    pack_key_panel<false>(a, s, head / (a.heads / a.kv_heads), key, key_factor(a),
                          memory + (key - first_panel) * depth_of(a, a.dim));
  }
  for (int64_t i = 0; i < request.queries * request.keys; ++i) out[i] = 0;
  visit_weights(a, s, packed, head, rows, {request.first_key, end}, request.lse,
                memory + panel_floats, [&](const RowTile& tile, KeyRange keys, const float* w) {
                  for (int i = 0; i < tile.count; ++i) {
                    float* target = out + (tile.first - rows.begin + i) * request.keys;
                    for (int64_t j = keys.begin; j < keys.end; ++j) {
                      target[j - request.first_key] = w[i * kPitch + j - keys.begin];
                    }
                  }
                });
}

inline void weights(const Attention& a, const WeightsRequest& request) {
  const int64_t first_batch = request.batch < 0 ? 0 : request.batch;
  const int64_t batches = request.batch < 0 ? a.batch : 1;
  const int64_t first_head = request.head < 0 ? 0 : request.head;
  const int64_t heads = request.head < 0 ? a.heads : 1;
  const int64_t tile = request.queries * request.keys;
#pragma omp parallel for num_threads(thread_count(a)) schedule(dynamic) collapse(2)
  for (int64_t b = 0; b < batches; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      weights_of_head(a, request, first_batch + b, first_head + h,
                      request.weights + (b * heads + h) * tile);
    }
  }
}

// Sums over the queries, for keys [range.begin, range.end) of one head: Trace::received, and column
// `column` of Trace::pooled when range is that column's.
inline void sum_columns(const ForwardCall& call, const Sequence& s, const PackedHead& packed,
                        int64_t head, KeyRange range, int64_t column, const float* lse) {
  const Attention& a = call.attention;
  const Trace& trace = call.trace;
  const int64_t length = range.end - range.begin;
  float* memory = thread_scratch().floats(visit_floats(a) + rounded_up(length, kLanes) + kLanes);
  float* sums = memory + visit_floats(a);
  float* received = nullptr;
  if (trace.received) {
    received = trace.received + ((a.key_starts ? 0 : s.batch) * a.heads + head) * a.keys +
               s.first_key + range.begin;
    for (int64_t j = 0; j < length; ++j) received[j] = 0;
  }
  const int64_t parts = column >= 0 ? trace.pooled_rows : (s.rows + 1023) / 1024;
  for (int64_t part = 0; part < parts; ++part) {
    const KeyRange rows{part * s.rows / parts, (part + 1) * s.rows / parts};
    for (int64_t j = 0; j < length; ++j) sums[j] = 0;
    visit_weights(a, s, packed, head, rows, range, lse, memory,
                  [&](const RowTile& tile, KeyRange keys, const float* w) {
                    float* target = sums + (keys.begin - range.begin);
                    for (int64_t j = 0; j < keys.end - keys.begin; j += kLanes) {
                      Vec sum = zero();
                      for (int i = 0; i < tile.count; ++i) sum = add(sum, load(w + i * kPitch + j));
                      const Mask valid = lanes_below(keys.end - keys.begin - j);
                      store_lanes(target + j, valid, add(sum, load_lanes(target + j, valid)));
                    }
                  });
    float total = 0;
    for (int64_t j = 0; j < length; ++j) {
      total += sums[j];
      if (received) received[j] += sums[j];
    }
    if (column >= 0) {
      trace.pooled[((s.batch * a.heads + head) * trace.pooled_rows + part) * trace.pooled_columns +
                   column] = total;
    }
  }
}
