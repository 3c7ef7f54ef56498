// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "attend/explain/choice.h"
#include "attend/nn/weights.h"
#include "attend/tasks/config.h"
#include "attend/train/evaluate.h"
#include "attend/train/pretrain.h"
#include "common.h"
#include "progress.h"
#include "verbs.h"

namespace attend {
namespace {

using nlohmann::json;

// About as many positions as a few seconds of two cores.
constexpr int64_t kChoicePositions = 3'000'000;

struct TrainFlags {
  std::string task;
  std::vector<std::string> train;
  std::vector<std::string> dev;
  std::string run;
  std::string recipe;
  std::vector<std::string> settings;
  std::string format, text_column, label_column, label_names;
  int64_t seed = -1;
  int64_t threads = -1;
  bool resume = false;
  bool force = false;
  bool no_choose = false;
  bool quiet = false;

  bool gives_settings() const {
    return !task.empty() || !train.empty() || !dev.empty() || !recipe.empty() ||
           !settings.empty() || !format.empty() || !text_column.empty() || !label_column.empty() ||
           !label_names.empty() || seed >= 0 || threads >= 0;
  }
};

json read_recipe(const std::string& path) {
  json recipe = json::parse(read_file(path), nullptr, false, /*ignore_comments=*/true);
  if (recipe.is_discarded() || !recipe.is_object()) {
    throw usage_error(path + ": a recipe must be a JSON object {\"task\": ..., \"data\": ...}");
  }
  return recipe;
}

// Every setting there is.
json defaults_of(const std::string& task_name) {
  json config = make_task(task_name)->default_config();
  config["task"] = task_name;
  config["about"] = "";
  config["data"]["train"] = json::array();
  config["data"]["dev"] = json::array();
  config["data"]["dev_share"] = 0.0;  // without dev files: this share of the training rows
  // A task's own defaults for the trainer win over the general ones.
  json train = to_json(TrainOptions{});
  if (config.contains("train")) train.update(config["train"]);
  config["train"] = train;
  return config;
}

// Defaults, then the recipe, then --set, then the flags: the later wins.
json resolve_config(const TrainFlags& flags) {
  json recipe = flags.recipe.empty() ? json::object() : read_recipe(flags.recipe);
  std::string task_name = recipe.value("task", "text-class");
  if (!flags.task.empty()) task_name = flags.task;
  json config = defaults_of(task_name);
  if (!flags.recipe.empty()) config = merge_config(config, recipe, flags.recipe);
  json chosen = json::object();
  chosen["task"] = task_name;
  if (!flags.train.empty()) chosen["data"]["train"] = flags.train;
  if (!flags.dev.empty()) chosen["data"]["dev"] = flags.dev;
  if (!flags.format.empty()) chosen["data"]["format"] = flags.format;
  if (!flags.text_column.empty()) chosen["data"]["text_column"] = flags.text_column;
  if (!flags.label_column.empty()) chosen["data"]["label_column"] = flags.label_column;
  if (!flags.label_names.empty()) chosen["data"]["label_names"] = flags.label_names;
  if (flags.seed >= 0) chosen["train"]["seed"] = flags.seed;
  if (flags.threads >= 0) chosen["train"]["threads"] = flags.threads;
  config = merge_config(config, chosen, "command line");
  for (const std::string& setting : flags.settings) {
    config = merge_config(config, parse_setting(setting), "--set");
  }
  return config;
}

struct Examples {
  std::shared_ptr<Dataset> train;
  std::shared_ptr<Dataset> dev;
};

Examples read_examples(Task& task, const json& config) {
  const auto train_paths = config.at("data").at("train").get<std::vector<std::string>>();
  const auto dev_paths = config.at("data").at("dev").get<std::vector<std::string>>();
  const auto share = config.at("data").at("dev_share").get<double>();
  const auto seed = config.at("train").at("seed").get<int64_t>();
  if (train_paths.empty())
    throw usage_error("no training data; give --train FILE or --recipe FILE");
  if (dev_paths.size() > 1) throw usage_error("more than one dev file; give a single --dev FILE");
  if (dev_paths.empty() && !(share > 0 && share < 1)) {
    throw usage_error(
        "no dev data to choose the best weights by; give --dev FILE, or --set data.dev_share=0.1 "
        "to "
        "hold a tenth of the training rows out");
  }
  // The model's first weights are drawn inside prepare, so the seed must stand before it.
  torch::manual_seed(static_cast<uint64_t>(seed));
  Examples examples;
  examples.train = task.prepare(settings_of(task.default_config(), config), train_paths);
  if (!dev_paths.empty()) {
    examples.dev = task.read(dev_paths[0], /*with_gold=*/true);
    return examples;
  }
  std::vector<int64_t> rows(static_cast<size_t>(examples.train->size()));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  Random(static_cast<uint64_t>(seed)).shuffle(std::span<int64_t>(rows));
  const auto held_out = std::max<size_t>(1, static_cast<size_t>(share * rows.size()));
  if (held_out >= rows.size()) throw data_error(train_paths[0] + ": too few rows to hold any out");
  examples.dev = examples.train->subset(std::span(rows).first(held_out));
  examples.train = examples.train->subset(std::span(rows).subspan(held_out));
  return examples;
}

json describe_data(const json& config, const Examples& examples) {
  return {{"train", config.at("data").at("train")},
          {"train_rows", examples.train->size()},
          {"train_fingerprint", fingerprint(*examples.train)},
          {"dev", config.at("data").at("dev")},
          {"dev_rows", examples.dev->size()}};
}

void announce(const Task& task, const json& config, const Examples& examples) {
  int64_t parameters = 0;
  for (const auto& parameter : task.model()->parameters()) parameters += parameter.numel();
  fmt::print("train  {}\ndev    {}\ntask   {}, {} parameters, seed {}, {} threads\n",
             examples.train->description(), examples.dev->description(), task.name(), parameters,
             config.at("train").at("seed").get<int64_t>(), torch::get_num_threads());
  std::fflush(stdout);
}

// Which explanation suits this model, where that is a matter of seconds.
std::optional<MethodChoice> choose_explanation(Task& task, const Dataset& dev, int64_t seed) {
  ScoreOptions options;
  options.limit = affordable_examples(dev, kChoicePositions);
  if (options.limit == 0) return std::nullopt;
  options.metrics = {"faithfulness"};
  options.seed = static_cast<uint64_t>(seed);
  options.faithfulness.removal = task.removals().front();
  options.faithfulness.random_orders = 5;  // nobody looks at the band
  try {
    const ScoreTable table = score_methods(task, dev, options);
    if (table.interrupted) return std::nullopt;
    return choose_method(table, options.faithfulness.removal, dev.description());
  } catch (const Error&) {
    return std::nullopt;  // inputs of a single unit: nothing to explain, but a model all the same
  }
}

// Before the first step there is nothing to keep.
void stop_if_interrupted() {
  if (!interrupted()) return;
  throw Error(ExitCode::kInterrupted,
              "interrupted before the first step, which leaves nothing behind; give the same "
              "command again");
}

// Not when a run is resumed: its checkpoint holds what came of it.
void pretrain_model(Task& task, const Dataset& data, const TrainOptions& options, bool quiet) {
  const std::unique_ptr<Pretraining> work = task.pretraining(data);
  if (!work) return;
  ProgressPrinter printer("", "pre-training  ");
  pretrain(
      *work, options,
      quiet ? std::function<void(const TrainProgress&)>()
            : [&](const TrainProgress& progress) { printer.show(progress); });
  printer.finish();
}

void train_verb(const TrainFlags& flags) {
  const std::filesystem::path folder = flags.run;
  const bool exists = is_run_folder(folder);
  if (flags.resume && !exists) {
    throw model_error(flags.run + ": nothing to resume, no run folder there; leave out --resume");
  }
  if (!flags.resume && !flags.force && std::filesystem::exists(folder) &&
      !std::filesystem::is_empty(folder)) {
    throw usage_error(flags.run +
                      ": exists and is not empty; choose another -o, continue with "
                      "--resume, or replace it with --force");
  }
  json config;
  json info = json::object();
  if (flags.resume) {
    const auto config_path = folder / "config.json";
    const json started = json::parse(read_file(config_path), nullptr, false);
    if (!started.is_object() || !started.value("task", json()).is_string()) {
      throw model_error(config_path.string() +
                        ": not the settings of a run; restore the file or train again with "
                        "--force");
    }
    // A run of an earlier version lacks the settings that are new; it was started without them.
    config = merge_config(defaults_of(started.at("task").get<std::string>()), started,
                          config_path.string());
    info = json::parse(read_file(folder / "attend.json"), nullptr, false);
    if (info.is_discarded() || info.value("status", "") == "done") {
      throw usage_error(flags.run + ": training is done already; nothing to resume");
    }
    // The same command with --resume behind it is welcome; another one would be ignored silently.
    if (flags.gives_settings() && resolve_config(flags) != config) {
      throw usage_error(flags.run +
                        ": --resume goes on with the settings the run was started with, and those "
                        "given now differ; leave them out, or start over with --force");
    }
  } else {
    config = resolve_config(flags);
  }
  const TrainOptions options = train_options_from_json(config.at("train"));
  use_threads(options.threads);
  const InterruptGuard guard;

  const auto task = make_task(config.at("task").get<std::string>());
  const Examples examples = read_examples(*task, config);
  json data = describe_data(config, examples);
  if (flags.resume && info.at("data").at("train_fingerprint") != data.at("train_fingerprint")) {
    throw data_error(data.at("train").at(0).get<std::string>() +
                     ": the training data changed since the checkpoint; restore it or start over "
                     "with --force");
  }
  stop_if_interrupted();
  if (!flags.quiet) announce(*task, config, examples);
  task->before_training(*examples.train, *examples.dev);
  stop_if_interrupted();
  if (!flags.resume) {
    pretrain_model(*task, *examples.train, options, flags.quiet);
    // A forced run replaces the old one as soon as the new one is known to be able to start.
    if (flags.force) std::filesystem::remove_all(folder);
    info = {{"command", command_line()},
            {"data", data},
            {"status", "training"},
            {"metrics", json::object()}};
    write_run(folder, config, info, *task);
  }

  ProgressPrinter printer(task->primary_metric().name);
  const TrainResult result =
      train({*task, *examples.train, *examples.dev, options, folder, flags.resume,
             flags.quiet ? std::function<void(const TrainProgress&)>()
                         : [&](const TrainProgress& progress) { printer.show(progress); }});
  printer.finish();
  std::map<std::string, double> metrics = result.best_metrics;
  if (!result.interrupted) {
    task->after_training(*examples.dev);
    save_tensors(folder / "model.safetensors", named_tensors(*task->model()));
    metrics = metric_values(*evaluate(*task, *examples.dev));
  }
  info["metrics"] = metrics;
  info["best_step"] = result.best_step;
  info["seconds"] = result.seconds;
  std::optional<MethodChoice> choice;
  if (!result.interrupted && !flags.no_choose) {
    choice = choose_explanation(*task, *examples.dev, options.seed);
    if (choice) info["explanation"] = to_json(*choice);
  }
  if (!result.interrupted) info["status"] = "done";
  write_run(folder, config, info, *task);
  if (result.interrupted) {
    throw Error(ExitCode::kInterrupted, fmt::format("interrupted at step {}; continue with: attend "
                                                    "train --resume -o {}",
                                                    result.steps, flags.run));
  }
  std::filesystem::remove_all(folder / "checkpoint");
  if (flags.quiet) return;
  fmt::print("{}: {} after {} steps, {:.0f} s ({})\n", flags.run, metrics_text(metrics),
             result.best_step, result.seconds, result.stopped_because);
  if (choice) {
    fmt::print("explanations: {}\n", describe(*choice));
  } else if (!flags.no_choose) {
    fmt::print(
        "explanations: not measured; `attend score {} DEV --choose` finds the most faithful "
        "method\n",
        flags.run);
  }
}

}  // namespace

void add_train_verb(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("train", "Train a model on your own file");
  auto flags = std::make_shared<TrainFlags>();
  verb->add_option("--task", flags->task, "What to learn: text-class, translate, generate");
  verb->add_option("--train", flags->train, "Training file(s); .gz is read as it is");
  verb->add_option("--dev", flags->dev, "Dev file, which chooses the best weights");
  verb->add_option("-o,--out", flags->run, "Run folder to write")->required();
  verb->add_option("--recipe", flags->recipe,
                   "JSON file with data, text, model and train settings");
  verb->add_option("--set", flags->settings, "One setting, as in --set train.epochs=5")
      ->allow_extra_args(false);
  verb->add_option("--format", flags->format, "auto, tsv, csv, jsonl or fasttext");
  verb->add_option("--text-col", flags->text_column, "Name or number (from 1) of the text column");
  verb->add_option("--label-col", flags->label_column, "Name or number of the label column");
  verb->add_option("--labels", flags->label_names, "File with one label name per line");
  verb->add_option("--seed", flags->seed, "Same seed and threads, same bits");
  verb->add_option("-t,--threads", flags->threads, "0: all processors");
  auto* resume =
      verb->add_flag("--resume", flags->resume, "Continue an interrupted run, bit for bit");
  verb->add_flag("--force", flags->force, "Replace the run folder")->excludes(resume);
  verb->add_flag("--no-choose", flags->no_choose,
                 "Do not look for the most faithful explanation method afterwards");
  verb->add_flag("-q,--quiet", flags->quiet, "No progress");
  verb->callback([flags] { train_verb(*flags); });
}

}  // namespace attend
