// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Few queries against many keys: contiguous and paged caches.
#include <gtest/gtest.h>

#include <string>

#include "compare.h"

namespace attend::kernels::testing {
namespace {

Shape decode_shape(int64_t queries, int64_t keys) {
  return {.batch = 2,
          .heads = 4,
          .kv_heads = 2,
          .queries = queries,
          .keys = keys,
          .dim = 64,
          .value_dim = 64};
}

TEST(Decode, OneToEightQueries) {
  for (int64_t queries = 1; queries <= 8; ++queries) {
    for (const int64_t keys : {63, 64, 257, 1030, 2500}) {
      const Shape shape = decode_shape(queries, keys);
      for (const int threads : {1, 2, 3}) {
        Problem p(shape, Layout::kRowsFirst);
        p.settings.threads = threads;
        expect_forward(p, to_string(shape) + ", threads " + std::to_string(threads));
      }
    }
  }
}

TEST(Decode, LongCache) {
  for (const int threads : {1, 2, 5}) {
    const Shape shape{
        .heads = 8, .kv_heads = 1, .queries = 1, .keys = 20011, .dim = 32, .value_dim = 32};
    Problem p(shape);
    p.settings.threads = threads;
    expect_forward(p, to_string(shape) + ", threads " + std::to_string(threads));
  }
}

TEST(Decode, OddDims) {
  for (const int64_t dim : {8, 20, 33, 80, 128, 256}) {
    const Shape shape{.heads = 3,
                      .kv_heads = 1,
                      .queries = 2,
                      .keys = 700,
                      .dim = dim,
                      .value_dim = 264 - dim > 256 ? 256 : 264 - dim};
    for (const Layout layout : kLayouts) {
      expect_forward(Problem(shape, layout), to_string(shape) + ", " + to_string(layout));
    }
  }
}

TEST(Decode, ManyHeadsOnOne) {
  for (const int64_t heads : {1, 2, 3, 5, 8, 16, 17, 32}) {
    const Shape shape{
        .heads = heads, .kv_heads = 1, .queries = 1, .keys = 333, .dim = 32, .value_dim = 24};
    expect_forward(Problem(shape), to_string(shape));
  }
}

TEST(Decode, CausalBehindACacheOfDifferentLengths) {
  for (const int64_t queries : {1, 4, 8}) {
    Problem p(decode_shape(queries, 900));
    p.settings.causal = true;
    p.key_lengths = {900, 417};
    p.query_offsets = {900 - queries, 417 - queries};
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t j = 417; j < 900; ++j) {
        p.key.fill_row(1, h, j, std::nan(""));
        p.value.fill_row(1, h, j, std::nan(""));
      }
    }
    expect_statistics(p, "causal decode");
    p.settings.window_left = 100;
    expect_statistics(p, "causal decode in a window");
    p.add_sink();
    p.add_alibi();
    p.settings.soft_cap = 3;
    expect_statistics(p, "causal decode with a sink, slopes and a cap");
    p.add_bias({.batch = true, .head = true}, 0.2);
    p.add_block_mask(1, 64, 0.5);
    p.add_distance_bias(30);
    expect_statistics(p, "decode with every bias");
    p.settings.dropout = 0.25;
    expect_statistics(p, "decode with every bias and dropout");
  }
}

TEST(Decode, Pages) {
  for (const int64_t page_size : {1, 7, 16, 64, 100}) {
    for (const int64_t queries : {1, 3, 40}) {
      for (const Layout layout :
           {Layout::kHeadsFirst, Layout::kRowsFirst, Layout::kUnaligned, Layout::kDimSpread}) {
        Problem p(decode_shape(queries, 320), layout);
        p.settings.causal = true;
        p.key_lengths = {320, 130};
        p.query_offsets = {320 - queries, 130 - queries};
        p.move_to_pages(page_size);
        expect_statistics(p, "pages of " + std::to_string(page_size) + ", " +
                                 std::to_string(queries) + " queries, " + to_string(layout));
      }
    }
  }
}

TEST(Decode, SharedPages) {
  // Two sequences with the same beginning may name the same pages.
  Problem p(decode_shape(2, 200));
  p.move_to_pages(50);
  p.pages[4] = p.pages[0];
  p.pages[5] = p.pages[1];
  expect_forward(p, "shared pages");
}

TEST(Decode, EmptyCache) {
  Problem p(decode_shape(3, 100));
  p.key_lengths = {0, 100};
  expect_statistics(p, "empty cache");
  p.move_to_pages(16);
  expect_statistics(p, "empty paged cache");
}

}  // namespace
}  // namespace attend::kernels::testing
