// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Decoding over few keys, as a beam search over sentences does thousands of times per word: all
// scores of a query fit into a few vectors, so that nothing has to be carried from chunk to chunk.
// What decode_keys() sets up for that costs more than the products of so few keys.

constexpr int64_t kBriefCache = 64;  // keys
constexpr int kBriefVectors = int(kBriefCache / kLanes);

// Whether pairs of few keys may take this path: every row sees the same keys, numbers lie side by
// side, and nobody asks what was seen.
inline bool may_be_brief(const ForwardCall& call) {
  const Attention& a = call.attention;
  const Trace& trace = call.trace;
  const bool same_keys = !a.query_lengths &&
                         (a.queries == 1 || (!a.causal && a.window_left < 0 && a.window_right < 0));
  const bool side_by_side = a.query.strides.dim == 1 && a.key.strides.dim == 1 &&
                            a.value.strides.dim == 1 && call.output.strides.dim == 1;
  return same_keys && side_by_side && a.dropout == 0 && !trace.lse && !trace.entropy &&
         trace.top_k == 0;
}

// Calls visit(address) for the rows of `keys`, in their order.
template <class Visit>
ATTEND_INLINE void visit_rows(const Attention& a, const CacheRows& which, const Visit& visit) {
  const int64_t size = element_size(a);
  const Strides& strides = which.tensor.strides;
  const char* base = static_cast<const char*>(which.tensor.data);
  const auto address = [&](int64_t key) {
    return base + key_row_offset(a, which.sequence, strides, which.kv_head, key) * size;
  };
  if (which.keys.begin == which.keys.end) return;
  if (a.pages) {
    for (int64_t key = which.keys.begin; key < which.keys.end; ++key) visit(address(key));
    return;
  }
  const char* row = address(which.keys.begin);
  for (int64_t key = which.keys.begin; key < which.keys.end; ++key) {
    visit(row);
    row += strides.row * size;
  }
}

// Asks for all keys and values of the next pair at once, not some ahead of each row.
inline void fetch_pair_behind(const Attention& a, Sequence s, int64_t kv_head) {
  KeyRange keys = keys_behind(a, s, kv_head);
  keys.end = at_most(keys.end, keys.begin + kBriefCache);
  const auto fetch = [&](const ConstTensor& tensor, int64_t dims) {
    const int64_t bytes = dims * element_size(a);
    visit_rows(a, {tensor, s, kv_head, keys}, [&](const char* row) {
      for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(row + byte, 0, 3);
    });
  };
  fetch(a.key, a.dim);
  fetch(a.value, a.value_dim);
}

// Row addresses, the last one repeated up to a whole block.
inline void locate_brief_rows(const Attention& a, const CacheRows& which, const char** rows) {
  int64_t count = 0;
  visit_rows(a, which, [&](const char* row) { rows[count++] = row; });
  for (const char* last = rows[count - 1]; count % kLanes != 0;) rows[count++] = last;
}

// count <= kBriefCache scores become weights times their sum, zeros up to a whole block; returns
// that sum, the sink's share included. NaN where no weights can be told from the largest score.
inline float soften_briefly(float sink, int64_t count, float* x) {
  Vec scores[kBriefVectors];
  Vec largest = broadcast(-__builtin_inff());
  const int vectors = int((count + kLanes - 1) / kLanes);
  for (int v = 0; v < vectors; ++v) {
    scores[v] =
        select(lanes_below(count - v * kLanes), load(x + v * kLanes), broadcast(-__builtin_inff()));
    largest = max(scores[v], largest);
  }
  const float most = reduce_max(largest);
  const float highest = __builtin_ceilf(most > sink ? most : sink);
  if (!(highest > -__builtin_inff() && highest < __builtin_inff())) return __builtin_nanf("");
  const Vec shift = broadcast(highest), lowest = broadcast(highest - 200.0f);
  Vec sum = zero();
  for (int v = 0; v < vectors; ++v) {
    const Vec p = select(lanes_below(count - v * kLanes),
                         exp2_shifted(max(lowest, scores[v]), shift), zero());
    sum = add(sum, p);
    store(x + v * kLanes, p);
  }
  return reduce_add(sum) + (sink > -__builtin_inff() ? __builtin_exp2f(sink - highest) : 0.0f);
}

// All rows of one group, unless there are too many keys or something is no ordinary number: false
// then, nothing is written, and the pair wants decode_keys().
template <class Rows>
inline bool decode_briefly(const DecodeCall& call, const Sequence& s, int64_t kv_head,
                           KeyRange keys, const DecodeMemory& memory) {
  const Attention& a = call.attention;
  const int64_t count = keys.end - keys.begin;
  if (count == 0 || count > kBriefCache) return false;
  const char* rows[kBriefCache];
  load_group(call, s, kv_head, memory);
  locate_brief_rows(a, {a.key, s, kv_head, keys}, rows);
  multiply_cache<Rows>(rows, count, memory.queries, call.rows, call.query_pitch, a.dim,
                       call.key_factor, false, memory.scores);
  float sums[kMostDecodeRows];
  for (int64_t i = 0; i < call.rows; ++i) {
    const int64_t head = kv_head * call.group + i / a.queries;
    float* scores = memory.scores + i * kPitch;
    if (has_score_terms(a)) add_terms(a, s, head, i % a.queries, keys, scores);
    sums[i] =
        soften_briefly(a.sink ? float(a.sink[head] * kLog2E) : -__builtin_inff(), count, scores);
  }
  locate_brief_rows(a, {a.value, s, kv_head, keys}, rows);
  multiply_weights<Rows>(call, rows, count, memory.scores, false, memory);
  Ints largest = ints(0);
  for (int64_t i = 0; i < call.rows; ++i) {
    float* out = memory.products + i * call.output_pitch;
    const Vec scale = broadcast(1.0f / sums[i]);
    for (int64_t d = 0; d < a.value_dim; d += kLanes) {
      const Vec v = mul(load(out + d), scale);
      largest = max(bits_of(abs(v)), largest);
      store(out + d, v);
    }
  }
  if (bits(unsigned_at_least(largest, ints(0x7f800000u)))) return false;
  for (int64_t i = 0; i < call.rows; ++i) {
    const int64_t head = kv_head * call.group + i / a.queries;
    store_row(output_row(call.forward, s, head, i % a.queries), a.type, 1,
              memory.products + i * call.output_pitch, a.value_dim);
  }
  return true;
}
