// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Keys and values of one (batch, kv head) in the order that the products read them:
//
//   key panels  [ceil(keys / kPanel)][dim][kPanel], times scale * log2(e): scores come out in base
//   2 values      [keys][value_pitch], zeros behind value_dim
//
// and for bf16 products, unscaled, one place of 4 bytes holding two neighbours:
//
//   key panels  [ceil(keys / kPanel)][ceil(dim / 2)][kPanel], pairs along dim
//   values      [ceil(keys / 2)][value_pitch], pairs along the keys
//
// Packing is O(length * dim) beside O(length^2 * dim) products, and it is where storage types,
// strides, pages and odd dims end. Values of short sequences are read in place when they can be: a
// copy would cost more than it saves. On the way it learns what the fast softmax wants to know: how
// long the longest key is, and whether every value is an ordinary number. Of short sequences that
// is not asked either: their scores and outputs tell (see SoftmaxState).

constexpr int kPanel = 2 * kLanes;

struct PackedHead {
  float* key_panels = nullptr;
  int64_t first_key = 0;  // of the first panel; a multiple of kPanel
  float* values = nullptr;
  int64_t value_pitch = 0;      // between rows of `values`
  float key_norm = 0;           // max |scale * log2(e) * key|, or infinity
  bool values_ordinary = true;  // finite, and not so small that products would lose digits
  // A short sequence: its values are read in place, and neither they nor the keys were looked at.
  bool unmeasured = false;
};

constexpr int64_t kLongestInPlace = 256;

// Steps that a product over `dim` takes.
ATTEND_INLINE int64_t depth_of(const Attention& a, int64_t dim) {
  return uses_pairs(a) ? (dim + 1) / 2 : dim;
}

ATTEND_INLINE float key_factor(const Attention& a) { return float(scale_of(a) * kLog2E); }

inline int64_t pack_floats(const Attention& a, int64_t keys) {
  return rounded_up(keys, kPanel) *
         (depth_of(a, a.dim) + rounded_up(a.value_dim, kLanes) / (uses_pairs(a) ? 2 : 1));
}

inline void store_row(char* row, ElementType type, int64_t step, const float* from, int64_t count) {
  if (type == ElementType::kFloat32) {
    float* p = reinterpret_cast<float*>(row);
    if (step == 1) {
      int64_t d = 0;
      for (; d + kLanes <= count; d += kLanes) store(p + d, load(from + d));
      if (d < count) store_lanes(p + d, lanes_below(count - d), load(from + d));
    } else {
      for (int64_t d = 0; d < count; ++d) p[d * step] = from[d];
    }
    return;
  }
  uint16_t* p = reinterpret_cast<uint16_t*>(row);
  int64_t d = 0;
  for (; step == 1 && d + kLanes <= count; d += kLanes) store_bf16(p + d, load(from + d));
  for (; d < count; ++d) p[d * step] = to_bf16(from[d]);
}

// `count` <= kLanes numbers of a row from `first` on, the rest zeros.
ATTEND_INLINE Vec load_row(const char* row, ElementType type, int64_t step, int64_t first,
                           int64_t count) {
  if (type == ElementType::kFloat32) {
    const float* p = reinterpret_cast<const float*>(row) + first * step;
    if (step == 1) return count >= kLanes ? load(p) : load_lanes(p, lanes_below(count));
    alignas(64) float gathered[kLanes] = {};
    for (int64_t i = 0; i < count && i < kLanes; ++i) gathered[i] = p[i * step];
    return load(gathered);
  }
  const uint16_t* p = reinterpret_cast<const uint16_t*>(row) + first * step;
  if (step == 1 && count >= kLanes) return load_bf16(p);
  alignas(64) uint16_t gathered[kLanes] = {};
  for (int64_t i = 0; i < count && i < kLanes; ++i) gathered[i] = p[i * step];
  return load_bf16(gathered);
}

// `count` <= 2 * kLanes numbers of a bf16 row as pairs, the rest zeros.
ATTEND_INLINE Vec load_pairs(const char* row, int64_t step, int64_t first, int64_t count) {
  const uint16_t* p = reinterpret_cast<const uint16_t*>(row) + first * step;
  if (step == 1 && count >= 2 * kLanes) return load(reinterpret_cast<const float*>(p));
  if (step == 1 && count % 2 == 0) {
    return load_lanes(reinterpret_cast<const float*>(p), lanes_below(count / 2));
  }
  alignas(64) uint16_t gathered[2 * kLanes] = {};
  for (int64_t i = 0; i < count && i < 2 * kLanes; ++i) gathered[i] = p[i * step];
  return load(reinterpret_cast<const float*>(gathered));
}

// kLanes keys of a panel, from `first` on, into its columns at `panel`; beyond the last key zeros.
// Returns the sums of their squares if asked for.
template <bool kSquares>
inline Vec pack_key_columns(const Attention& a, const Sequence& s, int64_t kv_head, int64_t first,
                            Vec factor, float* panel) {
  const int64_t size = element_size(a), depth = depth_of(a, a.dim), step = a.key.strides.dim;
  const char* base = static_cast<const char*>(a.key.data);
  const bool pairs = uses_pairs(a);
  // Whole vectors of rows that follow each other: their places need no table.
  const bool plain = (pairs ? a.dim % 2 == 0 : a.type == ElementType::kFloat32) && step == 1 &&
                     first + kLanes <= s.keys && !a.pages;
  const auto row_at = [&](int64_t key) {
    return base + key_row_offset(a, s, a.key.strides, kv_head, key) * size;
  };
  const char* rows[kLanes] = {};
  for (int i = 0; !(plain && depth % kLanes == 0) && i < kLanes; ++i) {
    if (first + i < s.keys) rows[i] = row_at(first + i);
  }
  const char* plain_rows = plain ? row_at(first) : nullptr;
  const int64_t row_bytes = a.key.strides.row * size;
  Vec squares[4] = {zero(), zero(), zero(), zero()};
  for (int64_t d = 0; d < depth; d += kLanes) {
    Vec in[kLanes], out[kLanes];
    if (plain && depth - d >= kLanes) {
      const char* column = plain_rows + d * int64_t(sizeof(float));
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        in[i] = load(reinterpret_cast<const float*>(column + i * row_bytes));
      }
#pragma GCC unroll 16
      for (int i = 0; !pairs && i < kLanes; ++i) in[i] = mul(in[i], factor);
    } else {
      for (int i = 0; i < kLanes; ++i) {
        if (!rows[i]) {
          in[i] = zero();
        } else if (pairs) {
          in[i] = load_pairs(rows[i], step, 2 * d, a.dim - 2 * d);
        } else {
          in[i] = mul(load_row(rows[i], a.type, step, d, a.dim - d), factor);
        }
      }
    }
    transpose(in, out);  // lines behind the last dimension are zeros
#pragma GCC unroll 16
    for (int i = 0; kSquares && i < kLanes; ++i) {
      squares[i % 4] = pairs ? Bf16::multiply_add(out[i], out[i], squares[i % 4])
                             : fma(out[i], out[i], squares[i % 4]);
    }
    if (depth - d >= kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(panel + (d + i) * kPanel, out[i]);
    } else {
      for (int i = 0; i < depth - d; ++i) store(panel + (d + i) * kPanel, out[i]);
    }
  }
  return add(add(squares[0], squares[1]), add(squares[2], squares[3]));
}

// One panel from keys [first, first + kPanel). Returns the largest |key|^2, or NaN; 0 if it is not
// asked for.
template <bool kSquares>
inline float pack_key_panel(const Attention& a, const Sequence& s, int64_t kv_head, int64_t first,
                            float factor, float* panel) {
  const Vec factors = broadcast(factor);
  const Vec low = pack_key_columns<kSquares>(a, s, kv_head, first, factors, panel);
  const Vec high =
      pack_key_columns<kSquares>(a, s, kv_head, first + kLanes, factors, panel + kLanes);
  if constexpr (!kSquares) return 0;
  const float check = reduce_add(mul(add(low, high), zero()));  // NaN when any is not finite
  return check == 0 ? reduce_max(max(low, high)) * (uses_pairs(a) ? factor * factor : 1.0f) : check;
}

// Magnitudes as bits, of which NaN and infinity are above all numbers: whether one is not finite or
// all are tiny.
inline bool are_ordinary(Ints largest) {
  constexpr uint32_t kSmallest = (127 - 40) << 23;  // 2^-40, as bits
  alignas(64) uint32_t lanes[kLanes];
  store(lanes, largest);
  uint32_t scale = 0;
  for (uint32_t lane : lanes) scale = lane > scale ? lane : scale;
  return scale == 0 || (kSmallest <= scale && scale < 0x7f800000u);
}

// Two bf16 rows of `count` numbers, null for zeros, side by side: places of pairs [rounded up]. On
// the way calls visit(first place, pairs of `even`, pairs of `odd`), and `halves` grows to the
// magnitudes, number by number.
template <class Visit>
ATTEND_INLINE void interleave_rows(const char* even, const char* odd, int64_t step, int64_t count,
                                   float* target, Ints& halves, const Visit& visit) {
  for (int64_t d = 0; d < count; d += 2 * kLanes) {
    const Vec v = even ? load_pairs(even, step, d, count - d) : zero();
    const Vec w = odd ? load_pairs(odd, step, d, count - d) : zero();
    halves = larger_halves(bits_of(v), larger_halves(bits_of(w), halves));
    Vec low, high;
    interleave_rows(v, w, low, high);
    store(target + d, low);
    if (count - d > kLanes) store(target + d + kLanes, high);
    visit(d / 2, v, w);
  }
}

// The larger magnitude of each pair, as the bits of a float.
ATTEND_INLINE Ints larger_of_pairs(Ints halves) {
  return max(bits_of(lower_halves(from_bits(halves))), halves);
}

// Values of `keys`; returns whether they are ordinary. Pairs are made from an even key on, and
// behind the last key comes a zero.
inline bool pack_values(const Attention& a, const Sequence& s, int64_t kv_head, KeyRange keys,
                        const PackedHead& packed) {
  const int64_t size = element_size(a), step = a.value.strides.dim, pitch = packed.value_pitch;
  const auto row_at = [&](int64_t key) {
    return static_cast<const char*>(a.value.data) +
           key_row_offset(a, s, a.value.strides, kv_head, key) * size;
  };
  Ints largest = ints(0);
  if (uses_pairs(a)) {
    for (int64_t key = keys.begin; key < keys.end; key += 2) {
      const char* odd = key + 1 < keys.end ? row_at(key + 1) : nullptr;
      interleave_rows(row_at(key), odd, step, a.value_dim, packed.values + key / 2 * pitch, largest,
                      [](int64_t, Vec, Vec) {});
    }
    return are_ordinary(larger_of_pairs(largest));
  }
  for (int64_t key = keys.begin; key < keys.end; ++key) {
    const char* row = row_at(key);
    for (int64_t d = 0; d < pitch; d += kLanes) {
      const Vec v = load_row(row, a.type, step, d, a.value_dim - d);
      largest = max(bits_of(abs(v)), largest);
      store(packed.values + key * pitch + d, v);
    }
  }
  return are_ordinary(largest);
}

// Lays out the memory of one head, pack_floats() of it.
inline void place_head(const Attention& a, const Sequence& s, int64_t kv_head, float* memory,
                       PackedHead& packed) {
  packed.key_panels = memory;
  packed.value_pitch = rounded_up(a.value_dim, kLanes);
  packed.values = memory + rounded_up(s.keys, kPanel) * depth_of(a, a.dim);
  packed.unmeasured = a.type == ElementType::kFloat32 && a.value.strides.dim == 1 &&
                      a.value_dim % kLanes == 0 && s.keys <= kLongestInPlace && !a.pages;
  if (packed.unmeasured) {
    packed.value_pitch = a.value.strides.row;
    packed.values = static_cast<float*>(const_cast<void*>(a.value.data)) +
                    key_row_offset(a, s, a.value.strides, kv_head, 0);
  }
}

struct PackedPart {
  float key_norm = 0;
  bool values_ordinary = true;
};

// Keys [keys.begin, keys.end); begin is a multiple of kPanel.
inline PackedPart pack_part(const Attention& a, const Sequence& s, int64_t kv_head, KeyRange keys,
                            const PackedHead& packed) {
  PackedPart part;
  float longest = 0;
  const auto pack_panel = packed.unmeasured ? pack_key_panel<false> : pack_key_panel<true>;
  for (int64_t first = keys.begin; first < keys.end; first += kPanel) {
    const float norm = pack_panel(a, s, kv_head, first, key_factor(a),
                                  packed.key_panels + first * depth_of(a, a.dim));
    if (!(norm <= longest)) longest = norm == norm ? norm : __builtin_inff();
  }
  part.key_norm = __builtin_sqrtf(longest);
  if (!packed.unmeasured) part.values_ordinary = pack_values(a, s, kv_head, keys, packed);
  return part;
}

inline void merge(const PackedPart& part, PackedHead& packed) {
  if (part.key_norm > packed.key_norm) packed.key_norm = part.key_norm;
  packed.values_ordinary &= part.values_ordinary;
}

// All of one head, by one thread.
inline PackedHead pack_head(const Attention& a, const Sequence& s, int64_t kv_head, float* memory) {
  PackedHead packed;
  place_head(a, s, kv_head, memory, packed);
  merge(pack_part(a, s, kv_head, {0, s.keys}, packed), packed);
  return packed;
}
