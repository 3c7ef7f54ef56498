// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "checkpoint.h"

#include <ATen/CPUGeneratorImpl.h>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/tasks/config.h"

namespace attend {
namespace {

using nlohmann::json;

constexpr const char* kRandomState = "random_state";

torch::Tensor random_state() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_random_state(const torch::Tensor& state) {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

}  // namespace

void save_checkpoint(const std::filesystem::path& run_folder, const Cursor& cursor,
                     const TensorMap& tensors) {
  const json state = {{"step", cursor.step},
                      {"epoch", cursor.epoch},
                      {"batch", cursor.batch},
                      {"look_due", cursor.look_due},
                      {"has_best", cursor.has_best},
                      {"best", cursor.best},
                      {"best_step", cursor.best_step},
                      {"looks_without_gain", cursor.looks_without_gain},
                      {"loss", cursor.loss},
                      {"seconds", cursor.seconds},
                      {"best_metrics", cursor.best_metrics},
                      {"history", cursor.history}};
  write_folder_atomically(run_folder / "checkpoint", [&](const std::filesystem::path& folder) {
    TensorMap all = tensors;
    all[kRandomState] = random_state();
    save_tensors(folder / "state.safetensors", all);
    write_file_atomically(folder / "state.json", state.dump(1) + "\n");
  });
}

Cursor load_checkpoint(const std::filesystem::path& run_folder, const TensorMap& tensors) {
  const auto folder = run_folder / "checkpoint";
  const auto state_path = folder / "state.json";
  if (!std::filesystem::exists(state_path)) {
    throw model_error(run_folder.string() +
                      ": no checkpoint to resume from; train again with --force to start over");
  }
  const std::string origin = state_path.string();
  const json state = json::parse(read_file(state_path), nullptr, false);
  if (state.is_discarded()) {
    throw model_error(origin + ": not valid JSON; train again with --force to start over");
  }
  Cursor cursor;
  cursor.step = config_value<int64_t>(state, "step", origin);
  cursor.epoch = config_value<int64_t>(state, "epoch", origin);
  cursor.batch = config_value<int64_t>(state, "batch", origin);
  cursor.look_due = config_value<bool>(state, "look_due", origin);
  cursor.has_best = config_value<bool>(state, "has_best", origin);
  cursor.best = config_value<double>(state, "best", origin);
  cursor.best_step = config_value<int64_t>(state, "best_step", origin);
  cursor.looks_without_gain = config_value<int64_t>(state, "looks_without_gain", origin);
  cursor.loss = config_value<double>(state, "loss", origin);
  cursor.seconds = config_value<double>(state, "seconds", origin);
  cursor.best_metrics = config_value<std::map<std::string, double>>(state, "best_metrics", origin);
  cursor.history = config_value<json>(state, "history", origin);

  const auto tensor_path = folder / "state.safetensors";
  TensorMap loaded = load_tensors(tensor_path);
  const auto random = loaded.find(kRandomState);
  if (random == loaded.end() || random->second.scalar_type() != torch::kUInt8 ||
      random->second.numel() != random_state().numel()) {
    throw model_error(tensor_path.string() +
                      ": the random state is missing or of another LibTorch version; train again "
                      "with --force to start over");
  }
  const torch::Tensor generator_state = random->second;
  loaded.erase(random);
  copy_tensors(loaded, tensors, tensor_path.string());
  set_random_state(generator_state);
  return cursor;
}

}  // namespace attend
