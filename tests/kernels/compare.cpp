// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace attend::kernels::testing {
namespace {

// What an output holds before it is overwritten.
constexpr float kStale = 12345.0f;
// Gradients that are added to start from here.
constexpr float kBefore = 1.0f / 64;

// Rounding that no fp32 computation avoids where terms cancel: a few units in the last place of the
// sum of the absolute terms.
constexpr double kTermsBound = 4e-7;

std::string place(const char* tensor, int64_t b, int64_t h, int64_t row) {
  std::ostringstream text;
  text << tensor << " of batch " << b << ", head " << h << ", row " << row;
  return text.str();
}

template <typename F>
void for_each_query(const Attention& a, F f) {
  for (int64_t b = 0; b < a.batch; ++b) {
    for (int64_t h = 0; h < a.heads; ++h) {
      for (int64_t i = 0; i < sequence_of(a, b).queries; ++i) f(b, h, i);
    }
  }
}

/// In a packed array the rows of a sequence follow each other in batch element 0.
double packed_get(const Array& array, const Attention& a, int64_t b, int64_t h, int64_t first,
                  int64_t row, int64_t d) {
  return a.query_starts ? array.get(0, h, first + row, d) : array.get(b, h, row, d);
}

Array blank(const Problem& problem, const Array& like, int64_t dim) {
  Array array(problem.settings.type, problem.layout, like.batch(), like.heads(), like.rows(), dim);
  for (int64_t b = 0; b < like.batch(); ++b) {
    for (int64_t h = 0; h < like.heads(); ++h) {
      for (int64_t r = 0; r < like.rows(); ++r) array.fill_row(b, h, r, kStale);
    }
  }
  return array;
}

double largest(const std::vector<double>& values, int64_t first, int64_t count) {
  double result = 0;
  for (int64_t n = first; n < first + count; ++n) {
    result = std::max(result, std::abs(values[size_t(n)]));
  }
  return result;
}

/// max |gradient|, or what rounding alone makes of the terms where they cancel.
double gradient_scale(double largest_gradient, double terms) {
  return std::max(largest_gradient, terms * kTermsBound / kBackwardBound);
}

void see_slice(Worst& worst, const char* name, const Array& actual,
               const std::vector<double>& expected, const Attention& a, int64_t b, int64_t h,
               int64_t first, int64_t rows, int64_t index, double terms) {
  const int64_t dim = actual.dim();
  const double scale = gradient_scale(largest(expected, index * dim, rows * dim), terms);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t d = 0; d < dim; ++d) {
      worst.see(packed_get(actual, a, b, h, first, r, d), expected[size_t((index + r) * dim + d)],
                scale, place(name, b, h, r));
    }
  }
}

void see_sums(Worst& worst, const char* name, const std::vector<float>& actual,
              const std::vector<double>& expected, double terms) {
  const double scale = gradient_scale(largest(expected, 0, int64_t(expected.size())),
                                      std::max<double>(terms, kBefore));
  for (size_t n = 0; n < expected.size(); ++n) {
    worst.see(double(actual[n]) - kBefore, expected[n], scale, place(name, 0, 0, int64_t(n)));
  }
}

}  // namespace

void Worst::see(double actual, double expected, double scale, const std::string& place) {
  if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return;
  double ratio = std::abs(actual - expected) / scale;
  if (std::isnan(ratio)) ratio = std::numeric_limits<double>::infinity();
  if (ratio <= error) return;
  error = ratio;
  std::ostringstream text;
  text.precision(9);
  text << place << ": " << actual << " instead of " << expected << ", scale " << scale;
  where = text.str();
}

::testing::AssertionResult within(const Worst& worst, double bound) {
  if (worst.error <= bound) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "error " << worst.error << " > " << bound << " at " << worst.where;
}

Forward run_forward(const Problem& problem, const TraceRequest& request) {
  const Attention a = problem.attention();
  EXPECT_EQ(check(a), nullptr);
  const size_t rows = size_t(all_queries(a) * a.heads);
  Forward f;
  f.output = blank(problem, problem.query, a.value_dim);
  if (request.lse) f.lse.assign(rows, kStale);
  if (request.entropy) f.entropy.assign(rows, kStale);
  if (request.received) f.received.assign(size_t(all_keys(a) * a.heads), kStale);
  f.top_keys.assign(rows * size_t(request.top_k), -7);
  f.top_weights.assign(rows * size_t(request.top_k), kStale);
  f.pooled.assign(size_t(a.batch * a.heads * request.pooled_rows * request.pooled_columns), kStale);
  const auto data = [](auto& values) { return values.empty() ? nullptr : values.data(); };
  Trace trace;
  trace.lse = data(f.lse);
  trace.entropy = data(f.entropy);
  trace.received = data(f.received);
  trace.top_k = int32_t(request.top_k);
  trace.top_keys = data(f.top_keys);
  trace.top_weights = data(f.top_weights);
  trace.pooled_rows = request.pooled_rows;
  trace.pooled_columns = request.pooled_columns;
  trace.pooled = data(f.pooled);
  MutableTensor output = f.output.mutable_view();
  if (a.query_starts) output.strides.batch = a.query.strides.batch;
  forward(a, output, trace);
  EXPECT_TRUE(f.output.gaps_untouched()) << "forward wrote between the elements of the output";
  return f;
}

Backward run_backward(const Problem& problem) {
  const Attention a = problem.attention();
  const Forward f = run_forward(problem, {.entropy = !problem.d_entropy.empty()});
  Backward result;
  result.d_query = blank(problem, problem.query, a.dim);
  if (problem.pages.empty()) {
    result.d_key = blank(problem, problem.key, a.dim);
    result.d_value = blank(problem, problem.value, a.value_dim);
  }
  result.d_bias.assign(problem.bias.size(), kBefore);
  result.d_distance_bias.assign(problem.distance_bias.size(), kBefore);
  result.d_sink.assign(problem.sink.size(), kBefore);
  const auto data = [](auto& values) { return values.empty() ? nullptr : values.data(); };
  Gradients g;
  g.output = f.output.view();
  g.d_output = problem.d_output.view();
  g.lse = f.lse.data();
  g.d_lse = data(problem.d_lse);
  g.entropy = data(f.entropy);
  g.d_entropy = data(problem.d_entropy);
  g.d_query = result.d_query.mutable_view();
  if (problem.pages.empty()) {
    g.d_key = result.d_key.mutable_view();
    g.d_value = result.d_value.mutable_view();
  }
  if (a.query_starts) {
    for (Strides* s : {&g.output.strides, &g.d_output.strides, &g.d_query.strides, &g.d_key.strides,
                       &g.d_value.strides}) {
      s->batch = a.query.strides.batch;
    }
  }
  g.d_bias = data(result.d_bias);
  g.d_bias_strides = problem.bias_strides;
  g.d_distance_bias = data(result.d_distance_bias);
  g.d_sink = data(result.d_sink);
  backward(a, g);
  for (const Array* array : {&result.d_query, &result.d_key, &result.d_value}) {
    EXPECT_TRUE(array->gaps_untouched()) << "backward wrote between the elements of a gradient";
  }
  return result;
}

Worst output_error(const Problem& problem, const ForwardReference& reference, const Array& output) {
  const Attention a = problem.attention();
  Worst worst;
  for_each_query(a, [&](int64_t b, int64_t h, int64_t i) {
    const int64_t row = query_index(a, b, h, i);
    for (int64_t d = 0; d < a.value_dim; ++d) {
      worst.see(packed_get(output, a, b, h, sequence_of(a, b).first_query, i, d),
                reference.output[size_t(row * a.value_dim + d)], reference.row_scale[size_t(row)],
                place("output", b, h, i));
    }
  });
  return worst;
}

Worst lse_error(const Problem& problem, const ForwardReference& reference, const Forward& forward) {
  const Attention a = problem.attention();
  Worst worst;
  for_each_query(a, [&](int64_t b, int64_t h, int64_t i) {
    const size_t row = size_t(query_index(a, b, h, i));
    const double exact = reference.lse[row];
    worst.see(forward.lse[row], exact, std::max(1.0, std::abs(exact)), place("lse", b, h, i));
  });
  return worst;
}

Worst statistics_error(const Problem& problem, const ForwardReference& reference,
                       const Forward& forward, const TraceRequest& request) {
  const Attention a = problem.attention();
  Worst worst;
  double largest_lse = 1;
  for_each_query(a, [&](int64_t b, int64_t h, int64_t i) {
    const size_t row = size_t(query_index(a, b, h, i));
    const int64_t keys = sequence_of(a, b).keys;
    const double lse = reference.lse[row];
    const double scale = std::isfinite(lse) ? std::max(1.0, std::abs(lse)) : 1.0;
    largest_lse = std::max(largest_lse, scale);
    if (request.lse) worst.see(forward.lse[row], lse, scale, place("lse", b, h, i));
    if (request.entropy) {
      worst.see(forward.entropy[row], reference.entropy[row],
                std::max(scale, reference.entropy[row]), place("entropy", b, h, i));
    }
    for (int64_t k = 0; k < request.top_k; ++k) {
      const size_t at = row * size_t(request.top_k) + size_t(k);
      const int32_t key = forward.top_keys[at];
      const bool valid = key >= 0 && key < keys;
      const double weight =
          valid ? reference.weights[size_t(b * a.heads + h)][size_t(i * keys + key)] : 0.0;
      worst.see(forward.top_weights[at], weight, scale, place("top weights", b, h, i));
    }
  });
  for (size_t n = 0; request.received && n < reference.received.size(); ++n) {
    const double exact = reference.received[n];
    worst.see(forward.received[n], exact, std::max(largest_lse, exact),
              place("received", 0, 0, int64_t(n)));
  }
  const std::vector<double> pooled =
      reference_pooled(a, reference, request.pooled_rows, request.pooled_columns);
  for (size_t n = 0; n < pooled.size(); ++n) {
    worst.see(forward.pooled[n], pooled[n], std::max(largest_lse, pooled[n]),
              place("pooled", 0, 0, int64_t(n)));
  }
  return worst;
}

::testing::AssertionResult top_keys_right(const Problem& problem, const ForwardReference& reference,
                                          const Forward& forward, int64_t top_k, double tie) {
  const Attention a = problem.attention();
  const std::vector<int32_t> expected = reference_top_keys(a, reference, top_k);
  ::testing::AssertionResult result = ::testing::AssertionSuccess();
  for_each_query(a, [&](int64_t b, int64_t h, int64_t i) {
    const int64_t first = query_index(a, b, h, i) * top_k;
    const int64_t keys = sequence_of(a, b).keys;
    const std::vector<double>& scores = reference.scores[size_t(b * a.heads + h)];
    for (int64_t k = 0; k < top_k; ++k) {
      const int32_t actual = forward.top_keys[size_t(first + k)];
      const int32_t due = expected[size_t(first + k)];
      const auto begin = forward.top_keys.begin() + first;
      const bool repeated = actual >= 0 && std::count(begin, begin + top_k, actual) != 1;
      bool right = actual == due;
      if (!right && actual >= 0 && actual < keys && due >= 0) {
        right = std::abs(scores[size_t(i * keys + actual)] - scores[size_t(i * keys + due)]) < tie;
      }
      if ((!right || repeated) && result) {
        result = ::testing::AssertionFailure()
                 << place("top keys", b, h, i) << ", rank " << k << ": " << actual
                 << (repeated ? " twice" : "") << " instead of " << due;
      }
    }
  });
  return result;
}

Worst backward_error(const Problem& problem, const Backward& actual) {
  const Attention a = problem.attention();
  LossGradients loss;
  loss.d_output = problem.d_output.view();
  loss.d_lse = problem.d_lse.empty() ? nullptr : problem.d_lse.data();
  loss.d_entropy = problem.d_entropy.empty() ? nullptr : problem.d_entropy.data();
  loss.d_bias_strides = problem.bias_strides;
  loss.d_bias_size = int64_t(problem.bias.size());
  const BackwardReference expected = reference_backward(a, loss);
  Worst worst;
  for (int64_t b = 0; b < a.batch; ++b) {
    const Sequence s = sequence_of(a, b);
    for (int64_t h = 0; h < a.heads; ++h) {
      see_slice(worst, "d_query", actual.d_query, expected.d_query, a, b, h, s.first_query,
                s.queries, query_index(a, b, h, 0),
                expected.d_query_terms[size_t(b * a.heads + h)]);
    }
    if (a.pages) continue;
    for (int64_t h = 0; h < a.kv_heads; ++h) {
      const size_t slice = size_t(b * a.kv_heads + h);
      const int64_t index = key_index(a, a.kv_heads, b, h, 0);
      see_slice(worst, "d_key", actual.d_key, expected.d_key, a, b, h, s.first_key, s.keys, index,
                expected.d_key_terms[slice]);
      see_slice(worst, "d_value", actual.d_value, expected.d_value, a, b, h, s.first_key, s.keys,
                index, expected.d_value_terms[slice]);
    }
  }
  see_sums(worst, "d_bias", actual.d_bias, expected.d_bias, expected.d_bias_terms);
  see_sums(worst, "d_distance_bias", actual.d_distance_bias, expected.d_distance_bias,
           expected.d_distance_bias_terms);
  see_sums(worst, "d_sink", actual.d_sink, expected.d_sink, expected.d_sink_terms);
  return worst;
}

void expect_forward(const Problem& problem, const std::string& name, double bound) {
  const ForwardReference reference = reference_forward(problem.attention());
  const Forward f = run_forward(problem);
  EXPECT_TRUE(within(output_error(problem, reference, f.output), bound)) << name;
  EXPECT_TRUE(within(lse_error(problem, reference, f), bound)) << name;
}

void expect_statistics(const Problem& problem, const std::string& name, const TraceRequest& request,
                       double bound) {
  const ForwardReference reference = reference_forward(problem.attention());
  const Forward f = run_forward(problem, request);
  EXPECT_TRUE(within(output_error(problem, reference, f.output), bound)) << name;
  EXPECT_TRUE(within(statistics_error(problem, reference, f, request), bound)) << name;
  EXPECT_TRUE(top_keys_right(problem, reference, f, request.top_k, 4 * bound)) << name;
}

void expect_backward(const Problem& problem, const std::string& name, double bound) {
  EXPECT_TRUE(within(backward_error(problem, run_backward(problem)), bound)) << name;
}

}  // namespace attend::kernels::testing
