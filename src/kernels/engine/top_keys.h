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
  Vec largest = load(x);
  for (int64_t j = kLanes; j + kLanes <= count; j += kLanes) largest = max(load(x + j), largest);
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
  uint64_t found = 0;
  const auto add_vector = [&](int64_t j) ATTEND_INLINE_LAMBDA {
    found |= uint64_t(bits(greater(load(x + j), bar))) << j;
  };
  if (count >= kWord) {
#pragma GCC unroll 16
    for (int64_t j = 0; j < kWord; j += kLanes) add_vector(j);
    return found;
  }
  for (int64_t j = 0; j < count; j += kLanes) add_vector(j);
  return found & ((uint64_t{1} << count) - 1);
}

// Offers scores to kLists lists at the same time: an insertion waits for the one before it in its
// own list only.
template <int kVectors, int kLists>
inline void keep_top_keys(const OfferedScores* offered, int top_k) {
  constexpr uint32_t kNothing = 0xff800000u;  // -inf, which changes no list
  constexpr uint64_t kLastBit = uint64_t{1} << (kWord - 1);
  SortedKeys<kVectors> sorted[kLists];
  Vec bars[kLists];
  int64_t most = 0;
  for (int list = 0; list < kLists; ++list) {
    const OfferedScores& row = offered[list];
    sorted[list].load_from(row.top);
    const float weakest = row.top.scores[top_k - 1];
    // Where the list is not full, what equals the floor must come in; later a tie comes too late.
    bars[list] = broadcast(weakest == -__builtin_inff()
                               ? just_below(floor_of_top_keys(top_k, row.scores, row.count))
                               : weakest);
    most = at_least(most, row.count);
  }
  for (int64_t first = 0; first < most; first += kWord) {
    uint64_t wanted[kLists], left = 0;
    for (int list = 0; list < kLists; ++list) {
      const OfferedScores& row = offered[list];
      const int64_t count = row.count - first;
      wanted[list] = count > 0 ? scores_above(row.scores + first, count, bars[list]) : 0;
      left |= wanted[list];
    }
    while (left) {
      left = 0;
#pragma GCC unroll 6
      for (int list = 0; list < kLists; ++list) {
        const OfferedScores& row = offered[list];
        uint64_t& word = wanted[list];
        // Without a branch: nothing foretells which of the lists is the longest.
        const int64_t is_one = -int64_t(word != 0);
        const int64_t place = (first + __builtin_ctzll(word | kLastBit)) & is_one;
        uint32_t score;
        __builtin_memcpy(&score, row.scores + place, sizeof score);
        score = (score & uint32_t(is_one)) | (kNothing & ~uint32_t(is_one));
        sorted[list].insert(broadcast_bits(int32_t(score)), int32_t(row.first_key + place));
        left |= word &= word - 1;
      }
    }
  }
  for (int list = 0; list < kLists; ++list) sorted[list].store_to(offered[list].top);
}

constexpr int kListsAtOnce = 6;

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
