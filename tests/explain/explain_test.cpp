// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/explain.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "../tasks/small_task.h"
#include "attend/base/error.h"
#include "attend/base/random.h"
#include "attend/explain/grouping.h"
#include "attend/train/trainer.h"
#include "function_task.h"

namespace attend {
namespace {

using nlohmann::json;
using testing::TemporaryFolder;

TEST(Grouping, CharactersBecomeWords) {
  const std::string input = "我热爱音乐 ok";
  std::vector<Unit> units;
  for (int64_t i = 0; i < 5; ++i)
    units.push_back({input.substr(static_cast<size_t>(3 * i), 3), {3 * i, 3 * i + 3}});
  units.push_back({"o", {16, 17}});
  units.push_back({"k", {17, 18}});
  const auto groups = word_groups(input, units);
  const auto merged = merged_units(input, units, groups);
  std::vector<std::string> texts;
  for (const Unit& unit : merged) texts.push_back(unit.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"我", "热爱", "音乐", "ok"}));
  EXPECT_EQ(merged[2].span, (Span{9, 15}));
}

TEST(StrongestSegment, IsTheLargestSumOverAllSegments) {
  EXPECT_EQ(strongest_segment({}), std::nullopt);
  EXPECT_EQ(strongest_segment({-1, 0, -2}), std::nullopt);
  EXPECT_EQ(strongest_segment({0, 3, 2, 0, 0, 0, 0.5}), (std::make_pair<int64_t, int64_t>(1, 2)));
  Random random(4);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> scores(1 + random.below(12));
    for (double& score : scores) score = 2 * random.uniform() - 1;
    const double top = *std::max_element(scores.begin(), scores.end());
    const auto sum = [&](int64_t first, int64_t last) {
      double total = 0;
      for (int64_t i = first; i <= last; ++i) total += scores[static_cast<size_t>(i)] - 0.1 * top;
      return total;
    };
    const auto found = strongest_segment(scores);
    ASSERT_EQ(found.has_value(), top > 0);
    if (!found) continue;
    for (int64_t first = 0; first < static_cast<int64_t>(scores.size()); ++first) {
      for (int64_t last = first; last < static_cast<int64_t>(scores.size()); ++last) {
        EXPECT_LE(sum(first, last), sum(found->first, found->second) + 1e-12);
      }
    }
  }
}

// Words of one letter whose units can only be masked; asks for anything else are failures.
class SpacedDataset : public testing::KeptDataset {
 public:
  using KeptDataset::KeptDataset;
  std::string input(int64_t) const override { return "a b c d"; }
};

class MaskOnlyTask : public testing::FunctionTask {
 public:
  using FunctionTask::FunctionTask;
  std::vector<Removal> removals() const override { return {Removal::kMask}; }
  std::vector<Unit> units(const Dataset&, int64_t) const override {
    return {{"a", {0, 1}}, {"b", {2, 3}}, {"c", {4, 5}}, {"d", {6, 7}}};
  }
  std::shared_ptr<Dataset> without_units(const Dataset& data, int64_t row,
                                         const std::vector<std::vector<bool>>& keep,
                                         Removal removal) const override {
    EXPECT_EQ(removal, Removal::kMask);
    return FunctionTask::without_units(data, row, keep, removal);
  }
};

TEST(EvidenceSpan, TakesUnitsOutAsTheTaskCan) {
  MaskOnlyTask task([](const std::vector<bool>& kept) { return kept[2] ? 3.0 : 0.0; });
  const SpacedDataset data({{true, true, true, true}});
  EXPECT_EQ(evidence_span(task, data, 0, {"yes"}), (Span{4, 5}));
}

/// A model trained on texts of which one word decides: every method can be held against the truth.
class Explained : public ::testing::TestWithParam<std::string> {
 protected:
  static void train(Task& task, const TemporaryFolder& folder, const json& settings,
                    std::shared_ptr<Dataset>& dev) {
    torch::manual_seed(5);
    const auto config = merge_config(testing::small_config(task), settings, "test");
    const auto data =
        task.prepare(config, {folder.write("train.tsv", testing::marker_corpus(300, 1))});
    dev = task.read(folder.write("dev.tsv", testing::marker_corpus(40, 2)), true);
    task.before_training(*data, *dev);
    TrainOptions options;
    options.batch_size = 16;
    options.epochs = 10;
    options.learning_rate = 5e-3;
    std::filesystem::create_directories(folder / "run");
    attend::train({task, *data, *dev, options, folder / "run", false, {}});
  }

  static json settings_for(const std::string& kind) {
    if (kind == "cls") return {{"model", {{"pooling", "cls"}}}};
    if (kind == "wide") {
      return {{"model", {{"wide", "fitted"}}}, {"text", {{"ngrams", {{"word_max", 1}}}}}};
    }
    return {{"model", {{"pooling", kind}}}};
  }
};

TEST_P(Explained, TheMarkerIsFound) {
  const TemporaryFolder folder;
  const auto task = make_task("text-class");
  std::shared_ptr<Dataset> dev;
  train(*task, folder, settings_for(GetParam()), dev);
  std::map<std::string, int> hits;
  for (int64_t row = 0; row < dev->size(); ++row) {
    const Explanation explanation = explain(*task, *dev, row);
    ASSERT_EQ(explanation.outputs[0].label, dev->gold(row));
    const auto marker =
        std::find_if(explanation.units.begin(), explanation.units.end(), [](const Unit& unit) {
          return unit.text == "alpha" || unit.text == "beta" || unit.text == "gamma";
        });
    const auto place = marker - explanation.units.begin();
    for (const Attribution& one : explanation.attributions) {
      ASSERT_EQ(one.scores.size(), explanation.units.size());
      const auto top = std::max_element(one.scores.begin(), one.scores.end());
      hits[one.method] += top - one.scores.begin() == place ? 1 : 0;
    }
    ASSERT_TRUE(explanation.evidence.has_value());
    EXPECT_LE(explanation.evidence->begin, marker->span.begin);
    EXPECT_GE(explanation.evidence->end, marker->span.end);
    for (const AttentionMap& map : explanation.attention) {
      ASSERT_EQ(map.columns, static_cast<int64_t>(explanation.units.size()));
      ASSERT_EQ(map.weights.size(), static_cast<size_t>(map.rows * map.columns));
    }
  }
  const int all = static_cast<int>(dev->size());
  EXPECT_EQ(hits["occlusion"], all);
  EXPECT_GE(hits["integrated-gradients"], all * 9 / 10);
  EXPECT_GT(hits["grad-attention"], hits["random"]);
  EXPECT_GT(hits["gradient-x-input"], hits["random"]);
  EXPECT_LT(hits["random"], all / 2);
}

// The score of a unit is the derivative of the target's logit when its embedding is stretched.
TEST_P(Explained, GradientTimesInputIsTheDerivative) {
  const TemporaryFolder folder;
  const auto task = make_task("text-class");
  std::shared_ptr<Dataset> dev;
  train(*task, folder, settings_for(GetParam()), dev);
  task->model()->to(torch::kFloat64);
  ExplainOptions options;
  options.methods = {"gradient-x-input"};
  const Explanation explanation = explain(*task, *dev, 0, options);
  torch::NoGradGuard no_grad;
  const std::vector<int64_t> rows = {0};
  const Batch batch = task->collate(*dev, rows);
  const torch::Tensor embeddings = task->embed(batch);
  const torch::Tensor direct = task->additive_contributions(batch);
  const auto logit = [&](int64_t unit, double factor) {
    torch::Tensor changed = embeddings.clone();
    changed.select(1, unit).mul_(factor);
    return task
        ->target_scores(task->forward_from_embeddings(changed, batch, {}), {explanation.target})
        .item<double>();
  };
  TaskOutput additive;
  additive.scores = direct[0];
  const torch::Tensor direct_scores = task->target_scores(additive, {explanation.target});
  for (size_t unit = 0; unit < explanation.units.size(); ++unit) {
    const auto index = static_cast<int64_t>(unit);
    const double derivative = (logit(index, 1 + 1e-5) - logit(index, 1 - 1e-5)) / 2e-5;
    EXPECT_NEAR(explanation.attributions[0].scores[unit],
                derivative + direct_scores[index].item<double>(), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Explained,
                         ::testing::Values("attention", "mean", "cls", "max", "wide"),
                         [](const auto& one) { return one.param; });

class ExplainOptionsTest : public Explained {};

TEST_F(ExplainOptionsTest, BadRequestsSayWhatIsThere) {
  const TemporaryFolder folder;
  const auto task = make_task("text-class");
  std::shared_ptr<Dataset> dev;
  train(*task, folder, settings_for("attention"), dev);
  const auto error_of = [&](const ExplainOptions& options) {
    try {
      explain(*task, *dev, 0, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  ExplainOptions options;
  options.methods = {"oclusion"};
  EXPECT_NE(error_of(options).find("did you mean \"occlusion\""), std::string::npos);
  options = {};
  options.target = "Q";
  EXPECT_NE(error_of(options).find("A, B, C"), std::string::npos);
  options = {};
  options.units = "sentence";
  EXPECT_NE(error_of(options).find("merged into \"word\""), std::string::npos);

  // Log-odds change sign with the target: what speaks for one class speaks against another.
  options = {};
  options.methods = {"occlusion"};
  const Explanation predicted = explain(*task, *dev, 0, options);
  options.target = predicted.outputs[1].label;
  const Explanation other = explain(*task, *dev, 0, options);
  EXPECT_EQ(other.target, options.target);
  EXPECT_NE(other.attributions[0].scores, predicted.attributions[0].scores);

  options = {};
  options.max_map_units = 2;
  const Explanation small = explain(*task, *dev, 0, options);
  EXPECT_TRUE(small.attention.empty());
  ASSERT_EQ(small.notices.size(), 1U);
  EXPECT_NE(small.notices[0].find("kept up to 2"), std::string::npos);
}

}  // namespace
}  // namespace attend
