// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Tasks small enough that the right explanation is known or can be computed by hand. All in double
// precision.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "attend/base/error.h"
#include "attend/nn/encoder.h"
#include "attend/nn/masks.h"
#include "attend/nn/multi_head_attention.h"
#include "attend/nn/pooling.h"
#include "attend/tasks/task.h"

namespace attend::testing {

/// Sequences of token ids. A unit is a letter: token t is 'a' + t.
class IdDataset : public Dataset {
 public:
  explicit IdDataset(std::vector<std::vector<int64_t>> rows) : rows_(std::move(rows)) {}

  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  int64_t length(int64_t row) const override { return static_cast<int64_t>(ids(row).size()); }
  std::string input(int64_t row) const override {
    std::string text;
    for (const int64_t id : ids(row)) text += static_cast<char>('a' + id % 26);
    return text;
  }
  std::string gold(int64_t) const override { return "yes"; }
  std::string notice(int64_t) const override { return ""; }
  std::shared_ptr<Dataset> subset(std::span<const int64_t> rows) const override {
    std::vector<std::vector<int64_t>> chosen;
    for (const int64_t row : rows) chosen.push_back(ids(row));
    return std::make_shared<IdDataset>(chosen);
  }
  std::string description() const override { return "ids"; }

  const std::vector<int64_t>& ids(int64_t row) const { return rows_[static_cast<size_t>(row)]; }

 private:
  std::vector<std::vector<int64_t>> rows_;
};

/// What all tasks here share: inputs "tokens" and "lengths", deletion and masking (token 0, whose
/// embedding is zero), two outputs "yes" and "no" of logit z and -z, p(yes) = sigmoid(2 z).
class FakeTask : public Task {
 public:
  std::string name() const override { return "fake"; }
  nlohmann::json default_config() const override { return {}; }
  std::shared_ptr<Dataset> prepare(const nlohmann::json&,
                                   const std::vector<std::string>&) override {
    return nullptr;
  }
  void before_training(const Dataset&, const Dataset&) override {}
  void after_training(const Dataset&) override {}
  nlohmann::json state() const override { return {}; }
  void save_files(const std::filesystem::path&) const override {}
  void load(const nlohmann::json&, const nlohmann::json&, const std::filesystem::path&) override {}
  std::shared_ptr<Dataset> read(const std::string&, bool) const override { return nullptr; }
  std::shared_ptr<Dataset> from_inputs(const std::vector<std::string>&) const override {
    return nullptr;
  }

  Batch collate(const Dataset& data, std::span<const int64_t> rows) const override {
    const auto& all = dynamic_cast<const IdDataset&>(data);
    int64_t longest = 1;
    for (const int64_t row : rows) longest = std::max(longest, all.length(row));
    Batch batch;
    batch.size = static_cast<int64_t>(rows.size());
    torch::Tensor tokens = torch::zeros({batch.size, longest}, torch::kInt64);
    torch::Tensor lengths = torch::zeros({batch.size}, torch::kInt64);
    for (int64_t b = 0; b < batch.size; ++b) {
      const auto& ids = all.ids(rows[static_cast<size_t>(b)]);
      for (size_t i = 0; i < ids.size(); ++i) tokens[b][static_cast<int64_t>(i)] = ids[i];
      lengths[b] = static_cast<int64_t>(ids.size());
    }
    batch.inputs = {{"tokens", tokens}, {"lengths", lengths}};
    batch.targets = torch::zeros({batch.size}, torch::kInt64);
    return batch;
  }

  TaskOutput forward(const Batch& batch, const ForwardRequest& request) override {
    return forward_from_embeddings(embed(batch), batch, request);
  }
  torch::Tensor loss(const TaskOutput& output, const Batch&, const LossOptions&) const override {
    return output.scores.sum();
  }
  std::vector<double> balanced_class_weights(const Dataset&) const override { return {}; }
  std::unique_ptr<Metrics> new_metrics() const override { return std::make_unique<Share>(); }
  PrimaryMetric primary_metric() const override { return {"yes", true}; }
  std::vector<Prediction> predict(const TaskOutput& output, int64_t) const override {
    std::vector<Prediction> all;
    for (int64_t b = 0; b < output.scores.size(0); ++b) {
      const double z = output.scores[b][0].item<double>();
      const double yes = 1 / (1 + std::exp(-2 * z));
      Prediction one = {{"yes", yes, z}, {"no", 1 - yes, -z}};
      if (z < 0) std::swap(one[0], one[1]);
      all.push_back(one);
    }
    return all;
  }

  std::vector<Unit> units(const Dataset& data, int64_t row) const override {
    std::vector<Unit> all;
    const std::string text = data.input(row);
    for (int64_t i = 0; i < data.length(row); ++i) {
      all.push_back({text.substr(static_cast<size_t>(i), 1), {i, i + 1}});
    }
    return all;
  }
  std::string unit_kind() const override { return "letter"; }
  int64_t leading_positions() const override { return 0; }
  std::shared_ptr<Dataset> without_units(const Dataset& data, int64_t row,
                                         const std::vector<std::vector<bool>>& keep,
                                         Removal removal) const override {
    const auto& ids = dynamic_cast<const IdDataset&>(data).ids(row);
    std::vector<std::vector<int64_t>> variants;
    for (const auto& kept : keep) {
      std::vector<int64_t> variant;
      for (size_t i = 0; i < ids.size(); ++i) {
        if (kept[i]) variant.push_back(ids[i]);
        if (!kept[i] && removal == Removal::kMask) variant.push_back(0);
      }
      variants.push_back(variant);
    }
    return std::make_shared<IdDataset>(variants);
  }
  Target find_target(const Dataset&, int64_t, const TaskOutput& output,
                     const std::string& name) const override {
    if (name.empty()) return {predict(output, 1)[0][0].label};
    if (name == "yes" || name == "no") return {name};
    throw usage_error("target " + name + ": yes, no");
  }
  torch::Tensor target_scores(const TaskOutput& output, const Target& target) const override {
    return output.scores.select(1, target.label == "yes" ? 0 : 1);
  }
  torch::Tensor target_log_probabilities(const TaskOutput& output,
                                         const Target& target) const override {
    return torch::log_sigmoid(2 * target_scores(output, target).to(torch::kDouble));
  }

  torch::Tensor embed(const Batch& batch) override {
    return table_.index_select(0, batch.inputs.at("tokens").reshape({-1}))
        .view({batch.size, -1, table_.size(1)});
  }
  torch::Tensor additive_contributions(const Batch&) override { return {}; }

 protected:
  // Mean of the first score over examples: any number that heads can move will do.
  class Share : public Metrics {
   public:
    void add(const TaskOutput& output, const Batch&) override {
      for (int64_t b = 0; b < output.scores.size(0); ++b) {
        values_.push_back(output.scores[b][0].item<double>());
      }
    }
    int64_t examples() const override { return static_cast<int64_t>(values_.size()); }
    std::map<std::string, double> compute(std::span<const int64_t> sample) const override {
      double sum = 0;
      for (const int64_t i : sample) sum += values_[static_cast<size_t>(i)];
      return {{"yes", sum / static_cast<double>(sample.size())}};
    }
    nlohmann::json details() const override { return {}; }

   private:
    std::vector<double> values_;
  };

  static torch::Tensor both_signs(const torch::Tensor& z) { return torch::stack({z, -z}, 1); }

  torch::Tensor table_;  // [tokens, dim]
};

/// z = sum over units of a . embedding, plus what each token adds directly.
class LinearTask : public FakeTask {
 public:
  LinearTask(int64_t tokens, int64_t dim) {
    table_ = torch::randn({tokens, dim}, torch::kDouble);
    table_[0].zero_();
    a_ = torch::randn({dim}, torch::kDouble);
    direct_ = torch::randn({tokens}, torch::kDouble);
    direct_[0] = 0;
    module_ = std::make_shared<torch::nn::Module>();
  }

  std::shared_ptr<torch::nn::Module> model() const override { return module_; }
  TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                     const ForwardRequest&) override {
    const torch::Tensor& lengths = batch.inputs.at("lengths");
    const torch::Tensor direct = zero_padding(per_token(batch).unsqueeze(-1), lengths);
    TaskOutput output;
    output.scores = both_signs(zero_padding(embeddings, lengths).matmul(a_).sum(1) +
                               direct.sum(c10::IntArrayRef{1, 2}));
    output.readout = torch::full(embeddings.sizes().slice(0, 2),
                                 1 / static_cast<double>(embeddings.size(1)), torch::kDouble);
    return output;
  }
  torch::Tensor additive_contributions(const Batch& batch) override {
    return torch::stack({per_token(batch), -per_token(batch)}, 2);
  }

  double contribution(int64_t token) const {
    return (table_[token].dot(a_) + direct_[token]).item<double>();
  }

 private:
  torch::Tensor per_token(const Batch& batch) const {
    const torch::Tensor& tokens = batch.inputs.at("tokens");
    return direct_.index_select(0, tokens.reshape({-1})).view_as(tokens);
  }

  torch::Tensor a_, direct_;
  std::shared_ptr<torch::nn::Module> module_;
};

/// Encoder and pooling; z = a . pooled.
class EncoderTask : public FakeTask {
 public:
  EncoderTask(EncoderOptions encoder, PoolingKind pooling, int64_t tokens = 20)
      : encoder_(encoder), pooling_(PoolingOptions{.kind = pooling, .hidden = encoder.hidden}) {
    module_ = std::make_shared<torch::nn::Module>();
    module_->register_module("encoder", encoder_);
    module_->register_module("pooling", pooling_);
    module_->to(torch::kDouble);
    torch::NoGradGuard no_grad;
    for (torch::Tensor parameter : module_->parameters()) parameter.normal_(0, 0.6);
    table_ = torch::randn({tokens, encoder.hidden}, torch::kDouble);
    table_[0].zero_();
    a_ = torch::randn({encoder.hidden}, torch::kDouble);
    module_->eval();
  }

  std::shared_ptr<torch::nn::Module> model() const override { return module_; }
  TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                     const ForwardRequest& request) override {
    const torch::Tensor& lengths = batch.inputs.at("lengths");
    const int64_t layers = encoder_->options().layers;
    request.check_layers(layers, pooling_->options().kind == PoolingKind::kAttention);
    EncoderOutput encoded = encoder_->forward(embeddings, lengths, request.before(layers));
    const PoolingOutput pooled =
        pooling_->forward(encoded.hidden, lengths, request.edits_of_pooling(layers));
    TaskOutput output;
    output.scores = both_signs(pooled.pooled.matmul(a_.to(pooled.pooled.scalar_type())));
    output.readout = pooled.readout;
    output.readout_weights = pooled.weights;
    output.trace = std::move(encoded.trace);
    return output;
  }

  Encoder encoder() const { return encoder_; }
  void to(torch::ScalarType type) {
    module_->to(type);
    table_ = table_.to(type);
  }

 private:
  Encoder encoder_;
  Pooling pooling_;
  torch::Tensor a_;
  std::shared_ptr<torch::nn::Module> module_;
};

/// One self-attention of the input, then per block self-attention of a fixed output and
/// cross-attention, each with a residual; output unit i ("p", "q", ..) has z = a . vector i.
class SequenceTask : public FakeTask {
 public:
  static constexpr int64_t kHidden = 8, kHeads = 2, kOutputs = 4, kBlocks = 2;

  explicit SequenceTask(int64_t tokens = 20) {
    module_ = std::make_shared<torch::nn::Module>();
    AttentionOptions options{.hidden = kHidden, .heads = kHeads};
    self_ = module_->register_module("self", MultiHeadAttention(options));
    for (int64_t block = 0; block < kBlocks; ++block) {
      const std::string number = std::to_string(block);
      cross_.push_back(module_->register_module("cross" + number, MultiHeadAttention(options)));
      AttentionOptions causal = options;
      causal.causal = true;
      decoder_.push_back(module_->register_module("decoder" + number, MultiHeadAttention(causal)));
    }
    module_->to(torch::kDouble);
    torch::NoGradGuard no_grad;
    for (torch::Tensor parameter : module_->parameters()) parameter.normal_(0, 0.6);
    table_ = torch::randn({tokens, kHidden}, torch::kDouble);
    table_[0].zero_();
    outputs_ = torch::randn({1, kOutputs, kHidden}, torch::kDouble);
    a_ = torch::randn({kHidden}, torch::kDouble);
    module_->eval();
  }

  std::shared_ptr<torch::nn::Module> model() const override { return module_; }
  TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                     const ForwardRequest& request) override {
    request.check_layers(1 + 2 * kBlocks);
    const torch::Tensor& lengths = batch.inputs.at("lengths");
    TaskOutput output;
    int64_t layer = 0;
    const auto attend_to = [&](MultiHeadAttention attention, const torch::Tensor& x,
                               AttentionCall call, AttentionRole role) {
      call.statistics = request.trace.of_layer(layer);
      call.edits = request.edits_of_layer(layer, role);
      AttentionOutput result = attention->forward(x, call);
      const torch::Tensor hidden = x + result.output;
      if (call.statistics.any()) {
        LayerTrace entry;
        static_cast<AttentionStatistics&>(entry) = std::move(result.statistics);
        entry.layer = layer;
        entry.label = "layer " + std::to_string(layer);
        entry.role = role;
        if (call.statistics.hidden) entry.hidden = hidden;
        output.trace.layers.push_back(std::move(entry));
      }
      ++layer;
      return hidden;
    };
    AttentionCall self;
    self.lengths = lengths;
    const torch::Tensor memory = attend_to(self_, embeddings, self, AttentionRole::kSelf);
    torch::Tensor hidden = outputs_.expand({batch.size, -1, -1});
    for (size_t block = 0; block < cross_.size(); ++block) {
      hidden = attend_to(decoder_[block], hidden, {}, AttentionRole::kDecoder);
      AttentionCall cross;
      cross.memory = memory;
      cross.memory_lengths = lengths;
      hidden = attend_to(cross_[block], hidden, cross, AttentionRole::kCross);
    }
    output.scores = hidden.matmul(a_);  // [batch, outputs]
    output.readout = torch::zeros({batch.size, kOutputs}, torch::kDouble);
    return output;
  }
  std::vector<Prediction> predict(const TaskOutput& output, int64_t) const override {
    return std::vector<Prediction>(static_cast<size_t>(output.scores.size(0)), {{"pqrs", 1, 0}});
  }
  std::vector<Unit> output_units(const Dataset&, int64_t) const override {
    return {{"p", {0, 1}}, {"q", {1, 2}}, {"r", {2, 3}}, {"s", {3, 4}}};
  }
  Target find_target(const Dataset&, int64_t, const TaskOutput&,
                     const std::string& unit) const override {
    return {unit, unit.empty() ? 0 : unit[0] - 'p'};
  }
  torch::Tensor target_scores(const TaskOutput& output, const Target& target) const override {
    return output.scores.select(1, target.position);
  }
  torch::Tensor target_readout(const TaskOutput& output, const Target& target) const override {
    torch::Tensor readout = torch::zeros_like(output.readout);
    readout.select(1, target.position).fill_(1);
    return readout;
  }

 private:
  MultiHeadAttention self_{nullptr};
  std::vector<MultiHeadAttention> cross_, decoder_;
  torch::Tensor outputs_, a_;
  std::shared_ptr<torch::nn::Module> module_;
};

}  // namespace attend::testing
