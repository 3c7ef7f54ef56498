// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Gradients against the double-precision reference.
#include <gtest/gtest.h>

#include <string>

#include "cases.h"
#include "compare.h"

namespace attend::kernels::testing {
namespace {

TEST(Backward, PairsOfLengths) {
  constexpr int64_t kLengths[] = {1, 2, 5, 13, 31, 32, 33, 64, 127};
  uint64_t seed = 0;
  for (const int64_t queries : kLengths) {
    for (const int64_t keys : kLengths) {
      const Shape shape{
          .heads = 2, .kv_heads = 1, .queries = queries, .keys = keys, .dim = 16, .value_dim = 24};
      expect_backward(Problem(shape, Layout::kRowsFirst, ++seed), to_string(shape));
    }
  }
}

TEST(Backward, Dims) {
  for (const int64_t dim : {1, 8, 20, 24, 33, 64, 96, 128, 200, 256}) {
    for (const int64_t value_dim : {8, 33, 64, 256}) {
      const Shape shape{.queries = 37, .keys = 45, .dim = dim, .value_dim = value_dim};
      expect_backward(Problem(shape), to_string(shape));
    }
  }
}

TEST(Backward, LongerRows) {
  for (const Shape& shape : {Shape{.queries = 513, .keys = 300, .dim = 32, .value_dim = 32},
                             Shape{.queries = 65, .keys = 2050, .dim = 32, .value_dim = 16},
                             Shape{.queries = 3, .keys = 1500, .dim = 32, .value_dim = 32},
                             Shape{.queries = 1200, .keys = 70, .dim = 16, .value_dim = 16}}) {
    for (const bool causal : {false, true}) {
      Problem p(shape);
      p.settings.causal = causal;
      expect_backward(p, to_string(shape) + (causal ? ", causal" : ""));
    }
  }
}

TEST(Backward, EveryLayout) {
  for (const Layout layout : kLayouts) {
    const Shape shape{.batch = 2,
                      .heads = 4,
                      .kv_heads = 2,
                      .queries = 45,
                      .keys = 70,
                      .dim = 20,
                      .value_dim = 24};
    expect_backward(Problem(shape, layout), to_string(shape) + ", " + to_string(layout));
  }
}

TEST(Backward, SharedKeysAndValues) {
  for (const auto& [heads, kv_heads] : {std::pair{4, 4}, {4, 1}, {6, 2}, {7, 1}, {9, 3}}) {
    const Shape shape{.batch = 2,
                      .heads = heads,
                      .kv_heads = kv_heads,
                      .queries = 19,
                      .keys = 40,
                      .dim = 24,
                      .value_dim = 16};
    expect_backward(Problem(shape, Layout::kRowsFirst), to_string(shape));
  }
}

TEST(Backward, EachFeature) {
  for (const NamedProblem& c : feature_cases()) expect_backward(c.problem, c.name);
}

TEST(Backward, EachFeatureWithALossByTheStatistics) {
  for (NamedProblem& c : feature_cases()) {
    c.problem.add_statistics_loss();
    expect_backward(c.problem, c.name + ", statistics");
  }
}

TEST(Backward, RandomCombinations) {
  for (NamedProblem& c : random_cases(80, 27, 90)) {
    if (c.problem.random() % 2) c.problem.add_statistics_loss();
    expect_backward(c.problem, c.name);
  }
  for (const NamedProblem& c : random_cases(15, 28, 300)) expect_backward(c.problem, c.name);
}

TEST(Backward, OnlyOneOfTheStatistics) {
  Problem p({.heads = 2, .kv_heads = 1, .queries = 33, .keys = 50, .dim = 16, .value_dim = 16});
  p.add_statistics_loss();
  Problem lse = p, entropy = p;
  lse.d_entropy.clear();
  entropy.d_lse.clear();
  expect_backward(lse, "a loss by the log-sum-exp");
  expect_backward(entropy, "a loss by the entropy");
}

TEST(Backward, ThreadCounts) {
  for (const int threads : {1, 2, 3, 5}) {
    for (const Shape& shape :
         {Shape{.queries = 200, .keys = 260, .dim = 32, .value_dim = 32},
          Shape{.batch = 3,
          .heads = 4,
          .kv_heads = 2,
          .queries = 33,
          .keys = 65,
          .dim = 16,
          .value_dim = 16},
          Shape{
              .heads = 8, .kv_heads = 1, .queries = 5, .keys = 600, .dim = 16, .value_dim = 16}}) {
      Problem p(shape);
      p.settings.threads = threads;
      p.settings.causal = true;
      p.settings.query_offset = std::max<int64_t>(0, shape.keys - shape.queries);
      p.add_bias({.batch = true, .head = true});
      p.add_distance_bias(5);
      p.add_sink();
      expect_backward(p, to_string(shape) + ", threads " + std::to_string(threads));
    }
  }
}

TEST(Backward, ScoresUpTo32) {
  for (const int64_t dim : {16, 64}) {
    Problem p({.queries = 100, .keys = 130, .dim = dim, .value_dim = dim});
    p.scale_scores_to(32);
    expect_backward(p, "scores up to 32, dim " + std::to_string(dim));
  }
}

TEST(Backward, OneGradientAlone) {
  Problem p({.heads = 2, .kv_heads = 1, .queries = 30, .keys = 40, .dim = 16, .value_dim = 16});
  p.add_bias({});
  const Attention a = p.attention();
  const Forward f = run_forward(p);
  const Backward together = run_backward(p);
  Gradients base;
  base.output = f.output.view();
  base.d_output = p.d_output.view();
  base.lse = f.lse.data();
  for (const int which : {0, 1, 2, 3}) {
    Array d_query(a.type, p.layout, 1, 2, 30, 16), d_key(a.type, p.layout, 1, 1, 40, 16),
        d_value(a.type, p.layout, 1, 1, 40, 16);
    std::vector<float> d_bias(p.bias.size(), 1.0f / 64);
    Gradients g = base;
    if (which == 0) g.d_query = d_query.mutable_view();
    if (which == 1) g.d_key = d_key.mutable_view();
    if (which == 2) g.d_value = d_value.mutable_view();
    if (which == 3) {
      g.d_bias = d_bias.data();
      g.d_bias_strides = p.bias_strides;
    }
    backward(a, g);
    Backward alone = together;
    if (which == 0) alone.d_query = d_query;
    if (which == 1) alone.d_key = d_key;
    if (which == 2) alone.d_value = d_value;
    if (which == 3) alone.d_bias = d_bias;
    EXPECT_TRUE(within(backward_error(p, alone), kBackwardBound)) << "gradient " << which;
  }
}

TEST(Backward, QueryGradientsOfPages) {
  Problem p({.batch = 2,
             .heads = 4,
             .kv_heads = 2,
             .queries = 9,
             .keys = 75,
             .dim = 16,
             .value_dim = 16});
  p.add_bias({});
  p.move_to_pages(8);
  expect_backward(p, "paged");
}

TEST(Backward, TheSameBitsTwice) {
  std::vector<NamedProblem> cases = feature_cases();
  for (NamedProblem& c : random_cases(20, 37, 200)) cases.push_back(c);
  for (NamedProblem& c : cases) {
    for (const int threads : {1, 2, 3}) {
      c.problem.settings.threads = threads;
      const Backward first = run_backward(c.problem);
      const Backward second = run_backward(c.problem);
      EXPECT_TRUE(first.d_query == second.d_query && first.d_key == second.d_key &&
                  first.d_value == second.d_value && first.d_bias == second.d_bias &&
                  first.d_distance_bias == second.d_distance_bias && first.d_sink == second.d_sink)
          << c.name << ", threads " << threads;
    }
  }
}

}  // namespace
}  // namespace attend::kernels::testing
