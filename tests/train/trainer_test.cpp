// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/trainer.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "../tasks/small_task.h"
#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/interrupt.h"
#include "attend/nn/weights.h"
#include "attend/train/batches.h"
#include "attend/train/evaluate.h"
#include "attend/train/optimizer.h"

namespace attend {
namespace {

using nlohmann::json;
using testing::TemporaryFolder;

/// A prepared task with its data, and a run folder.
struct TrainingSetup {
  explicit TrainingSetup(const json& settings = json::object()) {
    torch::manual_seed(5);
    torch::set_num_threads(2);
    task = make_task("text-class");
    const auto path = folder.write("train.tsv", testing::marker_corpus(120, 1));
    task_config = merge_config(testing::small_config(*task), settings, "test");
    train = task->prepare(task_config, {path});
    dev = task->read(folder.write("dev.tsv", testing::marker_corpus(60, 2)), true);
    task->before_training(*train, *dev);
    std::filesystem::create_directories(folder / "run");
    options.batch_size = 8;
    options.epochs = 4;
    options.learning_rate = 3e-3;
    options.ema = 0.9;
  }

  TrainResult run(bool resume = false, std::function<void(const TrainProgress&)> observe = {}) {
    const InterruptGuard guard;
    return attend::train(
        {*task, *train, *dev, options, folder / "run", resume, std::move(observe)});
  }

  std::string model_bytes() const { return read_file(folder / "run" / "model.safetensors"); }

  TemporaryFolder folder;
  std::unique_ptr<Task> task;
  json task_config;
  std::shared_ptr<Dataset> train;
  std::shared_ptr<Dataset> dev;
  TrainOptions options;
};

TEST(Train, LearnsTheMarkers) {
  TrainingSetup setup;
  setup.options.epochs = 12;
  const TrainResult result = setup.run();
  EXPECT_GT(result.best_metrics.at("accuracy"), 0.95);
  EXPECT_EQ(result.steps, 12 * 15);
  EXPECT_FALSE(result.interrupted);
  // The weights that were kept are the ones in the model.
  EXPECT_DOUBLE_EQ(metric_values(*evaluate(*setup.task, *setup.dev)).at("accuracy"),
                   result.best_metrics.at("accuracy"));
}

TEST(Train, TheSameSeedGivesTheSameBits) {
  TrainingSetup first;
  TrainingSetup second;
  first.run();
  second.run();
  EXPECT_TRUE(first.model_bytes() == second.model_bytes());
}

// Interrupts a run at every kind of place, resumes it, and expects the bits of an uninterrupted
// one.
TEST(Train, ResumesBitForBit) {
  const json wide = {{"text", {{"ngrams", {{"word_max", 2}}}}}, {"model", {{"wide", "fitted"}}}};
  for (const json& settings : {json::object(), wide}) {
    const double adversarial = settings == wide ? 0.2 : 0;
    TrainingSetup whole(settings);
    whole.options.adversarial = adversarial;
    whole.run();
    for (const int64_t stop_at : {1, 14, 15, 16, 44, 59}) {
      TrainingSetup parts(settings);
      parts.options.adversarial = adversarial;
      {
        const TrainResult cut = parts.run(false, [&](const TrainProgress& progress) {
          if (progress.step == stop_at && !progress.dev) std::raise(SIGINT);
        });
        ASSERT_TRUE(cut.interrupted) << stop_at;
        ASSERT_EQ(cut.steps, stop_at);
      }
      // A new process: nothing is left but the folder.
      parts.task = make_task("text-class");
      torch::manual_seed(5);
      parts.train = parts.task->prepare(parts.task_config, {(parts.folder / "train.tsv").string()});
      parts.task->before_training(*parts.train, *parts.dev);
      torch::manual_seed(999);  // the checkpoint brings its own
      const TrainResult result = parts.run(/*resume=*/true);
      EXPECT_FALSE(result.interrupted);
      EXPECT_TRUE(parts.model_bytes() == whole.model_bytes()) << "stopped at " << stop_at;
    }
  }
}

TEST(Train, StopsWhenPatienceRunsOut) {
  TrainingSetup setup;
  setup.options.epochs = 100;
  setup.options.patience = 2;
  const TrainResult result = setup.run();
  EXPECT_LT(result.steps, 100 * 15);
  EXPECT_NE(result.stopped_because.find("2 looks"), std::string::npos) << result.stopped_because;
}

TEST(Train, AnInfiniteLossIsAnErrorThatKeepsTheBestWeights) {
  TrainingSetup setup;
  setup.options.epochs = 1;
  setup.run();
  const std::string good = setup.model_bytes();
  setup.options.learning_rate = 1e30;
  setup.options.clip = 0;
  setup.options.warmup = 0;
  try {
    setup.run();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kCheck);
    EXPECT_NE(std::string(error.what()).find("not finite at step"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("learning_rate"), std::string::npos);
  }
  EXPECT_TRUE(setup.model_bytes() == good);
}

TEST(Train, ResumingNeedsACheckpointThatFits) {
  TrainingSetup setup;
  EXPECT_THROW(setup.run(/*resume=*/true), Error);
  std::filesystem::create_directories(setup.folder / "run/checkpoint");
  setup.folder.write("run/checkpoint/state.json", "{\"step\": 3}");
  EXPECT_THROW(setup.run(/*resume=*/true), Error);
}

TEST(Batches, EveryRowComesOncePerEpochInAnOrderOfItsOwn) {
  TrainingSetup setup;
  const auto flat = [](const BatchPlan& plan) {
    std::vector<int64_t> rows;
    for (const auto& batch : plan) rows.insert(rows.end(), batch.begin(), batch.end());
    return rows;
  };
  const auto first = flat(plan_epoch(*setup.train, setup.options, 0));
  const auto second = flat(plan_epoch(*setup.train, setup.options, 1));
  EXPECT_NE(first, second);
  EXPECT_EQ(first, flat(plan_epoch(*setup.train, setup.options, 0)));
  for (auto rows : {first, second, flat(plan_by_length(*setup.train, 7))}) {
    std::sort(rows.begin(), rows.end());
    ASSERT_EQ(rows.size(), 120U);
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], static_cast<int64_t>(i));
  }
}

TEST(Batches, RespectTheCapOnPositions) {
  TrainingSetup setup;
  setup.options.batch_positions = 40;
  for (const auto& batch : plan_epoch(*setup.train, setup.options, 3)) {
    int64_t longest = 0;
    for (const int64_t row : batch) longest = std::max(longest, setup.train->length(row));
    EXPECT_TRUE(batch.size() == 1 || longest * static_cast<int64_t>(batch.size()) <= 40);
  }
}

TEST(LearningRate, RisesLinearlyThenFalls) {
  TrainOptions options;
  options.learning_rate = 2;
  options.warmup = 0.1;
  for (const char* decay : {"cosine", "linear"}) {
    options.decay = decay;
    EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 100), 0.2);
    EXPECT_DOUBLE_EQ(learning_rate_at(options, 9, 100), 2.0);
    EXPECT_DOUBLE_EQ(learning_rate_at(options, 10, 100), 2.0);
    EXPECT_NEAR(learning_rate_at(options, 55, 100), 1.0, 1e-12);
    EXPECT_NEAR(learning_rate_at(options, 100, 100), 0.0, 1e-12);
  }
  options.decay = "constant";
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 99, 100), 2.0);
}

/// One parameter, for arithmetic by hand.
struct OneParameter : torch::nn::Module {
  explicit OneParameter(const std::vector<double>& start) {
    value = register_parameter("value", torch::tensor(start, torch::kFloat64).view({1, -1}));
  }
  torch::Tensor value;
};

// AdamW written out with plain numbers (Loshchilov & Hutter 2019, algorithm 2).
TEST(Optimizer, FollowsAdamW) {
  TrainOptions options;
  options.weight_decay = 0.1;
  options.clip = 0;
  options.beta1 = 0.9;
  options.beta2 = 0.98;
  options.ema = 0.5;
  OneParameter module({1.0, -2.0});
  Optimizer optimizer(module, options);
  double x[2] = {1.0, -2.0};
  double m[2] = {0, 0};
  double v[2] = {0, 0};
  double average[2] = {1.0, -2.0};
  for (int step = 1; step <= 5; ++step) {
    optimizer.zero_gradients();
    (module.value * module.value * module.value).sum().backward();
    optimizer.step(0.01);
    const double decay = std::min(0.5, (1.0 + step) / (10.0 + step));
    for (int i = 0; i < 2; ++i) {
      const double gradient = 3 * x[i] * x[i];
      x[i] *= 1 - 0.01 * 0.1;
      m[i] = 0.9 * m[i] + 0.1 * gradient;
      v[i] = 0.98 * v[i] + 0.02 * gradient * gradient;
      x[i] -= 0.01 * (m[i] / (1 - std::pow(0.9, step))) /
              (std::sqrt(v[i] / (1 - std::pow(0.98, step))) + 1e-8);
      average[i] = decay * average[i] + (1 - decay) * x[i];
      EXPECT_NEAR(module.value[0][i].item<double>(), x[i], 1e-12);
      EXPECT_NEAR(optimizer.averaged().at("value")[0][i].item<double>(), average[i], 1e-12);
    }
  }
}

// The pass over floats, on more elements than a thread takes and not a multiple of a vector,
// against the operators that take double precision; a parameter without a gradient in between.
TEST(Optimizer, OnePassOverFloatsEqualsTheOperators) {
  TrainOptions options;
  options.weight_decay = 0.1;
  options.clip = 0.5;
  options.ema = 0.9;
  torch::manual_seed(0);
  const torch::Tensor start = torch::randn({7, 5003}, torch::kFloat64);
  OneParameter exact({0.0}), rounded({0.0});
  exact.value.set_data(start.clone());
  rounded.value.set_data(start.to(torch::kFloat));
  Optimizer of_exact(exact, options), of_rounded(rounded, options);
  for (int step = 0; step < 6; ++step) {
    of_exact.zero_gradients();
    of_rounded.zero_gradients();
    const torch::Tensor slope = torch::randn_like(start);
    (exact.value.sin() * slope).sum().backward();
    (rounded.value.sin() * slope.to(torch::kFloat)).sum().backward();
    of_exact.step(0.01);
    of_rounded.step(0.01);
  }
  const auto differ = [](const torch::Tensor& a, const torch::Tensor& b) {
    return (a.to(torch::kFloat64) - b).abs().max().item<double>();
  };
  EXPECT_LT(differ(rounded.value, exact.value), 1e-5);
  EXPECT_GT(differ(rounded.value, start), 1e-2);
  const TensorMap found = of_rounded.state();
  for (const auto& [name, tensor] : of_exact.state()) {
    EXPECT_LT(differ(found.at(name), tensor), 1e-5) << name;
  }
}

TEST(Optimizer, ClipsTheNormOfAllGradients) {
  TrainOptions options;
  options.clip = 1.0;
  OneParameter module({3.0, 4.0});
  Optimizer optimizer(module, options);
  (module.value * module.value).sum().backward();  // gradient (6, 8), norm 10
  EXPECT_DOUBLE_EQ(optimizer.step(0.0), 10.0);
  EXPECT_NEAR(optimizer.state().at("first_moment.value")[0][0].item<double>(), 0.1 * 0.6, 1e-12);
}

class FixedOutcomes : public Metrics {
 public:
  void add(const TaskOutput&, const Batch&) override {}
  int64_t examples() const override { return 100; }
  std::map<std::string, double> compute(std::span<const int64_t> sample) const override {
    double right = 0;
    for (const int64_t i : sample) right += i < 80 ? 1 : 0;
    return {{"accuracy", right / static_cast<double>(sample.size())}};
  }
  json details() const override { return {}; }
};

// 80 of 100 right: a binomial share with a standard error of 0.04, so about 0.72 to 0.88.
TEST(Bootstrap, GivesTheBinomialInterval) {
  const Interval interval = bootstrap_intervals(FixedOutcomes(), 4000, 1).at("accuracy");
  EXPECT_NEAR(interval.low, 0.8 - 1.96 * 0.04, 0.015);
  EXPECT_NEAR(interval.high, 0.8 + 1.96 * 0.04, 0.015);
}

TEST(TrainOptions, RefuseValuesOutOfRangeByName) {
  const auto error_of = [](const char* key, const json& value) {
    json section = to_json(TrainOptions{});
    section[key] = value;
    try {
      train_options_from_json(section);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error_of("epochs", 3), "no error");
  EXPECT_NE(error_of("epochs", 0).find("train.epochs is 0"), std::string::npos);
  EXPECT_NE(error_of("learning_rate", -1.0).find("above 0"), std::string::npos);
  EXPECT_NE(error_of("warmup", 1.0).find("below 1"), std::string::npos);
  EXPECT_NE(error_of("decay", "steps").find("\"cosine\""), std::string::npos);
  EXPECT_NE(error_of("class_weights", "some").find("balanced"), std::string::npos);
  EXPECT_NE(error_of("ema", 1.5).find("train.ema"), std::string::npos);
}

}  // namespace
}  // namespace attend
