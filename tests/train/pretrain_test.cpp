// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/pretrain.h"

#include <gtest/gtest.h>

#include <csignal>

#include "../tasks/small_task.h"
#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/nn/weights.h"

namespace attend {
namespace {

using nlohmann::json;

/// The classifier of small_task.h, about to pre-train.
struct PretrainingSetup {
  explicit PretrainingSetup(const json& masked) {
    torch::manual_seed(5);
    task = make_task("text-class");
    const auto path = folder.write("train.tsv", testing::marker_corpus(120, 1));
    train = task->prepare(
        merge_config(testing::small_config(*task), {{"train", {{"masked", masked}}}}, "test"),
        {path});
    work = task->pretraining(*train);
  }

  std::map<std::string, torch::Tensor> weights() const {
    std::map<std::string, torch::Tensor> copies;
    for (const auto& [name, tensor] : named_tensors(*task->model())) {
      copies[name] = tensor.detach().clone();
    }
    return copies;
  }

  testing::TemporaryFolder folder;
  std::unique_ptr<Task> task;
  std::shared_ptr<Dataset> train;
  std::unique_ptr<Pretraining> work;
  TrainOptions options;
  const InterruptGuard guard;
};

TEST(Pretrain, WithoutEpochsThereIsNothingToDo) {
  EXPECT_EQ(PretrainingSetup(json{{"epochs", 0}}).work, nullptr);
}

TEST(Pretrain, LearnsAndReportsEachUpdate) {
  PretrainingSetup setup({{"epochs", 20}, {"batch_size", 16}, {"learning_rate", 0.01}});
  std::vector<double> losses;
  int64_t steps = 0;
  pretrain(*setup.work, setup.options, [&](const TrainProgress& progress) {
    losses.push_back(progress.loss);
    EXPECT_EQ(progress.step, ++steps);
    EXPECT_EQ(progress.total_steps, 20 * 8);
    EXPECT_EQ(progress.epochs, 20);
    EXPECT_GE(progress.seconds_left, 0);
  });
  EXPECT_EQ(steps, 20 * 8);
  EXPECT_LT(losses.back(), losses.front() - 0.3);
}

TEST(Pretrain, TheSameSeedGivesTheSameBitsAndAnotherDoesNot) {
  const json masked = {{"epochs", 2}, {"batch_size", 16}};
  PretrainingSetup first(masked), second(masked), other(masked);
  other.options.seed = 2;
  for (PretrainingSetup* setup : {&first, &second, &other}) {
    pretrain(*setup->work, setup->options, {});
  }
  bool differ = false;
  const auto weights = first.weights(), same = second.weights(), different = other.weights();
  for (const auto& [name, tensor] : weights) {
    EXPECT_TRUE(torch::equal(tensor, same.at(name))) << name;
    differ = differ || !torch::equal(tensor, different.at(name));
  }
  EXPECT_TRUE(differ);
}

TEST(Pretrain, CtrlCEndsIt) {
  PretrainingSetup setup(json{{"epochs", 2}});
  std::raise(SIGINT);
  try {
    pretrain(*setup.work, setup.options, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kInterrupted);
  }
}

TEST(Pretrain, SaysWhenTheLossIsNotFinite) {
  PretrainingSetup setup(json{{"epochs", 3}});
  {
    const torch::NoGradGuard no_grad;
    setup.task->model()->named_parameters()["embedding.weight"].fill_(std::nan(""));
  }
  try {
    pretrain(*setup.work, setup.options, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kCheck);
    EXPECT_NE(std::string(error.what()).find("the loss is not finite at step 1"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace attend
