// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The heaviest keys of a row, kept while its scores pass by. Scores that can still enter are picked
// out first and then inserted without a branch that depends on them. The first
// stretch of keys would let everything in; there the largest score of every lane is taken first:
// the top_k-th of those is a floor for what is wanted.

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

// The top_k-th largest of the kLanes largest scores by lane; -inf when top_k > kLanes. By counting,
// for every lane, the larger ones: nothing waits for anything.
inline float floor_of_top_keys(int top_k, const float* x, int64_t count) {
  if (top_k > kLanes || count < 2 * kLanes) return -__builtin_inff();
  Vec largest = load(x);
  for (int64_t j = kLanes; j + kLanes <= count; j += kLanes) largest = max(load(x + j), largest);
  alignas(64) float lanes[kLanes];
  store(lanes, largest);
  Vec larger[2] = {zero(), zero()};
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    const Mask below = greater(broadcast(lanes[i]), largest);
    larger[i % 2] = add(larger[i % 2], select(below, broadcast(1.0f), zero()));
  }
  const Mask wanted = greater(broadcast(float(top_k)), add(larger[0], larger[1]));
  return -reduce_max(select(wanted, sub(zero(), largest), broadcast(-__builtin_inff())));
}

// The next float below; -inf stays.
inline float just_below(float x) {
  if (x == 0) return -__FLT_DENORM_MIN__;
  if (x == -__builtin_inff()) return x;
  int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  bits += x > 0 ? -1 : 1;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

// Inserts score_of(i) for key_of(i), i < count.
template <int kVectors, class Score, class Key>
inline void insert_top_keys(const TopKeys& top, int count, const Score& score_of,
                            const Key& key_of) {
  SortedKeys<kVectors> sorted;
  for (int i = 0; i < kVectors; ++i) {
    sorted.scores[i] = load(top.scores + i * kLanes);
    sorted.keys[i] = load_bits(top.keys + i * kLanes);
  }
  for (int i = 0; i < count; ++i) sorted.insert(score_of(i), key_of(i));
  for (int i = 0; i < kVectors; ++i) {
    store(top.scores + i * kLanes, sorted.scores[i]);
    store_bits(top.keys + i * kLanes, sorted.keys[i]);
  }
}

template <class Score, class Key>
inline void insert_top_keys(const TopKeys& top, int top_k, int count, const Score& score_of,
                            const Key& key_of) {
  (top_k <= kLanes ? insert_top_keys<1, Score, Key>
                   : insert_top_keys<kTopVectors, Score, Key>)(top, count, score_of, key_of);
}

// Offers the scores of keys first_key ... at x; count <= kChunk.
inline void keep_top_keys(const TopKeys& top, int top_k, const float* x, int64_t count,
                          int64_t first_key) {
  alignas(64) int32_t places[kChunk + kLanes];
  int found = 0;
  const float weakest = top.scores[top_k - 1];
  // Where the list is not full, what equals the floor must come in; later a tie comes too late.
  const bool first = weakest == -__builtin_inff();
  const Vec bar = broadcast(first ? just_below(floor_of_top_keys(top_k, x, count)) : weakest);
  for (int64_t j = 0; j < count; j += kLanes) {
    const Mask wanted = both(greater(load(x + j), bar), lanes_below(count - j));
    found += store_numbers(wanted, int32_t(j), places + found);
  }
  if (found == 0) return;
  insert_top_keys(
      top, top_k, found, [&](int i) { return x[places[i]]; },
      [&](int i) { return int32_t(first_key) + places[i]; });
}
