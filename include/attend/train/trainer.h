// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "attend/tasks/task.h"
#include "attend/train/options.h"

namespace attend {

/// Where training stands; handed to the observer after every update and every look at the dev set.
struct TrainProgress {
  int64_t step = 0;         ///< updates done
  int64_t total_steps = 0;  ///< updates planned
  double epoch = 0;         ///< passes done, fractional
  int64_t epochs = 0;       ///< passes planned
  double loss = 0;          ///< moving mean of the last updates
  double examples_per_second = 0;
  double seconds_left = 0;
  double best = 0;  ///< primary metric so far, if any look was taken
  std::optional<std::map<std::string, double>> dev;  ///< set right after a look at the dev set
  bool improved = false;                             ///< that look was the best so far
};

struct TrainResult {
  std::map<std::string, double> best_metrics;  ///< on the dev set, of the weights that were kept
  int64_t best_step = 0;
  int64_t steps = 0;
  double seconds = 0;        ///< in this process and the ones it resumed
  bool interrupted = false;  ///< stopped by Ctrl-C; a checkpoint was written
  std::string stopped_because;
};

/// What to train on and where to put it.
struct TrainJob {
  Task& task;  ///< prepared: its model is built
  const Dataset& train;
  const Dataset& dev;
  TrainOptions options;
  std::filesystem::path run_folder;  ///< exists; gets model.safetensors, metrics.jsonl, checkpoint/
  bool resume = false;               ///< continue from run_folder/checkpoint
  std::function<void(const TrainProgress&)> observe;  ///< may be empty
};

/// Trains until the epochs are done, patience runs out, or Ctrl-C. The best weights on the dev
/// metric (averaged ones, if averaging is on) are in `model.safetensors` and in the model
/// afterwards. With the same seed, data and thread count the result has the same bits, also across
/// resumes. Throws Error(kCheck) if the loss stops being finite (the last checkpoint and the best
/// weights stay), Error(kModel) if there is no checkpoint to resume or it does not fit,
/// Error(kData) if a file cannot be written.
TrainResult train(const TrainJob& job);

}  // namespace attend
