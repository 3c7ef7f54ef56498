// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// forward_block() for short sequences of which nothing is asked but the output and the LSE. There
// the products are so short that what surrounds them costs half as much: here a tile has no state,
// and all its keys are seen at once. That scores and outputs are ordinary is taken for granted, as
// SoftmaxState says, and looked at afterwards.

constexpr int64_t kBriefKeys = 64;

// Whether query rows lie as the products read them: side by side, and whole pairs if it is those.
inline bool reads_queries_in_place(const Attention& a) {
  const Strides& q = a.query.strides;
  if (q.dim != 1 || !uses_pairs(a)) return q.dim == 1;
  const auto halves = int64_t(reinterpret_cast<uintptr_t>(a.query.data) / sizeof(uint16_t));
  return (halves | a.dim | q.batch | q.head | q.row) % 2 == 0;
}

// Whether forward_brief() can do the heads of this sequence.
inline bool is_brief(const ForwardCall& call, const Sequence& s, const PackedHead& packed) {
  const Attention& a = call.attention;
  const Trace& trace = call.trace;
  const bool ordinary = packed.unmeasured || (uses_pairs(a) && packed.values_ordinary);
  const bool plain_rows = s.rows == s.queries && s.rows % 4 == 0 && reads_queries_in_place(a) &&
                          call.output.strides.dim == 1;
  const bool all_see = s.keys > 0 && a.window_left < 0 && a.window_right < 0 &&
                       (!a.causal || (s.offset >= 0 && s.offset <= INT32_MAX));
  return ordinary && s.keys <= kBriefKeys && plain_rows && all_see && a.dropout == 0 && !a.sink &&
         !has_score_terms(a) && !trace.entropy && trace.top_k == 0 && !trace.received &&
         !trace.pooled;
}

// Rows [first, first + kRows). `most` and `largest` grow to the largest score and output. Room for
// a tile's `weights`, as the products read them, and for outputs that are still to be rounded.
template <class Arithmetic, int kRows>
inline void forward_brief(const ForwardCall& call, const Sequence& s, const PackedHead& packed,
                          int64_t head, int64_t first, float* weights, float* outputs, Vec& most,
                          Ints& largest) {
  constexpr int kNumbers = Arithmetic::kPairs ? 2 : 1;  // side by side in a place of a product
  const Attention& a = call.attention;
  const int64_t at = query_row_offset(a, s, a.query.strides, head, first) / kNumbers;
  const float* query = static_cast<const float*>(a.query.data) + at;
  const int64_t depth = depth_of(a, a.dim);
  SeenKeys seen;
  const int64_t all_end = a.causal ? at_most(s.keys, s.offset + first + 1) : s.keys;
  const int64_t end = a.causal ? at_most(s.keys, s.offset + first + kRows) : s.keys;
  set_plain_rows(a, s, first, kRows, seen);

  alignas(64) float partial[kWholeRows * kLanes], sums[kWholeRows], scale[kWholeRows];
#pragma GCC unroll 16
  for (int i = 0; i < kWholeRows; ++i) store(partial + i * kLanes, zero());
  const float factor = Arithmetic::kPairs ? key_factor(a) : 1.0f;
  for (int64_t key = 0; key < end; key += kPanel) {
    const bool half = end - key <= kLanes;
    const bool whole = key + (half ? kLanes : kPanel) <= all_end;
    (half ? bounded_panels<Arithmetic, kRows, 1>
          : bounded_panels<Arithmetic, kRows, 2>)(query, a.query.strides.row / kNumbers,
                                                  packed.key_panels + key * depth, depth, factor,
                                                  kExp2Rounding, key,
                                                  {whole ? nullptr : &seen, 0, partial, nullptr,
                                                   &most,
                                                   Arithmetic::kPairs ? nullptr : weights + key,
                                                   Arithmetic::kPairs ? weights + key / 2
                                                                      : nullptr});
  }
  sum_rows(partial, kRows, sums);
  for (int row = 0; row < kRows; row += kLanes) {
    store(scale + row, div(broadcast(1.0f), load(sums + row)));
  }
  float* lse = call.trace.lse ? call.trace.lse + row_index(a, s, head, first) : nullptr;
  for (int i = 0; lse && i < kRows; ++i) lse[i] = float(__builtin_log2f(sums[i]) * kLn2);

  RowTerms terms;
  terms.scale = scale;
  terms.ends = all_end < end ? seen.end : nullptr;
  terms.largest = largest;
  if constexpr (Arithmetic::kPairs) {
    const int64_t width = rounded_up(a.value_dim, kLanes);
    add_rows<Arithmetic, kRows, kPitch / 2, 1>(weights, packed.values, packed.value_pitch,
                                               (end + 1) / 2, true, outputs, width, width, &terms);
    for (int i = 0; i < kRows; ++i) {
      store_row(output_row(call, s, head, first + i), a.type, 1, outputs + i * width, a.value_dim);
    }
  } else {
    add_rows<Arithmetic, kRows, kPitch, 1>(
        weights, packed.values, packed.value_pitch, end, true,
        reinterpret_cast<float*>(output_row(call, s, head, first)), call.output.strides.row,
        a.value_dim, &terms);
  }
  largest = terms.largest;
}

// All rows of a head. False when scores or outputs were not ordinary: then the output is still to
// be made.
template <class Arithmetic>
inline bool forward_brief(const ForwardCall& call, const Sequence& s, const PackedHead& packed,
                          int64_t head, const BlockMemory& memory) {
  float* weights = Arithmetic::kPairs ? memory.weight_pairs : memory.scores;
  float* outputs = memory.output;
  Vec most = zero();
  Ints largest = ints(0);
  const int64_t height = call.attention.causal ? kLowTileRows : kTileRows;
  for (int64_t row = 0; row < s.rows; row += height) {
    const int64_t rows = at_most(height, s.rows - row);
    (rows == 12  ? forward_brief<Arithmetic, 12>
     : rows == 8 ? forward_brief<Arithmetic, 8>
                 : forward_brief<Arithmetic, 4>)(call, s, packed, head, row, weights, outputs, most,
                                                 largest);
  }
  return !bits(greater(most, broadcast(largest_bound(call.trace)))) && is_ordinary(largest);
}

inline bool forward_brief(const ForwardCall& call, const Sequence& s, const PackedHead& packed,
                          int64_t head, const BlockMemory& memory) {
  if (uses_pairs(call.attention)) return forward_brief<Bf16>(call, s, packed, head, memory);
  return forward_brief<Fp32>(call, s, packed, head, memory);
}
