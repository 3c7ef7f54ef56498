// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Loops that the compiler turns into vector code. Included once per instruction set, inside a
// namespace and a target of its own; see elementwise_loops.cpp. No includes here for that reason.
//
// That file gives Vector as well, a register of the target, for loops that the compiler makes no
// vectors of by itself, or bad ones; with larger(a, b) and smaller(a, b), which are b where either
// number is none.

inline float load(float value) { return value; }
inline float load(BFloat16 value) { return std::bit_cast<float>(uint32_t(value.bits) << 16); }

inline void load_register(const float* in, Vector& to) { __builtin_memcpy(&to, in, sizeof to); }
inline void load_register(const BFloat16* in, Vector& to) {
  typedef uint16_t Halves __attribute__((vector_size(kRegisterFloats * sizeof(uint16_t))));
  typedef uint32_t Words __attribute__((vector_size(kRegisterFloats * sizeof(uint32_t))));
  Halves halves;
  __builtin_memcpy(&halves, in, sizeof halves);
  const Words words = __builtin_convertvector(halves, Words) << 16;
  __builtin_memcpy(&to, &words, sizeof to);
}

inline void store(float value, float* to) { *to = value; }
// Rounded to the nearest, ties to even; what is not a number stays that (the quiet bit is set).
inline void store(float value, BFloat16* to) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40u;
  to->bits = uint16_t(value != value ? nan : rounded);
}

template <typename In, typename Out>
void convert(const In* in, Out* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) store(load(in[i]), out + i);
}

inline void adamw(const AdamWNumbers& n, const float* gradient, float* parameter, float* first,
                  float* second, float* average, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * n.gradient_factor;
    first[i] = first[i] * n.keep1 + g * n.take1;
    second[i] = second[i] * n.keep2 + g * g * n.take2;
    const float root = std::sqrt(second[i]) * n.root_factor + n.epsilon;
    parameter[i] = parameter[i] * n.shrink - n.rate * first[i] / root;
  }
  if (average == nullptr) return;
  for (int64_t i = 0; i < count; ++i) average[i] += n.average_share * (parameter[i] - average[i]);
}

template <typename In>
void add_rows(const In* in, float* sums, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; ++row, in += columns) {
    for (int64_t i = 0; i < columns; ++i) sums[i] += load(in[i]);
  }
}

// out = residual + branch * factor where the mask keeps it.
template <typename Residual, typename Branch, typename Out>
void dropout_add(const Mask& mask, const Residual* residual, const Branch* branch, Out* out,
                 int64_t count) {
  const uint32_t key = mask.key, threshold = mask.threshold;
  const float factor = mask.factor;
  for (int64_t i = 0; i < count; ++i) {
    const float kept = kernels::dropout_bits(key, uint32_t(i)) >= threshold ? factor : 0.0f;
    store(load(residual[i]) + load(branch[i]) * kept, out + i);
  }
}

template <typename In, typename Out>
void dropout(const Mask& mask, const In* in, Out* out, int64_t count) {
  const uint32_t key = mask.key, threshold = mask.threshold;
  const float factor = mask.factor;
  for (int64_t i = 0; i < count; ++i) {
    const float kept = kernels::dropout_bits(key, uint32_t(i)) >= threshold ? factor : 0.0f;
    store(load(in[i]) * kept, out + i);
  }
}

// e^y for y <= 0; relative error below 2e-7, 0 below -87.
inline float exp_of_negative(float y) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer
  const float power = std::max(y * 1.44269504f, -126.0f);
  const float whole = (power + kRound) - kRound;
  const float part = power - whole;  // in [-1/2, 1/2]: Taylor's series of 2^x to the 7th term
  float sum = 1.52527338e-5f;
  sum = sum * part + 1.54035304e-4f;
  sum = sum * part + 1.33335581e-3f;
  sum = sum * part + 9.61812911e-3f;
  sum = sum * part + 5.55041087e-2f;
  sum = sum * part + 2.40226507e-1f;
  sum = sum * part + 6.93147181e-1f;
  sum = sum * part + 1.0f;
  const float scale = std::bit_cast<float>(uint32_t(int32_t(whole) + 127) << 23);
  return y < -87.0f ? 0.0f : sum * scale;
}

// The normal distribution's mass below x, absolute error below 1e-7 (Abramowitz and Stegun 1964,
// 7.1.26), and `density` = e^(-x^2 / 2), which that formula needs anyway.
inline float normal_mass(float x, float& density) {
  const float z = std::abs(x) * 0.707106781f;
  density = exp_of_negative(-z * z);
  const float t = 1.0f / (1.0f + 0.3275911f * z);
  float sum = 1.061405429f;
  sum = sum * t - 1.453152027f;
  sum = sum * t + 1.421413741f;
  sum = sum * t - 0.284496736f;
  sum = sum * t + 0.254829592f;
  const float tail = 0.5f * sum * t * density;  // the mass beyond |x|
  return x < 0.0f ? tail : 1.0f - tail;
}

inline float exact_gelu(float x) {
  float density;
  return std::max(x, -FLT_MAX) * normal_mass(x, density);  // -infinity times 0 is no number
}

// gelu(x) = x * mass(x) (Hendrycks and Gimpel 2016), exact form, in half the instructions: no
// density. mass(x) - 1/2 is x P(x^2) / Q(x^2) with the smallest largest error up to |x| = 5.6
// (9.3e-9; reweighted least squares). At kEdge that comes out as 1/2 to the last bit, so that what
// is beyond needs no case of its own: the mass is 1 or 0 there. Only with kFused, which the
// including file says, is that so, and the error below 2e-7.
inline void quick_gelu(Vector& x) {
  constexpr float kEdge = 5.59f;
  const Vector near = smaller(larger(x, Vector{} - kEdge), Vector{} + kEdge);
  const Vector square = near * near;
  Vector p = 2.214534798e-08f * square + 6.356532358e-06f;
  p = p * square + 1.738504776e-04f;
  p = p * square + 4.707257762e-03f;
  p = p * square + 3.437607906e-02f;
  p = p * square + 3.989422216e-01f;
  Vector q = 1.180213063e-06f * square + 7.510185579e-05f;
  q = q * square + 1.912976664e-03f;
  q = q * square + 2.894007191e-02f;
  q = q * square + 2.528337648e-01f;
  q = q * square + 1.0f;
  const Vector mass = near * p / q + 0.5f;
  x = larger(Vector{} - FLT_MAX, x) * mass;  // as in exact_gelu()
}

inline void gelu(const float* in, float* out, int64_t count) {
  if (!kFused) {
    for (int64_t i = 0; i < count; ++i) out[i] = exact_gelu(in[i]);
    return;
  }
  Vector x;
  int64_t i = 0;
  for (; i + kRegisterFloats <= count; i += kRegisterFloats) {
    load_register(in + i, x);
    quick_gelu(x);
    __builtin_memcpy(out + i, &x, sizeof x);
  }
  if (i == count) return;
  x = Vector{};
  const size_t rest = size_t(count - i) * sizeof(float);
  __builtin_memcpy(&x, in + i, rest);
  quick_gelu(x);
  __builtin_memcpy(out + i, &x, rest);
}

// gelu for what is rounded to 16 bits next, which GeluTable is exact enough for.
inline void gelu_to_round(const float* in, float* out, int64_t count) {
  int64_t i = 0;
#ifdef ATTEND_GELU_TABLE
  const GeluTable& table = gelu_table();
  const Table square(table.square), slope(table.slope), start(table.start);
  for (; i + kRegisterFloats <= count; i += kRegisterFloats) {
    Vector x;
    load_register(in + i, x);
    const Vector away = smaller_magnitude(x, Vector{} + GeluTable::kEdge);
    const Vector interval = away * GeluTable::kIntervals + 12582912.0f;  // 1.5 * 2^23: rounded
    const Vector lost = (square[interval] * away + slope[interval]) * away + start[interval];
    x = larger(Vector{}, x) - lost;
    __builtin_memcpy(out + i, &x, sizeof x);
  }
#endif
  gelu(in + i, out + i, count - i);
}

// Fewer digits reach further into the tail, where 1 - mass(x) must not come from a difference.
inline void gelu(const BFloat16* in, BFloat16* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) store(exact_gelu(load(in[i])), out + i);
}

template <typename T>
void gelu_gradient(const T* in, const T* d_out, T* d_in, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float x = load(in[i]);
    float density;
    const float mass = normal_mass(x, density);
    store(load(d_out[i]) * (mass + x * density * 0.398942280f), d_in + i);
  }
}

// Sixteen partial sums, so that the compiler may add in vectors; the order does not depend on the
// target.
constexpr int64_t kLanes = 16;

template <typename Term>
float sum_of(int64_t count, const Term& term) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  float sum = 0;
  for (; i < count; ++i) sum += term(i);
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

inline void swiglu(const float* gate, const float* in, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    // sigmoid from e^-|x|, which cannot overflow.
    const float power = exp_of_negative(-std::abs(gate[i]));
    const float sigmoid = (gate[i] < 0.0f ? power : 1.0f) / (1.0f + power);
    out[i] = gate[i] * sigmoid * in[i];
  }
}

// In registers, since compilers do not make one of a maximum that NaN may stand in.
inline float largest_of(const float* in, int64_t count) {
  Vector most[2] = {Vector{} - INFINITY, Vector{} - INFINITY}, next;
  int64_t i = 0;
  for (; i + 2 * kRegisterFloats <= count; i += 2 * kRegisterFloats) {
    load_register(in + i, next);
    most[0] = larger(next, most[0]);
    load_register(in + i + kRegisterFloats, next);
    most[1] = larger(next, most[1]);
  }
  most[0] = larger(most[0], most[1]);
  float largest = -INFINITY;
  for (; i < count; ++i) largest = in[i] > largest ? in[i] : largest;
  for (int64_t lane = 0; lane < kRegisterFloats; ++lane) {
    largest = most[0][lane] > largest ? most[0][lane] : largest;
  }
  return largest;
}

inline float sum_of_exp(const float* in, int64_t count, float shift) {
  return sum_of(count, [&](int64_t at) { return exp_of_negative(in[at] - shift); });
}

// sum_of() of (in[i] - middle)^kPower in registers: twice as many partial sums, added up by halves.
template <int kPower, typename In>
float sum_of_powers(const In* in, int64_t count, float middle) {
  constexpr int64_t kParts = 2 * kLanes / kRegisterFloats;
  Vector parts[kParts] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    for (int64_t part = 0; part < kParts; ++part) {
      Vector away;
      load_register(in + i + part * kRegisterFloats, away);
      away -= middle;
      parts[part] += kPower == 2 ? away * away : away;
    }
  }
  for (int64_t half = kParts / 2; half > 0; half /= 2) {
    for (int64_t part = 0; part < half; ++part) parts[part] += parts[part + half];
  }
  float lanes[kRegisterFloats];
  __builtin_memcpy(lanes, parts, sizeof lanes);
#pragma GCC unroll 4
  for (int64_t half = kRegisterFloats / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  for (; i < count; ++i) {
    const float away = load(in[i]) - middle;
    lanes[0] += kPower == 2 ? away * away : away;
  }
  return lanes[0];
}

// out = (in - mean) / deviation * gain + shift along each row. Some rows at a time: while one waits
// for its sum, the processor adds up the next one.
template <typename In, typename Out>
void layer_norm(const NormRows& rows, const In* in, Out* out, float* mean, float* inverse) {
  constexpr int64_t kRows = 8;
  const int64_t size = rows.size;
  const int64_t stride = rows.out_stride == 0 ? size : rows.out_stride;
  const float share = 1.0f / float(size);
  for (int64_t first = 0; first < rows.count; first += kRows) {
    const int64_t last = std::min(first + kRows, rows.count);
    for (int64_t row = first; row < last; ++row) {
      mean[row] = share * sum_of_powers<1>(in + row * size, size, 0.0f);
    }
    for (int64_t row = first; row < last; ++row) {
      const float spread = share * sum_of_powers<2>(in + row * size, size, mean[row]);
      inverse[row] = 1.0f / std::sqrt(spread + rows.epsilon);
    }
    for (int64_t row = first; row < last; ++row) {
      const In* from = in + row * size;
      Out* to = out + row * stride;
      const float middle = mean[row], factor = inverse[row];
      for (int64_t i = 0; i < size; ++i) {
        store((load(from[i]) - middle) * factor * rows.gain[i] + rows.shift[i], to + i);
      }
    }
  }
}

// With n = (in - mean) * inverse and g = d_out * gain:
// d_in = inverse * (g - mean(g) - n * mean(g * n)); d_gain and d_shift are added to.
template <typename In, typename Out>
void layer_norm_gradient(const NormRows& rows, const In* in, const Out* d_out, In* d_in,
                         float* d_gain_and_shift) {
  const int64_t size = rows.size;
  const float share = 1.0f / float(size);
  float* d_gain = d_gain_and_shift;
  float* d_shift = d_gain_and_shift + size;
  for (int64_t row = 0; row < rows.count; ++row, in += size, d_out += size, d_in += size) {
    const float middle = rows.mean[row], factor = rows.inverse[row];
    for (int64_t i = 0; i < size; ++i) {
      const float by_out = load(d_out[i]);
      d_gain[i] += by_out * (load(in[i]) - middle) * factor;
      d_shift[i] += by_out;
    }
    const float mean_gradient =
        share * sum_of(size, [&](int64_t i) { return load(d_out[i]) * rows.gain[i]; });
    const float along = share * factor * factor * sum_of(size, [&](int64_t i) {
                          return load(d_out[i]) * rows.gain[i] * (load(in[i]) - middle);
                        });
    for (int64_t i = 0; i < size; ++i) {
      const float gradient = load(d_out[i]) * rows.gain[i] - mean_gradient;
      store(factor * (gradient - (load(in[i]) - middle) * along), d_in + i);
    }
  }
}

const Loops kLoops{dropout_add<float, float, float>,
                   dropout_add<float, BFloat16, float>,
                   dropout_add<BFloat16, BFloat16, BFloat16>,
                   dropout<float, float>,
                   dropout<float, BFloat16>,
                   dropout<BFloat16, BFloat16>,
                   gelu,
                   gelu_to_round,
                   gelu,
                   gelu_gradient<float>,
                   gelu_gradient<BFloat16>,
                   convert<float, BFloat16>,
                   convert<BFloat16, float>,
                   adamw,
                   add_rows<float>,
                   add_rows<BFloat16>,
                   swiglu,
                   largest_of,
                   sum_of_exp,
                   layer_norm<float, float>,
                   layer_norm<float, BFloat16>,
                   layer_norm<BFloat16, BFloat16>,
                   layer_norm_gradient<float, float>,
                   layer_norm_gradient<float, BFloat16>,
                   layer_norm_gradient<BFloat16, BFloat16>};
