// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A program of its own: the peak of a process never falls.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <numeric>

#include "attend/explain/explain.h"
#include "fake_tasks.h"

namespace attend {
namespace {

using testing::EncoderTask;
using testing::IdDataset;

int64_t peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1000;
}

// One matrix of 32,768 units would be 4,295 MB.
TEST(LongInput, AttentionViewsOf32768UnitsTakeBoundedMemory) {
  constexpr int64_t kUnits = 32768;
  torch::manual_seed(1);
  EncoderOptions options;
  options.layers = 1;
  options.hidden = 16;
  options.heads = 2;
  options.feed_forward = 16;
  EncoderTask task(options, PoolingKind::kMean);
  task.to(torch::kFloat);
  const auto explained = [&](int64_t units) {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < units; ++i) ids.push_back(1 + (7 * i + i / 11) % 19);
    ExplainOptions asked;
    asked.methods = {"attention", "rollout", "norm-based"};
    asked.tiles = {parse_tile("0:300-363,1000-1063")};
    return explain(task, IdDataset({ids}), 0, asked);
  };
  explained(1100);  // code and pools of memory are there from now on
  const int64_t before = peak_megabytes();
  const Explanation explanation = explained(kUnits);
  EXPECT_LT(peak_megabytes() - before, 600);
  ASSERT_EQ(explanation.layers.size(), 1U);
  const auto& layer = explanation.layers[0];
  const auto sum = [](const std::vector<double>& numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), 0.0);
  };
  EXPECT_NEAR(sum(layer.received), kUnits, 1);
  EXPECT_NEAR(sum(layer.pooled), kUnits, 1);
  EXPECT_EQ(layer.entropy.size(), static_cast<size_t>(kUnits));
  for (const Attribution& one : explanation.attributions) {
    ASSERT_EQ(one.scores.size(), static_cast<size_t>(kUnits));
    if (one.method == "norm-based") continue;  // not a share
    EXPECT_NEAR(sum(one.scores), 1, 1e-3) << one.method;
  }
  EXPECT_FALSE(layer.links.empty());
  EXPECT_FALSE(explanation.notices.empty());
  EXPECT_FALSE(explanation.evidence.has_value());
}

}  // namespace
}  // namespace attend
