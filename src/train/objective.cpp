// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/objective.h"

namespace attend {
namespace {

// A step of this length for each example, in the direction in which `loss` grows fastest.
torch::Tensor step_uphill(const torch::Tensor& loss, const torch::Tensor& embeddings,
                          double length) {
  const torch::Tensor gradient =
      torch::autograd::grad({loss}, {embeddings}, {}, /*retain_graph=*/true)[0];
  const torch::Tensor norm = gradient.flatten(1).norm(2, 1).clamp_min(1e-12);
  return gradient * (length / norm).view({-1, 1, 1});
}

}  // namespace

torch::Tensor training_loss(Task& task, const Dataset& data, std::span<const int64_t> rows,
                            const TrainOptions& options, const LossOptions& loss_options) {
  const Batch batch = task.collate(data, rows);
  const torch::Tensor embeddings = task.embed(batch);
  const auto loss_at = [&](const torch::Tensor& place) {
    return task.loss(task.forward_from_embeddings(place, batch, {}), batch, loss_options);
  };
  torch::Tensor loss = loss_at(embeddings);
  if (options.adversarial <= 0) return loss;
  return loss + loss_at(embeddings + step_uphill(loss, embeddings, options.adversarial));
}

}  // namespace attend
