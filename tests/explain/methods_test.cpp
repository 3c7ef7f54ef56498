// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Every method against its formula, on models whose parts the test can compute itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "attend/base/error.h"
#include "attend/explain/explain.h"
#include "attend/nn/attention_inputs.h"
#include "fake_tasks.h"

namespace attend {
namespace {

using testing::EncoderTask;
using testing::IdDataset;
using testing::LinearTask;
using testing::SequenceTask;

EncoderOptions two_layers() {
  EncoderOptions options;
  options.layers = 2;
  options.hidden = 8;
  options.heads = 2;
  options.feed_forward = 12;
  return options;
}

const std::vector<int64_t> kIds = {3, 7, 1, 9, 4, 2};

std::vector<double> scores_of(Task& task, const Dataset& data, const std::string& method,
                              ExplainOptions options = {}) {
  options.methods = {method};
  options.views = options.evidence = false;
  return explain(task, data, 0, options).attributions.at(0).scores;
}

torch::Tensor tensor_of(const std::vector<double>& scores) {
  return torch::tensor(scores, torch::kDouble);
}

void expect_close(const std::vector<double>& actual, const torch::Tensor& expected,
                  double tolerance = 1e-9) {
  ASSERT_EQ(static_cast<int64_t>(actual.size()), expected.size(0));
  EXPECT_LT((tensor_of(actual) - expected).abs().max().item<double>(), tolerance)
      << tensor_of(actual) << expected;
}

// Without the diagonal that it starts from, rows made to sum to 1, and the diagonal again:
// equations 8 and 9 of Chefer et al. 2021.
torch::Tensor normalised(const torch::Tensor& relevance) {
  const torch::Tensor own = torch::eye(relevance.size(0), torch::kDouble);
  const torch::Tensor mixed = relevance - own;
  const torch::Tensor sums = mixed.sum(1, true);
  return torch::where(sums == 0, torch::zeros_like(mixed), mixed / sums) + own;
}

TaskOutput traced(Task& task, const Dataset& data) {
  const std::vector<int64_t> rows = {0};
  ForwardRequest request(TraceRequest::all_weights());
  request.trace.statistics.hidden = request.trace.statistics.inputs = true;
  torch::NoGradGuard no_grad;
  return task.forward(task.collate(data, rows), request);
}

// In a linear model every attribution by gradients or removal is the unit's own term.
TEST(Methods, AllAgreeOnALinearModel) {
  torch::manual_seed(1);
  LinearTask task(20, 5);
  const IdDataset data({kIds});
  const double sign = explain(task, data, 0).target == "yes" ? 1 : -1;
  std::vector<double> terms;
  for (const int64_t id : kIds) terms.push_back(sign * task.contribution(id));
  for (const char* method : {"gradient-x-input", "integrated-gradients"}) {
    expect_close(scores_of(task, data, method), tensor_of(terms));
  }
  // Log-odds are twice the logit here.
  for (const Removal removal : {Removal::kDelete, Removal::kMask}) {
    ExplainOptions options;
    options.removal = removal;
    expect_close(scores_of(task, data, "occlusion", options), 2 * tensor_of(terms), 1e-8);
  }
  ExplainOptions options;
  options.window = 2;
  const auto windows = scores_of(task, data, "occlusion-window", options);
  const auto term = [&](size_t i) { return 2 * terms[i]; };
  EXPECT_NEAR(windows[0], (term(0) + term(1)) / 2, 1e-8);
  EXPECT_NEAR(windows[2], ((term(1) + term(2)) / 2 + (term(2) + term(3)) / 2) / 2, 1e-8);
  // Groups are removed together, and scores of groups are sums.
  options = {};
  options.spans = "1-3";
  expect_close(scores_of(task, data, "occlusion", options),
               tensor_of({term(0), term(1) + term(2) + term(3), term(4), term(5)}), 1e-8);
  expect_close(scores_of(task, data, "integrated-gradients", options),
               tensor_of({terms[0], terms[1] + terms[2] + terms[3], terms[4], terms[5]}));
}

class OnEncoders : public ::testing::TestWithParam<PoolingKind> {
 protected:
  OnEncoders() {
    torch::manual_seed(2);
    task_ = std::make_unique<EncoderTask>(two_layers(), GetParam());
  }

  std::unique_ptr<EncoderTask> task_;
  IdDataset data_{{kIds}};
};

TEST_P(OnEncoders, AttentionIsReadOutThroughTheChosenLayerAndHead) {
  const TaskOutput output = traced(*task_, data_);
  const torch::Tensor q = output.readout[0];
  const auto& layers = output.trace.layers;
  expect_close(scores_of(*task_, data_, "attention"), q.matmul(layers[1].weights[0].mean(0)));
  ExplainOptions options;
  options.layer = 0;
  options.head = 1;
  expect_close(scores_of(*task_, data_, "attention", options), q.matmul(layers[0].weights[0][1]));
  expect_close(scores_of(*task_, data_, "attention-mean"),
               0.5 * q.matmul(layers[0].weights[0].mean(0) + layers[1].weights[0].mean(0)));
}

TEST_P(OnEncoders, RolloutIsTheProductOfTheMatrices) {
  const TaskOutput output = traced(*task_, data_);
  torch::Tensor product = torch::eye(6, torch::kDouble);
  for (const LayerTrace& layer : output.trace.layers) {
    torch::Tensor mixed = layer.weights[0].mean(0) + torch::eye(6, torch::kDouble);
    mixed = mixed / mixed.sum(1, true);
    product = mixed.matmul(product);
  }
  expect_close(scores_of(*task_, data_, "rollout"), output.readout[0].matmul(product));
}

// || sum over heads of (q A_h)[j] V_h[j] W_O,h ||, from the module's own parameters.
TEST_P(OnEncoders, NormBasedIsTheLengthOfWhatIsCarried) {
  const TaskOutput output = traced(*task_, data_);
  const LayerTrace& layer = output.trace.layers[1];
  auto parameters = task_->model()->named_parameters();
  const torch::Tensor x = torch::layer_norm(output.trace.layers[0].hidden[0], {8},
                                            parameters["encoder.block_1.attention_norm.weight"],
                                            parameters["encoder.block_1.attention_norm.bias"]);
  const torch::Tensor values =
      torch::linear(x, parameters["encoder.block_1.attention.value.weight"],
                    parameters["encoder.block_1.attention.value.bias"]);
  const torch::Tensor weight = parameters["encoder.block_1.attention.output.weight"];
  torch::Tensor carried = torch::zeros({6, 8}, torch::kDouble);
  for (int64_t head = 0; head < 2; ++head) {
    const torch::Tensor share = output.readout[0].matmul(layer.weights[0][head]).unsqueeze(1);
    carried += share * values.narrow(1, 4 * head, 4).matmul(weight.narrow(1, 4 * head, 4).t());
  }
  expect_close(scores_of(*task_, data_, "norm-based"), carried.norm(2, 1).detach());
}

// Each layer is run anew with one value zeroed at a time, one position at a time.
TEST_P(OnEncoders, ValueZeroingEqualsRecomputation) {
  torch::NoGradGuard no_grad;
  const TaskOutput output = traced(*task_, data_);
  const std::vector<int64_t> rows = {0};
  const Batch batch = task_->collate(data_, rows);
  torch::Tensor chain = output.readout;  // [1, 6]
  for (int64_t layer = 1; layer >= 0; --layer) {
    torch::Tensor changes = torch::zeros({6, 6}, torch::kDouble);
    for (int64_t j = 0; j < 6; ++j) {
      ForwardRequest request(TraceRequest::all_weights());
      request.trace.statistics.hidden = true;
      AttentionEdit edit;
      edit.layers = {layer};
      edit.value_scale = torch::ones({1, 6}, torch::kDouble);
      edit.value_scale[0][j] = 0;
      request.edits = {edit};
      const auto index = static_cast<size_t>(layer);
      const torch::Tensor after = task_->forward(batch, request).trace.layers[index].hidden[0];
      const torch::Tensor before = output.trace.layers[index].hidden[0];
      for (int64_t i = 0; i < 6; ++i) {
        changes[i][j] = 1 - (after[i].dot(before[i]) / (after[i].norm() * before[i].norm()));
      }
    }
    changes = changes / changes.sum(1, true);
    chain = 0.5 * chain + 0.5 * chain.matmul(changes);
  }
  expect_close(scores_of(*task_, data_, "value-zeroing"), chain[0], 1e-7);
}

// The weights' gradients by autograd on the plain path; R as whole matrices.
TEST_P(OnEncoders, GradAttentionFollowsTheRulesOfChefer) {
  const std::vector<int64_t> rows = {0};
  const Batch batch = task_->collate(data_, rows);
  const TaskOutput output = task_->forward_from_embeddings(
      task_->embed(batch).requires_grad_(true), batch, ForwardRequest(TraceRequest::all_weights()));
  const Target target = task_->find_target(data_, 0, output, "");
  std::vector<torch::Tensor> weights;
  for (const LayerTrace& layer : output.trace.layers) weights.push_back(layer.weights);
  if (GetParam() == PoolingKind::kAttention) weights.push_back(output.readout_weights);
  const auto gradients =
      torch::autograd::grad({task_->target_scores(output, target).sum()}, weights);
  torch::Tensor relevance = torch::eye(6, torch::kDouble);
  for (size_t layer = 0; layer < 2; ++layer) {
    const torch::Tensor cam = (weights[layer] * gradients[layer])[0].clamp_min(0).mean(0);
    relevance = relevance + cam.matmul(relevance);
  }
  torch::Tensor expected;
  if (GetParam() == PoolingKind::kAttention) {
    // A cross-attention with one query.
    expected = (weights[2] * gradients[2])[0].clamp_min(0).mean(0).matmul(normalised(relevance));
  } else {
    expected = output.readout[0].matmul(relevance - torch::eye(6, torch::kDouble));
  }
  expect_close(scores_of(*task_, data_, "grad-attention"), expected.detach());
  expect_close(scores_of(*task_, data_, "attention-x-gradient"),
               (weights[1] * gradients[1])[0].sum(0).sum(0).detach());
}

// The gradient by the weights of one layer while they are scaled from 0 to 1, on a fine grid.
TEST_P(OnEncoders, IntegratedAttentionIsTheMeanOnTheWay) {
  if (GetParam() == PoolingKind::kMax) return;  // jumps on the way
  constexpr int kGrid = 200;
  const std::vector<int64_t> rows = {0};
  const Batch batch = task_->collate(data_, rows);
  const TaskOutput output = task_->forward_from_embeddings(
      task_->embed(batch).requires_grad_(true), batch, ForwardRequest(TraceRequest::all_weights()));
  const Target target = task_->find_target(data_, 0, output, "");
  torch::Tensor relevance = torch::eye(6, torch::kDouble);
  for (int64_t layer = 0; layer < 2; ++layer) {
    torch::Tensor mean = torch::zeros({1, 2, 6, 6}, torch::kDouble);
    for (int k = 0; k < kGrid; ++k) {
      const double scale = (k + 0.5) / kGrid;
      ForwardRequest request(TraceRequest::all_weights());
      AttentionEdit edit;
      edit.layers = {layer};
      edit.value_scale = torch::full({1, 6}, scale, torch::kDouble);
      request.edits = {edit};
      const TaskOutput scaled =
          task_->forward_from_embeddings(task_->embed(batch).requires_grad_(true), batch, request);
      // By the scaled weights: those of the trace are unscaled, the values carry the factor.
      mean += torch::autograd::grad({task_->target_scores(scaled, target).sum()},
                                    {scaled.trace.layers[size_t(layer)].weights})[0] /
              scale / kGrid;
    }
    const torch::Tensor cam =
        (output.trace.layers[size_t(layer)].weights.detach() * mean)[0].clamp_min(0).mean(0);
    relevance = relevance + cam.matmul(relevance);
  }
  torch::Tensor expected = output.readout[0].matmul(relevance - torch::eye(6, torch::kDouble));
  if (GetParam() == PoolingKind::kAttention) {
    const torch::Tensor gradient = torch::autograd::grad(
        {task_->target_scores(output, target).sum()}, {output.readout_weights})[0];
    expected =
        (output.readout_weights * gradient)[0].clamp_min(0).mean(0).matmul(normalised(relevance));
  }
  expect_close(scores_of(*task_, data_, "integrated-attention"), expected.detach(),
               2e-3 * expected.abs().max().item<double>());
}

TEST_P(OnEncoders, IntegratedGradientsAreComplete) {
  const std::vector<int64_t> rows = {0};
  const Batch batch = task_->collate(data_, rows);
  const TaskOutput output = task_->forward(batch, {});
  const Target target = task_->find_target(data_, 0, output, "");
  const torch::Tensor embeddings = task_->embed(batch);
  const auto score = [&](const torch::Tensor& x) {
    return task_->target_scores(task_->forward_from_embeddings(x, batch, {}), target)
        .item<double>();
  };
  const double change = score(embeddings) - score(torch::zeros_like(embeddings));
  ExplainOptions options;
  options.methods = {"integrated-gradients"};
  options.path_steps = 200;
  const Attribution fine = explain(*task_, data_, 0, options).attributions[0];
  const double sum = tensor_of(fine.scores).sum().item<double>();
  const std::string says = "200 steps; completeness residual ";
  ASSERT_NE(fine.note.find(says), std::string::npos) << fine.note;
  const double residual = std::stod(fine.note.substr(fine.note.find(says) + says.size()));
  EXPECT_NEAR(residual, change - sum, 0.06 * std::abs(change - sum) + 1e-12);  // two digits
  // The slope jumps where another position takes the maximum, so that case converges slowly.
  const bool jumps = GetParam() == PoolingKind::kMax;
  EXPECT_NEAR(sum, change, (jumps ? 2e-2 : 1e-3) * std::abs(change));
  if (jumps) return;
  // Left alone, steps are doubled until the residual is small.
  options.path_steps = 0;
  const Attribution chosen = explain(*task_, data_, 0, options).attributions[0];
  EXPECT_NEAR(tensor_of(chosen.scores).sum().item<double>(), change, 0.011 * std::abs(change));
  // A rule with few nodes is not exact on a curved path: the residual says so.
  options.path_steps = 1;
  const Attribution coarse = explain(*task_, data_, 0, options).attributions[0];
  EXPECT_GT(std::abs(tensor_of(coarse.scores).sum().item<double>() - change), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Pooling, OnEncoders,
                         ::testing::Values(PoolingKind::kAttention, PoolingKind::kMean,
                                           PoolingKind::kMax),
                         [](const auto& one) { return to_string(one.param); });

// Many positions in chunks give what few give at once.
TEST(Methods, GradientTilesCoverLongInputs) {
  torch::manual_seed(4);
  EncoderOptions options = two_layers();
  options.layers = 1;
  options.positions = PositionKind::kNone;
  EncoderTask task(options, PoolingKind::kAttention);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 1500; ++i) ids.push_back(1 + i % 19);
  const IdDataset data({ids});
  const auto scores = scores_of(task, data, "attention-x-gradient");
  const std::vector<int64_t> rows = {0};
  const Batch batch = task.collate(data, rows);
  const TaskOutput output = task.forward_from_embeddings(
      task.embed(batch).requires_grad_(true), batch, ForwardRequest(TraceRequest::all_weights()));
  const Target target = task.find_target(data, 0, output, "");
  const torch::Tensor& weights = output.trace.layers[0].weights;
  const torch::Tensor gradient =
      torch::autograd::grad({task.target_scores(output, target).sum()}, {weights})[0];
  expect_close(scores, (weights * gradient)[0].sum(0).sum(0).detach(), 1e-9);
}

class OnSequences : public ::testing::Test {
 protected:
  OnSequences() { torch::manual_seed(5); }

  SequenceTask task_;
  IdDataset data_{{kIds}};
};

// Rules 5 to 11 of Chefer et al. with whole matrices, in the order of computation.
TEST_F(OnSequences, GradAttentionFollowsTheRulesForTwoModalities) {
  const std::vector<int64_t> rows = {0};
  const Batch batch = task_.collate(data_, rows);
  const TaskOutput output = task_.forward_from_embeddings(
      task_.embed(batch).requires_grad_(true), batch, ForwardRequest(TraceRequest::all_weights()));
  const Target target{"r", 2};
  std::vector<torch::Tensor> weights;
  for (const LayerTrace& layer : output.trace.layers) weights.push_back(layer.weights);
  const auto gradients =
      torch::autograd::grad({task_.target_scores(output, target).sum()}, weights);
  torch::Tensor inputs = torch::eye(6, torch::kDouble), outputs = torch::eye(4, torch::kDouble);
  torch::Tensor across = torch::zeros({4, 6}, torch::kDouble);
  for (size_t layer = 0; layer < weights.size(); ++layer) {
    const torch::Tensor cam = (weights[layer] * gradients[layer])[0].clamp_min(0).mean(0);
    switch (output.trace.layers[layer].role) {
      case AttentionRole::kSelf:
        inputs = inputs + cam.matmul(inputs);
        break;
      case AttentionRole::kDecoder:
        across = across + cam.matmul(across);
        outputs = outputs + cam.matmul(outputs);
        break;
      case AttentionRole::kCross:
        across = across + normalised(outputs).t().matmul(cam).matmul(normalised(inputs));
        break;
    }
  }
  ExplainOptions options;
  options.target = "r";
  expect_close(scores_of(task_, data_, "grad-attention", options), across[2].detach());
}

TEST_F(OnSequences, AlignmentsRowsAreTheAttributionsOfEachOutput) {
  ExplainOptions options;
  const Explanation explanation = explain(task_, data_, 0, options);
  EXPECT_EQ(explanation.output, "pqrs");
  ASSERT_EQ(explanation.output_units.size(), 4U);
  std::vector<std::string> names;
  for (const Alignment& alignment : explanation.alignments) {
    names.push_back(alignment.method);
    ASSERT_EQ(alignment.scores.size(), 24U);
    for (size_t unit = 0; unit < 4; ++unit) {
      options.target = std::string(1, static_cast<char>('p' + unit));
      const torch::Tensor row = tensor_of(alignment.scores).narrow(0, 6 * int64_t(unit), 6);
      expect_close(scores_of(task_, data_, alignment.method, options), row);
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"attention", "rollout", "norm-based",
                                             "gradient-x-input", "occlusion"}));
}

TEST_F(OnSequences, MapsNameTheirRoleAndTheDecoderReadsWhatStandsBefore) {
  const TaskOutput output = traced(task_, data_);
  const Explanation explanation = explain(task_, data_, 0);
  std::map<int64_t, const AttentionMap*> maps;
  for (const AttentionMap& map : explanation.attention) {
    if (map.head == -1) maps[map.layer] = &map;
  }
  ASSERT_EQ(maps.size(), 5U);
  EXPECT_EQ(maps[0]->role, "self");
  EXPECT_EQ(maps[1]->role, "decoder");
  EXPECT_EQ(maps[2]->role, "cross");
  EXPECT_EQ(maps[2]->rows, 4);
  EXPECT_EQ(maps[2]->columns, 6);
  // Position i gives unit i and holds unit i - 1.
  const torch::Tensor weights = output.trace.layers[1].weights[0].mean(0);
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t column = 0; column < 4; ++column) {
      const double expected = column + 1 < 4 ? weights[row][column + 1].item<double>() : 0;
      EXPECT_NEAR(maps[1]->weights[static_cast<size_t>(4 * row + column)], expected, 1e-6);
    }
  }
}

TEST_F(OnSequences, LayersThatLookAtTheOutputAreRefusedForAttention) {
  ExplainOptions options;
  options.layer = 1;
  try {
    scores_of(task_, data_, "attention", options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("look at the input: 0, 2, 4"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace attend
