// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/score.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/explain/choice.h"
#include "common.h"
#include "progress.h"
#include "score_tables.h"
#include "verbs.h"

namespace attend {
namespace {

struct ScoreFlags {
  std::string run;
  std::string file;
  std::vector<std::string> methods = {"all"};
  std::vector<std::string> metrics;
  std::string units;
  std::string removal;
  int64_t limit = -1;
  int64_t seed = 1;
  int64_t threads = 0;
  bool choose = false;
  bool sanity = false;
  std::string planted;
  std::string rationales;
  std::string rationale_tags;
  std::string format, text_column, label_column;
  std::string out;
  OutputFlags output;
};

// What a person is shown unless he asks for other metrics; programs get all of them.
const std::vector<std::string>& shown_metrics() {
  static const std::vector<std::string> names = {"faithfulness", "comprehensiveness", "sufficiency",
                                                 "deletion",     "insertion",         "tau",
                                                 "infidelity"};
  return names;
}

void print(const ScoreFlags& flags, Printable result) {
  result.json["command"] = command_line();
  if (!flags.run.empty()) result.json["run"] = flags.run;
  result.human += "\n" + command_line() + "\n";
  OutputForm form = flags.output.form();
  if (flags.out.ends_with(".json")) form = OutputForm::kJson;
  if (flags.out.ends_with(".tsv")) form = OutputForm::kTsv;
  switch (form) {
    case OutputForm::kJson:
      return write_output(flags.out, result.json.dump(2) + "\n");
    case OutputForm::kTsv:
      return write_output(flags.out, result.tsv);
    case OutputForm::kHuman:
      return write_output(flags.out, result.human);
  }
}

template <typename Options>
void observe_with(CountPrinter& printer, Options& options) {
  options.observe = [&printer](const ScoreProgress& progress) {
    printer.show(progress.done, progress.total, progress.per_second, progress.seconds_left);
  };
}

Removal removal_of(const ScoreFlags& flags, const Task& task) {
  return flags.removal.empty() ? task.removals().front() : parse_removal(flags.removal, task);
}

void score_faithfulness(const ScoreFlags& flags, const Run& run) {
  const auto data = run.task->read(flags.file, /*with_gold=*/false);
  ScoreOptions options;
  options.methods = flags.methods;
  options.metrics = flags.metrics;
  options.units = flags.units;
  options.limit = flags.limit < 0 ? 500 : flags.limit;
  options.seed = static_cast<uint64_t>(flags.seed);
  options.faithfulness.removal = removal_of(flags, *run.task);
  // An hour for a data set of long texts is worth it; a minute for one sentence is not.
  options.faithfulness.max_positions = 2'000'000;
  if (flags.choose && !flags.metrics.empty()) options.metrics.push_back("faithfulness");
  CountPrinter printer("scored");
  observe_with(printer, options);
  const ScoreTable table = score_methods(*run.task, *data, options);
  printer.finish();
  if (table.interrupted) {
    throw Error(ExitCode::kInterrupted,
                fmt::format("interrupted after {} examples; nothing was written", table.examples));
  }
  Printable result =
      printable(table,
                {data->description(), flags.units.empty() ? run.task->unit_kind() : flags.units,
                 to_string(options.faithfulness.removal), options.seed},
                flags.metrics.empty() ? shown_metrics() : flags.metrics);
  if (flags.choose) {
    const MethodChoice choice =
        choose_method(table, options.faithfulness.removal, data->description());
    store_choice(flags.run, choice);
    result.json["chosen"] = to_json(choice);
    result.human += "chosen for " + flags.run + ": " + describe(choice) + "\n";
  }
  print(flags, std::move(result));
}

void score_sanity(const ScoreFlags& flags, const Run& run) {
  const auto data = run.task->read(flags.file, /*with_gold=*/true);
  SanityOptions options;
  options.methods = flags.methods;
  options.units = flags.units;
  options.limit = flags.limit < 0 ? 50 : flags.limit;
  options.seed = static_cast<uint64_t>(flags.seed);
  options.removal = removal_of(flags, *run.task);
  CountPrinter printer("explained");
  observe_with(printer, options);
  // The cheap test first: if attention is not used, the rest is read in that light.
  const UniformTest uniform = uniform_attention_test(*run.task, *data, 0, options.seed);
  const auto stages = randomisation_test(*run.task, *data, options);
  printer.finish();
  print(flags, printable(stages, uniform, data->description()));
}

void score_against_people(const ScoreFlags& flags, const Run& run) {
  RationaleOptions reading;
  reading.column = flags.rationales;
  reading.tags = parse_rationale_tags(flags.rationale_tags);
  reading.reader.require_labels = false;
  if (!flags.format.empty()) reading.reader.format = parse_data_format(flags.format);
  reading.reader.text_column = flags.text_column;
  reading.reader.label_column = flags.label_column;
  const auto rows = read_rationales(flags.file, reading);
  RationaleOptionsScore options;
  options.methods = flags.methods;
  options.units = flags.units;
  options.limit = flags.limit < 0 ? 0 : flags.limit;
  options.seed = static_cast<uint64_t>(flags.seed);
  CountPrinter printer("explained");
  observe_with(printer, options);
  const PlausibilityTable table = score_rationales(*run.task, rows, options);
  printer.finish();
  print(flags, printable(table, flags.file));
}

void score(const ScoreFlags& flags) {
  use_threads(flags.threads);
  const InterruptGuard guard;
  if (!flags.planted.empty()) {
    if (!flags.run.empty()) {
      throw usage_error("--planted makes its own model and data; leave \"" + flags.run + "\" out");
    }
    return print(flags, printable(planted_hits(flags.planted, flags.methods,
                                               flags.limit < 1 ? 200 : flags.limit,
                                               static_cast<uint64_t>(flags.seed))));
  }
  if (flags.run.empty() || flags.file.empty()) {
    throw usage_error("give a run folder and a data file, or --planted KIND");
  }
  const Run run = load_run(flags.run);
  if (flags.sanity) return score_sanity(flags, run);
  if (!flags.rationales.empty()) return score_against_people(flags, run);
  score_faithfulness(flags, run);
}

}  // namespace

void add_score_verb(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("score", "How far explanations can be trusted, over a data set");
  auto flags = std::make_shared<ScoreFlags>();
  verb->add_option("RUN", flags->run, "Run folder");
  verb->add_option("FILE", flags->file, "Data in the format the run was trained on");
  verb->add_option("--method", flags->methods, "all, or names as in `attend explain`")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--metrics", flags->metrics,
                   "Some of the metrics, such as comprehensiveness,sufficiency; default: all")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--units", flags->units, "word: merge units into words");
  verb->add_option("--removal", flags->removal, "How units are taken out: delete, mask or mean");
  verb->add_option("--limit", flags->limit,
                   "Examples, drawn with the seed (default 500, --sanity 50); 0: all")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--seed", flags->seed, "Of the draw, the random row and the intervals")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("-t,--threads", flags->threads, "0: all processors");
  auto* choose = verb->add_flag("--choose", flags->choose,
                                "Note in the run folder which method is the most faithful");
  auto* sanity =
      verb->add_flag("--sanity", flags->sanity,
                     "Randomise the model part by part, and make attention uniform: what changes?");
  auto* rationales =
      verb->add_option("--rationales", flags->rationales,
                       "Column where people marked the evidence: [[begin, end], ...] "
                       "over white-space tokens, or a tag per token");
  verb->add_option("--rationale-tags", flags->rationale_tags,
                   "Tags that are evidence, by label: \"1:3,4 0:0,1\" (default: 1, B-, I-)")
      ->needs(rationales);
  verb->add_option("--format", flags->format, "Of the file with rationales")->needs(rationales);
  verb->add_option("--text-col", flags->text_column, "Its text column, name or number from 1")
      ->needs(rationales);
  verb->add_option("--label-col", flags->label_column, "Its label column")->needs(rationales);
  auto* planted =
      verb->add_option("--planted", flags->planted,
                       "Test methods where the truth is known: text, items, entities or "
                       "patches");
  for (auto* other : {rationales, planted}) sanity->excludes(other);
  for (auto* other : {rationales, planted}) choose->excludes(other);
  sanity->excludes(choose);
  rationales->excludes(planted);
  verb->add_option("--out", flags->out, "File; .json or .tsv chooses the form");
  flags->output.add_to(*verb);
  verb->callback([flags] { score(*flags); });
}

}  // namespace attend
