// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "attend/tasks/pretraining.h"
#include "attend/train/options.h"
#include "attend/train/trainer.h"

namespace attend {

/// All passes of `work`, by the optimiser, warm-up, decay and seed of `options`, of which epochs,
/// batch size and rate are those of `work` and averaging is off. The module is in training mode
/// afterwards. `observe` (may be empty) sees each update. Throws Error(kCheck) if the loss stops
/// being finite, Error(kInterrupted) on Ctrl-C.
void pretrain(Pretraining& work, TrainOptions options,
              const std::function<void(const TrainProgress&)>& observe);

}  // namespace attend
