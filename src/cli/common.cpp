// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "common.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/data/reader.h"
#include "attend/tasks/decoding_task.h"
#include "attend/tasks/sequence_task.h"

namespace attend {
namespace {

std::string& stored_command_line() {
  static std::string line;
  return line;
}

std::string shell_quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("-_./=,:+@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

bool looks_like_file_name(const std::string& word) {
  if (word.find(' ') != std::string::npos) return false;
  static const std::vector<std::string> kEndings = {".tsv", ".csv",  ".txt", ".jsonl",
                                                    ".gz",  ".json", ".ft",  ".md"};
  const bool known_ending = std::any_of(kEndings.begin(), kEndings.end(), [&](const auto& ending) {
    return word.size() > ending.size() && word.ends_with(ending);
  });
  return known_ending || word.starts_with("/") || word.starts_with("./") || word.starts_with("../");
}

std::vector<std::string> read_lines(const std::string& path) {
  ReaderOptions options;
  options.format = DataFormat::kPlain;
  options.require_labels = false;
  ReadResult read = read_rows(path, options);
  // Blank lines stay, so that the answer to line N is the Nth.
  std::vector<std::string> lines(static_cast<size_t>(read.facts.lines));
  for (Row& row : read.rows) lines[static_cast<size_t>(row.line - 1)] = std::move(row.text);
  return lines;
}

}  // namespace

void set_command_line(int argc, char** argv) {
  std::string& line = stored_command_line();
  line = "attend";  // the name a reader can type, not the path it was built under
  for (int i = 1; i < argc; ++i) line += " " + shell_quoted(argv[i]);
}

const std::string& command_line() { return stored_command_line(); }

void use_threads(int64_t threads) {
  if (threads == 0) {
    const char* requested = std::getenv("OMP_NUM_THREADS");
    if (requested != nullptr) threads = std::atoi(requested);
  }
  if (threads <= 0) {
    cpu_set_t allowed;
    threads = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  }
  torch::set_num_threads(static_cast<int>(threads));
}

void OutputFlags::add_to(CLI::App& verb) {
  auto* as_json = verb.add_flag("--json", json, "Print JSON");
  auto* as_tsv = verb.add_flag("--tsv", tsv, "Print tab-separated values");
  auto* as_human = verb.add_flag("--human", human, "Print for a person, also into a pipe");
  as_json->excludes(as_tsv)->excludes(as_human);
  as_tsv->excludes(as_human);
}

OutputForm OutputFlags::form() const {
  if (json) return OutputForm::kJson;
  if (tsv) return OutputForm::kTsv;
  return human || isatty(STDOUT_FILENO) != 0 ? OutputForm::kHuman : OutputForm::kTsv;
}

void InputFlags::add_to(CLI::App& verb) {
  verb.add_option("INPUT", inputs,
                  "Text, a file in the format the run was trained on, or - for standard input "
                  "(one text per line)");
  verb.add_option("--text", texts, "Text, even if it looks like a file name")
      ->allow_extra_args(false);
  verb.add_flag("--lines", lines, "Every line of a file is one text, without labels");
}

void PrecisionFlag::add_to(CLI::App& verb) {
  verb.add_option("--precision", precision,
                  "Weights of a decoder as f32 (default), bf16 or int8; see docs/performance.md");
}

void PrecisionFlag::apply(Task& task) const {
  auto* decoding = dynamic_cast<DecodingTask*>(&task);
  if (precision.empty()) return;
  const Precision wanted = parse_precision(precision);
  if (decoding == nullptr) {
    throw usage_error("--precision is for models that write token by token; this one does " +
                      task.name() + ": leave it out");
  }
  decoding->freeze(wanted);
}

void SteeringFlags::add_to(CLI::App& verb) {
  constexpr const char* kGroup = "Steering";
  verb.add_option("--emphasize", steering.emphasize,
                  "UNITS:FACTOR, such as \"word:2\" or 3-5:0.5: attention to them times FACTOR; 0 "
                  "hides; may be repeated")
      ->allow_extra_args(false)
      ->group(kGroup);
  verb.add_option("--mask-units", steering.mask_units,
                  "UNITS (text, or a range of numbers) to mask in the input; may be repeated")
      ->allow_extra_args(false)
      ->group(kGroup);
  verb.add_option("--heads-off", steering.heads_off, "LAYER.HEAD,...: heads that give zeros")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kGroup);
  verb.add_option("--attention-temperature", steering.temperature,
                  "Scores of attention are divided by it: below 1 sharpens, above 1 flattens")
      ->group(kGroup);
  verb.add_flag("--uniform", steering.uniform, "Equal attention on every unit")->group(kGroup);
  verb.add_option("--steer-layers", steering.layers,
                  "Layers where emphasis, temperature and uniform act; all if absent")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kGroup);
  verb.add_option("--steer-heads", steering.heads, "Their heads; all if absent")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(kGroup);
}

void InputFlags::add_output_to(CLI::App& verb) {
  verb.add_option("--output", forced_output,
                  "For tasks that write texts: look at this output instead of the model's own");
}

std::vector<InputSet> read_inputs(const InputFlags& flags, const Task& task) {
  std::vector<InputSet> sets;
  std::vector<std::string> typed = flags.texts;
  for (const std::string& input : flags.inputs) {
    std::error_code ignored;
    if (input == "-") {
      sets.push_back({task.from_inputs(read_lines(input)), false});
    } else if (std::filesystem::exists(input, ignored)) {
      try {
        sets.push_back({flags.lines ? task.from_inputs(read_lines(input))
                                    : task.read(input, /*with_gold=*/false),
                        false});
      } catch (const Error& error) {
        if (error.code() != ExitCode::kUsage) throw;
        throw usage_error(std::string(error.what()) + "; if every line is a text, add --lines");
      }
    } else if (looks_like_file_name(input)) {
      throw data_error(input + ": no such file; if it is a text, give it as --text '" + input +
                       "'");
    } else {
      typed.push_back(input);
    }
  }
  if (!typed.empty()) sets.insert(sets.begin(), {task.from_inputs(typed), true});
  if (sets.empty()) {
    throw usage_error("no input; give a text, a file, or - for standard input");
  }
  return sets;
}

InputSet read_single_input(const InputFlags& flags, Task& task) {
  std::vector<InputSet> sets = read_inputs(flags, task);
  int64_t total = 0;
  for (const InputSet& set : sets) total += set.data->size();
  if (total > 1) {
    std::fprintf(stderr, "attend: showing the first of %lld inputs\n",
                 static_cast<long long>(total));
  }
  if (flags.forced_output.empty()) return sets.front();
  auto* sequences = dynamic_cast<SequenceTask*>(&task);
  if (sequences == nullptr) {
    throw usage_error("--output is for tasks that write texts, and this run does " + task.name() +
                      ": choose an output with --target");
  }
  return {sequences->with_output(*sets.front().data, 0, flags.forced_output), sets.front().typed};
}

void write_output(const std::filesystem::path& path, const std::string& text) {
  if (!path.empty()) {
    write_file_atomically(path, text);
    return;
  }
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0) {
    throw data_error("standard output: cannot write (disk full or closed pipe)");
  }
}

}  // namespace attend
