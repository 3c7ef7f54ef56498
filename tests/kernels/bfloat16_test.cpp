// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// bf16 storage, against the exact result for the rounded inputs.
#include <gtest/gtest.h>

#include <string>

#include "cases.h"
#include "compare.h"

namespace attend::kernels::testing {
namespace {

// bf16 keeps 8 bits: rounding to nearest is off by 2^-8 of the value at most. The output is rounded
// once; the engine with bf16 products also rounds each weight before its product with the value.
double output_bound() { return kForwardBound + (active_isa() == Isa::kAvx512Bf16 ? 2 : 1) / 256.0; }
// Gradients are rounded once at the end, and the mean that each row subtracts is taken from a
// rounded output. The engine with bf16 products also rounds the weights and the loss by the scores.
// Relative to the largest gradient of the slice; measured 0.0066 and 0.0178, the latter where a row
// has one key and its gradient is 0.
double gradient_bound() { return active_isa() == Isa::kAvx512Bf16 ? 0.02 : 0.008; }

void expect_output(const Problem& p, const std::string& name) {
  const ForwardReference reference = reference_forward(p.attention());
  const Forward f = run_forward(p, kWholeTrace);
  EXPECT_TRUE(within(output_error(p, reference, f.output), output_bound())) << name;
  // Scores are accumulated in fp32 from exact products.
  EXPECT_TRUE(within(statistics_error(p, reference, f, kWholeTrace), kStatisticsBound)) << name;
  EXPECT_TRUE(top_keys_right(p, reference, f, 5, 4 * kStatisticsBound)) << name;
}

Shape shape_of(int64_t queries, int64_t keys, int64_t dim, int64_t value_dim) {
  return {.heads = 2,
          .kv_heads = 1,
          .queries = queries,
          .keys = keys,
          .dim = dim,
          .value_dim = value_dim,
          .type = ElementType::kBFloat16};
}

TEST(BFloat16, PairsOfLengths) {
  for (const int64_t queries : {1, 2, 5, 12, 13, 31, 33, 64, 127}) {
    for (const int64_t keys : {1, 2, 5, 13, 31, 32, 33, 64, 127, 400}) {
      const Shape shape = shape_of(queries, keys, 32, 32);
      expect_output(Problem(shape, Layout::kRowsFirst), to_string(shape));
    }
  }
}

TEST(BFloat16, Dims) {
  for (const int64_t dim : {1, 7, 8, 20, 24, 33, 40, 64, 96, 128, 200, 256}) {
    for (const int64_t value_dim : {8, 20, 33, 64, 256}) {
      for (const int64_t queries : {3, 37}) {
        const Shape shape = shape_of(queries, 53, dim, value_dim);
        expect_output(Problem(shape, Layout::kUnaligned), to_string(shape));
      }
    }
  }
}

TEST(BFloat16, EachFeature) {
  for (const NamedProblem& c : feature_cases(ElementType::kBFloat16)) {
    expect_output(c.problem, c.name);
  }
}

// Without statistics these have a pass of their own: whole groups of rows, and query rows whose
// pairs can be read in place.
TEST(BFloat16, ShortSequences) {
  uint64_t seed = 500;
  const auto expect = [](const Problem& p, const std::string& name) {
    const Forward f = run_forward(p, {});
    const ForwardReference reference = reference_forward(p.attention());
    EXPECT_TRUE(within(output_error(p, reference, f.output), output_bound())) << name;
    EXPECT_TRUE(within(statistics_error(p, reference, f, {}), kStatisticsBound)) << name;
  };
  for (const int64_t queries : {4, 8, 20, 32, 64, 66}) {
    for (const int64_t keys : {1, 15, 16, 17, 32, 33, 64}) {
      for (const int offset : {-1, 0, 7}) {  // under a causal mask, unless it is negative
        const Layout layout = kLayouts[seed % std::size(kLayouts)];
        Shape shape = shape_of(queries, keys, seed % 5 == 0 ? 33 : 64, seed % 3 == 0 ? 20 : 64);
        shape.batch = 2;
        Problem p(shape, layout, ++seed);
        p.settings.causal = offset >= 0;
        p.settings.query_offset = std::max(0, offset);
        if (seed % 5 == 0) p.key_lengths = {keys, keys / 2};
        const std::string name = to_string(shape) + ", " + to_string(layout);
        expect(p, name);
        p.query.fill_row(1, 1, queries / 2, 25);  // beyond the bound that is taken for granted
        p.key.fill_row(1, 0, keys / 3, 1);
        expect(p, name + ", a large score");
      }
    }
  }
}

TEST(BFloat16, LongerRows) {
  for (const Shape& shape : {shape_of(300, 513, 64, 64), shape_of(33, 3000, 64, 64)}) {
    expect_output(Problem(shape), to_string(shape));
  }
}

TEST(BFloat16, Decode) {
  for (const int64_t queries : {1, 2, 4, 8}) {
    for (const int64_t page_size : {0, 16}) {
      Problem p({.batch = 2,
                 .heads = 8,
                 .kv_heads = 2,
                 .queries = queries,
                 .keys = 800,
                 .dim = 64,
                 .value_dim = 64,
                 .type = ElementType::kBFloat16});
      p.settings.causal = true;
      p.key_lengths = {800, 345};
      p.query_offsets = {800 - queries, 345 - queries};
      if (page_size > 0) p.move_to_pages(page_size);
      for (const int threads : {1, 3}) {
        p.settings.threads = threads;
        expect_output(p, std::to_string(queries) + " queries, pages of " +
                             std::to_string(page_size) + ", threads " + std::to_string(threads));
      }
    }
  }
}

TEST(BFloat16, MaskedNaN) {
  Problem p(shape_of(40, 75, 16, 24));
  p.key_lengths = {50};
  for (int64_t j = 50; j < 75; ++j) {
    p.key.fill_row(0, 0, j, std::nan(""));
    p.value.fill_row(0, 0, j, std::nan(""));
  }
  expect_output(p, "NaN behind the key length");
  expect_backward(p, "NaN behind the key length", gradient_bound());
  p.settings.causal = true;
  p.value.fill_row(0, 0, 45, std::nan(""));
  expect_output(p, "NaN behind the last causal key");
}

TEST(BFloat16, Gradients) {
  for (const int64_t queries : {1, 5, 33, 130}) {
    for (const int64_t keys : {1, 13, 64, 200}) {
      for (const int64_t dim : {20, 64}) {
        const Shape shape = shape_of(queries, keys, dim, 32);
        expect_backward(Problem(shape, Layout::kRowsFirst), to_string(shape), gradient_bound());
      }
    }
  }
}

TEST(BFloat16, GradientsUnderEachFeature) {
  for (NamedProblem& c : feature_cases(ElementType::kBFloat16)) {
    c.problem.add_statistics_loss();
    expect_backward(c.problem, c.name, gradient_bound());
  }
}

}  // namespace
}  // namespace attend::kernels::testing
