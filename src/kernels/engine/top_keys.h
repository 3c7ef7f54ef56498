// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The heaviest keys of a row, kept while its scores pass by, or its weights, which order them
// alike. Scores that can still enter are picked out first and then inserted without a branch that
// depends on them. The first stretch of keys would let everything in; there the largest score of
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

  ATTEND_INLINE void load_from(const TopKeys& top) {
    for (int i = 0; i < kVectors; ++i) {
      scores[i] = load(top.scores + i * kLanes);
      keys[i] = load_bits(top.keys + i * kLanes);
    }
  }

  ATTEND_INLINE void store_to(const TopKeys& top) const {
    for (int i = 0; i < kVectors; ++i) {
      store(top.scores + i * kLanes, scores[i]);
      store_bits(top.keys + i * kLanes, keys[i]);
    }
  }

  // A place takes the largest of what it has and of the smaller of `value` and its left neighbour.
  // Keys follow by comparison, off the critical path. Ties stay behind what came first.
  ATTEND_INLINE void insert(Vec value, int32_t key) {
    const Vec value_key = broadcast_bits(key);
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
  // Two of them, so that not every step waits for the one before it.
  Vec largest = load(x), others = load(x + kLanes);
  int64_t j = 2 * kLanes;
#pragma GCC unroll 4
  for (; j + 2 * kLanes <= count; j += 2 * kLanes) {
    largest = max(load(x + j), largest);
    others = max(load(x + j + kLanes), others);
  }
  if (j + kLanes <= count) largest = max(load(x + j), largest);
  largest = max(others, largest);
  alignas(64) float lanes[kLanes];
  store(lanes, largest);
  Vec larger[2] = {zero(), zero()};
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    const Mask below = greater(broadcast(lanes[i]), largest);
    larger[i % 2] = select(below, add(larger[i % 2], broadcast(1.0f)), larger[i % 2]);
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

// What a score must be above to enter a list whose last one is `weakest`.
inline float bar_of_top_keys(float weakest, int top_k, const float* x, int64_t count) {
  // Where the list is not full, what equals the floor must come in; later a tie comes too late.
  if (weakest != -__builtin_inff()) return weakest;
  return just_below(floor_of_top_keys(top_k, x, count));
}

// Inserts the first `count` of a list into another.
template <int kVectors>
inline void insert_top_keys(const TopKeys& top, int count, const float* scores,
                            const int32_t* keys) {
  SortedKeys<kVectors> sorted;
  sorted.load_from(top);
  for (int i = 0; i < count; ++i) sorted.insert(broadcast(scores[i]), keys[i]);
  sorted.store_to(top);
}

// The scores of keys first_key ..., offered to the list of their row.
struct OfferedScores {
  TopKeys top;
  const float* scores;
  int64_t count;  // <= kChunk
  int64_t first_key;
};

constexpr int64_t kWord = 64;

// Which of the first kWord scores are above the bar, as bits.
ATTEND_INLINE uint64_t scores_above(const float* x, int64_t count, Vec bar) {
  const auto above = [&](int64_t j) ATTEND_INLINE_LAMBDA { return greater(load(x + j), bar); };
  uint64_t found = 0;
  if (count >= kWord) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < kWord; j += 4 * kLanes) {
      found |= bits(above(j), above(j + kLanes), above(j + 2 * kLanes), above(j + 3 * kLanes)) << j;
    }
    return found;
  }
  for (int64_t j = 0; j < count; j += kLanes) found |= uint64_t(bits(above(j))) << j;
  return found & ((uint64_t{1} << count) - 1);
}

// What a row offers once its scores are through: NaN changes no list.
struct Nothing {
  float scores[kWord];
};
constexpr Nothing kNothing = [] {
  Nothing nothing{};
  for (float& score : nothing.scores) score = __builtin_nanf("");
  return nothing;
}();

// The scores of a row above the bar as bits of words, none of them 0, and behind these nothing.
struct ChosenScores {
  static constexpr int64_t kWords = kChunk / kWord;
  uint64_t words[2 * kWords];
  const float* scores[2 * kWords];  // of the words' first bits, and their keys
  int32_t keys[2 * kWords];
  int64_t at = 0;  // the word that is being read

  // Returns how many there are.
  ATTEND_INLINE int64_t choose(const OfferedScores& row, Vec bar) {
    int64_t count = 0, used = 0;
    for (int64_t first = 0; first < row.count; first += kWord) {
      words[used] = scores_above(row.scores + first, row.count - first, bar);
      scores[used] = row.scores + first;
      keys[used] = int32_t(row.first_key + first);
      count += __builtin_popcountll(words[used]);
      used += words[used] != 0;
    }
    for (int64_t i = used; i < used + kWords; ++i) {
      words[i] = ~uint64_t{0};
      scores[i] = kNothing.scores;
    }
    return count;
  }
};

// Offers scores to kLists lists at the same time: an insertion waits for the one before it in its
// own list only. Without a branch, as nothing foretells which list is the longest.
template <int kVectors, int kLists>
inline void keep_top_keys(const OfferedScores* offered, int top_k) {
  SortedKeys<kVectors> sorted[kLists];
  ChosenScores chosen[kLists];
  int64_t most = 0;
  for (int list = 0; list < kLists; ++list) {
    const OfferedScores& row = offered[list];
    sorted[list].load_from(row.top);
    const float bar = bar_of_top_keys(row.top.scores[top_k - 1], top_k, row.scores, row.count);
    most = at_least(most, chosen[list].choose(row, broadcast(bar)));
  }
  for (int64_t i = 0; i < most; ++i) {
#pragma GCC unroll 4
    for (int list = 0; list < kLists; ++list) {
      ChosenScores& mine = chosen[list];
      const uint64_t word = mine.words[mine.at], rest = word & (word - 1);
      const int bit = __builtin_ctzll(word);
      sorted[list].insert(broadcast(mine.scores[mine.at][bit]), mine.keys[mine.at] + bit);
      mine.words[mine.at] = rest;
      mine.at += rest == 0;
    }
  }
  for (int list = 0; list < kLists; ++list) sorted[list].store_to(offered[list].top);
}

constexpr int kListsAtOnce = 4;

// The same for `count` lists.
inline void keep_top_keys(const OfferedScores* offered, int count, int top_k) {
  if (top_k > kLanes) {
    for (int i = 0; i < count; ++i) keep_top_keys<kTopVectors, 1>(offered + i, top_k);
    return;
  }
  int i = 0;
  for (; i + kListsAtOnce <= count; i += kListsAtOnce) {
    keep_top_keys<1, kListsAtOnce>(offered + i, top_k);
  }
  for (; i < count; ++i) keep_top_keys<1, 1>(offered + i, top_k);
}
