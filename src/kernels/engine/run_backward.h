// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Who does what in the backward. Every sum that two threads could reach is kept once per thread
// with work dealt statically, and added up in the order of the threads: the same bits every time.

// dQ of one head, summed over `copies` buffers that lie `copy_floats` apart, times the scale.
inline void store_query_gradient(const Attention& a, const Gradients& g, const Sequence& s,
                                 int64_t head, KeyRange rows, float* d_query, int64_t copies,
                                 int64_t copy_floats) {
  if (!g.d_query.data) return;
  const int64_t dim_pitch = rounded_up(a.dim, kLanes);
  const Vec scale = broadcast(float(scale_of(a)));
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* sum = d_query + row * dim_pitch;
    for (int64_t d = 0; d < dim_pitch; d += kLanes) {
      Vec v = load(sum + d);
      for (int64_t copy = 1; copy < copies; ++copy) v = add(v, load(sum + copy * copy_floats + d));
      store(sum + d, mul(v, scale));
    }
    char* to = static_cast<char*>(g.d_query.data) +
               query_row_offset(a, s, g.d_query.strides, head, row) * element_size(a);
    store_row(to, a.type, g.d_query.strides.dim, sum, a.dim);
  }
}

// Keys that no row may see get no gradient, but their memory is written.
inline void clear_padded_keys(const Attention& a, const Gradients& g, const Sequence& s,
                              int64_t kv_head) {
  if (a.pages || a.key_starts || s.keys == a.keys) return;
  alignas(64) float zeros[256] = {};
  for (int64_t key = s.keys; key < a.keys; ++key) {
    store_gradient(a, s, g.d_key, kv_head, key, 1.0f, zeros, a.dim);
    store_gradient(a, s, g.d_value, kv_head, key, 1.0f, zeros, a.value_dim);
  }
}

// One more than the largest index that d_bias has.
inline int64_t bias_extent(const Attention& a, const Strides& strides) {
  const int64_t queries = a.query_starts ? longest(a.query_starts, a.batch) : a.queries;
  const int64_t keys = a.key_starts ? longest(a.key_starts, a.batch) : a.keys;
  return 1 + (a.batch - 1) * strides.batch + (a.heads - 1) * strides.head +
         (queries - 1) * strides.row + (keys - 1) * strides.dim;
}

inline void backward(const Attention& a, const Gradients& g) {
  if (a.batch == 0 || a.heads == 0) return;
  const int64_t dim_pitch = rounded_up(a.dim, kLanes);
  const int64_t group = a.heads / a.kv_heads;
  const int64_t pairs = a.batch * a.kv_heads;
  const int64_t rows = a.heads * a.queries * (a.query_starts ? 1 : a.batch);
  const int threads = thread_count(a);
  const bool by_pairs = threads == 1 || pairs % threads == 0 || pairs >= 8 * threads;
  const int64_t splits = by_pairs ? 1 : threads;
  const int64_t head_floats = rounded_up(a.queries, kTileRows) * dim_pitch;
  const int64_t pair_floats = group * head_floats;

  // Thread 0 adds to the caller's memory, the others to copies.
  const int64_t bias_floats = g.d_bias ? bias_extent(a, g.d_bias_strides) : 0;
  const int64_t table_floats = g.d_distance_bias ? a.heads * (2 * a.distance_reach + 1) : 0;
  const int64_t copy_floats = rounded_up(bias_floats + table_floats, 16);
  float* shared = team_scratch().floats(rounded_up(rows, 16) + (threads - 1) * copy_floats +
                                        (by_pairs ? 0 : splits * pair_floats));
  float* delta = shared;
  float* copies = delta + rounded_up(rows, 16);
  float* team_query = copies + (threads - 1) * copy_floats;
  clear(copies, (threads - 1) * copy_floats);
  const GradientCall call{a, g, delta};
  const auto biases_of = [&](int thread) {
    if (thread == 0) return BiasGradients{g.d_bias, g.d_distance_bias};
    float* own = copies + (thread - 1) * copy_floats;
    return BiasGradients{g.d_bias ? own : nullptr, g.d_distance_bias ? own + bias_floats : nullptr};
  };

#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static) collapse(2)
    for (int64_t b = 0; b < a.batch; ++b) {
      for (int64_t head = 0; head < a.heads; ++head) {
        const Sequence s = sequence_of(a, b);
        for (int64_t row = 0; row < s.rows; ++row) {
          delta[row_index(a, s, head, row)] = row < s.queries ? row_delta(a, g, s, head, row) : 0;
        }
      }
    }
    if (by_pairs) {
      const auto do_pair = [&](int64_t pair) {
        const Sequence s = sequence_of(a, pair / a.kv_heads);
        const int64_t kv_head = pair % a.kv_heads;
        float* d_query = pair_scratch().floats(pair_floats);
        const int64_t own_floats = rounded_up(s.rows, kTileRows) * dim_pitch;
        clear(d_query, group * own_floats);
        gradient_chunks(call, s, kv_head, 0, 1, d_query, biases_of(omp_get_thread_num()));
        clear_padded_keys(a, g, s, kv_head);
        for (int64_t member = 0; member < group; ++member) {
          store_query_gradient(a, g, s, kv_head * group + member, {0, s.rows},
                               d_query + member * own_floats, 1, 0);
        }
      };
      // A thread's copy of a bias gradient wants the same pairs every time; nothing else does.
      if (copy_floats > 0) {
#pragma omp for schedule(static)
        for (int64_t pair = 0; pair < pairs; ++pair) do_pair(pair);
      } else {
        const int64_t chunk = pairs_at_a_time(pairs, threads);
#pragma omp for schedule(dynamic, chunk)
        for (int64_t pair = 0; pair < pairs; ++pair) do_pair(pair);
      }
    } else {
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const Sequence s = sequence_of(a, pair / a.kv_heads);
        const int64_t kv_head = pair % a.kv_heads;
        const int64_t own_floats = rounded_up(s.rows, kTileRows) * dim_pitch;
#pragma omp for schedule(static, 1)
        for (int64_t split = 0; split < splits; ++split) {
          float* d_query = team_query + split * pair_floats;
          clear(d_query, group * own_floats);
          gradient_chunks(call, s, kv_head, split, splits, d_query,
                          biases_of(omp_get_thread_num()));
          if (split == 0) clear_padded_keys(a, g, s, kv_head);
        }
        const int64_t blocks = (s.rows + kGradientRows - 1) / kGradientRows;
#pragma omp for schedule(static) collapse(2)
        for (int64_t member = 0; member < group; ++member) {
          for (int64_t block = 0; block < blocks; ++block) {
            const KeyRange range{block * kGradientRows,
                                 at_most((block + 1) * kGradientRows, s.rows)};
            store_query_gradient(a, g, s, kv_head * group + member, range,
                                 team_query + member * own_floats, splits, pair_floats);
          }
        }
      }
    }
  }
  for (int thread = 1; thread < threads; ++thread) {
    const float* own = copies + (thread - 1) * copy_floats;
    for (int64_t i = 0; i < bias_floats; ++i) g.d_bias[i] += own[i];
    for (int64_t i = 0; i < table_floats; ++i) g.d_distance_bias[i] += own[bias_floats + i];
  }
  for (int64_t head = 0; a.sink && g.d_sink && head < a.heads; ++head) {
    double sum = 0;
    for (int64_t b = 0; b < a.batch; ++b) {
      const Sequence s = sequence_of(a, b);
      for (int64_t row = 0; row < s.queries; ++row) {
        const int64_t index = row_index(a, s, head, row);
        sum += row_sink_gradient(a, g, index, delta[index], head);
      }
    }
    g.d_sink[head] += float(sum);
  }
}
