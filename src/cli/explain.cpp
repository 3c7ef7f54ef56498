// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/explain.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <sstream>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/explain/choice.h"
#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/terminal.h"
#include "common.h"
#include "explain_sets.h"
#include "verbs.h"

namespace attend {
namespace {

struct ExplainFlags {
  std::string run;
  InputFlags input;
  ExplainOptions options;
  SteeringFlags steering;
  std::vector<std::string> tiles;
  std::string head_importance;
  ExplainSetsFlags sets;
  std::string removal;
  std::string out;
  OutputFlags output;
};

// --spans may name a file: one span a line.
std::string spans_of(const std::string& given) {
  std::error_code ignored;
  if (given.empty() || !std::filesystem::is_regular_file(given, ignored)) return given;
  std::string spans;
  std::istringstream lines(read_file(given));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) spans += (spans.empty() ? "" : ",") + line;
  }
  return spans;
}

// What each head is worth on a file goes beside what it does on this input.
void add_head_importance(Task& task, const std::string& file, Explanation& explanation) {
  const auto data = task.read(file, /*with_gold=*/true);
  const HeadImportanceOptions options;
  if (data->size() > options.max_examples) {
    explanation.notices.push_back("head importance: measured on the first " +
                                  std::to_string(options.max_examples) + " of " +
                                  std::to_string(data->size()) + " examples");
  }
  for (const HeadSummary& measured : head_importance(task, *data, options)) {
    for (HeadSummary& head : explanation.heads) {
      if (head.layer == measured.layer && head.head == measured.head) {
        head.importance = measured.importance;
      }
    }
  }
}

// The options are those of the run: how it takes units out, and what its choice of method was.
Explanation explain_with(const ExplainFlags& flags, const Run& run, const std::string& name,
                         const Dataset& data, int64_t row) {
  ExplainOptions options = flags.options;
  options.removal = flags.removal.empty() ? run.task->removals().front()
                                          : parse_removal(flags.removal, *run.task);
  if (const auto choice = choice_of_run(run.info)) {
    options.best_method = choice->method;
    options.best_beats_random = choice->beats_random();
  }
  options.spans = spans_of(flags.options.spans);
  options.steering = flags.steering.steering;
  for (const std::string& tile : flags.tiles) options.tiles.push_back(parse_tile(tile));
  Explanation explanation = explain(*run.task, data, row, options);
  explanation.model = name;
  explanation.command = command_line();
  if (!flags.head_importance.empty()) {
    add_head_importance(*run.task, flags.head_importance, explanation);
  }
  return explanation;
}

void explain_verb(const ExplainFlags& flags) {
  use_threads(0);
  const Run run = load_run(flags.run);
  if (flags.sets.wanted()) {
    const auto explain_one = [&](const Run& each, const std::string& name, const Dataset& data,
                                 int64_t row) {
      return explain_with(flags, each, name, data, row);
    };
    return explain_sets(flags.sets, run, flags.run, flags.input, explain_one,
                        {flags.out, flags.output});
  }
  const InputSet input = read_single_input(flags.input, *run.task);
  const Explanation explanation = explain_with(flags, run, flags.run, *input.data, 0);
  if (!flags.out.empty()) return render(explanation, flags.out);
  switch (flags.output.form()) {
    case OutputForm::kJson:
      return write_output({}, to_json(explanation));
    case OutputForm::kTsv:
      return write_output({}, to_tsv(explanation));
    case OutputForm::kHuman:
      return write_output({}, terminal_report(explanation, detect_terminal(STDOUT_FILENO)));
  }
}

}  // namespace

void add_explain_verb(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("explain", "Why this output: methods side by side");
  auto flags = std::make_shared<ExplainFlags>();
  verb->add_option("RUN", flags->run, "Run folder")->required();
  flags->input.add_to(*verb);
  flags->input.add_output_to(*verb);
  std::string names;
  for (const std::string& name : explanation_methods()) names += (names.empty() ? "" : ", ") + name;
  verb->add_option("--method", flags->options.methods, "all, or some of: " + names)
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--target", flags->options.target,
                   "Output to explain; the predicted one if absent");
  verb->add_option("--layer", flags->options.layer, "Layer of method attention; the last if absent")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--head", flags->options.head,
                   "Head of method attention; the mean of all if absent")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--units", flags->options.units, "word: merge units into words");
  verb->add_option("--spans", flags->options.spans,
                   "Units to merge, such as 0-3,7-9 or texts; or a file with one span a line");
  verb->add_option("--removal", flags->removal, "How units are taken out")
      ->check(CLI::IsMember({"delete", "mask", "mean"}));
  verb->add_option("--window", flags->options.window, "Units of occlusion-window")
      ->check(CLI::PositiveNumber);
  verb->add_option("--tile", flags->tiles,
                   "LAYER[.HEAD]:ROW-ROW,COLUMN-COLUMN: this part of an attention matrix in full")
      ->allow_extra_args(false);
  verb->add_option("--head-importance", flags->head_importance,
                   "Data with gold labels: how much the metric drops without each head");
  flags->steering.add_to(*verb);
  flags->sets.add_to(*verb);
  verb->add_option("--out", flags->out, "File; its ending chooses the form: .html .svg .json .tsv");
  flags->output.add_to(*verb);
  verb->callback([flags] { explain_verb(*flags); });
}

}  // namespace attend
