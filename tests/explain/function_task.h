// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A task whose output is any function of which units are there: measures of faithfulness can be
// held against values worked out by hand.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "attend/tasks/task.h"

namespace attend::testing {

using KeptFunction = std::function<double(const std::vector<bool>&)>;  // -> log-odds of "yes"

class KeptDataset : public Dataset {
 public:
  explicit KeptDataset(std::vector<std::vector<bool>> rows) : rows_(std::move(rows)) {}
  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  int64_t length(int64_t row) const override { return static_cast<int64_t>(kept(row).size()); }
  std::string input(int64_t row) const override {
    return std::string(static_cast<size_t>(length(row)), 'x');
  }
  std::string gold(int64_t) const override { return "yes"; }
  std::string notice(int64_t) const override { return ""; }
  std::string description() const override { return "sets of units"; }
  std::shared_ptr<Dataset> subset(std::span<const int64_t> rows) const override {
    std::vector<std::vector<bool>> chosen;
    for (const int64_t row : rows) chosen.push_back(kept(row));
    return std::make_shared<KeptDataset>(chosen);
  }
  const std::vector<bool>& kept(int64_t row) const { return rows_[static_cast<size_t>(row)]; }

 private:
  std::vector<std::vector<bool>> rows_;
};

class FunctionTask : public Task {
 public:
  explicit FunctionTask(KeptFunction function) : function_(std::move(function)) {}

  /// Examples of which every unit is there.
  static std::shared_ptr<Dataset> whole(const std::vector<size_t>& units) {
    std::vector<std::vector<bool>> rows;
    for (const size_t count : units) rows.emplace_back(count, true);
    return std::make_shared<KeptDataset>(rows);
  }

  std::string name() const override { return "function"; }
  nlohmann::json default_config() const override { return {}; }
  std::shared_ptr<Dataset> prepare(const nlohmann::json&,
                                   const std::vector<std::string>&) override {
    throw std::logic_error("not trained");
  }
  void before_training(const Dataset&, const Dataset&) override {}
  void after_training(const Dataset&) override {}
  nlohmann::json state() const override { return {}; }
  void save_files(const std::filesystem::path&) const override {}
  void load(const nlohmann::json&, const nlohmann::json&, const std::filesystem::path&) override {}
  std::shared_ptr<torch::nn::Module> model() const override { return model_; }
  std::shared_ptr<Dataset> read(const std::string&, bool) const override { return whole({3}); }
  std::shared_ptr<Dataset> from_inputs(const std::vector<std::string>& inputs) const override {
    return whole(std::vector<size_t>(inputs.size(), 3));
  }
  Batch collate(const Dataset& data, std::span<const int64_t> rows) const override {
    Batch batch;
    batch.size = static_cast<int64_t>(rows.size());
    std::vector<double> odds;
    for (const int64_t row : rows) {
      odds.push_back(function_(dynamic_cast<const KeptDataset&>(data).kept(row)));
    }
    batch.inputs["odds"] = torch::tensor(odds, torch::kFloat64);
    batch.targets = torch::ones({batch.size}, torch::kInt64);
    return batch;
  }
  TaskOutput forward(const Batch& batch, const ForwardRequest&) override {
    computed += batch.size;
    ++batches;
    TaskOutput output;
    output.scores =
        torch::stack({torch::zeros({batch.size}, torch::kFloat64), batch.inputs.at("odds")}, 1);
    output.readout = torch::ones({batch.size, 1});
    return output;
  }
  torch::Tensor loss(const TaskOutput&, const Batch&, const LossOptions&) const override {
    return torch::zeros({});
  }
  std::vector<double> balanced_class_weights(const Dataset&) const override { return {}; }
  std::unique_ptr<Metrics> new_metrics() const override { return nullptr; }
  PrimaryMetric primary_metric() const override { return {"accuracy", true}; }
  std::vector<Prediction> predict(const TaskOutput&, int64_t) const override {
    return {{{"yes", 1, 1}}};
  }
  std::vector<Unit> units(const Dataset& data, int64_t row) const override {
    std::vector<Unit> units;
    for (int64_t i = 0; i < data.length(row); ++i) units.push_back({"x", {i, i + 1}});
    return units;
  }
  std::string unit_kind() const override { return "character"; }
  int64_t leading_positions() const override { return 0; }
  std::shared_ptr<Dataset> without_units(const Dataset&, int64_t,
                                         const std::vector<std::vector<bool>>& keep,
                                         Removal) const override {
    return std::make_shared<KeptDataset>(keep);
  }
  Target find_target(const Dataset&, int64_t, const TaskOutput&,
                     const std::string&) const override {
    return {"yes"};
  }
  torch::Tensor target_scores(const TaskOutput& output, const Target&) const override {
    return output.scores.select(1, 1);
  }
  torch::Tensor target_log_probabilities(const TaskOutput& output, const Target&) const override {
    return output.scores.log_softmax(1).select(1, 1);
  }
  torch::Tensor embed(const Batch&) override { return {}; }
  TaskOutput forward_from_embeddings(const torch::Tensor&, const Batch& batch,
                                     const ForwardRequest& request) override {
    return forward(batch, request);
  }
  torch::Tensor additive_contributions(const Batch&) override { return {}; }

  int64_t computed = 0;  ///< examples that went through forward
  int64_t batches = 0;

 private:
  KeptFunction function_;
  std::shared_ptr<torch::nn::Module> model_ = std::make_shared<torch::nn::Module>();
};

}  // namespace attend::testing
