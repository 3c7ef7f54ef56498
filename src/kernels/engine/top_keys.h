// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The heaviest keys of a row, kept while its scores pass by. Scores that can still enter are picked
// out first and then inserted without a branch that depends on them: a mispredicted branch costs as
// much as 16 scores. The first stretch of keys would let everything in; there the largest score of
// every lane is taken first: the top_k-th of those is a floor for what is wanted.

constexpr int kMostTopKeys = 32;

// Vectors of sorted scores, falling, and their keys; places behind top_k hold runners-up.
constexpr int kTopPitch = kMostTopKeys < kLanes ? kLanes : kMostTopKeys;
constexpr int kTopVectors = kTopPitch / kLanes;

struct TopKeys {
  float* scores;  // [kTopPitch]
  int32_t* keys;  // [kTopPitch]
};

ATTEND_INLINE void start_top_keys(const TopKeys& top) {
  for (int i = 0; i < kTopPitch; ++i) top.scores[i] = -__builtin_inff();
}

// Sorted lists of kVectors vectors in registers.
template <int kVectors>
struct SortedKeys {
  Vec scores[kVectors];
  Vec keys[kVectors];

  // A place takes the largest of what it has and of the smaller of `score` and its left neighbour.
  // Keys follow by comparison, off the critical path. Ties stay behind what came first.
  ATTEND_INLINE void insert(float score, int32_t key) {
    const Vec value = broadcast(score), value_key = broadcast_bits(key);
    const Vec above = broadcast(__builtin_inff());
#pragma GCC unroll 8
    for (int i = kVectors - 1; i >= 0; --i) {
      const Vec left = move_up(scores[i], i > 0 ? scores[i - 1] : above);
      const Vec key_left = move_up(keys[i], i > 0 ? keys[i - 1] : keys[0]);
      const Mask moves = greater(value, scores[i]), left_moves = greater(value, left);
      keys[i] = select(moves, select(left_moves, key_left, value_key), keys[i]);
      scores[i] = max(min(left, value), scores[i]);
    }
  }
};

// The top_k-th largest of the kLanes largest scores by lane; -inf when top_k > kLanes.
inline float floor_of_top_keys(int top_k, const float* x, int64_t count) {
  if (top_k > kLanes || count < 2 * kLanes) return -__builtin_inff();
  Vec largest = load(x);
  for (int64_t j = kLanes; j + kLanes <= count; j += kLanes) largest = max(load(x + j), largest);
  alignas(64) float lanes[kLanes];
  store(lanes, largest);
  SortedKeys<1> sorted{{broadcast(-__builtin_inff())}, {zero()}};
  for (float lane : lanes) sorted.insert(lane, 0);
  store(lanes, sorted.scores[0]);
  return lanes[top_k - 1];
}

template <int kVectors>
inline void insert_top_keys(const TopKeys& top, const float* scores, const int32_t* keys,
                            int count) {
  SortedKeys<kVectors> sorted;
  for (int i = 0; i < kVectors; ++i) {
    sorted.scores[i] = load(top.scores + i * kLanes);
    sorted.keys[i] = load_bits(top.keys + i * kLanes);
  }
  for (int i = 0; i < count; ++i) sorted.insert(scores[i], keys[i]);
  for (int i = 0; i < kVectors; ++i) {
    store(top.scores + i * kLanes, sorted.scores[i]);
    store_bits(top.keys + i * kLanes, sorted.keys[i]);
  }
}

// Offers the scores of keys first_key ... at x; count <= kChunk.
inline void keep_top_keys(const TopKeys& top, int top_k, const float* x, int64_t count,
                          int64_t first_key) {
  alignas(64) float scores[kChunk + kLanes];
  alignas(64) int32_t keys[kChunk + kLanes];
  int found = 0;
  const float weakest = top.scores[top_k - 1];
  const bool first = weakest == -__builtin_inff();
  // Where the list is not full, what equals the floor must come in; later a tie comes too late.
  const Vec floor = broadcast(first ? floor_of_top_keys(top_k, x, count) : weakest);
  const auto enters = [&](Vec v) ATTEND_INLINE_LAMBDA {
    return first ? not_less(v, floor) : greater(v, floor);
  };
  const auto offer = [&](int64_t j) ATTEND_INLINE_LAMBDA {
    const Vec v = load(x + j);
    const Mask wanted = both(enters(v), lanes_below(count - j));
    found += compress(wanted, v, int32_t(first_key + j), scores + found, keys + found);
  };
  int64_t j = 0;
  for (; j + 4 * kLanes <= count; j += 4 * kLanes) {
    const Vec low = max(load(x + j), load(x + j + kLanes));
    const Vec high = max(load(x + j + 2 * kLanes), load(x + j + 3 * kLanes));
    if (!bits(enters(max(low, high)))) continue;
    for (int part = 0; part < 4; ++part) offer(j + part * kLanes);
  }
  for (; j < count; j += kLanes) offer(j);
  if (found == 0) return;
  if (top_k <= kLanes) {
    insert_top_keys<1>(top, scores, keys, found);
  } else {
    insert_top_keys<kTopVectors>(top, scores, keys, found);
  }
}
