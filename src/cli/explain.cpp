// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/explain.h"

#include <unistd.h>

#include <memory>

#include "attend/explain/choice.h"
#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/terminal.h"
#include "common.h"
#include "verbs.h"

namespace attend {
namespace {

struct ExplainFlags {
  std::string run;
  InputFlags input;
  ExplainOptions options;
  std::string removal = "delete";
  std::string out;
  OutputFlags output;
};

void explain_verb(const ExplainFlags& flags) {
  use_threads(0);
  const Run run = load_run(flags.run);
  const InputSet input = read_single_input(flags.input, *run.task);
  ExplainOptions options = flags.options;
  options.removal = parse_removal(flags.removal, *run.task);
  if (const auto choice = choice_of_run(run.info)) {
    options.best_method = choice->method;
    options.best_beats_random = choice->beats_random();
  }
  Explanation explanation = explain(*run.task, *input.data, 0, options);
  explanation.model = flags.run;
  explanation.command = command_line();
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
  verb->add_option("--method", flags->options.methods,
                   "attention, occlusion, gradient-x-input, random")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--target", flags->options.target,
                   "Output to explain; the predicted one if absent");
  verb->add_option("--units", flags->options.units, "word: merge units into words");
  verb->add_option("--removal", flags->removal, "How units are taken out: delete, mask or mean");
  verb->add_option("--out", flags->out, "File; its ending chooses the form: .html .svg .json .tsv");
  flags->output.add_to(*verb);
  verb->callback([flags] { explain_verb(*flags); });
}

}  // namespace attend
