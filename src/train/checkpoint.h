// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "attend/nn/weights.h"

namespace attend {

/// What the next update depends on, apart from weights, moments and the random generator.
struct Cursor {
  int64_t step = 0;       ///< updates done
  int64_t epoch = 0;      ///< passes completed
  int64_t batch = 0;      ///< batches done in this pass
  bool look_due = false;  ///< a look at the dev set was interrupted: take it first on resuming
  bool has_best = false;
  double best = 0;  ///< primary metric
  int64_t best_step = 0;
  int64_t looks_without_gain = 0;
  double loss = 0;  ///< moving mean, for display
  double seconds = 0;
  std::map<std::string, double> best_metrics;
  nlohmann::json history = nlohmann::json::array();  ///< lines of metrics.jsonl
};

/// Writes run_folder/checkpoint as one atomic replacement: state.json and state.safetensors.
/// `tensors` are weights and optimiser state; the random generator of dropout is added here.
void save_checkpoint(const std::filesystem::path& run_folder, const Cursor& cursor,
                     const TensorMap& tensors);

/// The inverse: fills `tensors` in place and restores the random generator. Throws Error(kModel).
Cursor load_checkpoint(const std::filesystem::path& run_folder, const TensorMap& tensors);

}  // namespace attend
