// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "passes.h"

namespace attend {

namespace {
constexpr int64_t kKeysPerQuery = 8;
}

Passes::Passes(Task& task, const Dataset& data, int64_t row, int64_t max_matrix)
    : task_(task), data_(data), row_(row), max_matrix_(max_matrix) {}

Batch Passes::batch(int64_t copies) const {
  const std::vector<int64_t> rows(static_cast<size_t>(copies), row_);
  return task_.collate(data_, rows);
}

const TaskOutput& Passes::output() {
  if (!output_) {
    torch::NoGradGuard no_grad;
    TraceRequest request;
    request.all_layers = true;
    request.statistics.inputs = request.statistics.hidden = request.statistics.entropy = true;
    request.statistics.weights = data_.length(row_) <= max_matrix_;
    if (!request.statistics.weights) request.statistics.top_keys = kKeysPerQuery;
    output_ = task_.forward(batch(), request);
  }
  return *output_;
}

const TargetGradients& Passes::gradients(const Target& target) {
  if (gradients_) return *gradients_;
  const torch::AutoGradMode with_gradients(true);
  TargetGradients result;
  TraceRequest request;
  request.all_layers = true;
  request.statistics.inputs = true;
  const Batch one = batch();
  result.embeddings = task_.embed(one).detach().requires_grad_(true);
  result.output = task_.forward_from_embeddings(result.embeddings, one, request);
  std::vector<torch::Tensor> wanted = {result.embeddings};
  for (const LayerTrace& layer : result.output.trace.layers) {
    if (layer.inputs) wanted.push_back(layer.inputs->output);
  }
  const torch::Tensor& readout = result.output.readout_weights;
  const bool by_readout = readout.defined() && readout.requires_grad();
  if (by_readout) wanted.push_back(readout);
  const torch::Tensor score = task_.target_scores(result.output, target).sum();
  std::vector<torch::Tensor> gradients =
      torch::autograd::grad({score}, wanted, {}, c10::nullopt, false, /*allow_unused=*/true);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) gradients[i] = torch::zeros_like(wanted[i]);
  }
  result.by_embeddings = gradients[0];
  if (by_readout) {
    result.by_readout_weights = gradients.back();
    gradients.pop_back();
  }
  result.by_layer_output.assign(gradients.begin() + 1, gradients.end());
  gradients_ = std::move(result);
  return *gradients_;
}

}  // namespace attend
