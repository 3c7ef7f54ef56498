// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Every method against the truth. The floors are promises of the documentation.
#include "attend/explain/planted.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "attend/base/error.h"
#include "attend/tasks/planted.h"

namespace attend {
namespace {

class Planted : public ::testing::TestWithParam<std::string> {};

TEST_P(Planted, TheDecidingUnitIsFound) {
  const PlantedTable table = planted_hits(
      GetParam(), {"grad-attention", "integrated-attention", "integrated-gradients", "occlusion"});
  EXPECT_GE(table.accuracy, 0.97);
  EXPECT_GE(table.examples, 120);  // of 200, a fourth of them without a deciding unit
  for (const auto& [method, hits] : table.hits) {
    if (method == "random") continue;
    EXPECT_GE(hits.mean, 0.95) << method;
  }
  const std::map<std::string, Estimate> hits(table.hits.begin(), table.hits.end());
  // Random hits one in as many as there are units; 120 draws have a standard error below 0.033.
  EXPECT_NEAR(hits.at("random").mean, table.chance, 0.1);
  EXPECT_LT(table.chance, 0.15);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Planted, ::testing::ValuesIn(planted_kinds()),
                         [](const auto& one) { return one.param; });

TEST(PlantedExamples, AreTheSameForASeedAndBalanced) {
  const auto first = planted_examples(PlantedKind::kEntities, 300, 5);
  const auto again = planted_examples(PlantedKind::kEntities, 300, 5);
  const auto other = planted_examples(PlantedKind::kEntities, 300, 6);
  EXPECT_EQ(first.deciding, again.deciding);
  EXPECT_NE(first.deciding, other.deciding);
  std::map<std::string, int> labels;
  for (int64_t row = 0; row < 300; ++row) {
    ++labels[first.data->gold(row)];
    const int64_t deciding = first.deciding[static_cast<size_t>(row)];
    EXPECT_LT(deciding, first.data->length(row));
    EXPECT_EQ(deciding < 0, first.data->gold(row) == "none");
  }
  for (const auto& [label, count] : labels) EXPECT_GT(count, 50) << label;
  EXPECT_EQ(labels.size(), 4U);
}

TEST(PlantedExamples, RemovedUnitsAreGone) {
  const auto task = make_planted_task(PlantedKind::kItems);
  const auto examples = planted_examples(PlantedKind::kItems, 1, 1);
  const auto units = static_cast<size_t>(examples.data->length(0));
  std::vector<bool> keep(units, false);
  keep[1] = true;
  const auto deleted = task->without_units(*examples.data, 0, {keep}, Removal::kDelete);
  const auto masked = task->without_units(*examples.data, 0, {keep}, Removal::kMask);
  EXPECT_EQ(deleted->length(0), 1);
  EXPECT_EQ(masked->length(0), examples.data->length(0));
  EXPECT_EQ(task->units(*deleted, 0)[0].text, task->units(*examples.data, 0)[1].text);
  EXPECT_EQ(task->units(*masked, 0)[1].text, task->units(*examples.data, 0)[1].text);
  EXPECT_EQ(task->units(*masked, 0)[0].text, "0");
  EXPECT_THROW(task->read("x.tsv", true), Error);
  EXPECT_THROW(train_planted("texts"), Error);
}

}  // namespace
}  // namespace attend
