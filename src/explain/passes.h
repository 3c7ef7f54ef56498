// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Passes of the model over the untouched example that several methods share. Each is run when it is
// first asked for.
#pragma once

#include "attend/nn/torch.h"

#include <optional>
#include <vector>

#include "attend/nn/attention_inputs.h"
#include "attend/tasks/task.h"

namespace attend {

/// The target's logit and its gradients.
struct TargetGradients {
  TaskOutput output;         // with AttentionInputs of all layers
  torch::Tensor embeddings;  // [1, length, dim]
  torch::Tensor by_embeddings;
  std::vector<torch::Tensor> by_layer_output;  // [1, heads, query, dim], zeros where unused
  torch::Tensor by_readout_weights;            // or undefined, as the weights
};

class Passes {
 public:
  /// Up to `max_matrix` positions whole matrices are traced as well.
  Passes(Task& task, const Dataset& data, int64_t row, int64_t max_matrix);

  /// All layers: what the weights come from, entropy, vectors behind the layer; the weights of
  /// short inputs, the heaviest keys of long ones.
  const TaskOutput& output();

  const TargetGradients& gradients(const Target& target);

  /// A batch of the example, `copies` times.
  Batch batch(int64_t copies = 1) const;

  Task& task() const { return task_; }

 private:
  Task& task_;
  const Dataset& data_;
  int64_t row_;
  int64_t max_matrix_;
  std::optional<TaskOutput> output_;
  std::optional<TargetGradients> gradients_;
};

}  // namespace attend
