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
  const PlantedTable table =
      planted_hits(GetParam(), {"grad-attention", "integrated-gradients", "occlusion"});
  EXPECT_GE(table.accuracy, 0.97);
  EXPECT_GE(table.examples, 190);
  const std::map<std::string, Estimate> hits(table.hits.begin(), table.hits.end());
  // The aim is 0.95 everywhere. On patches the model may take one class for the absence of the
  // other two, so that no unit of it decides; these floors are below what is reached there.
  const bool patches = GetParam() == "patches";
  EXPECT_GE(hits.at("integrated-gradients").mean, patches ? 0.6 : 0.95);
  EXPECT_GE(hits.at("occlusion").mean, patches ? 0.85 : 0.95);
  // Two layers mix the deciding unit into its neighbours before attention is read out.
  EXPECT_GT(hits.at("grad-attention").low, table.chance);
  // Random hits one in as many as there are units; 200 draws have a standard error below 0.025.
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
    EXPECT_LT(first.deciding[static_cast<size_t>(row)], first.data->length(row));
  }
  for (const auto& [label, count] : labels) EXPECT_GT(count, 60) << label;
  EXPECT_EQ(labels.size(), 3U);
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
