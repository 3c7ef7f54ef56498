// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The reference itself: its gradients against finite differences of its own forward pass, and its
// forward pass against values worked out by hand.
#include "reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "compare.h"

namespace attend::kernels::testing {
namespace {

/// Any smooth function of output, LSE and entropy, linear with the weights the problem holds.
double loss_of(const Problem& p) {
  const Attention a = p.attention();
  const ForwardReference f = reference_forward(a);
  double loss = 0;
  for (int64_t b = 0; b < a.batch; ++b) {
    const Sequence s = sequence_of(a, b);
    for (int64_t h = 0; h < a.heads; ++h) {
      for (int64_t i = 0; i < s.queries; ++i) {
        const size_t row = size_t(query_index(a, b, h, i));
        if (!std::isfinite(f.lse[row])) continue;
        if (!p.d_lse.empty()) loss += p.d_lse[row] * f.lse[row];
        if (!p.d_entropy.empty()) loss += p.d_entropy[row] * f.entropy[row];
        for (int64_t d = 0; d < a.value_dim; ++d) {
          loss += f.output[row * size_t(a.value_dim) + size_t(d)] *
                  (a.query_starts ? p.d_output.get(0, h, s.first_query + i, d)
                                  : p.d_output.get(b, h, i, d));
        }
      }
    }
  }
  return loss;
}

double slope(Problem& p, double before, const std::function<double(double)>& set) {
  constexpr double kStep = 1.0 / 1024;
  const double high = set(before + kStep);
  const double above = loss_of(p);
  const double low = set(before - kStep);
  const double below = loss_of(p);
  set(before);
  return (above - below) / (high - low);
}

void expect_slope(double gradient, double expected, const std::string& where) {
  EXPECT_NEAR(gradient, expected, 2e-5 * std::max(1.0, std::abs(expected))) << where;
}

void check_array(Problem& p, Array Problem::*member, const std::vector<double>& gradient,
                 const std::string& name) {
  Array& array = p.*member;
  int64_t index = 0;
  for (int64_t b = 0; b < array.batch(); ++b) {
    for (int64_t h = 0; h < array.heads(); ++h) {
      for (int64_t r = 0; r < array.rows(); ++r) {
        for (int64_t d = 0; d < array.dim(); ++d, ++index) {
          const auto set = [&](double x) {
            array.set(b, h, r, d, x);
            return array.get(b, h, r, d);
          };
          expect_slope(gradient[size_t(index)], slope(p, array.get(b, h, r, d), set),
                       name + " " + std::to_string(index));
        }
      }
    }
  }
}

void check_values(Problem& p, std::vector<float> Problem::*member,
                  const std::vector<double>& gradient, const std::string& name) {
  std::vector<float>& values = p.*member;
  for (size_t n = 0; n < values.size(); ++n) {
    if (!std::isfinite(values[n])) continue;
    const auto set = [&](double x) { return double(values[n] = float(x)); };
    expect_slope(gradient[n], slope(p, values[n], set), name + " " + std::to_string(n));
  }
}

void check_gradients(Problem p) {
  LossGradients loss;
  loss.d_output = p.d_output.view();
  loss.d_lse = p.d_lse.empty() ? nullptr : p.d_lse.data();
  loss.d_entropy = p.d_entropy.empty() ? nullptr : p.d_entropy.data();
  loss.d_bias_strides = p.bias_strides;
  loss.d_bias_size = int64_t(p.bias.size());
  const BackwardReference g = reference_backward(p.attention(), loss);
  check_array(p, &Problem::query, g.d_query, "query");
  check_array(p, &Problem::key, g.d_key, "key");
  check_array(p, &Problem::value, g.d_value, "value");
  check_values(p, &Problem::bias, g.d_bias, "bias");
  check_values(p, &Problem::distance_bias, g.d_distance_bias, "distance bias");
  check_values(p, &Problem::sink, g.d_sink, "sink");
}

TEST(ReferenceGradients, OfEverythingAtOnce) {
  Problem p(
      {.batch = 2, .heads = 4, .kv_heads = 2, .queries = 4, .keys = 6, .dim = 3, .value_dim = 2});
  p.add_bias({.batch = true}, 0.1);
  p.add_distance_bias(2);
  p.add_alibi();
  p.add_sink();
  p.add_statistics_loss();
  p.settings.soft_cap = 1.5;
  p.settings.causal = true;
  p.settings.query_offset = 1;
  p.settings.dropout = 0.3;
  p.settings.dropout_seed = 5;
  p.query_lengths = {4, 3};
  p.key_lengths = {5, 6};
  check_gradients(p);
}

TEST(ReferenceGradients, OfPackedSequencesInAWindow) {
  Problem p =
      Problem::packed({.heads = 2, .kv_heads = 1, .dim = 2, .value_dim = 3}, {3, 0, 4}, {4, 2, 3});
  p.settings.window_left = 1;
  p.settings.window_right = 2;
  p.add_statistics_loss();
  check_gradients(p);
}

TEST(ReferenceGradients, OfABroadcastBiasUnderABlockMask) {
  Problem p(
      {.batch = 2, .heads = 2, .kv_heads = 2, .queries = 4, .keys = 5, .dim = 2, .value_dim = 2});
  p.add_bias({.head = true, .query = true});
  p.add_block_mask(2, 2, 0.6);
  p.add_sink();
  check_gradients(p);
}

TEST(ReferenceForward, OfTwoKeysByHand) {
  Problem p({.queries = 2, .keys = 2, .dim = 1, .value_dim = 1});
  p.settings.scale = 1;
  p.settings.causal = true;
  for (int64_t i = 0; i < 2; ++i) p.query.set(0, 0, i, 0, 1);
  p.key.set(0, 0, 0, 0, 0);
  p.key.set(0, 0, 1, 0, std::log(3.0));
  p.value.set(0, 0, 0, 0, 4);
  p.value.set(0, 0, 1, 0, 8);
  const ForwardReference f = reference_forward(p.attention());
  // Row 0 sees key 0 alone; row 1 weighs them 1 to 3.
  EXPECT_DOUBLE_EQ(f.output[0], 4);
  EXPECT_NEAR(f.output[1], 7, 1e-6);
  EXPECT_NEAR(f.lse[1], std::log(4.0), 1e-6);
  EXPECT_NEAR(f.entropy[1], -0.25 * std::log(0.25) - 0.75 * std::log(0.75), 1e-6);
  EXPECT_NEAR(f.received[0], 1.25, 1e-6);
  EXPECT_EQ(reference_top_keys(p.attention(), f, 2), (std::vector<int32_t>{0, -1, 1, 0}));
}

TEST(ReferenceForward, ReadsPagesLikeTheRowsTheyHold) {
  Problem p(
      {.batch = 2, .heads = 2, .kv_heads = 1, .queries = 2, .keys = 7, .dim = 3, .value_dim = 2});
  p.key_lengths = {3, 7};
  const ForwardReference contiguous = reference_forward(p.attention());
  p.move_to_pages(3);
  EXPECT_EQ(reference_forward(p.attention()).output, contiguous.output);
}

TEST(ReferenceForward, ASinkTakesItsShare) {
  Problem p({.dim = 1, .value_dim = 1});
  p.settings.scale = 0;
  p.sink = {0};
  p.value.set(0, 0, 0, 0, 6);
  EXPECT_DOUBLE_EQ(reference_forward(p.attention()).output[0], 3);
}

}  // namespace
}  // namespace attend::kernels::testing
