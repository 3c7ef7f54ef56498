// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/explain/explain.h"
#include "attend/report/terminal.h"
#include "attend/report/text.h"
#include "attend/tasks/decoding_task.h"
#include "attend/train/evaluate.h"
#include "common.h"
#include "generate.h"
#include "run_sequence.h"
#include "run_steered.h"
#include "verbs.h"

namespace attend {
namespace {

using nlohmann::json;

struct RunFlags {
  std::string run;
  InputFlags input;
  std::string out;
  int64_t top = 1;
  int64_t threads = 0;
  bool evidence = false;
  bool no_evidence = false;
  SteeringFlags steering;
  OutputFlags output;
  PrecisionFlag precision;
  GenerateFlags generate;
  SequenceFlags sequence;
};

struct Answer {
  std::string input;
  Prediction prediction;
  std::optional<Span> evidence;
  std::string notice;
  std::vector<Effect> effects;

  std::string evidence_text() const {
    if (!evidence) return "";
    return input.substr(static_cast<size_t>(evidence->begin),
                        static_cast<size_t>(evidence->end - evidence->begin));
  }
};

// Places are the model's own units of each input.
std::vector<Effect> steered(Task& task, const Dataset& data, int64_t row, const Target& target,
                            const Steering& steering) {
  const auto units = task.units(data, row);
  return effects(
      task, data, row, target,
      interventions(steering, data.input(row), units,
                    single_groups(static_cast<int64_t>(units.size())), task.leading_positions()));
}

std::vector<Answer> answer(Task& task, const Dataset& data, int64_t top, bool with_evidence,
                           const Steering& steering) {
  std::vector<Answer> answers(static_cast<size_t>(data.size()));
  for_each_batch(task, data, 128,
                 [&](const std::vector<int64_t>& rows, const Batch&, const TaskOutput& output) {
                   auto predictions = task.predict(output, top);
                   for (size_t i = 0; i < rows.size(); ++i) {
                     answers[static_cast<size_t>(rows[i])].prediction = std::move(predictions[i]);
                   }
                 });
  for (int64_t row = 0; row < data.size(); ++row) {
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
    Answer& one = answers[static_cast<size_t>(row)];
    one.input = data.input(row);
    one.notice = data.notice(row);
    const Target target{one.prediction[0].label};
    if (with_evidence) one.evidence = evidence_span(task, data, row, target);
    if (!steering.empty()) one.effects = steered(task, data, row, target, steering);
  }
  return answers;
}

std::string as_json(const Answer& one, bool with_evidence) {
  json outputs = json::array();
  for (const OutputScore& output : one.prediction) {
    outputs.push_back(
        {{"label", output.label}, {"probability", output.probability}, {"logit", output.logit}});
  }
  json line = {{"input", one.input},
               {"label", one.prediction[0].label},
               {"probability", one.prediction[0].probability},
               {"outputs", outputs}};
  if (with_evidence && one.evidence) {
    line["evidence"] = {
        {"text", one.evidence_text()}, {"begin", one.evidence->begin}, {"end", one.evidence->end}};
  }
  if (!one.notice.empty()) line["notice"] = one.notice;
  for (const Effect& effect : one.effects) {
    line["effects"].push_back({{"edit", effect.edit},
                               {"label", effect.after[0].label},
                               {"probability", effect.after[0].probability},
                               {"change", effect.change}});
  }
  // A text that is not valid UTF-8 must not stop the other lines.
  return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string as_tsv(const Answer& one) {
  std::string line;
  for (const OutputScore& output : one.prediction) {
    line += fmt::format("{}\t{:.6f}\t", tsv_escaped(output.label), output.probability);
  }
  line += tsv_escaped(one.evidence_text()) + "\t" + tsv_escaped(one.input);
  for (const Effect& effect : one.effects) {
    line +=
        fmt::format("\t{}\t{}\t{:.6f}\t{:+.6f}", tsv_escaped(effect.edit),
                    tsv_escaped(effect.after[0].label), effect.after[0].probability, effect.change);
  }
  return line + "\n";
}

std::string for_person(const Answer& one) {
  std::string text;
  for (const OutputScore& output : one.prediction) {
    text += fmt::format("{}  {:.3f}\n", pad_to_width(visible_text(output.label, true), 12),
                        output.probability);
  }
  if (one.evidence) text += "because of: " + visible_text(one.evidence_text(), true) + "\n";
  for (const Effect& effect : one.effects) {
    text += fmt::format("with {}: {}  {:.3f}  ({} {:+.3f})\n", visible_text(effect.edit, true),
                        visible_text(effect.after[0].label, true), effect.after[0].probability,
                        visible_text(one.prediction[0].label, true), effect.change);
  }
  if (!one.notice.empty()) text += "note: " + one.notice + "\n";
  return visible_text(one.input, true) + "\n" + text + "\n";
}

void run_verb(const RunFlags& flags) {
  use_threads(flags.threads);
  if (flags.top < 1) throw usage_error("-k must be 1 or more");
  const InterruptGuard guard;
  const Run run = load_run(flags.run);
  const OutputForm form = flags.output.form();
  PrecisionFlag precision = flags.precision;
  const bool decodes = dynamic_cast<DecodingTask*>(run.task.get()) != nullptr;
  if (decodes && precision.precision.empty()) precision.precision = "f32";
  precision.apply(*run.task);
  if (flags.generate.given() || dynamic_cast<TextGenerator*>(run.task.get()) != nullptr) {
    return run_generator(run, {flags.generate, flags.sequence, flags.steering.steering},
                         flags.input, {flags.out, form});
  }
  if (auto* sequences = dynamic_cast<SequenceTask*>(run.task.get())) {
    if (!flags.steering.steering.empty()) {
      return write_output(flags.out, run_steered(*sequences, flags.input, flags.sequence,
                                                 flags.steering.steering, form));
    }
    return run_sequences(*sequences, flags.input, flags.sequence, form, flags.out);
  }
  if (flags.sequence.given()) {
    throw usage_error(flags.run + " answers with a class, not a text: --beam, --nbest, --sample " +
                      "and the like have no meaning for it; leave them out");
  }
  std::string text;
  for (const InputSet& set : read_inputs(flags.input, *run.task)) {
    // Evidence costs a forward pass per unit, so for files it has to be asked for.
    const bool with_evidence = !flags.no_evidence && (flags.evidence || set.typed);
    for (const Answer& one :
         answer(*run.task, *set.data, flags.top, with_evidence, flags.steering.steering)) {
      text += form == OutputForm::kJson  ? as_json(one, with_evidence)
              : form == OutputForm::kTsv ? as_tsv(one)
                                         : for_person(one);
    }
  }
  write_output(flags.out, text);
}

}  // namespace

void add_run_verb(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("run", "Predict: the output, its probability, its evidence");
  auto flags = std::make_shared<RunFlags>();
  verb->add_option("RUN", flags->run, "Run folder")->required();
  flags->input.add_to(*verb);
  verb->add_option("-k,--top", flags->top, "Outputs per input");
  verb->add_option("--out", flags->out, "Write to a file instead of standard output");
  auto* with = verb->add_flag("--evidence", flags->evidence,
                              "Also for files: the stretch of the input that carries the output");
  verb->add_flag("--no-evidence", flags->no_evidence, "Also for typed inputs: leave it out")
      ->excludes(with);
  verb->add_option("-t,--threads", flags->threads, "0: all processors");
  flags->steering.add_to(*verb);
  flags->output.add_to(*verb);
  flags->precision.add_to(*verb);
  flags->generate.add_to(*verb);
  flags->sequence.add_to(*verb);
  verb->footer(
      "TSV columns: label, probability (-k pairs of them), evidence, input; then for each change "
      "that a steering flag asks for: its name, the new label and its probability, the change of "
      "the old label's. Tasks that write texts: the text, then what was asked for; of --task "
      "generate: text, log probability, prompt. JSON: one object per line.");
  verb->callback([flags] { run_verb(*flags); });
}

}  // namespace attend
