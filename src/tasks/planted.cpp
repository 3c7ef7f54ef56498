// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/planted.h"

#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/base/random.h"
#include "attend/nn/encoder.h"
#include "attend/nn/pooling.h"
#include "classification.h"

namespace attend {
namespace {

using nlohmann::json;

constexpr int64_t kClasses = 3;      // that a unit can decide
constexpr int64_t kNone = kClasses;  // the class of examples in which no unit decides
constexpr int64_t kItemIds = 41;     // 0 stands for an item taken out
constexpr int64_t kEntityFeatures = 8;
constexpr int64_t kSide = 4;  // of the grid, and of a patch in pixels
constexpr int64_t kHidden = 32;

int64_t features_of(PlantedKind kind) {
  switch (kind) {
    case PlantedKind::kItems:
      return 1;
    case PlantedKind::kEntities:
      return kEntityFeatures;
    case PlantedKind::kPatches:
      return kSide * kSide;
  }
  return 0;
}

LabelSet planted_labels() { return LabelSet({"A", "B", "C", "none"}); }

// One example: `units` rows of features.
struct Example {
  std::vector<std::vector<float>> units;
  int64_t label = -1;
};

double normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

std::vector<float> unit_of(PlantedKind kind, bool deciding, int64_t label, Random& random) {
  std::vector<float> unit;
  if (kind == PlantedKind::kItems) {
    const auto filler = static_cast<int64_t>(random.below(kItemIds - 1 - kClasses));
    return {static_cast<float>(deciding ? 1 + label : 1 + kClasses + filler)};
  }
  for (int64_t i = 0; i < features_of(kind); ++i) {
    unit.push_back(static_cast<float>(kind == PlantedKind::kEntities ? 0.7 * normal(random)
                                                                     : 0.3 * normal(random)));
  }
  if (kind == PlantedKind::kEntities) {
    // The first features say what decides; of other entities they are empty.
    for (int64_t i = 0; i < kClasses; ++i) {
      unit[static_cast<size_t>(i)] = deciding && i == label ? 2.0F : 0.0F;
    }
    return unit;
  }
  for (int64_t i = 0; deciding && i < kSide; ++i) {
    // A horizontal bar, a vertical one, a diagonal.
    const int64_t pixel = label == 0 ? kSide + i : label == 1 ? i * kSide + 1 : i * kSide + i;
    unit[static_cast<size_t>(pixel)] += 2.0F;
  }
  return unit;
}

class PlantedDataset : public Dataset {
 public:
  PlantedDataset(PlantedKind kind, std::vector<Example> examples)
      : kind_(kind), examples_(std::move(examples)) {}

  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  int64_t length(int64_t row) const override {
    return static_cast<int64_t>(example(row).units.size());
  }
  std::string input(int64_t row) const override {
    std::string text;
    for (size_t i = 0; i < example(row).units.size(); ++i) {
      if (i > 0) text += ' ';
      text += unit_text(row, static_cast<int64_t>(i));
    }
    return text;
  }
  std::string gold(int64_t row) const override {
    return planted_labels().names()[static_cast<size_t>(example(row).label)];
  }
  std::string notice(int64_t) const override { return ""; }
  std::shared_ptr<Dataset> subset(std::span<const int64_t> rows) const override {
    std::vector<Example> chosen;
    for (const int64_t row : rows) chosen.push_back(example(row));
    return std::make_shared<PlantedDataset>(kind_, std::move(chosen));
  }
  std::string description() const override {
    return std::to_string(size()) + " planted examples of " + to_string(kind_);
  }

  const Example& example(int64_t row) const { return examples_[static_cast<size_t>(row)]; }

  std::string unit_text(int64_t row, int64_t unit) const {
    const int64_t value = kind_ == PlantedKind::kItems
                              ? std::lround(example(row).units[static_cast<size_t>(unit)][0])
                              : unit;
    return std::to_string(value);
  }

 private:
  PlantedKind kind_;
  std::vector<Example> examples_;
};

const PlantedDataset& planted(const Dataset& data) {
  return dynamic_cast<const PlantedDataset&>(data);
}

class PlantedModelImpl : public torch::nn::Module {
 public:
  explicit PlantedModelImpl(PlantedKind kind) : kind_(kind) {
    if (kind == PlantedKind::kItems) {
      items_ = register_module(
          "items",
          torch::nn::Embedding(torch::nn::EmbeddingOptions(kItemIds, kHidden).padding_idx(0)));
    } else {
      features_ = register_module(
          "features",
          torch::nn::Linear(torch::nn::LinearOptions(features_of(kind), kHidden).bias(false)));
    }
    EncoderOptions encoder;
    encoder.layers = 1;
    encoder.hidden = kHidden;
    encoder.heads = 2;
    encoder.feed_forward = 2 * kHidden;
    // Behind a normalisation the unit that decides has hardly any gradient left once it decides.
    encoder.final_norm = false;
    encoder.positions =
        kind == PlantedKind::kEntities ? PositionKind::kNone : PositionKind::kSinusoidal;
    encoder_ = register_module("encoder", Encoder(encoder));
    PoolingOptions pooling;
    pooling.hidden = kHidden;
    pooling_ = register_module("pooling", Pooling(pooling));
    output_ = register_module("output", torch::nn::Linear(kHidden, kClasses + 1));
  }

  torch::Tensor embed(const torch::Tensor& units) {
    if (kind_ != PlantedKind::kItems) return features_->forward(units);
    return items_->forward(units.squeeze(2).to(torch::kInt64));
  }

  TaskOutput forward(const torch::Tensor& embeddings, const torch::Tensor& lengths,
                     const ForwardRequest& request) {
    EncoderOutput encoded = encoder_->forward(embeddings, lengths, request);
    const PoolingOutput pooled = pooling_->forward(encoded.hidden, lengths);
    TaskOutput output{output_->forward(pooled.pooled), pooled.readout, std::move(encoded.trace)};
    output.readout_weights = pooled.weights;
    return output;
  }

 private:
  PlantedKind kind_;
  torch::nn::Embedding items_{nullptr};
  torch::nn::Linear features_{nullptr};
  Encoder encoder_{nullptr};
  Pooling pooling_{nullptr};
  torch::nn::Linear output_{nullptr};
};
TORCH_MODULE(PlantedModel);

Error no_files() {
  return usage_error("planted tasks make their own examples; they read no files and keep no run");
}

class PlantedTask : public Task {
 public:
  explicit PlantedTask(PlantedKind kind) : kind_(kind), labels_(planted_labels()), model_(kind) {}

  std::string name() const override { return "planted-" + to_string(kind_); }
  json default_config() const override { return {{"seed", 1}}; }
  std::shared_ptr<Dataset> prepare(const json& config, const std::vector<std::string>&) override {
    model_ = PlantedModel(kind_);
    return planted_examples(kind_, 1000, config.at("seed").get<uint64_t>()).data;
  }
  void before_training(const Dataset&, const Dataset&) override {}
  void after_training(const Dataset&) override {}
  json state() const override { return json::object(); }
  void save_files(const std::filesystem::path&) const override {}
  void load(const json&, const json&, const std::filesystem::path&) override { throw no_files(); }
  std::shared_ptr<torch::nn::Module> model() const override { return model_.ptr(); }

  std::shared_ptr<Dataset> read(const std::string&, bool) const override { throw no_files(); }
  std::shared_ptr<Dataset> from_inputs(const std::vector<std::string>&) const override {
    throw no_files();
  }

  Batch collate(const Dataset& data, std::span<const int64_t> rows) const override {
    const int64_t features = features_of(kind_);
    int64_t longest = 1;
    for (const int64_t row : rows) longest = std::max(longest, data.length(row));
    Batch batch;
    batch.size = static_cast<int64_t>(rows.size());
    torch::Tensor units = torch::zeros({batch.size, longest, features});
    torch::Tensor lengths = torch::empty({batch.size}, torch::kInt64);
    torch::Tensor targets = torch::empty({batch.size}, torch::kInt64);
    for (int64_t b = 0; b < batch.size; ++b) {
      const Example& example = planted(data).example(rows[static_cast<size_t>(b)]);
      float* place = units.data_ptr<float>() + b * longest * features;
      for (const auto& unit : example.units) place = std::copy(unit.begin(), unit.end(), place);
      lengths.data_ptr<int64_t>()[b] = static_cast<int64_t>(example.units.size());
      targets.data_ptr<int64_t>()[b] = example.label;
    }
    batch.inputs["units"] = units;
    batch.inputs["lengths"] = lengths;
    batch.targets = targets;
    return batch;
  }

  TaskOutput forward(const Batch& batch, const ForwardRequest& request) override {
    return forward_from_embeddings(embed(batch), batch, request);
  }
  torch::Tensor loss(const TaskOutput& output, const Batch& batch,
                     const LossOptions& options) const override {
    return classification_loss(output.scores, batch.targets, options);
  }
  std::vector<double> balanced_class_weights(const Dataset&) const override {
    return std::vector<double>(kClasses + 1, 1.0);
  }
  std::unique_ptr<Metrics> new_metrics() const override {
    return new_classification_metrics(labels_);
  }
  PrimaryMetric primary_metric() const override { return {"accuracy", true}; }
  std::vector<Prediction> predict(const TaskOutput& output, int64_t top) const override {
    return classification_predictions(output.scores, labels_, top);
  }

  std::vector<Unit> units(const Dataset& data, int64_t row) const override {
    std::vector<Unit> units;
    int64_t at = 0;
    for (int64_t unit = 0; unit < data.length(row); ++unit) {
      const std::string text = planted(data).unit_text(row, unit);
      const auto size = static_cast<int64_t>(text.size());
      units.push_back({text, {at, at + size}});
      at += size + 1;
    }
    return units;
  }
  std::string unit_kind() const override {
    return kind_ == PlantedKind::kItems      ? "item"
           : kind_ == PlantedKind::kEntities ? "entity"
                                             : "patch";
  }
  int64_t leading_positions() const override { return 0; }

  std::vector<Removal> removals() const override {
    // A grid has no gaps.
    if (kind_ == PlantedKind::kPatches) return {Removal::kMask};
    return {Removal::kDelete, Removal::kMask};
  }
  std::shared_ptr<Dataset> without_units(const Dataset& data, int64_t row,
                                         const std::vector<std::vector<bool>>& keep,
                                         Removal removal) const override {
    const Example& whole = planted(data).example(row);
    const std::vector<float> empty(static_cast<size_t>(features_of(kind_)), 0.0F);
    std::vector<Example> variants;
    for (const auto& kept : keep) {
      Example variant;
      variant.label = whole.label;
      for (size_t i = 0; i < whole.units.size(); ++i) {
        if (kept[i]) {
          variant.units.push_back(whole.units[i]);
        } else if (removal != Removal::kDelete || kind_ == PlantedKind::kPatches) {
          variant.units.push_back(empty);
        }
      }
      if (variant.units.empty()) variant.units.push_back(empty);
      variants.push_back(std::move(variant));
    }
    return std::make_shared<PlantedDataset>(kind_, std::move(variants));
  }

  Target find_target(const Dataset&, int64_t, const TaskOutput& output,
                     const std::string& name) const override {
    if (name.empty()) return {predict(output, 1)[0].at(0).label};
    class_index(labels_, name);
    return {name};
  }
  torch::Tensor target_scores(const TaskOutput& output, const Target& target) const override {
    return class_scores(output.scores, class_index(labels_, target.label));
  }
  torch::Tensor target_log_probabilities(const TaskOutput& output,
                                         const Target& target) const override {
    return output.scores.to(torch::kFloat64)
        .log_softmax(1)
        .select(1, class_index(labels_, target.label));
  }
  torch::Tensor embed(const Batch& batch) override {
    return model_->embed(batch.inputs.at("units"));
  }
  TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                     const ForwardRequest& request) override {
    return model_->forward(embeddings, batch.inputs.at("lengths"), request);
  }
  torch::Tensor additive_contributions(const Batch&) override { return {}; }

 private:
  PlantedKind kind_;
  LabelSet labels_;
  PlantedModel model_;
};

}  // namespace

std::string to_string(PlantedKind kind) {
  switch (kind) {
    case PlantedKind::kItems:
      return "items";
    case PlantedKind::kEntities:
      return "entities";
    case PlantedKind::kPatches:
      return "patches";
  }
  return "";
}

PlantedExamples planted_examples(PlantedKind kind, int64_t rows, uint64_t seed) {
  Random random(seed);
  PlantedExamples result;
  std::vector<Example> examples;
  for (int64_t row = 0; row < rows; ++row) {
    Example example;
    example.label = static_cast<int64_t>(random.below(kClasses + 1));
    const uint64_t units = kind == PlantedKind::kPatches ? kSide * kSide : 6 + random.below(9);
    const int64_t place = example.label == kNone ? -1 : static_cast<int64_t>(random.below(units));
    for (int64_t unit = 0; unit < static_cast<int64_t>(units); ++unit) {
      example.units.push_back(unit_of(kind, unit == place, example.label, random));
    }
    result.deciding.push_back(place);
    examples.push_back(std::move(example));
  }
  result.data = std::make_shared<PlantedDataset>(kind, std::move(examples));
  return result;
}

std::unique_ptr<Task> make_planted_task(PlantedKind kind) {
  return std::make_unique<PlantedTask>(kind);
}

}  // namespace attend
