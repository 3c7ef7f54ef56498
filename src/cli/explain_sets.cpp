// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "explain_sets.h"

#include <unistd.h>

#include <algorithm>

#include "attend/base/error.h"
#include "attend/report/comparison.h"
#include "attend/report/dataset.h"
#include "attend/report/render.h"
#include "attend/report/terminal.h"

namespace attend {
namespace {

void show(const Comparison& both, const ExplainSetsOutput& output) {
  if (!output.file.empty()) return render(both, output.file);
  switch (output.flags.form()) {
    case OutputForm::kJson:
      throw usage_error(
          "--json: a comparison has no JSON form; explain each and `attend render "
          "FIRST.json --against SECOND.json`");
    case OutputForm::kTsv:
      return write_output({}, comparison_to_tsv(both));
    case OutputForm::kHuman:
      return write_output({}, terminal_comparison(both, detect_terminal(STDOUT_FILENO)));
  }
}

void show(const DatasetReport& report, const ExplainSetsOutput& output) {
  if (!output.file.empty()) return render(report, output.file);
  switch (output.flags.form()) {
    case OutputForm::kJson:
      return write_output({}, to_json(report));
    case OutputForm::kTsv:
      return write_output({}, to_tsv(report));
    case OutputForm::kHuman:
      return write_output({}, terminal_dataset(report, detect_terminal(STDOUT_FILENO)));
  }
}

// With labels where every row has one; a file without them is explained all the same.
std::shared_ptr<Dataset> read_set(const Run& run, const InputFlags& input) {
  const bool one_file = input.inputs.size() == 1 && input.texts.empty() && input.inputs[0] != "-" &&
                        !input.lines && std::filesystem::is_regular_file(input.inputs[0]);
  if (one_file) {
    try {
      return run.task->read(input.inputs[0], /*with_gold=*/true);
    } catch (const Error& error) {
      // Read again below, where a file that is broken in other ways stops the program.
      std::fprintf(stderr, "attend: explained without labels: %s\n", error.what());
    }
  }
  std::vector<InputSet> sets = read_inputs(input, *run.task);
  if (sets.size() > 1) throw usage_error("--limit: give one file, or - for standard input");
  return sets.front().data;
}

DatasetReport table_of(const ExplainSetsFlags& flags, const Run& run, const std::string& run_name,
                       const InputFlags& input, const ExplainOne& explain_one) {
  const std::shared_ptr<Dataset> data = read_set(run, input);
  const int64_t count = std::min(flags.limit, data->size());
  DatasetReportBuilder builder;
  const bool progress = isatty(STDERR_FILENO) != 0;
  for (int64_t row = 0; row < count; ++row) {
    if (progress) {
      std::fprintf(stderr, "\rexplaining %lld of %lld", static_cast<long long>(row) + 1,
                   static_cast<long long>(count));
    }
    builder.add(explain_one(run, run_name, *data, row), std::to_string(row + 1), data->gold(row));
  }
  if (progress) std::fprintf(stderr, "\r\x1b[K");
  DatasetReport report = builder.finish();
  report.command = command_line();
  report.data = input.inputs.empty()     ? "typed inputs"
                : input.inputs[0] == "-" ? "standard input"
                                         : input.inputs[0];
  if (count < data->size()) {
    report.notices.push_back("the first " + std::to_string(count) + " of " +
                             std::to_string(data->size()) + " inputs");
  }
  return report;
}

}  // namespace

void ExplainSetsFlags::add_to(CLI::App& verb) {
  auto* second_run = verb.add_option("--against-run", against_run,
                                     "Second run folder: explain the input with both and compare");
  auto* second_input =
      verb.add_option("--against", against, "Second text: compare with it")->excludes(second_run);
  verb.add_option("--limit", limit, "Explain this many inputs of a file and show them as a table")
      ->check(CLI::PositiveNumber)
      ->excludes(second_run)
      ->excludes(second_input);
}

void explain_sets(const ExplainSetsFlags& flags, const Run& run, const std::string& run_name,
                  const InputFlags& input, const ExplainOne& explain_one,
                  const ExplainSetsOutput& output) {
  if (flags.limit > 0) return show(table_of(flags, run, run_name, input, explain_one), output);
  const InputSet set = read_single_input(input, *run.task);
  Explanation first = explain_one(run, run_name, *set.data, 0);
  if (!flags.against.empty()) {
    const auto second = run.task->from_inputs({flags.against});
    return show(compare(std::move(first), explain_one(run, run_name, *second, 0)), output);
  }
  const Run other = load_run(flags.against_run);
  const InputSet read_by_other = read_single_input(input, *other.task);
  return show(
      compare(std::move(first), explain_one(other, flags.against_run, *read_by_other.data, 0)),
      output);
}

}  // namespace attend
