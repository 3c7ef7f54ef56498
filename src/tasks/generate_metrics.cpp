// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generate_metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "attend/data/tokenizer.h"
#include "attend/nn/linear_cross_entropy.h"
#include "generate_dataset.h"

namespace attend {
namespace {

// Negative log likelihood of the targets of each row, [batch] in double precision.
torch::Tensor losses(LanguageModel& model, const torch::Tensor& hidden,
                     const torch::Tensor& targets) {
  const torch::Tensor each =
      model->log_probabilities(hidden.flatten(0, 1), targets.flatten().contiguous());
  return -each.view(targets.sizes()).to(torch::kFloat64).sum(1).contiguous();
}

// The batch with every prompt empty.
Batch without_prompts(const Batch& batch) {
  Batch bare = batch;
  torch::Tensor tokens = torch::full_like(batch.inputs.at("tokens"), kPaddingId);
  torch::Tensor targets = torch::full_like(batch.targets, kNoTarget);
  torch::Tensor lengths = batch.inputs.at("lengths").clone();
  const auto from = batch.inputs.at("tokens").accessor<int64_t, 2>();
  const auto from_targets = batch.targets.accessor<int64_t, 2>();
  auto to = tokens.accessor<int64_t, 2>();
  auto to_targets = targets.accessor<int64_t, 2>();
  auto length = lengths.accessor<int64_t, 1>();
  for (int64_t b = 0; b < batch.size; ++b) {
    int64_t prompt = 0;
    while (from[b][1 + prompt] != kSeparatorId) ++prompt;
    to[b][0] = from[b][0];
    for (int64_t i = 1 + prompt; i < length[b]; ++i) {
      to[b][i - prompt] = from[b][i];
      to_targets[b][i - prompt] = from_targets[b][i];
    }
    length[b] -= prompt;
  }
  bare.inputs["tokens"] = tokens;
  bare.inputs["lengths"] = lengths;
  bare.targets = targets;
  return bare;
}

}  // namespace

void GenerateMetrics::add(const TaskOutput& output, const Batch& batch) {
  torch::NoGradGuard no_grad;
  const torch::Tensor given = losses(model_, output.hidden, batch.targets);
  torch::Tensor alone = given;
  Batch bare = batch;
  if (options_.prompts) {
    bare = without_prompts(batch);
    DecoderCall call;
    call.lengths = bare.inputs.at("lengths");
    const torch::Tensor hidden =
        model_->forward(model_->embed(bare.inputs.at("tokens")), call).hidden;
    alone = losses(model_, hidden, bare.targets);
  }
  const auto targets = bare.targets.accessor<int64_t, 2>();
  const auto characters = batch.inputs.at("characters").accessor<int64_t, 1>();
  for (int64_t b = 0; b < batch.size; ++b) {
    Outcome outcome;
    outcome.with_prompt = given.data_ptr<double>()[b];
    outcome.alone = alone.data_ptr<double>()[b];
    outcome.characters = characters[b];
    std::vector<int32_t> text;
    for (int64_t i = 0; i < bare.targets.size(1); ++i) {
      const int64_t target = targets[b][i];
      if (target == kNoTarget) continue;
      ++outcome.tokens;
      outcome.unknown += target == kUnknownId ? 1 : 0;
      text.push_back(static_cast<int32_t>(target));
    }
    if (options_.peer) {
      const KneserNey& peer = options_.peer();
      const bool whole = !text.empty() && text.back() == kSeparatorId;
      for (size_t i = 0; i < text.size(); ++i) {
        const bool end = whole && i + 1 == text.size();
        outcome.peer -=
            std::log(peer.probability(std::span(text).first(i), end ? peer.end_symbol() : text[i]));
      }
    }
    outcomes_.push_back(outcome);
  }
}

std::map<std::string, double> GenerateMetrics::compute(std::span<const int64_t> sample) const {
  Outcome sum;
  for (const int64_t index : sample) {
    const Outcome& one = outcomes_[static_cast<size_t>(index)];
    sum.alone += one.alone;
    sum.with_prompt += one.with_prompt;
    sum.peer += one.peer;
    sum.tokens += one.tokens;
    sum.characters += one.characters;
  }
  const double tokens = std::max<double>(1, static_cast<double>(sum.tokens));
  std::map<std::string, double> values = {
      {"perplexity", std::exp(sum.alone / tokens)},
      {"bits_per_character",
       sum.alone / std::log(2.0) / std::max<double>(1, static_cast<double>(sum.characters))}};
  if (options_.prompts) values["perplexity_with_prompt"] = std::exp(sum.with_prompt / tokens);
  if (options_.peer) values["peer_perplexity"] = std::exp(sum.peer / tokens);
  return values;
}

nlohmann::json GenerateMetrics::details() const {
  int64_t tokens = 0, unknown = 0;
  for (const Outcome& one : outcomes_) {
    tokens += one.tokens;
    unknown += one.unknown;
  }
  nlohmann::json details = {{"tokens", tokens}, {"unknown_tokens", unknown}};
  if (options_.peer) details["peer"] = "interpolated Kneser-Ney 5-gram of the training texts";
  return details;
}

}  // namespace attend
