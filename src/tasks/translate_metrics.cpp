// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "translate_metrics.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "parallel_dataset.h"

namespace attend {
namespace {

struct Outcome {
  BleuCounts lower_case;
  BleuCounts as_it_is;
  ChrfCounts chrf;
  double loss = 0;
  int64_t tokens = 0;
};

class TranslationMetrics : public Metrics {
 public:
  explicit TranslationMetrics(TranslationScoring scoring) : scoring_(std::move(scoring)) {}

  // Without the texts there is nothing to compare with; see add_examples.
  void add(const TaskOutput& output, const Batch& batch) override { add_losses(output, batch); }

  void add_examples(const Dataset& data, std::span<const int64_t> rows, const Batch& batch,
                    const TaskOutput& output) override {
    const size_t first = outcomes_.size();
    add_losses(output, batch);
    std::vector<int64_t> chosen;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (scoring_.sentences < 0 || rows[i] < scoring_.sentences) {
        chosen.push_back(static_cast<int64_t>(i));
      }
    }
    if (chosen.empty()) return;
    Batch sources;
    sources.size = static_cast<int64_t>(chosen.size());
    for (const char* name : {"source", "source_lengths"}) {
      sources.inputs[name] = batch.inputs.at(name).index_select(0, torch::tensor(chosen));
    }
    const std::vector<std::string> texts = scoring_.translate(sources);
    const auto& pairs = dynamic_cast<const ParallelDataset&>(data);
    for (size_t i = 0; i < chosen.size(); ++i) {
      const auto at = static_cast<size_t>(chosen[i]);
      const ParallelExample& example = pairs.example(rows[at]);
      Outcome& outcome = outcomes_[first + at];
      outcome.lower_case = count_bleu(texts[i], example.references, {scoring_.tokenizer, true});
      outcome.as_it_is = count_bleu(texts[i], example.references, {scoring_.tokenizer, false});
      outcome.chrf = count_chrf(texts[i], example.references);
      least_references_ = std::min(least_references_, example.references.size());
      most_references_ = std::max(most_references_, example.references.size());
    }
    translated_ += static_cast<int64_t>(chosen.size());
  }

  int64_t examples() const override { return static_cast<int64_t>(outcomes_.size()); }

  std::map<std::string, double> compute(std::span<const int64_t> sample) const override {
    Outcome sum;
    for (const int64_t index : sample) {
      const Outcome& one = outcomes_[static_cast<size_t>(index)];
      sum.lower_case += one.lower_case;
      sum.as_it_is += one.as_it_is;
      sum.chrf += one.chrf;
      sum.loss += one.loss;
      sum.tokens += one.tokens;
    }
    std::map<std::string, double> values{
        {"loss", sum.loss / static_cast<double>(std::max<int64_t>(1, sum.tokens))}};
    if (scoring_.sentences != 0) {
      values["bleu"] = bleu(sum.lower_case);
      values["sacrebleu"] = bleu(sum.as_it_is);
      values["chrf"] = chrf(sum.chrf);
    }
    return values;
  }

  nlohmann::json details() const override {
    Outcome sum;
    for (const Outcome& one : outcomes_) sum.as_it_is += one.as_it_is;
    const std::string references =
        least_references_ == most_references_ ? std::to_string(most_references_) : "var";
    return {
        {"signatures",
         {{"bleu", bleu_signature({scoring_.tokenizer, true}, references, ATTEND_VERSION)},
          {"sacrebleu", bleu_signature({scoring_.tokenizer, false}, references, ATTEND_VERSION)},
          {"chrf", chrf_signature(references, ATTEND_VERSION)}}},
        {"translated", translated_},
        {"search", scoring_.search},
        {"words", sum.as_it_is.length},
        {"reference_words", sum.as_it_is.reference_length}};
  }

 private:
  void add_losses(const TaskOutput& output, const Batch& batch) {
    const torch::Tensor gold =
        scoring_.gold_log_probabilities(output, batch).to(torch::kDouble).sum(1).contiguous();
    const torch::Tensor tokens = batch.targets.ge(0).sum(1).contiguous();
    for (int64_t i = 0; i < batch.size; ++i) {
      Outcome outcome;
      outcome.loss = -gold.data_ptr<double>()[i];
      outcome.tokens = tokens.data_ptr<int64_t>()[i];
      outcomes_.push_back(outcome);
    }
  }

  TranslationScoring scoring_;
  std::vector<Outcome> outcomes_;
  size_t least_references_ = 1'000'000;
  size_t most_references_ = 0;
  int64_t translated_ = 0;
};

}  // namespace

std::unique_ptr<Metrics> new_translation_metrics(TranslationScoring scoring) {
  return std::make_unique<TranslationMetrics>(std::move(scoring));
}

}  // namespace attend
