// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/pretrain.h"

#include <chrono>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/train/batches.h"
#include "attend/train/optimizer.h"

namespace attend {

void pretrain(Pretraining& work, TrainOptions options,
              const std::function<void(const TrainProgress&)>& observe) {
  options.epochs = work.epochs();
  options.batch_size = work.batch_size();
  options.learning_rate = work.learning_rate();
  options.ema = 0;
  torch::manual_seed(static_cast<uint64_t>(options.seed));
  work.module()->train();
  Optimizer optimizer(*work.module(), options);
  TrainProgress progress;
  progress.epochs = options.epochs;
  const auto steps = static_cast<int64_t>(plan_epoch(work.data(), options, 0).size());
  progress.total_steps = steps * options.epochs;
  const auto start = std::chrono::steady_clock::now();
  double examples = 0;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    for (const std::vector<int64_t>& rows : plan_epoch(work.data(), options, epoch)) {
      if (interrupted()) {
        throw Error(ExitCode::kInterrupted,
                    "interrupted while pre-training, which leaves nothing behind; give the same "
                    "command again");
      }
      optimizer.zero_gradients();
      const double rate = learning_rate_at(options, progress.step, progress.total_steps);
      const double value = descend(optimizer, work.loss(rows), rate, progress.step,
                                   "lower the learning rate of pre-training, then train again");
      progress.loss += (progress.step == 0 ? 1.0 : 0.05) * (value - progress.loss);
      ++progress.step;
      examples += static_cast<double>(rows.size());
      if (!observe) continue;
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      const double share =
          static_cast<double>(progress.step) / static_cast<double>(progress.total_steps);
      progress.epoch = share * static_cast<double>(options.epochs);
      progress.examples_per_second = examples / seconds.count();
      progress.seconds_left = seconds.count() * (1 / share - 1);
      observe(progress);
    }
  }
  optimizer.zero_gradients();
}

}  // namespace attend
