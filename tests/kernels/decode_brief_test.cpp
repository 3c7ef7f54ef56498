// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Few queries against so few keys that one pass sees them all, with nothing asked of the trace.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "cases.h"
#include "compare.h"

namespace attend::kernels::testing {
namespace {

constexpr int64_t kKeys[] = {1, 2, 15, 16, 17, 33, 63, 64, 65};

Shape shape_of(int64_t queries, int64_t keys, ElementType type) {
  return {.batch = 3,
          .heads = 4,
          .kv_heads = 2,
          .queries = queries,
          .keys = keys,
          .dim = 32,
          .value_dim = 32,
          .type = type};
}

// bf16 keeps 8 bits, and the engine with bf16 products rounds each weight too.
double bound_of(const Problem& p) {
  if (p.settings.type == ElementType::kFloat32) return kForwardBound;
  return kForwardBound + (active_isa() == Isa::kAvx512Bf16 ? 2 : 1) / 256.0;
}

void expect_output(const Problem& p, const std::string& name) {
  const ForwardReference reference = reference_forward(p.attention());
  const Forward f = run_forward(p, {.lse = false});
  EXPECT_TRUE(within(output_error(p, reference, f.output), bound_of(p))) << name;
}

std::string name_of(const Problem& p, const Shape& shape) {
  return to_string(shape) + ", " + to_string(p.layout);
}

class DecodeBrief : public ::testing::TestWithParam<ElementType> {};

TEST_P(DecodeBrief, EveryLengthAndLayout) {
  for (const int64_t keys : kKeys) {
    for (const int64_t queries : {1, 2, 3, 4}) {
      for (const Layout layout : kLayouts) {
        const Shape shape = shape_of(queries, keys, GetParam());
        for (const int threads : {1, 3}) {
          Problem p(shape, layout);
          p.settings.threads = threads;
          expect_output(p, name_of(p, shape));
        }
      }
    }
  }
}

TEST_P(DecodeBrief, OddDims) {
  for (const int64_t dim : {8, 20, 33, 80, 128, 256}) {
    Shape shape = shape_of(1, 19, GetParam());
    shape.dim = dim;
    shape.value_dim = dim == 33 ? 20 : 264 - dim > 256 ? 256 : 264 - dim;
    for (const Layout layout : kLayouts) {
      const Problem p(shape, layout);
      expect_output(p, name_of(p, shape));
    }
  }
}

TEST_P(DecodeBrief, ManyHeadsOnOne) {
  for (const int64_t heads : {1, 2, 3, 5, 16, 17, 64, 65}) {
    Shape shape = shape_of(1, 21, GetParam());
    shape.heads = heads;
    shape.kv_heads = 1;
    const Problem p(shape);
    expect_output(p, name_of(p, shape));
  }
}

// Lengths that differ, and NaN behind them.
TEST_P(DecodeBrief, MasksAndTerms) {
  for (const int64_t queries : {1, 4}) {
    const Shape shape = shape_of(queries, 40, GetParam());
    Problem p(shape);
    p.key_lengths = {40, 0, 11};
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t j = 11; j < 40; ++j) {
        p.key.fill_row(2, h, j, std::nan(""));
        p.value.fill_row(2, h, j, std::nan(""));
      }
    }
    expect_output(p, "lengths");
    p.add_sink();
    expect_output(p, "a sink");
    p.add_distance_bias(9);
    expect_output(p, "a distance bias");
    p.add_alibi();
    p.settings.soft_cap = 3;
    expect_output(p, "slopes and a cap");
    p.add_bias({.batch = true}, 0.3);
    expect_output(p, "a bias");
    p.add_block_mask(1, 7, 0.5);
    expect_output(p, "a block mask");
    p.settings.causal = true;
    p.query_offsets = {40 - queries, 0, 11 - queries};
    expect_output(p, "causal");
    p.settings.window_left = 6;
    expect_output(p, "in a window");
    p.settings.dropout = 0.25;
    expect_output(p, "with dropout");
  }
}

TEST_P(DecodeBrief, Pages) {
  for (const int64_t page_size : {1, 3, 16}) {
    for (const Layout layout : {Layout::kHeadsFirst, Layout::kRowsFirst, Layout::kUnaligned}) {
      Problem p(shape_of(1, 40, GetParam()), layout);
      p.key_lengths = {40, 0, 11};
      p.settings.causal = true;
      p.query_offsets = {39, 0, 10};
      p.move_to_pages(page_size);
      expect_output(p, "pages of " + std::to_string(page_size));
      p.settings.window_left = 6;
      expect_output(p, "a window of pages of " + std::to_string(page_size));
    }
  }
}

TEST_P(DecodeBrief, RowsThatSeeNothing) {
  Problem p(shape_of(2, 20, GetParam()));
  p.add_bias({}, 1);  // all forbidden
  expect_output(p, "all forbidden");
  p.add_sink();
  expect_output(p, "all forbidden, and a sink");
}

TEST_P(DecodeBrief, ExtremeScoresAndValues) {
  for (const double magnitude : {1e-30, 1e2, 1e4}) {
    Problem p(shape_of(1, 23, GetParam()));
    p.scale_scores_to(magnitude);
    const ForwardReference reference = reference_forward(p.attention());
    const Forward f = run_forward(p, {.lse = false});
    const double bound = bound_of(p) + forward_bound(magnitude) - kForwardBound;
    EXPECT_TRUE(within(output_error(p, reference, f.output), bound)) << magnitude;
  }
  // What is forbidden may be anything, in a row that sees the rest.
  Problem p(shape_of(1, 23, GetParam()));
  p.add_bias({.batch = true, .head = true, .query = true});
  p.bias[5] = -INFINITY;
  for (int64_t b = 0; b < 3; ++b) {
    p.key.fill_row(b, 1, 5, std::nan(""));
    p.value.fill_row(b, 1, 5, INFINITY);
  }
  expect_output(p, "forbidden infinity");
  for (const double value : {1e-30, 1e30}) {
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t j = 0; j < 23; ++j) p.value.fill_row(b, 0, j, value);
    }
    expect_output(p, "values of " + std::to_string(value));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DecodeBrief,
                         ::testing::Values(ElementType::kFloat32, ElementType::kBFloat16),
                         [](const auto& type) {
                           return type.param == ElementType::kFloat32 ? "f32" : "bf16";
                         });

}  // namespace
}  // namespace attend::kernels::testing
