// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Text classification: one label per text.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attend/data/reader.h"
#include "attend/nn/text_classifier.h"
#include "attend/tasks/task.h"
#include "classification.h"
#include "row_source.h"
#include "text_dataset.h"

namespace attend {

class TextClassTask : public Task {
 public:
  std::string name() const override { return "text-class"; }

  nlohmann::json default_config() const override;
  std::shared_ptr<Dataset> prepare(const nlohmann::json& config,
                                   const std::vector<std::string>& paths) override;
  void before_training(const Dataset& train, const Dataset& dev) override;
  std::unique_ptr<Pretraining> pretraining(const Dataset& train) override;
  void after_training(const Dataset& dev) override;
  nlohmann::json state() const override;
  void save_files(const std::filesystem::path& folder) const override;
  void load(const nlohmann::json& config, const nlohmann::json& state,
            const std::filesystem::path& folder) override;
  std::shared_ptr<torch::nn::Module> model() const override { return model_.ptr(); }

  std::shared_ptr<Dataset> read(const std::string& path, bool with_gold) const override;
  std::shared_ptr<Dataset> from_inputs(const std::vector<std::string>& inputs) const override;
  Batch collate(const Dataset& data, std::span<const int64_t> rows) const override;

  TaskOutput forward(const Batch& batch, const ForwardRequest& request) override;
  torch::Tensor loss(const TaskOutput& output, const Batch& batch,
                     const LossOptions& options) const override;
  std::vector<double> balanced_class_weights(const Dataset& data) const override;
  std::unique_ptr<Metrics> new_metrics() const override;
  PrimaryMetric primary_metric() const override { return {"accuracy", true}; }
  std::vector<Prediction> predict(const TaskOutput& output, int64_t top) const override;

  std::vector<Unit> units(const Dataset& data, int64_t row) const override;
  std::string unit_kind() const override;
  int64_t leading_positions() const override;
  std::shared_ptr<Dataset> without_units(const Dataset& data, int64_t row,
                                         const std::vector<std::vector<bool>>& keep,
                                         Removal removal) const override;
  /// The mean is over the embeddings of the vocabulary, each entry counted once.
  std::vector<Removal> removals() const override {
    return {Removal::kDelete, Removal::kMask, Removal::kMean};
  }
  Target find_target(const Dataset& data, int64_t row, const TaskOutput& output,
                     const std::string& name) const override;
  torch::Tensor target_scores(const TaskOutput& output, const Target& target) const override;
  torch::Tensor target_log_probabilities(const TaskOutput& output,
                                         const Target& target) const override;
  torch::Tensor embed(const Batch& batch) override;
  TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                     const ForwardRequest& request) override;
  torch::Tensor additive_contributions(const Batch& batch) override;

 private:
  void settle_format(const ReadResult& read);
  std::vector<Row> read_training_rows(const std::vector<std::string>& paths);
  // `key`: the setting that needs them, to keep rows that stand in them out of the training data.
  std::vector<Row> read_dev_rows(const char* key) const;
  // Gives the rows of sources with a margin the labels that they seem to have; see RowJudge.
  void judge_sources(const std::vector<RowSource>& sources, const std::vector<std::string>& paths,
                     const std::vector<Row>& rows, const std::vector<Row>& dev_rows,
                     std::vector<SourceRows>& read) const;
  void note_sources(const std::vector<RowSource>& sources, const std::vector<SourceRows>& read,
                    const char* key);
  int64_t class_of(const std::string& path, const Row& row) const;
  void build_model();
  bool has_fitted_wide() const;
  void pretrain(const Dataset& train);
  std::vector<TextExample> encode(const std::string& path, const std::vector<Row>& rows,
                                  bool with_gold) const;

  nlohmann::json config_;
  LabelSet labels_;
  std::filesystem::path label_file_;      // names for label numbers; empty: labels are names
  std::vector<std::string> label_names_;  // its content, kept until save_files
  std::string description_;               // of the training data
  nlohmann::json sources_ = nlohmann::json::array();  // how many rows each source gave
  std::vector<std::string> plain_texts_;              // for pre-training
  TextEncoder encoder_;
  TextClassifierWithAttention model_{nullptr};
};

}  // namespace attend
