// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/objective.h"

#include <gtest/gtest.h>

#include "../tasks/small_task.h"

namespace attend {
namespace {

using nlohmann::json;

/// The classifier of small_task.h while it is trained, and a batch of its examples.
struct ObjectiveSetup {
  explicit ObjectiveSetup(double dropout, const json& settings = json::object()) {
    torch::manual_seed(5);
    task = make_task("text-class");
    const json model = {{"embedding_dropout", dropout}, {"dropout", dropout}};
    const json config = merge_config(testing::small_config(*task), {{"model", model}}, "test");
    train = task->prepare(merge_config(config, settings, "test"),
                          {folder.write("train.tsv", testing::marker_corpus(60, 1))});
    task->before_training(*train, *train);
    task->model()->train();
  }

  torch::Tensor loss() {
    torch::manual_seed(7);
    return training_loss(*task, *train, rows, options, {});
  }

  testing::TemporaryFolder folder;
  std::unique_ptr<Task> task;
  std::shared_ptr<Dataset> train;
  std::vector<int64_t> rows{3, 14, 15, 9, 2};
  TrainOptions options;
};

TEST(TrainingLoss, IsTheLossOfTheTaskWhereNothingIsAdded) {
  ObjectiveSetup setup(0.3);
  const torch::Tensor value = setup.loss();
  torch::manual_seed(7);
  const Batch batch = setup.task->collate(*setup.train, setup.rows);
  EXPECT_TRUE(torch::equal(value, setup.task->loss(setup.task->forward(batch, {}), batch, {})));
}

TEST(TrainingLoss, TheAdversarialStepHasItsLengthAndGoesUphill) {
  // With the wide term in the model too, which the loss of the deep part leaves out.
  const json wide = {{"text", {{"ngrams", {{"word_max", 2}}}}}, {"model", {{"wide", "fitted"}}}};
  for (const json& settings : {json::object(), wide}) {
    ObjectiveSetup setup(0, settings);
    const double plain = setup.loss().item<double>();
    double before = plain;
    for (const double length : {0.05, 0.5}) {
      setup.options.adversarial = length;
      const double added = setup.loss().item<double>() - plain;
      EXPECT_GT(added, before) << length;  // the further up, the larger
      before = added;

      const Batch batch = setup.task->collate(*setup.train, setup.rows);
      const torch::Tensor embeddings = setup.task->embed(batch).detach().requires_grad_();
      const TaskOutput output = setup.task->forward_from_embeddings(embeddings, batch, {});
      setup.task->loss(output, batch, {}).backward();
      torch::Tensor moved = embeddings.detach().clone();
      for (int64_t b = 0; b < batch.size; ++b) {
        const torch::Tensor gradient = embeddings.grad()[b];
        moved[b] += length * gradient / gradient.norm();
      }
      const TaskOutput of_moved = setup.task->forward_from_embeddings(moved, batch, {});
      EXPECT_NEAR(added, setup.task->loss(of_moved, batch, {}).item<double>(), 2e-6) << length;
    }
  }
}

TEST(TrainingLoss, ItsGradientsReachEveryWeightThatThePlainOneReaches) {
  ObjectiveSetup setup(0.1);
  setup.loss().backward();
  std::map<std::string, bool> reached;
  for (const auto& entry : setup.task->model()->named_parameters()) {
    reached[entry.key()] = entry.value().grad().defined();
    entry.value().mutable_grad() = torch::Tensor();
  }
  setup.options.adversarial = 0.3;
  const torch::Tensor loss = setup.loss();
  // Finding the step leaves no gradients behind.
  for (const auto& parameter : setup.task->model()->parameters()) {
    EXPECT_FALSE(parameter.grad().defined());
  }
  loss.backward();
  for (const auto& entry : setup.task->model()->named_parameters()) {
    EXPECT_EQ(entry.value().grad().defined(), reached.at(entry.key())) << entry.key();
  }
}

}  // namespace
}  // namespace attend
