// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/choice.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "../tasks/small_task.h"
#include "attend/base/error.h"
#include "function_task.h"

namespace attend {
namespace {

using nlohmann::json;

// Two units, of which the first alone matters.
double first_matters(const std::vector<bool>& kept) { return kept[0] ? 3.0 : -3.0; }

ScoreTable table_of(const testing::KeptFunction& function, size_t examples) {
  testing::FunctionTask task(function);
  ScoreOptions options;
  options.methods = {"occlusion"};
  options.limit = 0;
  return score_methods(task, *testing::FunctionTask::whole(std::vector<size_t>(examples, 6)),
                       options);
}

TEST(Score, OcclusionOfOneDecidingUnitIsAsFaithfulAsCanBe) {
  const ScoreTable table = table_of(first_matters, 40);
  EXPECT_EQ(table.examples, 40);
  ASSERT_NE(table.best(), nullptr);
  EXPECT_EQ(table.best()->method, "occlusion");
  const auto& faithfulness = table.best()->metrics.at("faithfulness");
  EXPECT_NEAR(faithfulness.mean, 1, 1e-9);
  const auto& random = table.find("random")->metrics.at("faithfulness");
  EXPECT_NEAR(random.mean, 0, 0.35);
  EXPECT_GT(random.high - random.low, 0.1);  // another order for every example
  EXPECT_GT(table.best()->over_random.low, 0);
  ASSERT_EQ(table.best()->deletion_curve.size(), 21U);
  EXPECT_NEAR(table.best()->deletion_curve.front(), 1 / (1 + std::exp(-3.0)), 1e-9);
  EXPECT_NEAR(table.best()->deletion_curve.back(), 1 / (1 + std::exp(3.0)), 1e-9);
}

TEST(Score, InputsOfOneUnitAreLeftOutAndCounted) {
  testing::FunctionTask task(first_matters);
  ScoreOptions options;
  options.methods = {"occlusion"};
  options.metrics = {"deletion"};
  const auto table = score_methods(task, *testing::FunctionTask::whole({1, 5, 1, 4}), options);
  EXPECT_EQ(table.examples, 2);
  EXPECT_EQ(table.too_short, 2);
  ASSERT_EQ(table.notices.size(), 1U);
  EXPECT_EQ(table.methods[0].metrics.size(), 1U);
  EXPECT_EQ(table.best(), nullptr);
  EXPECT_THROW(score_methods(task, *testing::FunctionTask::whole({1, 1}), options), Error);
  options.metrics = {"fathfulness"};
  try {
    score_methods(task, *testing::FunctionTask::whole({5}), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"faithfulness\""), std::string::npos);
  }
}

TEST(Choice, IsStoredInTheRunFolderAndLeavesTheRest) {
  const testing::TemporaryFolder folder;
  folder.write("attend.json",
               R"({"format": 1, "task": "text-class", "metrics": {"accuracy": 0.5}})");
  const MethodChoice choice =
      choose_method(table_of(first_matters, 20), Removal::kDelete, "dev.tsv");
  EXPECT_EQ(choice.method, "occlusion");
  EXPECT_TRUE(choice.beats_random());
  store_choice(folder.path(), choice);
  const json info = json::parse(std::ifstream(folder / "attend.json"));
  EXPECT_EQ(info.at("metrics").at("accuracy"), 0.5);
  EXPECT_EQ(info.at("explanation").at("best_method"), "occlusion");
  const auto read = choice_of_run(info);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(to_json(*read), to_json(choice));

  EXPECT_EQ(choice_of_run(json::object()), std::nullopt);
  json newer = info;
  newer["explanation"]["version"] = 99;
  EXPECT_EQ(choice_of_run(newer), std::nullopt);
  json damaged = info;
  damaged["explanation"].erase("best_method");
  EXPECT_THROW(choice_of_run(damaged), Error);
}

TEST(Choice, ChanceIsNotTakenForMerit) {
  // Nothing matters but the number of units: every order is as good as any other.
  const auto count = [](const std::vector<bool>& kept) {
    return static_cast<double>(std::count(kept.begin(), kept.end(), true)) - 3;
  };
  const ScoreTable table = table_of(count, 30);
  const MethodScore* random = table.find("random");
  EXPECT_EQ(random->metrics.at("faithfulness").examples, 0);  // no order differs from another
  EXPECT_EQ(table.best(), nullptr);
  EXPECT_THROW(choose_method(table, Removal::kDelete, ""), Error);
}

TEST(Choice, CostsNoMoreThanItMay) {
  const auto of_length = [](size_t units) {
    return testing::FunctionTask::whole(std::vector<size_t>(300, units));
  };
  EXPECT_EQ(affordable_examples(*of_length(8), 3'000'000), 100);
  EXPECT_EQ(affordable_examples(*of_length(2000), 3'000'000), 0);
  EXPECT_EQ(affordable_examples(*testing::FunctionTask::whole({}), 3'000'000), 0);
  const int64_t some = affordable_examples(*of_length(100), 3'000'000);
  EXPECT_GE(some, 20);
  EXPECT_LT(some, 100);
}

}  // namespace
}  // namespace attend
