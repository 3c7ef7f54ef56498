// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/data/check.h"
#include "common.h"
#include "verbs.h"

namespace attend {
namespace {

struct CheckFlags {
  std::string train;
  std::vector<std::string> dev;
  std::string format = "auto";
  std::string text_column;
  std::string label_column;
  std::string label_names;
  bool json = false;
  bool strict = false;
};

void check(const CheckFlags& flags) {
  ReaderOptions options;
  options.format = parse_data_format(flags.format);
  options.text_column = flags.text_column;
  options.label_column = flags.label_column;
  options.label_names = flags.label_names;
  options.require_labels = false;
  const DataReport report = check_data(flags.train, {flags.dev.begin(), flags.dev.end()}, options);
  write_output({}, flags.json ? to_json(report).dump(2) + "\n" : to_text(report));
  if (flags.strict && !report.clean()) {
    throw Error(ExitCode::kCheck, flags.train + ": " + std::to_string(report.warnings.size()) +
                                      (report.warnings.size() == 1 ? " warning" : " warnings") +
                                      ", and --strict was given");
  }
}

}  // namespace

void add_data_verb(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Look at a data set");
  data->require_subcommand(1);
  CLI::App* verb = data->add_subcommand(
      "check", "Rows, classes, lengths, duplicates, leaks, encoding faults, bad lines");
  auto flags = std::make_shared<CheckFlags>();
  verb->add_option("TRAIN", flags->train, "Training file")->required();
  verb->add_option("DEV", flags->dev, "Dev files, checked for leaks from TRAIN");
  verb->add_option("--format", flags->format, "auto, tsv, csv, jsonl, fasttext or plain");
  verb->add_option("--text-col", flags->text_column, "Name or number (from 1) of the text column");
  verb->add_option("--label-col", flags->label_column, "Name or number of the label column");
  verb->add_option("--labels", flags->label_names, "File with one label name per line");
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->add_flag("--strict", flags->strict, "Exit with 4 if there is any warning");
  verb->callback([flags] { check(*flags); });
}

}  // namespace attend
