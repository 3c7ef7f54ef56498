// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What every task with one label per example shares: labels, loss, metrics, predictions.
#pragma once

#include "attend/nn/torch.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "attend/tasks/task.h"

namespace attend {

/// The classes of a task, in the order of the model's outputs.
class LabelSet {
 public:
  LabelSet() = default;
  explicit LabelSet(std::vector<std::string> names);

  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }

  /// The class of that name, or -1.
  int64_t find(const std::string& name) const;

 private:
  std::vector<std::string> names_;
  std::map<std::string, int64_t> index_;
};

/// Cross-entropy of `logits` `[batch, classes]` and `targets` `[batch]` int64, with smoothing and
/// class weights; a scalar. `row_weights` `[batch]`, or undefined for 1 each, multiply what each
/// example adds; the sum is divided as if all were 1, so that lighter rows move the model less even
/// where they fill a batch.
torch::Tensor classification_loss(const torch::Tensor& logits, const torch::Tensor& targets,
                                  const LossOptions& options,
                                  const torch::Tensor& row_weights = {});

/// The factors for `deep` and `wide`, both `[examples, classes]`, whose weighted sum has the
/// smallest cross-entropy with `targets` `[examples]`: two numbers, by Newton's method (the loss is
/// convex). Neither is negative.
std::pair<double, double> best_mix(const torch::Tensor& deep, const torch::Tensor& wide,
                                   const torch::Tensor& targets);

/// Inverse frequency, scaled so that the mean over all examples is 1. `counts[c]` > 0 examples.
std::vector<double> balanced_weights(const std::vector<int64_t>& counts);

/// accuracy, macro_f1 (mean over classes that occur as gold or prediction) and loss (negative log
/// likelihood, nats).
std::unique_ptr<Metrics> new_classification_metrics(const LabelSet& labels);

/// Softmax of each row, best first, at most `top`.
std::vector<Prediction> classification_predictions(const torch::Tensor& logits,
                                                   const LabelSet& labels, int64_t top);

/// What speaks for class `index`, `[batch]`: its logit less the mean of all logits. Softmax does
/// not change when all logits move together, so a bare logit need not move when its class is
/// decided: a model may lower the others instead. The mean, unlike the log-odds, keeps this linear
/// in the logits.
torch::Tensor class_scores(const torch::Tensor& logits, int64_t index);

/// The class of that name; Error(kUsage) listing the labels if it is not one of them.
int64_t class_index(const LabelSet& labels, const std::string& label);

}  // namespace attend
