// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// top_keys.h for all rows of a tile at once, where they see the same keys and AVX-512 is there. A
// place of a list is one integer: the bits of a weight, which is not negative, above those of its
// key's complement, so that one comparison orders by weight and then by key. The rows' chains of
// insertions run side by side, and one loop serves them all: its end, which nothing foretells,
// costs as much as several insertions.

#ifdef ATTEND_SORTS_LONGS

constexpr int kHeaviestKeys = 8;  // of a list

// Places of the weights that may enter a list.
struct ChosenPlaces {
  int64_t count;
  uint8_t places[kChunk + kWord];
};
static_assert(kChunk <= 256);

// first + the place of every bit, in order, and `spare` behind them; writes kWord places.
ATTEND_INLINE void store_places(uint8_t* to, uint64_t bits, int first, int spare) {
#ifdef ATTEND_COMPRESSES_BYTES
  alignas(64) static constexpr uint8_t kPlaces[kWord] = {
      0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
      22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
      44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const Ints places = _mm512_add_epi8(_mm512_load_si512(kPlaces), _mm512_set1_epi8(char(first)));
  _mm512_storeu_si512(to, _mm512_mask_compress_epi8(_mm512_set1_epi8(char(spare)), bits, places));
#else
  for (int64_t j = 0; j < kWord; j += kLanes, bits >>= kLanes) {
    const Ints places = add(count_up(), ints(uint32_t(first + j)));
    const Ints found = _mm512_mask_compress_epi32(ints(uint32_t(spare)), Mask(bits), places);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(found));
    to += __builtin_popcount(Mask(bits));
  }
#endif
}

// Of `count` weights, at least kWord, those above the bar. Behind their places stands one of a
// weight below it, which changes no list; false where none was found at once.
inline bool choose_places(const float* x, int64_t count, Vec bar, ChosenPlaces& chosen) {
  const unsigned below = bits(greater(bar, load(x)));
  if (below == 0) return false;
  const int spare = __builtin_ctz(below);
  int64_t found = 0;
  const auto take = [&](int64_t first, uint64_t above) ATTEND_INLINE_LAMBDA {
    store_places(chosen.places + found, above, int(first), spare);
    found += __builtin_popcountll(above);
  };
  if (count == kChunk) {
#pragma GCC unroll 4
    for (int64_t first = 0; first < kChunk; first += kWord) {
      take(first, scores_above(x + first, kWord, bar));
    }
  } else {
    for (int64_t first = 0; first < count; first += kWord) {
      take(first, scores_above(x + first, count - first, bar));
    }
  }
  chosen.count = found;
  return true;
}

// A place takes the larger of what it has and of the smaller of `value` and its left neighbour.
ATTEND_INLINE Longs with(Longs list, int64_t value) {
  const Longs left = _mm512_alignr_epi64(list, _mm512_set1_epi64(INT64_MAX), kHeaviestKeys - 1);
  return _mm512_max_epi64(_mm512_min_epi64(left, _mm512_set1_epi64(value)), list);
}

// Offers the weights of `count` keys, first_key ..., to the lists of kTileRows rows, `tops` and
// those behind it. False where it cannot: nothing was done.
inline bool keep_heaviest_keys(const TopKeys& tops, int top_k, const float* weights, int64_t count,
                               int64_t first_key) {
  if (top_k > kHeaviestKeys || count < kWord) return false;
  ChosenPlaces chosen[kTileRows];
  int64_t most = 0;
  for (int row = 0; row < kTileRows; ++row) {
    const float* x = weights + row * kPitch;
    const float weakest = tops.scores[row * kTopPitch + top_k - 1];
    const float bar = bar_of_top_keys(weakest, top_k, x, count);
    if (!choose_places(x, count, broadcast(bar), chosen[row])) return false;
    most = at_least(most, chosen[row].count);
  }
  Longs lists[kTileRows];
#pragma GCC unroll 12
  for (int row = 0; row < kTileRows; ++row) {
    ChosenPlaces& mine = chosen[row];
    for (int64_t i = mine.count + kWord; i < most; ++i) mine.places[i] = mine.places[mine.count];
    lists[row] = join(tops.scores + row * kTopPitch, tops.keys + row * kTopPitch);
  }
  for (int64_t i = 0; i < most; ++i) {
#pragma GCC unroll 12
    for (int row = 0; row < kTileRows; ++row) {
      const int64_t place = chosen[row].places[i];
      uint32_t weight;
      __builtin_memcpy(&weight, weights + row * kPitch + place, sizeof weight);
      const int64_t complement = 0xffffffff - first_key - place;
      lists[row] = with(lists[row], int64_t(weight) << 32 | complement);
    }
  }
#pragma GCC unroll 12
  for (int row = 0; row < kTileRows; ++row) {
    split(lists[row], tops.scores + row * kTopPitch, tops.keys + row * kTopPitch);
  }
  return true;
}

#endif
