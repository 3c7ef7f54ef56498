// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/steering.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "attend/base/error.h"
#include "attend/explain/explain.h"
#include "fake_tasks.h"

namespace attend {
namespace {

using testing::EncoderTask;
using testing::IdDataset;

EncoderOptions encoder() {
  EncoderOptions options;
  options.layers = 2;
  options.hidden = 8;
  options.heads = 2;
  return options;
}

std::vector<Unit> units_of(const std::vector<std::string>& texts) {
  std::vector<Unit> units;
  int64_t at = 0;
  for (const std::string& text : texts) {
    units.push_back({text, {at, at + static_cast<int64_t>(text.size())}});
    at += static_cast<int64_t>(text.size()) + 1;
  }
  return units;
}

std::string usage_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(Selection, ByNumberRangeAndText) {
  const std::string input = "so good, so 7 good";
  const auto units = units_of({"so", "good,", "so", "7", "good"});
  using Ranges = std::vector<UnitGroup>;
  EXPECT_EQ(select_units("2", input, units), (Ranges{{2, 3}}));
  EXPECT_EQ(select_units("1-3", input, units), (Ranges{{1, 4}}));
  EXPECT_EQ(select_units("so", input, units), (Ranges{{0, 1}, {2, 3}}));
  EXPECT_EQ(select_units("good", input, units), (Ranges{{1, 2}, {4, 5}}));
  EXPECT_EQ(select_units("so good", input, units), (Ranges{{0, 2}}));
  EXPECT_EQ(select_units("=7", input, units), (Ranges{{3, 4}}));
  EXPECT_NE(usage_error_of([&] { select_units("7", input, units); }).find("units 0 to 4"),
            std::string::npos);
  EXPECT_NE(usage_error_of([&] { select_units("3-2", input, units); }).find("units 0 to 4"),
            std::string::npos);
  EXPECT_NE(usage_error_of([&] { select_units("bad", input, units); }).find("0:so 1:good,"),
            std::string::npos);
  EXPECT_NE(usage_error_of([&] { select_units("", input, units); }).find("do not occur"),
            std::string::npos);
}

TEST(Selection, SpansLeaveTheRestAlone) {
  const std::string input = "so good, so 7 good";
  const auto units = units_of({"so", "good,", "so", "7", "good"});
  EXPECT_EQ(span_groups("3-4,so good", input, units),
            (std::vector<UnitGroup>{{0, 2}, {2, 3}, {3, 5}}));
}

class Steered : public ::testing::Test {
 protected:
  Steered() {
    torch::manual_seed(6);
    task_ = std::make_unique<EncoderTask>(encoder(), PoolingKind::kAttention);
  }
  std::vector<Effect> try_out(const Steering& steering) {
    ExplainOptions options;
    options.methods.clear();
    options.steering = steering;
    return explain(*task_, data_, 0, options).effects;
  }
  double logit(const std::vector<AttentionEdit>& edits) {
    torch::NoGradGuard no_grad;
    ForwardRequest request;
    request.edits = edits;
    const std::vector<int64_t> rows = {0};
    return task_->forward(task_->collate(data_, rows), request).scores[0][0].item<double>();
  }
  static double logit_of(const Prediction& prediction) {
    return prediction[0].label == "yes" ? prediction[0].logit : prediction[1].logit;
  }

  std::unique_ptr<EncoderTask> task_;
  IdDataset data_{{{3, 7, 1, 9, 4, 2}}};  // d h b j e c
};

TEST_F(Steered, EveryFlagIsAnEffectAndAllTogetherOneMore) {
  Steering steering;
  steering.emphasize = {"h:2", "3-4:0"};
  steering.mask_units = {"e"};
  steering.heads_off = {"0.1", "1.0"};
  steering.temperature = 0.5;
  steering.uniform = true;
  const auto effects = try_out(steering);
  std::vector<std::string> names;
  for (const Effect& effect : effects) names.push_back(effect.edit);
  EXPECT_EQ(names, (std::vector<std::string>{"emphasize h:2", "emphasize 3-4:0", "mask e",
                                             "head 0.1, 1.0 off", "temperature 0.5", "uniform",
                                             "all together"}));
  AttentionEdit twice, hidden, first_off, second_off, sharp, uniform;
  twice.key_bias = torch::zeros({1, 6}, torch::kDouble);
  twice.key_bias[0][1] = std::log(2.0);
  hidden.key_bias = torch::zeros({1, 6}, torch::kDouble);
  hidden.key_bias[0].slice(0, 3, 5).fill_(-std::numeric_limits<double>::infinity());
  first_off.off = second_off.off = true;
  first_off.layers = {0}, first_off.heads = {1};
  second_off.layers = {1}, second_off.heads = {0};
  sharp.temperature = 0.5;
  uniform.uniform = true;
  const double before = logit({});
  const std::vector<std::vector<AttentionEdit>> expected = {
      {twice}, {hidden}, {}, {first_off, second_off}, {sharp}, {uniform}};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(logit_of(effects[i].before), before, 1e-6);
    if (i != 2) {
      EXPECT_NEAR(logit_of(effects[i].after), logit(expected[i]), 1e-5) << names[i];
    }
    // The change is of the probability of what was predicted before.
    const std::string target = effects[i].before[0].label;
    const auto& after =
        effects[i].after[0].label == target ? effects[i].after[0] : effects[i].after[1];
    EXPECT_NEAR(effects[i].change, after.probability - effects[i].before[0].probability, 1e-6);
    EXPECT_NE(effects[i].change, 0) << names[i];
  }
  // Masking is the task's own: token 0 in the unit's place.
  const IdDataset masked({{3, 7, 1, 9, 0, 2}});
  const std::vector<int64_t> rows = {0};
  torch::NoGradGuard no_grad;
  EXPECT_NEAR(logit_of(effects[2].after),
              task_->forward(task_->collate(masked, rows), {}).scores[0][0].item<double>(), 1e-6);
}

TEST_F(Steered, LayersAndHeadsLimitWhereItActs) {
  Steering steering;
  steering.uniform = true;
  steering.layers = {1};
  steering.heads = {0};
  AttentionEdit edit;
  edit.uniform = true;
  edit.layers = {1};
  edit.heads = {0};
  const auto effects = try_out(steering);
  ASSERT_EQ(effects.size(), 1U);
  EXPECT_EQ(effects[0].edit, "uniform in layer 1 head 0");
  EXPECT_NEAR(logit_of(effects[0].after), logit({edit}), 1e-6);
}

// Shown units are what is emphasised: all model units of the group.
TEST_F(Steered, GroupsAreEmphasisedAsAWhole) {
  ExplainOptions options;
  options.methods.clear();
  options.spans = "1-2";
  options.steering.emphasize = {"1:3"};
  const auto effects = explain(*task_, data_, 0, options).effects;
  AttentionEdit edit;
  edit.key_bias = torch::zeros({1, 6}, torch::kDouble);
  edit.key_bias[0].slice(0, 1, 3).fill_(std::log(3.0));
  EXPECT_NEAR(logit_of(effects[0].after), logit({edit}), 1e-5);
}

TEST_F(Steered, WrongRequestsSayWhatThereIs) {
  const auto error_of = [&](const std::function<void(Steering&)>& change) {
    Steering steering;
    change(steering);
    return usage_error_of([&] { try_out(steering); });
  };
  const auto emphasize = [&](const std::string& text) {
    return error_of([&](Steering& steering) { steering.emphasize = {text}; });
  };
  for (const char* text : {"h", "h:", "h:-1", "h:x", "h:nan", "h:inf", "h:1e999"}) {
    EXPECT_NE(emphasize(text).find("UNITS:FACTOR"), std::string::npos) << text;
  }
  EXPECT_NE(emphasize("z:2").find("0:d 1:h"), std::string::npos);
  EXPECT_NE(error_of([](Steering& s) { s.mask_units = {"6"}; }).find("units 0 to 5"),
            std::string::npos);
  for (const char* text : {"", "0", "0.", ".1", "0.1x", "-1.0", "0.-1"}) {
    EXPECT_NE(error_of([&](Steering& s) { s.heads_off = {text}; }).find("give LAYER.HEAD"),
              std::string::npos)
        << text;
  }
  EXPECT_NE(error_of([](Steering& s) { s.heads_off = {"4.0"}; }).find("layers 0 to 1"),
            std::string::npos);
  EXPECT_NE(error_of([](Steering& s) { s.heads_off = {"0.2"}; }).find("heads 0 to 1"),
            std::string::npos);
  EXPECT_NE(error_of([](Steering& s) { s.temperature = 0; }).find("above 0"), std::string::npos);
  EXPECT_NE(error_of([](Steering& s) {
              s.uniform = true;
              s.layers = {7};
            }).find("layers 0 to 1"),
            std::string::npos);
}

TEST_F(Steered, HeadImportanceIsTheDropOfTheMetric) {
  const IdDataset several({{3, 7, 1}, {4, 4, 2, 9, 8}, {5, 6}, {1, 2, 3, 4}});
  const auto metric = [&](const Dataset& data, const std::vector<AttentionEdit>& edits) {
    torch::NoGradGuard no_grad;
    ForwardRequest request;
    request.edits = edits;
    double sum = 0;
    for (int64_t row = 0; row < data.size(); ++row) {
      const std::vector<int64_t> rows = {row};
      sum += task_->forward(task_->collate(data, rows), request).scores[0][0].item<double>();
    }
    return sum / static_cast<double>(data.size());
  };
  for (const int64_t most : {int64_t{0}, int64_t{2}}) {
    const std::vector<int64_t> rows = {0, 1};
    const auto used =
        most == 0 ? several.subset(std::vector<int64_t>{0, 1, 2, 3}) : several.subset(rows);
    HeadImportanceOptions options;
    options.max_examples = most;
    options.batch_size = 3;
    const auto heads = head_importance(*task_, several, options);
    ASSERT_EQ(heads.size(), 4U);
    for (const HeadSummary& head : heads) {
      AttentionEdit off;
      off.off = true;
      off.layers = {head.layer};
      off.heads = {head.head};
      ASSERT_TRUE(head.importance.has_value());
      EXPECT_NEAR(*head.importance, metric(*used, {}) - metric(*used, {off}), 1e-9);
      EXPECT_NE(*head.importance, 0);
    }
  }
}

}  // namespace
}  // namespace attend
