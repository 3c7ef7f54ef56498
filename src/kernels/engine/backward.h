// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Gradients by recomputation (Dao et al. 2022, 2023). With D_i = dO_i . O_i - dlse_i, per score:
//
//   P = exp(score - lse)    dP = dO V^T    dS = P (dP - D)    dQ = scale dS K
//   dV = P^T dO             dK = scale dS^T Q
//
// Five products, 2.5 times the forward. The loop is over chunks of 256 keys, whose panels, dK and
// dV stay in L2 (320 KiB at dim 64), and inside it over blocks of 48 rows, whose P and dS (52 KiB
// each) do as well. dQ is summed in fp32 over the chunks. With fewer heads than threads the chunks
// of one head are dealt to the threads, each with a dQ of its own; they are added in a
// fixed order.

constexpr int64_t kGradientKeys = 256;
constexpr int64_t kGradientTiles = 4;
constexpr int64_t kGradientRows = kGradientTiles * kTileRows;

struct GradientMemory {
  float* key_panels;    // [kGradientKeys / kPanel][dim][kPanel], as in PackedHead
  float* value_panels;  // the same of the values
  float* keys;          // [kGradientKeys][dim_pitch]
  float* d_keys;        // [kGradientKeys + 12][dim_pitch]
  float* d_values;      // [kGradientKeys + 12][value_pitch]
  float* queries;       // [kGradientRows][dim_pitch]; rows that see nothing are zeros, here
  float* d_output;      // [kGradientRows][value_pitch]  and here
  float* weights;       // [kGradientRows][kPitch]
  float* d_scores;      // [kGradientRows][kPitch]
  // For products of bf16 pairs, `keys` holds pairs of rows, and so do these:
  float* query_pairs;     // [kGradientRows / 2][dim_pitch]
  float* d_output_pairs;  // [kGradientRows / 2][value_pitch]
  float* weight_pairs;    // [kGradientRows / 2][kPitch]
  float* d_score_pairs;   // [kGradientRows / 2][kPitch]
  float* d_score_rows;    // [12][kPitch / 2]: pairs along the keys
};

inline int64_t layout(const Attention& a, float* memory, GradientMemory* parts) {
  const int64_t dim_pitch = rounded_up(a.dim, kLanes);
  const int64_t value_pitch = rounded_up(a.value_dim, kLanes);
  MemoryParts block(memory);
  GradientMemory own;
  own.key_panels = block.take(kGradientKeys * dim_pitch);
  own.value_panels = block.take(kGradientKeys * value_pitch);
  own.keys = block.take(kGradientKeys * dim_pitch);
  own.d_keys = block.take((kGradientKeys + kTileRows) * dim_pitch);
  own.d_values = block.take((kGradientKeys + kTileRows) * value_pitch);
  own.queries = block.take(kGradientRows * dim_pitch);
  own.d_output = block.take(kGradientRows * value_pitch);
  own.weights = block.take((kGradientRows + 1) * kPitch);
  own.d_scores = block.take((kGradientRows + 1) * kPitch);
  const int64_t row_pairs = uses_pairs(a) ? kGradientRows / 2 : 0;
  own.query_pairs = block.take(row_pairs * dim_pitch);
  own.d_output_pairs = block.take(row_pairs * value_pitch);
  own.weight_pairs = block.take(row_pairs * kPitch + 16);
  own.d_score_pairs = block.take(row_pairs * kPitch + 16);
  own.d_score_rows = block.take(uses_pairs(a) ? kScoreFloats / 2 : 0);
  if (parts) *parts = own;
  return block.used();
}

// Gradients of shared biases, one copy for every thread that may add to them.
struct BiasGradients {
  float* bias = nullptr;
  float* distance_bias = nullptr;
};

struct GradientCall {
  const Attention& attention;
  const Gradients& gradients;
  const float* delta;  // [batch, heads, queries]: D
};

// One row after the products: P, and dS in place of dP, for the keys `seen` at x and dp.
inline void gradient_row(const GradientCall& call, const Sequence& s, int64_t head, int64_t row,
                         KeyRange seen, float* x, float* dp, const BiasGradients& biases) {
  const Attention& a = call.attention;
  const Gradients& g = call.gradients;
  const int64_t count = seen.end - seen.begin;
  const int64_t index = row_index(a, s, head, row);
  // Vectors reach beyond `count`, where the next stretch of a block mask has its scores.
  const Vec behind_x = load(x + count), behind_dp = load(dp + count);
  alignas(64) float cap_slope[kPitch];
  if (a.soft_cap > 0) {
    const float cap = float(a.soft_cap * kLog2E);
    cap_scores(cap, x, count);
    for (int64_t j = 0; j < count; j += kLanes) {
      const Vec y = mul(load(x + j), broadcast(1.0f / cap));
      store(cap_slope + j, sub(broadcast(1.0f), mul(y, y)));
    }
  }
  if (has_score_terms(a)) add_biases(a, s, head, row, seen, x);
  const Vec lse = broadcast(float(g.lse[index] * kLog2E)), lowest = broadcast(-200.0f);
  const Vec delta = broadcast(call.delta[index]);
  const Vec d_entropy = broadcast(g.d_entropy ? g.d_entropy[index] : 0.0f);
  Vec entropy_term = zero();  // H + the sink's share: dH/ds = -w (ln w + H + w_sink)
  if (g.d_entropy) {
    const float sink = a.sink ? __builtin_expf(a.sink[head] - g.lse[index]) : 0.0f;
    entropy_term = broadcast(g.entropy[index] + sink);
  }
  const uint32_t row_key = dropout_row_key(a.dropout_seed, s.batch * a.heads + head, row);
  const Vec factor = broadcast(float(1.0 / (1.0 - a.dropout)));
  const bool drops = a.dropout > 0, has_entropy = g.d_entropy != nullptr;
  for (int64_t j = 0; j < count; j += kLanes) {
    const Vec log_weight = max(lowest, sub(load(x + j), lse));
    const Vec p = exp2_shifted(log_weight, zero());
    Vec d = load(dp + j);
    Vec dropped = p;
    if (drops) {
      const Mask kept = kept_weights(a, row_key, seen.begin + j);
      d = select(kept, mul(d, factor), zero());
      dropped = select(kept, mul(p, factor), zero());
    }
    d = sub(d, delta);
    if (has_entropy) {
      const Vec slope = fma(log_weight, broadcast(float(kLn2)), entropy_term);
      d = sub(d, mul(d_entropy, slope));
    }
    store(x + j, dropped);
    store(dp + j, select(greater(p, zero()), mul(p, d), p));  // dP may be NaN where P is 0
  }
  if (biases.bias) {
    const Strides& strides = g.d_bias_strides;
    float* target = biases.bias + s.batch * strides.batch + head * strides.head +
                    row * strides.row + seen.begin * strides.dim;
    for (int64_t j = 0; j < count; ++j) target[j * strides.dim] += dp[j];
  }
  if (biases.distance_bias) {
    float* table = biases.distance_bias + head * (2 * a.distance_reach + 1) + a.distance_reach;
    const int64_t position = s.offset + row;
    const DistanceParts parts = distance_parts(a, seen, position);
    for (int64_t j = 0; j < parts.near; ++j) table[-a.distance_reach] += dp[j];
    for (int64_t j = parts.far; j < count; ++j) table[a.distance_reach] += dp[j];
    float* target = table + (seen.begin - position);
    for (int64_t j = parts.near; j < parts.far; ++j) target[j] += dp[j];
  }
  if (a.soft_cap > 0) {
    for (int64_t j = 0; j < count; j += kLanes) {
      store(dp + j, mul(load(dp + j), load(cap_slope + j)));
    }
  }
  store(x + count, behind_x);
  store(dp + count, behind_dp);
}

// Queries and dO of `rows`, as rows and, for bf16 products, as pairs of rows. What sees nothing is
// zeros, whatever its memory holds. False when a number is infinite or NaN.
inline bool load_gradient_rows(const GradientCall& call, const Sequence& s, int64_t head,
                               KeyRange rows, const GradientMemory& memory) {
  const Attention& a = call.attention;
  const Gradients& g = call.gradients;
  const int64_t size = element_size(a);
  Ints largest = ints(0);
  bool live[kGradientRows];
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const KeyRange seen = visible_keys(a, s, row);
    live[row - rows.begin] =
        seen.begin < seen.end && g.lse[row_index(a, s, head, row)] != -__builtin_inff();
  }
  // The next block's are asked for meanwhile: they were read a chunk of keys ago.
  const auto ask_ahead = [&](const ConstTensor& from, const char* row, int64_t d) {
    __builtin_prefetch(row + (kGradientRows * from.strides.row + d * from.strides.dim) * size, 0,
                       2);
  };
  const auto row_at = [&](const ConstTensor& from, int64_t place) {
    return static_cast<const char*>(from.data) +
           query_row_offset(a, s, from.strides, head, rows.begin + place) * size;
  };
  const int64_t count = rows.end - rows.begin;
  const auto copy = [&](const ConstTensor& from, int64_t dims, float* to) {
    const int64_t pitch = rounded_up(dims, kLanes);
    for (int64_t place = 0; place < count; ++place) {
      const char* row = row_at(from, place);
      for (int64_t d = 0; d < pitch; d += kLanes) {
        ask_ahead(from, row, d);
        const Vec v = live[place] ? load_row(row, a.type, from.strides.dim, d, dims - d) : zero();
        largest = max(bits_of(abs(v)), largest);
        store(to + place * pitch + d, v);
      }
    }
  };
  const auto copy_pairs = [&](const ConstTensor& from, int64_t dims, float* to, float* to_pairs) {
    const int64_t pitch = rounded_up(dims, kLanes);
    for (int64_t place = 0; place < count; place += 2) {
      const bool odd = place + 1 < count;
      const char* row = row_at(from, place);
      const char* next = odd ? row_at(from, place + 1) : row;
      interleave_rows(live[place] ? row : nullptr, odd && live[place + 1] ? next : nullptr,
                      from.strides.dim, dims, to_pairs + place / 2 * pitch, largest,
                      [&](int64_t d, Vec v, Vec w) ATTEND_INLINE_LAMBDA {
                        ask_ahead(from, row, 2 * d);
                        ask_ahead(from, next, 2 * d);
                        store(to + place * pitch + d, v);
                        if (odd) store(to + (place + 1) * pitch + d, w);
                      });
    }
  };
  if (uses_pairs(a)) {
    copy_pairs(a.query, a.dim, memory.queries, memory.query_pairs);
    copy_pairs(g.d_output, a.value_dim, memory.d_output, memory.d_output_pairs);
    return is_finite(larger_of_pairs(largest));
  }
  copy(a.query, a.dim, memory.queries);
  copy(g.d_output, a.value_dim, memory.d_output);
  return is_finite(largest);
}

// Rows to bf16, two of them side by side; behind the last one come zeros.
inline void join_rows(int64_t rows, KeyRange columns, const float* from, float* pairs) {
  for (int64_t i = 0; i < rows; i += 2) {
    for (int64_t j = columns.begin; j < columns.end; j += kLanes) {
      const Vec odd = i + 1 < rows ? load(from + (i + 1) * kPitch + j) : zero();
      store(pairs + i / 2 * kPitch + j, narrow_and_join(load(from + i * kPitch + j), odd));
    }
  }
}

// Keys `chunk` (at most kGradientKeys, begin a multiple of kPanel) against rows [first, last) of
// one head: adds to dK and dV in `memory` and to d_query [rows][dim_pitch].
inline void gradient_block(const GradientCall& call, const Sequence& s, int64_t head,
                           KeyRange chunk, bool ordinary, int64_t first,
                           const GradientMemory& memory, float* d_query,
                           const BiasGradients& biases) {
  const Attention& a = call.attention;
  const Gradients& g = call.gradients;
  const int64_t dim_pitch = rounded_up(a.dim, kLanes);
  const int64_t value_pitch = rounded_up(a.value_dim, kLanes);
  const bool pairs = uses_pairs(a);
  RowTile tiles[kGradientTiles];
  int count = 0;
  KeyRange any{chunk.end, chunk.begin};
  const int64_t last = at_most(first + kGradientRows, s.rows);
  for (int64_t row = first; row < last; row += kTileRows, ++count) {
    RowTile& tile = tiles[count];
    make_tile(a, s, head, row, int(at_most(kTileRows, last - row)), tile);
    const KeyRange mine = intersect(tile.any, chunk);
    if (mine.begin == mine.end) continue;
    any = {at_most(any.begin, mine.begin), at_least(any.end, mine.end)};
  }
  if (any.begin >= any.end) return;

  ordinary &= load_gradient_rows(call, s, head, {first, last}, memory);
  for (int64_t row = first; row < last; ++row) {
    if (g.lse[row_index(a, s, head, row)] == -__builtin_inff()) {
      tiles[(row - first) / kTileRows].set_row(int(row - first) % kTileRows, {});
    }
  }

  const int64_t base = chunk.begin;
  for (int t = 0; t < count; ++t) {
    RowTile& tile = tiles[t];
    tile.query = memory.queries + t * kTileRows * dim_pitch;
    tile.query_pitch = dim_pitch;
    float* x = memory.weights + t * kTileRows * kPitch;
    float* dp = memory.d_scores + t * kTileRows * kPitch;
    const KeyRange mine = intersect(tile.any, chunk);
    // Products first for every stretch: one that begins inside a panel computes the columns before
    // it once more, so nothing may be finished yet.
    for (KeyRange keys{mine.begin, mine.begin};;) {
      keys = next_keys(a, s, tile, keys.end, mine.end);
      if (keys.begin >= keys.end) break;
      const int64_t column = panel_start(keys.begin) - base;
      const int64_t columns = keys.end - base - column;
      (pairs ? multiply_panels<Bf16>
             : multiply_panels<Fp32>)(tile.padded, tile.query, dim_pitch,
                                      memory.key_panels + column * depth_of(a, a.dim),
                                      depth_of(a, a.dim), columns, key_factor(a), x + column);
      (pairs ? multiply_panels<Bf16>
             : multiply_panels<Fp32>)(tile.padded, memory.d_output + t * kTileRows * value_pitch,
                                      value_pitch,
                                      memory.value_panels + column * depth_of(a, a.value_dim),
                                      depth_of(a, a.value_dim), columns, 1.0f, dp + column);
    }
    for (int i = 0; i < tile.count; ++i) {
      float *x_row = x + i * kPitch, *dp_row = dp + i * kPitch;
      int64_t done = any.begin;
      const auto clear_up_to = [&](int64_t key) {
        clear(x_row + done - base, key - done);
        clear(dp_row + done - base, key - done);
      };
      for (KeyRange keys{mine.begin, mine.begin};;) {
        keys = next_keys(a, s, tile, keys.end, mine.end);
        if (keys.begin >= keys.end) break;
        const KeyRange seen = intersect(tile.row(i), keys);
        if (seen.begin == seen.end) continue;
        clear_up_to(seen.begin);
        gradient_row(call, s, head, tile.first + i, seen, x_row + seen.begin - base,
                     dp_row + seen.begin - base, biases);
        done = seen.end;
      }
      clear_up_to(any.end + kTileRows);  // dV and dK take keys by the dozen
    }
    if (mine.begin == mine.end) continue;
    KeyRange columns{mine.begin - base, mine.end - base};
    float* target = d_query + tile.first * dim_pitch;
    if (pairs) {
      columns = narrow_rows(tile.count, columns, dp, memory.d_score_rows);
      (ordinary
           ? add_product<kPitch / 2, 1, Bf16>
           : add_product_carefully<kPitch / 2, 1, Bf16>)(tile.count,
                                                         memory.d_score_rows + columns.begin / 2,
                                                         memory.keys +
                                                             columns.begin / 2 * dim_pitch,
                                                         dim_pitch,
                                                         (columns.end - columns.begin) / 2, false,
                                                         target, dim_pitch, dim_pitch, nullptr);
    } else {
      (ordinary ? add_product<kPitch, 1>
                : add_product_carefully<kPitch, 1>)(tile.count, dp + columns.begin,
                                                    memory.keys + columns.begin * dim_pitch,
                                                    dim_pitch, columns.end - columns.begin, false,
                                                    target, dim_pitch, dim_pitch, nullptr);
    }
  }

  const KeyRange columns{any.begin - base, any.end - base + kTileRows};
  if (pairs) {
    join_rows(last - first, columns, memory.weights, memory.weight_pairs);
    join_rows(last - first, columns, memory.d_scores, memory.d_score_pairs);
  }
  // Rows that see a group of keys: under a causal mask or a window not all of the block.
  for (int64_t key = any.begin; key < any.end; key += kTileRows) {
    const int keys = int(at_most(kTileRows, any.end - key));
    int64_t begin = 0, end = last - first;
    const auto unseen = [&](int64_t row) {
      return !sees(tiles[row / kTileRows].row(int(row % kTileRows)), key, keys);
    };
    while (begin < end && unseen(begin)) ++begin;
    while (begin < end && unseen(end - 1)) --end;
    if (begin == end) continue;
    float* d_values = memory.d_values + (key - base) * value_pitch;
    float* d_keys = memory.d_keys + (key - base) * dim_pitch;
    if (pairs) {
      begin = begin / 2;
      end = (end + 1) / 2;
      const int64_t place = begin * kPitch + key - base;
      const auto add =
          ordinary ? add_product<1, kPitch, Bf16> : add_product_carefully<1, kPitch, Bf16>;
      add(keys, memory.weight_pairs + place, memory.d_output_pairs + begin * value_pitch,
          value_pitch, end - begin, false, d_values, value_pitch, value_pitch, nullptr);
      add(keys, memory.d_score_pairs + place, memory.query_pairs + begin * dim_pitch, dim_pitch,
          end - begin, false, d_keys, dim_pitch, dim_pitch, nullptr);
    } else {
      const int64_t place = begin * kPitch + key - base;
      const auto add = ordinary ? add_product<1, kPitch> : add_product_carefully<1, kPitch>;
      add(keys, memory.weights + place, memory.d_output + begin * value_pitch, value_pitch,
          end - begin, false, d_values, value_pitch, value_pitch, nullptr);
      add(keys, memory.d_scores + place, memory.queries + begin * dim_pitch, dim_pitch, end - begin,
          false, d_keys, dim_pitch, dim_pitch, nullptr);
    }
  }
}

// The chunks of one (batch, kv head) that are `split`'s of `splits`, for all of its query heads:
// dealt back and forth, since under a causal mask each is more work than the next. d_query:
// [group][rows][dim_pitch] (rows rounded up), added to.
inline void gradient_chunks(const GradientCall& call, const Sequence& s, int64_t kv_head,
                            int64_t split, int64_t splits, float* d_query,
                            const BiasGradients& biases) {
  const Attention& a = call.attention;
  const Gradients& g = call.gradients;
  const int64_t group = a.heads / a.kv_heads;
  const int64_t dim_pitch = rounded_up(a.dim, kLanes);
  const int64_t value_pitch = rounded_up(a.value_dim, kLanes);
  const int64_t head_floats = rounded_up(s.rows, kTileRows) * dim_pitch;
  GradientMemory memory;
  layout(a, thread_scratch().floats(layout(a, nullptr, nullptr)), &memory);
  for (int64_t turn = 0; turn * splits * kGradientKeys < s.keys; ++turn) {
    const int64_t chunk = turn * splits + (turn % 2 == 0 ? split : splits - 1 - split);
    if (chunk * kGradientKeys >= s.keys) continue;
    const KeyRange keys{chunk * kGradientKeys, at_most((chunk + 1) * kGradientKeys, s.keys)};
    const bool ordinary = pack_gradient_keys(a, s, kv_head, keys, memory.key_panels,
                                             memory.value_panels, memory.keys);
    for (int64_t i = 0; i < kGradientKeys * dim_pitch; i += kLanes)
      store(memory.d_keys + i, zero());
    for (int64_t i = 0; i < kGradientKeys * value_pitch; i += kLanes) {
      store(memory.d_values + i, zero());
    }
    for (int64_t member = 0; member < group; ++member) {
      for (int64_t row = 0; row < s.queries; row += kGradientRows) {
        gradient_block(call, s, kv_head * group + member, keys, ordinary, row, memory,
                       d_query + member * head_floats, biases);
      }
    }
    for (int64_t key = keys.begin; key < keys.end; ++key) {
      float* d_key = memory.d_keys + (key - keys.begin) * dim_pitch;
      store_gradient(a, s, g.d_key, kv_head, key, float(scale_of(a)), d_key, a.dim);
      store_gradient(a, s, g.d_value, kv_head, key, 1.0f,
                     memory.d_values + (key - keys.begin) * value_pitch, a.value_dim);
    }
  }
}
