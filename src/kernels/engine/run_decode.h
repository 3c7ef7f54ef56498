// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Decoding, who does what: all (batch, kv head) pairs stand in one line, cut into chunks of keys,
// and every thread takes an equal stretch of it. Two states per thread are enough: of the pair that
// began in an earlier stretch, and of the pair that it is at. A pair in several stretches is merged
// in the order of its keys, so that the result depends on the number of threads alone.

// The chunks of one pair; one where it has no keys, since zeros are written then.
inline int64_t decode_chunks(const Attention& a, const Sequence& s) {
  const KeyRange keys = seen_keys(a, s);
  return at_least(1, (keys.end + kDecodeChunk - 1) / kDecodeChunk - keys.begin / kDecodeChunk);
}

// Keys of chunks [chunks.begin, chunks.end) of a pair.
inline KeyRange keys_of_chunks(const Attention& a, const Sequence& s, KeyRange chunks) {
  const KeyRange keys = seen_keys(a, s);
  const int64_t first = keys.begin / kDecodeChunk;
  return intersect(keys,
                   {(first + chunks.begin) * kDecodeChunk, (first + chunks.end) * kDecodeChunk});
}

struct DecodeTeam {
  int64_t chunks = 0;  // of all pairs
  int64_t parts = 1;   // stretches
  int64_t state_floats = 0;
  float* states = nullptr;  // [parts][2]

  int64_t first_chunk(int64_t part) const { return part * chunks / parts; }
};

inline DecodeState state_of(const DecodeCall& call, const DecodeTeam& team, int64_t part,
                            int64_t which) {
  DecodeState state;
  layout(call, team.states + (2 * part + which) * team.state_floats, &state);
  return state;
}

template <class Rows>
inline void decode_again(const DecodeCall& call, const Sequence& s, int64_t kv_head,
                         DecodeState& state) {
  DecodeMemory memory;
  layout(call, pair_scratch().floats(layout(call, nullptr, static_cast<DecodeMemory*>(nullptr))),
         &memory);
  start_group(call, s, kv_head, memory, state);
  decode_keys<Rows>(call, s, kv_head, seen_keys(call.attention, s), true, memory, state);
  for (int64_t i = 0; i < call.group; ++i) {
    finish_tile(call.forward, s, state.tiles[i], state.softmax[i]);
  }
}

// Values that are not finite show in the output; then everything is done once more with care.
template <class Rows>
inline void finish_group(const DecodeCall& call, const Sequence& s, int64_t kv_head,
                         DecodeState& state) {
  bool ordinary = true;
  for (int64_t i = 0; i < call.group; ++i) {
    ordinary &= finish_tile(call.forward, s, state.tiles[i], state.softmax[i]);
  }
  if (!ordinary) decode_again<Rows>(call, s, kv_head, state);
}

// Calls visit(sequence, kv_head, chunks of the pair, chunks of it in the stretch) for every pair in
// chunks [stretch.begin, stretch.end) of the line.
template <class Visit>
inline void visit_pairs(const Attention& a, KeyRange stretch, const Visit& visit) {
  int64_t first = 0;
  for (int64_t b = 0; b < a.batch && first < stretch.end; ++b) {
    const Sequence s = sequence_of(a, b);
    const int64_t chunks = decode_chunks(a, s);
    const int64_t skipped = at_most(a.kv_heads, at_least(0, stretch.begin - first) / chunks);
    first += skipped * chunks;
    for (int64_t kv_head = skipped; kv_head < a.kv_heads && first < stretch.end; ++kv_head) {
      visit(s, kv_head, chunks,
            KeyRange{at_least(0, stretch.begin - first), at_most(chunks, stretch.end - first)});
      first += chunks;
    }
  }
}

template <class Rows>
inline void decode_part(const DecodeCall& call, const DecodeTeam& team, int64_t part) {
  const Attention& a = call.attention;
  DecodeMemory memory;
  layout(call, pair_scratch().floats(layout(call, nullptr, static_cast<DecodeMemory*>(nullptr))),
         &memory);
  const bool brief = may_be_brief(call.forward);
  visit_pairs(a, {team.first_chunk(part), team.first_chunk(part + 1)},
              [&](const Sequence& s, int64_t kv_head, int64_t chunks, KeyRange mine) {
                if (brief && chunks == 1) {
                  const KeyRange keys = seen_keys(a, s);
                  fetch_pair_behind(a, s, kv_head);
                  if (decode_briefly<Rows>(call, s, kv_head, keys, memory)) return;
                }
                DecodeState state = state_of(call, team, part, mine.begin == 0);
                start_group(call, s, kv_head, memory, state);
                decode_keys<Rows>(call, s, kv_head, keys_of_chunks(a, s, mine), false, memory,
                                  state);
                if (mine.begin == 0 && mine.end == chunks) {
                  finish_group<Rows>(call, s, kv_head, state);
                }
              });
}

// Pairs that end in another stretch than they began in.
template <class Rows>
inline void finish_split_pairs(const DecodeCall& call, const DecodeTeam& team) {
  int64_t first = 0;
  visit_pairs(call.attention, {0, team.chunks},
              [&](const Sequence& s, int64_t kv_head, int64_t chunks, KeyRange) {
                int64_t part = part_of(first, team.parts, team.chunks);
                first += chunks;
                if (team.first_chunk(part + 1) >= first) return;
                DecodeState state = state_of(call, team, part, 1);
                while (team.first_chunk(++part) < first) {
                  merge_groups(call, state, state_of(call, team, part, 0));
                }
                finish_group<Rows>(call, s, kv_head, state);
              });
}

template <class Rows>
inline void decode(const DecodeCall& call, int threads) {
  const Attention& a = call.attention;
  DecodeTeam team;
  int64_t keys = 0;
  for (int64_t b = 0; b < a.batch; ++b) {
    const Sequence s = sequence_of(a, b);
    team.chunks += a.kv_heads * decode_chunks(a, s);
    const KeyRange seen = seen_keys(a, s);
    keys += a.kv_heads * (seen.end - seen.begin);
  }
  const int64_t bytes = keys * (a.dim + a.value_dim) * element_size(a);
  team.parts = bytes < kBytesPerTeam ? 1 : at_most(threads, team.chunks);
  team.state_floats = layout(call, nullptr, static_cast<DecodeState*>(nullptr));
  team.states = team_scratch().floats(team.parts * 2 * team.state_floats);
#pragma omp parallel for num_threads(threads) schedule(static) if (team.parts > 1)
  for (int64_t part = 0; part < team.parts; ++part) decode_part<Rows>(call, team, part);
  finish_split_pairs<Rows>(call, team);
}

inline void decode(const ForwardCall& call, int threads) {
  if (call.attention.queries == 0 || call.attention.batch == 0) return;
  const DecodeCall decoding = make_decode(call);
  if (call.attention.type == ElementType::kFloat32) {
    decode<Fp32Rows>(decoding, threads);
  } else {
    decode<Bf16Rows>(decoding, threads);
  }
}
