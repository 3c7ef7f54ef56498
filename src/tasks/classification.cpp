// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "classification.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "attend/base/error.h"
#include "attend/tasks/config.h"

namespace attend {
namespace {

struct ClassCounts {
  int64_t gold = 0;
  int64_t predicted = 0;
  int64_t right = 0;

  double precision() const { return predicted > 0 ? static_cast<double>(right) / predicted : 0; }
  double recall() const { return gold > 0 ? static_cast<double>(right) / gold : 0; }
  double f1() const {
    return gold + predicted > 0 ? 2.0 * static_cast<double>(right) / (gold + predicted) : 0;
  }
};

class ClassificationMetrics : public Metrics {
 public:
  explicit ClassificationMetrics(LabelSet labels) : labels_(std::move(labels)) {}

  void add(const TaskOutput& output, const Batch& batch) override {
    const auto scores = output.scores.to(torch::kFloat64);
    const auto predicted = scores.argmax(1).contiguous();
    const auto log_likelihood =
        torch::log_softmax(scores, 1).gather(1, batch.targets.unsqueeze(1)).contiguous();
    const auto targets = batch.targets.contiguous();
    for (int64_t i = 0; i < batch.size; ++i) {
      gold_.push_back(targets.data_ptr<int64_t>()[i]);
      predicted_.push_back(predicted.data_ptr<int64_t>()[i]);
      loss_.push_back(-log_likelihood.data_ptr<double>()[i]);
    }
  }

  int64_t examples() const override { return static_cast<int64_t>(gold_.size()); }

  std::map<std::string, double> compute(std::span<const int64_t> sample) const override {
    const auto counts = count(sample);
    double right = 0;
    double loss = 0;
    for (const int64_t index : sample) {
      const auto i = static_cast<size_t>(index);
      right += gold_[i] == predicted_[i] ? 1 : 0;
      loss += loss_[i];
    }
    double f1 = 0;
    double classes = 0;
    for (const ClassCounts& one : counts) {
      if (one.gold + one.predicted == 0) continue;
      f1 += one.f1();
      classes += 1;
    }
    const double total = std::max<double>(1, static_cast<double>(sample.size()));
    return {{"accuracy", right / total},
            {"macro_f1", classes > 0 ? f1 / classes : 0},
            {"loss", loss / total}};
  }

  nlohmann::json details() const override {
    std::vector<int64_t> all(gold_.size());
    std::iota(all.begin(), all.end(), int64_t{0});
    const auto counts = count(all);
    nlohmann::json classes = nlohmann::json::array();
    for (size_t c = 0; c < counts.size(); ++c) {
      classes.push_back({{"label", labels_.names()[c]},
                         {"examples", counts[c].gold},
                         {"precision", counts[c].precision()},
                         {"recall", counts[c].recall()},
                         {"f1", counts[c].f1()}});
    }
    const size_t size = counts.size();
    std::vector<std::vector<int64_t>> confusion(size, std::vector<int64_t>(size, 0));
    for (size_t i = 0; i < gold_.size(); ++i) {
      ++confusion[static_cast<size_t>(gold_[i])][static_cast<size_t>(predicted_[i])];
    }
    return {{"classes", classes}, {"confusion", confusion}};
  }

 private:
  std::vector<ClassCounts> count(std::span<const int64_t> sample) const {
    std::vector<ClassCounts> counts(labels_.names().size());
    for (const int64_t index : sample) {
      const auto i = static_cast<size_t>(index);
      ++counts[static_cast<size_t>(gold_[i])].gold;
      ++counts[static_cast<size_t>(predicted_[i])].predicted;
      if (gold_[i] == predicted_[i]) ++counts[static_cast<size_t>(gold_[i])].right;
    }
    return counts;
  }

  LabelSet labels_;
  std::vector<int64_t> gold_;
  std::vector<int64_t> predicted_;
  std::vector<double> loss_;
};

}  // namespace

LabelSet::LabelSet(std::vector<std::string> names) : names_(std::move(names)) {
  for (size_t i = 0; i < names_.size(); ++i) index_[names_[i]] = static_cast<int64_t>(i);
}

int64_t LabelSet::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? -1 : found->second;
}

torch::Tensor classification_loss(const torch::Tensor& logits, const torch::Tensor& targets,
                                  const LossOptions& options, const torch::Tensor& row_weights) {
  namespace F = torch::nn::functional;
  F::CrossEntropyFuncOptions loss_options;
  loss_options.label_smoothing(options.label_smoothing);
  if (!options.class_weights.empty()) {
    loss_options.weight(
        torch::tensor(options.class_weights, torch::kFloat64).to(logits.scalar_type()));
  }
  if (!row_weights.defined()) return F::cross_entropy(logits, targets, loss_options);
  const torch::Tensor losses = F::cross_entropy(
      logits, targets, torch::nn::CrossEntropyLossOptions(loss_options).reduction(torch::kNone));
  const torch::Tensor weighted = (losses * row_weights.to(losses.scalar_type())).sum();
  if (options.class_weights.empty()) return weighted / losses.size(0);
  return weighted / loss_options.weight().index_select(0, targets).sum();
}

std::pair<double, double> best_mix(const torch::Tensor& deep, const torch::Tensor& wide,
                                   const torch::Tensor& targets) {
  torch::NoGradGuard no_grad;
  const torch::Tensor parts =
      torch::stack({deep.to(torch::kFloat64), wide.to(torch::kFloat64)}, 2);  // [n, classes, 2]
  const torch::Tensor gold = targets.view({-1, 1, 1}).expand({-1, 1, 2});
  const torch::Tensor of_gold = parts.gather(1, gold).squeeze(1);  // [n, 2]
  const auto loss = [&](const torch::Tensor& factors) {
    const torch::Tensor logits = parts.matmul(factors);
    return (torch::logsumexp(logits, 1) - of_gold.matmul(factors)).mean().item<double>();
  };
  torch::Tensor factors = torch::ones({2}, torch::kFloat64);
  double current = loss(factors);
  for (int step = 0; step < 50; ++step) {
    const torch::Tensor p = torch::softmax(parts.matmul(factors), 1).unsqueeze(2);
    const torch::Tensor mean = (p * parts).sum(1);  // [n, 2]
    const torch::Tensor gradient = (mean - of_gold).mean(0);
    const torch::Tensor centred = parts - mean.unsqueeze(1);
    const torch::Tensor curvature =
        torch::einsum("nci,ncj->ij", {p * centred, centred}) / static_cast<double>(deep.size(0)) +
        1e-9 * torch::eye(2, torch::kFloat64);
    const torch::Tensor move = curvature.inverse().matmul(gradient);
    double length = 1;
    torch::Tensor next = (factors - move).clamp_min(0.0);
    while (loss(next) > current && length > 1e-6) {
      length /= 2;
      next = (factors - length * move).clamp_min(0.0);
    }
    const double improved = current - loss(next);
    if (!(improved > 0)) break;
    factors = next;
    current -= improved;
    if (improved < 1e-10) break;
  }
  return {factors[0].item<double>(), factors[1].item<double>()};
}

std::vector<double> balanced_weights(const std::vector<int64_t>& counts) {
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  std::vector<double> weights;
  weights.reserve(counts.size());
  for (const int64_t count : counts) {
    weights.push_back(total / (static_cast<double>(counts.size()) * static_cast<double>(count)));
  }
  return weights;
}

std::unique_ptr<Metrics> new_classification_metrics(const LabelSet& labels) {
  return std::make_unique<ClassificationMetrics>(labels);
}

std::vector<Prediction> classification_predictions(const torch::Tensor& logits,
                                                   const LabelSet& labels, int64_t top) {
  const auto scores = logits.detach().to(torch::kFloat64);
  const auto probabilities = torch::softmax(scores, 1);
  const auto order = std::get<1>(torch::sort(scores, /*stable=*/true, 1, /*descending=*/true));
  const auto score = scores.accessor<double, 2>();
  const auto probability = probabilities.accessor<double, 2>();
  const auto rank = order.accessor<int64_t, 2>();
  std::vector<Prediction> predictions(static_cast<size_t>(scores.size(0)));
  for (int64_t i = 0; i < scores.size(0); ++i) {
    for (int64_t r = 0; r < std::min(top, labels.size()); ++r) {
      const int64_t c = rank[i][r];
      predictions[static_cast<size_t>(i)].push_back(
          {labels.names()[static_cast<size_t>(c)], probability[i][c], score[i][c]});
    }
  }
  return predictions;
}

torch::Tensor class_scores(const torch::Tensor& logits, int64_t index) {
  return logits.select(1, index) - logits.mean(1);
}

int64_t class_index(const LabelSet& labels, const std::string& label) {
  const int64_t index = labels.find(label);
  if (index < 0) {
    std::string list;
    for (const auto& name : labels.names()) list += (list.empty() ? "" : ", ") + name;
    throw usage_error("target \"" + label + "\" is not an output of this model; it knows: " + list);
  }
  return index;
}

}  // namespace attend
