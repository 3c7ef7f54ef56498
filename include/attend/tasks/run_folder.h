// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "attend/tasks/task.h"

namespace attend {

/// The version of the run folder's layout that this program writes, and the newest it reads.
inline constexpr int64_t kRunFormat = 1;

/// A trained model on disk: config.json (every setting), model.safetensors (weights), tokenizer
/// files, attend.json (task, what it learnt from the data, data fingerprint, metrics, command),
/// metrics.jsonl (a line per look at the dev set) and, while training, checkpoint/.
struct Run {
  std::filesystem::path folder;
  nlohmann::json config;       ///< config.json
  nlohmann::json info;         ///< attend.json
  std::unique_ptr<Task> task;  ///< its model in eval mode, weights loaded
};

/// Writes config.json, attend.json and the task's files; `info` gets format, version, task and task
/// state added. Weights are the trainer's business. Throws Error(kData).
void write_run(const std::filesystem::path& folder, const nlohmann::json& config,
               const nlohmann::json& info, const Task& task);

/// Whether `folder` looks like a run folder (has an attend.json).
bool is_run_folder(const std::filesystem::path& folder);

/// Reads a run folder. `weights`: also model.safetensors; without it the model keeps its first
/// values, as a resumed training wants. Throws Error(kModel) naming the file, what is wrong
/// (missing, a newer format, another task's weights, damaged) and the fix.
Run load_run(const std::filesystem::path& folder, bool weights = true);

/// Sets one section of a run folder's attend.json and leaves the rest as it is, atomically. Throws
/// Error(kModel) if the file is missing or damaged, Error(kData) if it cannot be written.
void update_run_info(const std::filesystem::path& folder, const std::string& section,
                     const nlohmann::json& value);

/// A hash over every input and gold output, which tells whether data changed.
std::string fingerprint(const Dataset& data);

}  // namespace attend
