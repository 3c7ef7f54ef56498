// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "array.h"
#include "reference.h"

namespace attend::kernels::testing {
namespace {

double norm(const double* x, int64_t count) { return std::sqrt(dot(x, x, count)); }

double largest(const double* x, int64_t count) {
  double result = 0;
  for (int64_t d = 0; d < count; ++d) result = std::max(result, std::abs(x[d]));
  return result;
}

void add(double* to, double factor, const double* from, int64_t count) {
  for (int64_t d = 0; d < count; ++d) to[d] += factor * from[d];
}

double largest_of(const std::vector<double>& x) { return largest(x.data(), int64_t(x.size())); }

/// Sums of absolute terms, per row that gathers them.
struct Terms {
  std::vector<double> key, value, bias, distance_bias, sink;
};

class Backward {
 public:
  Backward(const Attention& attention, const LossGradients& loss)
      : a_(attention), loss_(loss), forward_(reference_forward(attention)) {
    const size_t query_rows = size_t(all_queries(a_) * a_.heads);
    const size_t key_rows = size_t(all_keys(a_) * a_.kv_heads);
    const size_t distances = a_.distance_bias ? size_t(a_.heads * (2 * a_.distance_reach + 1)) : 0;
    const size_t sinks = a_.sink ? size_t(a_.heads) : 0;
    result_.d_query.assign(query_rows * size_t(a_.dim), 0);
    result_.d_key.assign(key_rows * size_t(a_.dim), 0);
    result_.d_value.assign(key_rows * size_t(a_.value_dim), 0);
    result_.d_bias.assign(size_t(loss_.d_bias_size), 0);
    result_.d_distance_bias.assign(distances, 0);
    result_.d_sink.assign(sinks, 0);
    result_.d_query_terms.assign(size_t(a_.batch * a_.heads), 0);
    result_.d_key_terms.assign(size_t(a_.batch * a_.kv_heads), 0);
    result_.d_value_terms.assign(size_t(a_.batch * a_.kv_heads), 0);
    terms_ = {std::vector<double>(key_rows), std::vector<double>(key_rows),
              std::vector<double>(size_t(loss_.d_bias_size)), std::vector<double>(distances),
              std::vector<double>(sinks)};
  }

  BackwardReference run() {
    for (int64_t b = 0; b < a_.batch; ++b) {
      for (int64_t h = 0; h < a_.heads; ++h) head(b, h);
      for (int64_t h = 0; h < a_.kv_heads; ++h) {
        const size_t slice = size_t(b * a_.kv_heads + h);
        const Sequence s = sequence_of(a_, b);
        const int64_t first = key_index(a_, a_.kv_heads, b, h, 0);
        result_.d_key_terms[slice] = largest(terms_.key.data() + first, s.keys);
        result_.d_value_terms[slice] = largest(terms_.value.data() + first, s.keys);
      }
    }
    result_.d_bias_terms = largest_of(terms_.bias);
    result_.d_distance_bias_terms = largest_of(terms_.distance_bias);
    result_.d_sink_terms = largest_of(terms_.sink);
    return std::move(result_);
  }

 private:
  void head(int64_t b, int64_t h) {
    data_ = head_data(a_, b, h);
    for (int64_t i = 0; i < data_.sequence.queries; ++i) {
      if (std::isfinite(forward_.lse[size_t(query_index(a_, b, h, i))])) row(b, h, i);
    }
  }

  std::vector<double> d_output_row(int64_t b, int64_t h, int64_t i) const {
    const Strides& s = loss_.d_output.strides;
    const int64_t base =
        a_.query_starts ? (data_.sequence.first_query + i) * s.row : b * s.batch + i * s.row;
    std::vector<double> row(size_t(a_.value_dim));
    for (int64_t d = 0; d < a_.value_dim; ++d) {
      row[size_t(d)] = element(loss_.d_output.data, a_.type, base + h * s.head + d * s.dim);
    }
    return row;
  }

  void row(int64_t b, int64_t h, int64_t i) {
    const int64_t keys = data_.sequence.keys;
    const size_t index = size_t(query_index(a_, b, h, i));
    const std::vector<double> d_output = d_output_row(b, h, i);
    const double d_output_norm = norm(d_output.data(), a_.value_dim);
    const double d_lse = loss_.d_lse ? loss_.d_lse[index] : 0.0;
    const double d_entropy = loss_.d_entropy ? loss_.d_entropy[index] : 0.0;
    const double* weights = &forward_.weights[size_t(b * a_.heads + h)][size_t(i * keys)];

    // The loss by each weight: output = sum w keep v, entropy = -sum w ln w.
    std::vector<double> d_weight(static_cast<size_t>(keys));
    std::vector<double> size(static_cast<size_t>(keys));  // bounds |terms| of d_weight
    double mean = 0, mean_size = 0;
    for (int64_t j = 0; j < keys; ++j) {
      const double w = weights[j];
      if (w == 0) continue;
      const double* value = &data_.value[size_t(j * a_.value_dim)];
      const double keep =
          a_.dropout > 0 ? dropout_keeps(a_, b * a_.heads + h, i, j) / (1 - a_.dropout) : 1.0;
      const size_t key = size_t(key_row(b, h, j));
      add(&result_.d_value[key * size_t(a_.value_dim)], w * keep, d_output.data(), a_.value_dim);
      terms_.value[key] += w * keep * largest(d_output.data(), a_.value_dim);
      d_weight[size_t(j)] =
          keep * dot(d_output.data(), value, a_.value_dim) - d_entropy * (std::log(w) + 1);
      size[size_t(j)] = keep * d_output_norm * norm(value, a_.value_dim) +
                        std::abs(d_entropy) * (std::abs(std::log(w)) + 1);
      mean += w * d_weight[size_t(j)];
      mean_size += w * size[size_t(j)];
    }

    double query_terms = 0;
    for (int64_t j = 0; j < keys; ++j) {
      if (weights[j] == 0) continue;
      const double d_score = weights[j] * (d_weight[size_t(j)] - mean + d_lse);
      const double terms = weights[j] * (size[size_t(j)] + mean_size + std::abs(d_lse));
      query_terms += pair(b, h, i, j, d_score, terms);
    }
    double& slice_terms = result_.d_query_terms[size_t(b * a_.heads + h)];
    slice_terms = std::max(slice_terms, query_terms);

    if (!a_.sink) return;
    const double w = std::exp(a_.sink[h] - forward_.lse[index]);
    result_.d_sink[size_t(h)] += w * (d_lse - mean);
    terms_.sink[size_t(h)] += w * (std::abs(d_lse) + mean_size);
  }

  /// Passes the loss by one score on to everything that it is made of.
  double pair(int64_t b, int64_t h, int64_t i, int64_t j, double d_score, double terms) {
    if (loss_.d_bias_size > 0) {
      const Strides& s = loss_.d_bias_strides;
      const size_t at = size_t(b * s.batch + h * s.head + i * s.row + j * s.dim);
      result_.d_bias[at] += d_score;
      terms_.bias[at] += terms;
    }
    if (a_.distance_bias) {
      const size_t at = size_t(h * (2 * a_.distance_reach + 1) + distance_column(a_, b, i, j));
      result_.d_distance_bias[at] += d_score;
      terms_.distance_bias[at] += terms;
    }
    const double* query = &data_.query[size_t(i * a_.dim)];
    const double* key = &data_.key[size_t(j * a_.dim)];
    double slope = effective_scale(a_);
    if (a_.soft_cap > 0) {
      const double t = std::tanh(slope * dot(query, key, a_.dim) / a_.soft_cap);
      slope *= 1 - t * t;
    }
    const size_t key_at = size_t(key_row(b, h, j));
    add(&result_.d_query[size_t(query_index(a_, b, h, i) * a_.dim)], slope * d_score, key, a_.dim);
    add(&result_.d_key[key_at * size_t(a_.dim)], slope * d_score, query, a_.dim);
    terms_.key[key_at] += std::abs(slope) * terms * largest(query, a_.dim);
    return std::abs(slope) * terms * largest(key, a_.dim);
  }

  int64_t key_row(int64_t b, int64_t h, int64_t j) const {
    return key_index(a_, a_.kv_heads, b, h / (a_.heads / a_.kv_heads), j);
  }

  const Attention& a_;
  const LossGradients& loss_;
  const ForwardReference forward_;
  HeadData data_;
  BackwardReference result_;
  Terms terms_;
};

}  // namespace

BackwardReference reference_backward(const Attention& a, const LossGradients& loss) {
  return Backward(a, loss).run();
}

}  // namespace attend::kernels::testing
