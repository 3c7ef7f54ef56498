// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Translation: a sentence in, a sentence out.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attend/nn/encoder_decoder.h"
#include "attend/tasks/decoding_task.h"
#include "attend/tasks/sequence_task.h"
#include "attend/tasks/steered_search.h"
#include "parallel_dataset.h"

namespace attend {

/// An output that is explained: its target names a place by number (from 0) or by a word of the
/// output; the first place is taken if nothing is named. Examples without a target are translated
/// when a batch, their output's units or an explanation needs one.
class TranslateTask : public SequenceTask, public DecodingTask, public SteeredSearch {
 public:
  std::string name() const override { return "translate"; }

  nlohmann::json default_config() const override;
  std::shared_ptr<Dataset> prepare(const nlohmann::json& config,
                                   const std::vector<std::string>& paths) override;
  void before_training(const Dataset&, const Dataset&) override {}
  void after_training(const Dataset&) override {}
  nlohmann::json state() const override;
  void save_files(const std::filesystem::path& folder) const override;
  void load(const nlohmann::json& config, const nlohmann::json& state,
            const std::filesystem::path& folder) override;
  std::shared_ptr<torch::nn::Module> model() const override { return model_; }

  std::shared_ptr<Dataset> read(const std::string& path, bool with_gold) const override;
  std::shared_ptr<Dataset> from_inputs(const std::vector<std::string>& inputs) const override;
  Batch collate(const Dataset& data, std::span<const int64_t> rows) const override;

  TaskOutput forward(const Batch& batch, const ForwardRequest& request) override;
  torch::Tensor loss(const TaskOutput& output, const Batch& batch,
                     const LossOptions& options) const override;
  std::vector<double> balanced_class_weights(const Dataset&) const override { return {}; }
  std::unique_ptr<Metrics> new_metrics() const override;
  std::unique_ptr<Metrics> new_look_metrics() const override;
  PrimaryMetric primary_metric() const override;
  std::vector<Prediction> predict(const TaskOutput& output, int64_t top) const override;

  std::vector<Unit> units(const Dataset& data, int64_t row) const override;
  std::string unit_kind() const override { return "token"; }
  int64_t leading_positions() const override { return 1; }
  std::shared_ptr<Dataset> without_units(const Dataset& data, int64_t row,
                                         const std::vector<std::vector<bool>>& keep,
                                         Removal removal) const override;
  Target find_target(const Dataset& data, int64_t row, const TaskOutput& output,
                     const std::string& name) const override;
  torch::Tensor target_scores(const TaskOutput& output, const Target& target) const override;
  torch::Tensor target_log_probabilities(const TaskOutput& output,
                                         const Target& target) const override;
  torch::Tensor target_readout(const TaskOutput& output, const Target& target) const override;
  std::vector<Unit> output_units(const Dataset& data, int64_t row) const override;
  Target output_target(const Dataset& data, int64_t row, int64_t unit) const override;
  torch::Tensor embed(const Batch& batch) override;
  TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                     const ForwardRequest& request) override;
  torch::Tensor additive_contributions(const Batch&) override { return {}; }

  void freeze(Precision precision) override;
  SearchOptions default_search() const override;
  std::vector<std::vector<ProducedText>> produce(const Dataset& data,
                                                 const ProduceOptions& options) override;
  std::vector<ProducedText> produce_under(const Dataset& data, int64_t row,
                                          const ProduceOptions& options,
                                          const std::vector<AttentionEdit>& edits) override;
  std::vector<std::vector<WordLink>> align(std::span<const WordPair> word_pairs,
                                           const AlignOptions& options) override;
  std::shared_ptr<Dataset> with_output(const Dataset& data, int64_t row,
                                       const std::string& output) override;

  /// The sequences for a batch's sources, without turning them into text.
  std::vector<std::vector<Hypothesis>> translate(
      const Batch& batch, SearchOptions options,
      const std::vector<AttentionEdit>& edits = {}) const;

  /// Log-probability of each of the batch's targets, `[batch, length]`, 0 at padding.
  torch::Tensor gold_log_probabilities(const TaskOutput& output, const Batch& batch) const;

  std::string text_of(const Hypothesis& hypothesis) const;

 private:
  void build_model();
  ProducedText produced_text(const Hypothesis& hypothesis) const;
  int64_t cross_layer(int64_t block) const;
  void translate_missing(const ParallelDataset& data, std::span<const int64_t> rows) const;
  int64_t token_id(const Target& target) const;
  Encoding encoding_of(const std::vector<int64_t>& ids, const std::string& text) const;

  // Scores [target units, source units] of each of `rows`.
  std::vector<torch::Tensor> unit_alignments(const ParallelDataset& data,
                                             std::span<const int64_t> rows,
                                             const AlignOptions& options);
  torch::Tensor occlusion_alignment(const ParallelDataset& data, int64_t row);
  torch::Tensor attention_norms(const torch::Tensor& weights, const torch::Tensor& memory,
                                int64_t block) const;

  nlohmann::json config_;
  std::string bleu_tokenizer_;  // settled from the training targets
  ParallelEncoder encoder_;
  std::shared_ptr<SequenceModelImpl> model_;
};

}  // namespace attend
