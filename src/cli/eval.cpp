// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/data/parallel.h"
#include "attend/report/text.h"
#include "attend/tasks/sequence_task.h"
#include "attend/train/evaluate.h"
#include "common.h"
#include "verbs.h"

namespace attend {
namespace {

using nlohmann::json;

struct EvalFlags {
  std::string run;
  std::string file;
  int64_t threads = 0;
  std::string alignment;
  int64_t layer = -1;
  bool swap = false;
  PrecisionFlag precision;
  OutputFlags output;
};

json result(const EvalFlags& flags, const Metrics& metrics, const std::string& data) {
  json intervals = json::object();
  for (const auto& [name, interval] : bootstrap_intervals(metrics)) {
    intervals[name] = {interval.low, interval.high};
  }
  return {{"metrics", metric_values(metrics)},
          {"intervals", intervals},
          {"details", metrics.details()},
          {"examples", metrics.examples()},
          {"file", flags.file},
          {"data", data},
          {"run", flags.run},
          {"command", command_line()}};
}

std::string for_person(const json& result) {
  std::string text = result.at("data").get<std::string>() + "\n";
  for (const auto& [name, value] : result.at("metrics").items()) {
    const auto& interval = result.at("intervals").at(name);
    text +=
        fmt::format("{:<12} {:.4f}   95 % interval {:.4f} to {:.4f}\n", name, value.get<double>(),
                    interval.at(0).get<double>(), interval.at(1).get<double>());
  }
  const json signatures = result.at("details").value("signatures", json::object());
  for (const auto& [name, signature] : signatures.items()) {
    text += name + " " + signature.get<std::string>() + "\n";
  }
  const json classes = result.at("details").value("classes", json::array());
  if (!classes.empty()) text += "\nprecision  recall     F1   rows  class\n";
  for (const auto& one : classes) {
    text += fmt::format("   {:.4f}  {:.4f} {:.4f} {:>6}  {}\n", one.at("precision").get<double>(),
                        one.at("recall").get<double>(), one.at("f1").get<double>(),
                        one.at("examples").get<int64_t>(),
                        visible_text(one.at("label").get<std::string>(), true));
  }
  return text + "\n" + result.at("command").get<std::string>() + "\n";
}

std::string for_table(const json& result) {
  std::string text = "metric\tvalue\tlow\thigh\n";
  for (const auto& [name, value] : result.at("metrics").items()) {
    const auto& interval = result.at("intervals").at(name);
    text += fmt::format("{}\t{}\t{}\t{}\n", name, value.get<double>(), interval.at(0).get<double>(),
                        interval.at(1).get<double>());
  }
  return text;
}

// The links that the run finds between words, against those that people made.
json alignment_result(const EvalFlags& flags, Task& task) {
  auto* sequences = dynamic_cast<SequenceTask*>(&task);
  if (sequences == nullptr) {
    throw usage_error(flags.run + ": --alignment is for runs that translate; this one does " +
                      task.name());
  }
  const AlignOptions options{parse_alignment_method(flags.alignment), flags.layer};
  std::vector<WordPair> pairs;
  std::vector<GoldLinks> gold;
  for (AlignedPair& pair : read_aligned(flags.file, flags.swap)) {
    pairs.push_back({std::move(pair.source), std::move(pair.target)});
    gold.push_back({std::move(pair.sure), std::move(pair.possible)});
  }
  const auto metrics = new_alignment_metrics(sequences->align(pairs, options), gold);
  return result(flags, *metrics,
                flags.file + ": " + std::to_string(pairs.size()) + " pairs with links");
}

void eval(const EvalFlags& flags) {
  use_threads(flags.threads);
  const InterruptGuard guard;
  const Run run = load_run(flags.run);
  flags.precision.apply(*run.task);
  json all;
  if (!flags.alignment.empty()) {
    all = alignment_result(flags, *run.task);
  } else {
    const auto data = run.task->read(flags.file, /*with_gold=*/true);
    const auto metrics = evaluate(*run.task, *data);
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; no metrics were computed");
    all = result(flags, *metrics, data->description());
  }
  switch (flags.output.form()) {
    case OutputForm::kJson:
      return write_output({}, all.dump(2) + "\n");
    case OutputForm::kTsv:
      return write_output({}, for_table(all));
    case OutputForm::kHuman:
      return write_output({}, for_person(all));
  }
}

}  // namespace

void add_eval_verb(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("eval", "Metrics of a run on a file, with 95 % intervals");
  auto flags = std::make_shared<EvalFlags>();
  verb->add_option("RUN", flags->run, "Run folder")->required();
  verb->add_option("FILE", flags->file,
                   "Data with gold labels, in the format the run was trained on")
      ->required();
  verb->add_option("--threads", flags->threads, "0: all processors");
  verb->add_option("--alignment", flags->alignment,
                   "Word alignments by attention, norm or occlusion against FILE: source words, "
                   "target words, links (1-1, possible ones 1p1)");
  verb->add_option("--layer", flags->layer,
                   "Decoder layer to align by, from 0; -1: the last but one");
  verb->add_flag("--swap", flags->swap, "The first column of the alignments is the target");
  flags->precision.add_to(*verb);
  flags->output.add_to(*verb);
  verb->callback([flags] { eval(*flags); });
}

}  // namespace attend
