// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/run_folder.h"

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/hash.h"
#include "attend/nn/weights.h"
#include "attend/tasks/config.h"

namespace attend {
namespace {

using nlohmann::json;

json read_json(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) {
    throw model_error(path.string() + ": missing; restore the file or train again");
  }
  json value = json::parse(read_file(path), nullptr, false);
  if (value.is_discarded() || !value.is_object()) {
    throw model_error(path.string() + ": not a JSON object; restore the file or train again");
  }
  return value;
}

}  // namespace

void write_run(const std::filesystem::path& folder, const json& config, const json& info,
               const Task& task) {
  json full = {{"format", kRunFormat},
               {"attend_version", ATTEND_VERSION},
               {"task", task.name()},
               {"task_state", task.state()}};
  full.update(info);
  std::filesystem::create_directories(folder);
  task.save_files(folder);
  write_file_atomically(folder / "config.json", config.dump(2) + "\n");
  // Last, since its presence is what makes the folder a run.
  write_file_atomically(folder / "attend.json", full.dump(2) + "\n");
}

bool is_run_folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / "attend.json", ignored);
}

Run load_run(const std::filesystem::path& folder, bool weights) {
  if (!std::filesystem::exists(folder)) {
    throw model_error(folder.string() +
                      ": no such run folder; give the folder that `attend train -o` wrote");
  }
  if (!is_run_folder(folder)) {
    throw model_error(folder.string() +
                      ": not a run folder (no attend.json); give the folder that `attend train -o` "
                      "wrote");
  }
  const std::string origin = (folder / "attend.json").string();
  Run run;
  run.folder = folder;
  run.info = read_json(folder / "attend.json");
  const auto format = config_value<int64_t>(run.info, "format", origin);
  if (format > kRunFormat || format < 1) {
    throw model_error(origin + ": format " + std::to_string(format) +
                      " is newer than this program (" + std::to_string(kRunFormat) +
                      "); update attend or train again");
  }
  const auto task_name = config_value<std::string>(run.info, "task", origin);
  try {
    run.task = make_task(task_name);
  } catch (const Error& error) {
    throw model_error(origin + ": " + error.what());
  }
  run.config = read_json(folder / "config.json");
  try {
    run.task->load(settings_of(run.task->default_config(), run.config),
                   config_value<json>(run.info, "task_state", origin), folder);
  } catch (const Error& error) {
    if (error.code() == ExitCode::kModel) throw;
    throw model_error((folder / "config.json").string() + ": " + error.what());
  }
  if (weights) {
    const auto path = folder / "model.safetensors";
    if (!std::filesystem::exists(path)) {
      throw model_error(path.string() +
                        ": missing: training stopped before its first look at the dev set; "
                        "continue it with `attend train --resume -o " +
                        folder.string() + "`");
    }
    copy_tensors(load_tensors(path), named_tensors(*run.task->model()), path.string());
  }
  run.task->model()->eval();
  return run;
}

void update_run_info(const std::filesystem::path& folder, const std::string& section,
                     const json& value) {
  const auto path = folder / "attend.json";
  json info = read_json(path);
  info[section] = value;
  write_file_atomically(path, info.dump(2) + "\n");
}

std::string fingerprint(const Dataset& data) {
  uint64_t hash = kHashStart;
  for (int64_t row = 0; row < data.size(); ++row) {
    hash = hash_bytes(data.gold(row) + "\t" + data.input(row) + "\n", hash);
  }
  return hash_text(hash);
}

}  // namespace attend
