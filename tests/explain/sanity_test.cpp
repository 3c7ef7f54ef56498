// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/sanity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "../tasks/small_task.h"
#include "attend/explain/planted.h"
#include "attend/nn/weights.h"

namespace attend {
namespace {

TEST(Spearman, RanksWithTies) {
  EXPECT_NEAR(spearman({1, 2, 3, 4}, {10, 20, 30, 400}), 1, 1e-12);
  EXPECT_NEAR(spearman({1, 2, 3, 4}, {4, 3, 2, 1}), -1, 1e-12);
  // Ranks 0, 1.5, 1.5, 3 and 0, 1, 2, 3: their Pearson correlation.
  EXPECT_NEAR(spearman({1, 2, 2, 3}, {1, 2, 3, 4}), 4.5 / std::sqrt(4.5 * 5), 1e-12);
  EXPECT_TRUE(std::isnan(spearman({1, 1}, {1, 2})));
}

class Sanity : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    planted_ = std::make_unique<PlantedModelAndData>(train_planted("items", 60));
  }
  static void TearDownTestSuite() { planted_.reset(); }

  static std::unique_ptr<PlantedModelAndData> planted_;
};
std::unique_ptr<PlantedModelAndData> Sanity::planted_;

TEST_F(Sanity, PartsGoFromTheHeadDown) {
  EXPECT_EQ(model_parts(*planted_->task->model()),
            (std::vector<std::string>{"output", "pooling", "encoder.block_0", "items"}));
}

TEST_F(Sanity, ExplanationsDependOnTheModelAndTheWeightsComeBack) {
  TensorMap before;
  for (const auto& [name, tensor] : named_tensors(*planted_->task->model())) {
    before[name] = tensor.detach().clone();
  }
  SanityOptions options;
  options.methods = {"occlusion", "random"};
  options.limit = 30;
  const auto stages = randomisation_test(*planted_->task, *planted_->test, options);
  for (const auto& [name, tensor] : named_tensors(*planted_->task->model())) {
    EXPECT_TRUE(torch::equal(tensor, before.at(name))) << name;
  }
  ASSERT_EQ(stages.size(), 4U);
  EXPECT_EQ(stages[0].part, "output");
  // With all weights shuffled, which item decided is forgotten.
  EXPECT_LT(std::abs(stages.back().correlation.at("occlusion").mean), 0.3);
  for (const auto& stage : stages) {
    EXPECT_LT(std::abs(stage.correlation.at("random").mean), 0.3) << stage.part;
  }
}

TEST_F(Sanity, UniformAttentionIsComparedByTheTasksMetric) {
  const auto test = uniform_attention_test(*planted_->task, *planted_->test);
  EXPECT_EQ(test.metric, "accuracy");
  EXPECT_EQ(test.examples, 60);
  ASSERT_EQ(test.effects.size(), 1U);  // its only layer is all
  EXPECT_EQ(test.effects[0].layer, -1);
  for (const auto& effect : test.effects) {
    EXPECT_NEAR(effect.drop.mean, test.trained - effect.metric, 1e-12);
    EXPECT_LE(effect.drop.low, effect.drop.high);
  }
  EXPECT_NE(test.verdict.find(test.effects[0].used() ? "is used" : "is not used"),
            std::string::npos);
}

TEST(UniformAttention, OfSeveralLayersEachIsAskedToo) {
  const testing::TemporaryFolder folder;
  const auto task = make_task("text-class");
  const auto config =
      merge_config(testing::small_config(*task), {{"model", {{"layers", 2}}}}, "test");
  const auto data =
      task->prepare(config, {folder.write("train.tsv", testing::marker_corpus(20, 1))});
  const auto test = uniform_attention_test(*task, *data);
  ASSERT_EQ(test.effects.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(test.effects[i].layer, static_cast<int64_t>(i) - 1);  // -1: all
    EXPECT_NEAR(test.effects[i].drop.mean, test.trained - test.effects[i].metric, 1e-12);
  }
}

}  // namespace
}  // namespace attend
