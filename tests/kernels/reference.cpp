// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "array.h"

namespace attend::kernels::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Everything added to scale * q.k after the soft cap.
double bias_of(const Attention& a, int64_t b, int64_t h, int64_t i, int64_t j) {
  double bias = 0;
  if (a.bias.data) {
    const Strides& s = a.bias.strides;
    bias += double(a.bias.data[b * s.batch + h * s.head + i * s.row + j * s.dim]);
  }
  if (a.distance_bias) {
    bias += a.distance_bias[h * (2 * a.distance_reach + 1) + distance_column(a, b, i, j)];
  }
  if (a.alibi_slopes) {
    bias -= a.alibi_slopes[h] * std::abs(double(j - query_position(a, b, i)));
  }
  return bias;
}

bool masks_allow(const Attention& a, int64_t b, int64_t h, int64_t i, int64_t j) {
  if (a.query_lengths && i >= a.query_lengths[b]) return false;
  if (a.key_lengths && j >= a.key_lengths[b]) return false;
  const int64_t position = query_position(a, b, i);
  if (a.causal && j > position) return false;
  if (a.window_left >= 0 && j < position - a.window_left) return false;
  if (a.window_right >= 0 && j > position + a.window_right) return false;
  const BlockMask& m = a.block_mask;
  return !m.data || m.data[b * m.strides.batch + h * m.strides.head +
                           i / m.query_block * m.strides.row + j / m.key_block * m.strides.dim];
}

/// Rows [first, first + rows) of one head, dense.
std::vector<double> gather(const ConstTensor& t, ElementType type, int64_t base, int64_t rows,
                           int64_t dim) {
  std::vector<double> dense(size_t(rows * dim));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t d = 0; d < dim; ++d) {
      dense[size_t(r * dim + d)] =
          element(t.data, type, base + r * t.strides.row + d * t.strides.dim);
    }
  }
  return dense;
}

std::vector<double> gather_keys(const Attention& a, const ConstTensor& t, int64_t b, int64_t h,
                                int64_t dim) {
  const Sequence s = sequence_of(a, b);
  const int64_t head = h / (a.heads / a.kv_heads) * t.strides.head;
  if (!a.pages) {
    const int64_t base = a.key_starts ? s.first_key * t.strides.row : b * t.strides.batch;
    return gather(t, a.type, base + head, s.keys, dim);
  }
  // Pages behind the length need not exist.
  std::vector<double> dense;
  const int64_t keys = a.key_lengths ? a.key_lengths[b] : s.keys;
  for (int64_t j = 0; j < keys; ++j) {
    const int64_t page = a.pages[b * a.pages_per_batch + j / a.page_size];
    const int64_t base = page * t.strides.batch + j % a.page_size * t.strides.row + head;
    const std::vector<double> row = gather(t, a.type, base, 1, dim);
    dense.insert(dense.end(), row.begin(), row.end());
  }
  dense.resize(size_t(s.keys * dim));
  return dense;
}

}  // namespace

Sequence sequence_of(const Attention& a, int64_t b) {
  if (!a.query_starts) return {0, a.queries, 0, a.keys};
  return {a.query_starts[b], a.query_starts[b + 1] - a.query_starts[b], a.key_starts[b],
          a.key_starts[b + 1] - a.key_starts[b]};
}

int64_t query_index(const Attention& a, int64_t b, int64_t h, int64_t i) {
  if (a.query_starts) return h * a.queries + a.query_starts[b] + i;
  return (b * a.heads + h) * a.queries + i;
}

int64_t key_index(const Attention& a, int64_t heads, int64_t b, int64_t h, int64_t j) {
  if (a.key_starts) return h * a.keys + a.key_starts[b] + j;
  return (b * heads + h) * a.keys + j;
}

int64_t all_queries(const Attention& a) { return a.query_starts ? a.queries : a.batch * a.queries; }
int64_t all_keys(const Attention& a) { return a.key_starts ? a.keys : a.batch * a.keys; }

int64_t query_position(const Attention& a, int64_t b, int64_t i) {
  return (a.query_offsets ? a.query_offsets[b] : a.query_offset) + i;
}

int64_t distance_column(const Attention& a, int64_t b, int64_t i, int64_t j) {
  return a.distance_reach +
         std::clamp(j - query_position(a, b, i), -a.distance_reach, a.distance_reach);
}

bool visible(const Attention& a, int64_t b, int64_t h, int64_t i, int64_t j) {
  return masks_allow(a, b, h, i, j) && bias_of(a, b, h, i, j) != -kInfinity;
}

double effective_scale(const Attention& a) {
  return a.scale < 0 ? 1 / std::sqrt(double(a.dim)) : a.scale;
}

double dot(const double* x, const double* y, int64_t count) {
  return std::inner_product(x, x + count, y, 0.0);
}

HeadData head_data(const Attention& a, int64_t b, int64_t h) {
  HeadData data;
  data.sequence = sequence_of(a, b);
  const Strides& s = a.query.strides;
  const int64_t base = a.query_starts ? data.sequence.first_query * s.row : b * s.batch;
  data.query = gather(a.query, a.type, base + h * s.head, data.sequence.queries, a.dim);
  data.key = gather_keys(a, a.key, b, h, a.dim);
  data.value = gather_keys(a, a.value, b, h, a.value_dim);
  return data;
}

ForwardReference reference_forward(const Attention& a) {
  ForwardReference f;
  const int64_t rows = all_queries(a) * a.heads;
  f.output.assign(size_t(rows * a.value_dim), 0);
  f.lse.assign(size_t(rows), -kInfinity);
  f.entropy.assign(size_t(rows), 0);
  f.row_scale.assign(size_t(rows), 0);
  f.received.assign(size_t(all_keys(a) * a.heads), 0);
  f.scores.resize(size_t(a.batch * a.heads));
  f.weights.resize(size_t(a.batch * a.heads));
  for (int64_t b = 0; b < a.batch; ++b) {
    for (int64_t h = 0; h < a.heads; ++h) {
      const HeadData data = head_data(a, b, h);
      const int64_t keys = data.sequence.keys;
      std::vector<double>& weights = f.weights[size_t(b * a.heads + h)];
      weights.assign(size_t(data.sequence.queries * keys), 0);
      f.scores[size_t(b * a.heads + h)].assign(weights.size(), -kInfinity);
      for (int64_t i = 0; i < data.sequence.queries; ++i) {
        double* scores = f.scores[size_t(b * a.heads + h)].data() + i * keys;
        double highest = -kInfinity;
        for (int64_t j = 0; j < keys; ++j) {
          double& score = scores[j];
          if (!visible(a, b, h, i, j)) continue;
          score = effective_scale(a) *
                  dot(&data.query[size_t(i * a.dim)], &data.key[size_t(j * a.dim)], a.dim);
          if (a.soft_cap > 0) score = a.soft_cap * std::tanh(score / a.soft_cap);
          score += bias_of(a, b, h, i, j);
          // A NaN must win, as it does in the sum.
          if (!(score <= highest)) highest = score;
        }
        if (highest == -kInfinity) continue;
        if (a.sink) highest = std::max(highest, double(a.sink[h]));
        double sum = a.sink ? std::exp(a.sink[h] - highest) : 0;
        for (int64_t j = 0; j < keys; ++j) sum += std::exp(scores[j] - highest);
        const int64_t row = query_index(a, b, h, i);
        f.lse[size_t(row)] = highest + std::log(sum);
        for (int64_t j = 0; j < keys; ++j) {
          const double score = scores[j];
          if (score == -kInfinity) continue;
          const double weight = std::exp(score - highest) / sum;
          weights[size_t(i * keys + j)] = weight;
          f.received[size_t(key_index(a, a.heads, b, h, j))] += weight;
          if (weight != 0) f.entropy[size_t(row)] -= weight * std::log(weight);
          const double factor =
              a.dropout > 0 ? dropout_keeps(a, b * a.heads + h, i, j) / (1 - a.dropout) : 1.0;
          for (int64_t d = 0; d < a.value_dim; ++d) {
            const double value = data.value[size_t(j * a.value_dim + d)];
            double& scale = f.row_scale[size_t(row)];
            scale = std::max(scale, std::abs(value) / (1 - a.dropout));
            if (factor != 0) f.output[size_t(row * a.value_dim + d)] += weight * factor * value;
          }
        }
      }
    }
  }
  return f;
}

std::vector<double> reference_pooled(const Attention& a, const ForwardReference& forward,
                                     int64_t rows, int64_t columns) {
  std::vector<double> pooled(size_t(a.batch * a.heads * rows * columns));
  for (int64_t slice = 0; slice < a.batch * a.heads; ++slice) {
    const Sequence s = sequence_of(a, slice / a.heads);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        double& cell = pooled[size_t((slice * rows + r) * columns + c)];
        for (int64_t i = r * s.queries / rows; i < (r + 1) * s.queries / rows; ++i) {
          for (int64_t j = c * s.keys / columns; j < (c + 1) * s.keys / columns; ++j) {
            cell += forward.weights[size_t(slice)][size_t(i * s.keys + j)];
          }
        }
      }
    }
  }
  return pooled;
}

std::vector<int32_t> reference_top_keys(const Attention& a, const ForwardReference& forward,
                                        int64_t top_k) {
  std::vector<int32_t> top(size_t(all_queries(a) * a.heads * top_k), -1);
  for (int64_t b = 0; b < a.batch; ++b) {
    const Sequence s = sequence_of(a, b);
    for (int64_t h = 0; h < a.heads; ++h) {
      const std::vector<double>& scores = forward.scores[size_t(b * a.heads + h)];
      for (int64_t i = 0; i < s.queries; ++i) {
        std::vector<int32_t> order;
        for (int64_t j = 0; j < s.keys; ++j) {
          if (scores[size_t(i * s.keys + j)] != -kInfinity) order.push_back(int32_t(j));
        }
        std::stable_sort(order.begin(), order.end(), [&](int32_t x, int32_t y) {
          return scores[size_t(i * s.keys + x)] > scores[size_t(i * s.keys + y)];
        });
        order.resize(size_t(std::min<int64_t>(top_k, int64_t(order.size()))));
        std::copy(order.begin(), order.end(), top.begin() + query_index(a, b, h, i) * top_k);
      }
    }
  }
  return top;
}

}  // namespace attend::kernels::testing
