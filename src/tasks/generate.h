// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Text generation: a language model of the user's texts, and texts from it.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attend/data/reader.h"
#include "attend/tasks/decoding_task.h"
#include "attend/tasks/kneser_ney.h"
#include "attend/tasks/task.h"
#include "attend/tasks/text_generator.h"
#include "generate_dataset.h"
#include "language_model.h"

namespace attend {

class GenerateTask : public Task, public TextGenerator, public DecodingTask {
 public:
  std::string name() const override { return "generate"; }

  nlohmann::json default_config() const override;
  std::shared_ptr<Dataset> prepare(const nlohmann::json& config,
                                   const std::vector<std::string>& paths) override;
  void before_training(const Dataset& train, const Dataset& dev) override;
  void after_training(const Dataset&) override {}
  nlohmann::json state() const override;
  void save_files(const std::filesystem::path& folder) const override;
  void load(const nlohmann::json& config, const nlohmann::json& state,
            const std::filesystem::path& folder) override;
  std::shared_ptr<torch::nn::Module> model() const override { return model_.ptr(); }

  std::shared_ptr<Dataset> read(const std::string& path, bool with_gold) const override;

  /// A tab divides an input into a prompt and a text, where the model has prompts.
  std::shared_ptr<Dataset> from_inputs(const std::vector<std::string>& inputs) const override;
  Batch collate(const Dataset& data, std::span<const int64_t> rows) const override;

  /// Scores `[batch, vocabulary]` are those of the token behind the text; `hidden` holds what those
  /// of every position are made of. In training there are no scores.
  TaskOutput forward(const Batch& batch, const ForwardRequest& request) override;
  torch::Tensor loss(const TaskOutput& output, const Batch& batch,
                     const LossOptions& options) const override;
  std::vector<double> balanced_class_weights(const Dataset&) const override { return {}; }

  /// perplexity: of the text and its end, without its prompt; perplexity_with_prompt where there
  /// are prompts; bits_per_character; of a finished run also peer_perplexity, that of a Kneser-Ney
  /// 5-gram model of the training texts over the same tokens.
  std::unique_ptr<Metrics> new_metrics() const override;
  PrimaryMetric primary_metric() const override { return {"perplexity", false}; }
  std::vector<Prediction> predict(const TaskOutput& output, int64_t top) const override;

  std::vector<Unit> units(const Dataset& data, int64_t row) const override;
  std::string unit_kind() const override;
  int64_t leading_positions() const override { return 1; }

  /// The place stays, empty: without it, all that follows would stand elsewhere in its line.
  std::vector<Removal> removals() const override { return {Removal::kMask}; }
  std::shared_ptr<Dataset> without_units(const Dataset& data, int64_t row,
                                         const std::vector<std::vector<bool>>& keep,
                                         Removal removal) const override;

  /// Empty: the most likely next token. "#7": the token at unit 7 as it stands there. A unit of the
  /// text: its last place. Any other token of the vocabulary: as the next one.
  Target find_target(const Dataset& data, int64_t row, const TaskOutput& output,
                     const std::string& name) const override;
  torch::Tensor target_scores(const TaskOutput& output, const Target& target) const override;
  torch::Tensor target_log_probabilities(const TaskOutput& output,
                                         const Target& target) const override;
  torch::Tensor target_readout(const TaskOutput& output, const Target& target) const override;
  std::vector<Unit> output_units(const Dataset& data, int64_t row) const override {
    return units(data, row);
  }
  Target output_target(const Dataset& data, int64_t row, int64_t unit) const override;
  torch::Tensor embed(const Batch& batch) override;
  TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                     const ForwardRequest& request) override;
  torch::Tensor additive_contributions(const Batch&) override { return {}; }

  std::vector<GeneratedText> generate(const GenerateRequest& request) override;
  std::unique_ptr<GenerateSession> session(const GenerateRequest& request) override;
  void freeze(Precision precision) override;
  bool takes_prompts() const override { return layout_.prompts; }
  const std::vector<std::string>& training_texts() const override;
  double peer_perplexity(const std::vector<std::string>& texts) const override;
  std::vector<std::string> peer_samples(int64_t order, int64_t count, uint64_t seed) const override;

 private:
  friend class GenerationSession;

  std::vector<GenerateExample> encode(const Row& row, bool gold) const;
  void build_model();
  torch::Tensor target_logits(const TaskOutput& output, const Target& target) const;
  int64_t token_of(const std::string& label) const;
  std::vector<int32_t> tokens_of(const std::string& text) const;
  const KneserNey& peer(int64_t order) const;

  nlohmann::json config_;
  std::string description_;
  SequenceLayout layout_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  mutable LanguageModel model_{nullptr};
  std::filesystem::path corpus_file_;           // of a finished run
  mutable std::vector<std::string> corpus_;     // training texts; read when they are first needed
  mutable std::map<int64_t, KneserNey> peers_;  // by order
};

}  // namespace attend
