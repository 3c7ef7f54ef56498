// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "attend/tasks/task.h"
#include "attend/train/options.h"

namespace attend {

/// What an update goes down, a scalar: the mean loss of `rows` of `data`, and with
/// options.adversarial > 0 the loss of the same examples once more, each with its embeddings
/// `[length, dim]` moved by adversarial * g / |g|, where g is the gradient of the first loss by
/// them (the fast gradient method: Goodfellow et al. 2015, for text Miyato et al. 2017). The model
/// is to give the same output wherever it stands within that distance of a training text.
torch::Tensor training_loss(Task& task, const Dataset& data, std::span<const int64_t> rows,
                            const TrainOptions& options, const LossOptions& loss_options);

}  // namespace attend
