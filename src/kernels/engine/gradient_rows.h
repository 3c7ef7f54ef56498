// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What the backward reads and writes around its products.

ATTEND_INLINE void clear(float* memory, int64_t count) {
  for (int64_t i = 0; i < count; ++i) memory[i] = 0;
}

ATTEND_INLINE bool is_finite(Ints magnitude_bits) {
  alignas(64) uint32_t lanes[kLanes];
  store(lanes, magnitude_bits);
  bool finite = true;
  for (uint32_t lane : lanes) finite &= lane < 0x7f800000u;
  return finite;
}

ATTEND_INLINE bool sees(KeyRange row, int64_t key, int64_t keys) {
  return row.begin < key + keys && row.end > key;
}

// Panels of keys and values, and the keys row by row; `keys` begins at a multiple of kPanel. False
// when a key or value is infinite or NaN.
inline bool pack_gradient_keys(const Attention& a, const Sequence& s, int64_t kv_head,
                               KeyRange keys, float* key_panels, float* value_panels, float* rows) {
  Attention values = a;
  values.key = a.value;
  values.dim = a.value_dim;
  for (int64_t first = keys.begin; first < keys.end; first += kPanel) {
    const int64_t place = first - keys.begin;
    pack_key_panel<false>(a, s, kv_head, first, key_factor(a),
                          key_panels + place * depth_of(a, a.dim));
    pack_key_panel<false>(values, s, kv_head, first, 1.0f,
                          value_panels + place * depth_of(a, a.value_dim));
  }
  PackedHead packed;
  packed.value_pitch = rounded_up(a.dim, kLanes);
  packed.values = rows - keys.begin / (uses_pairs(a) ? 2 : 1) * packed.value_pitch;
  values.value = a.key;
  values.value_dim = a.dim;
  return pack_values(values, s, kv_head, keys, packed);
}

inline void store_gradient(const Attention& a, const Sequence& s, const MutableTensor& target,
                           int64_t kv_head, int64_t key, float factor, float* row, int64_t dims) {
  if (!target.data) return;
  for (int64_t d = 0; d < dims; d += kLanes) store(row + d, mul(load(row + d), broadcast(factor)));
  char* to = static_cast<char*>(target.data) +
             key_row_offset(a, s, target.strides, kv_head, key) * element_size(a);
  store_row(to, a.type, target.strides.dim, row, dims);
}

// D of one row: dO . O - dlse, summed in fp32.
inline float row_delta(const Attention& a, const Gradients& g, const Sequence& s, int64_t head,
                       int64_t row) {
  const int64_t size = element_size(a);
  const char* output = static_cast<const char*>(g.output.data) +
                       query_row_offset(a, s, g.output.strides, head, row) * size;
  const char* d_output = static_cast<const char*>(g.d_output.data) +
                         query_row_offset(a, s, g.d_output.strides, head, row) * size;
  Vec sum = zero();
  for (int64_t d = 0; d < a.value_dim; d += kLanes) {
    sum = fma(load_row(output, a.type, g.output.strides.dim, d, a.value_dim - d),
              load_row(d_output, a.type, g.d_output.strides.dim, d, a.value_dim - d), sum);
  }
  return reduce_add(sum) - (g.d_lse ? g.d_lse[row_index(a, s, head, row)] : 0.0f);
}

// The sink's logit: its probability has no value, so that its gradient is -p D, and through the
// entropy H = -sum w ln w it gets p (W - H) with W = 1 - p.
inline double row_sink_gradient(const Attention& a, const Gradients& g, int64_t index, float delta,
                                int64_t head) {
  if (g.lse[index] == -__builtin_inff()) return 0;
  const float p = __builtin_expf(a.sink[head] - g.lse[index]);
  double gradient = -double(p) * delta;
  if (g.d_entropy) gradient += double(g.d_entropy[index]) * p * (1 - p - g.entropy[index]);
  return gradient;
}
