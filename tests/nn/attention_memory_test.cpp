// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A program of its own: the peak of a process never falls.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "attend/nn/attention_function.h"

namespace attend {
namespace {

constexpr int64_t kLength = 8192;
constexpr int64_t kMatrixMegabytes = kLength * kLength * 4 / 1'000'000;  // one matrix: 268 MB

int64_t peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1000;
}

// Output, gradients and statistics of 8192 queries and keys need a few MB.
TEST(AttentionMemory, GrowsWithTheLengthNotItsSquare) {
  const auto run = [](int64_t length) {
    const auto input = [&] { return torch::randn({1, 1, length, 64}).requires_grad_(true); };
    const torch::Tensor query = input(), key = input(), value = input();
    AttentionArguments arguments;
    arguments.dropout = 0.1;
    arguments.statistics.lse = arguments.statistics.entropy = true;
    const AttentionResult trained = attention(query, key, value, arguments);
    (trained.output.sum() + trained.statistics.entropy.sum()).backward();
    const torch::NoGradGuard no_grad;
    arguments.dropout = 0;
    arguments.statistics.received = arguments.statistics.sink = true;
    arguments.statistics.top_keys = 8;
    arguments.statistics.pooled_rows = arguments.statistics.pooled_columns = 64;
    const AttentionResult looked_at = attention(query, key, value, arguments);
    WeightsTile tile;
    tile.first_query = length / 2;
    tile.queries = tile.keys = 64;
    return attention_weights_tile(query, key, looked_at.statistics.lse, tile, arguments)
        .sum()
        .item<double>();
  };
  run(256);  // code and pools of memory are there from now on
  const int64_t before = peak_megabytes();
  EXPECT_GT(run(kLength), 0);
  EXPECT_LT(peak_megabytes() - before, kMatrixMegabytes / 4);
}

}  // namespace
}  // namespace attend
