// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What several verbs share.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "attend/explain/steering.h"
#include "attend/tasks/run_folder.h"

namespace attend {

/// The command line as the user typed it, quoted so that it can be pasted into a shell. Set once by
/// main.
void set_command_line(int argc, char** argv);
const std::string& command_line();

/// 0: OMP_NUM_THREADS if set, else all processors this process may use.
void use_threads(int64_t threads);

/// How a verb prints: for a person, or for a program.
enum class OutputForm { kHuman, kJson, kTsv };

/// The flags --json, --tsv and --human; without one, a person's form on a terminal, else TSV.
struct OutputFlags {
  bool json = false;
  bool tsv = false;
  bool human = false;

  void add_to(CLI::App& verb);
  OutputForm form() const;
};

/// The inputs of a verb: positional arguments and --text.
struct InputFlags {
  std::vector<std::string> inputs;  ///< files, "-", or literal text
  std::vector<std::string> texts;   ///< literal text, whatever it looks like
  bool lines = false;               ///< every line of a file is one input
  std::string forced_output;        ///< for tasks that write texts: the output to look at

  void add_to(CLI::App& verb);
  /// The flag --output, for verbs that show one input with its output.
  void add_output_to(CLI::App& verb);
};

/// The flag --precision of verbs that decode or evaluate.
struct PrecisionFlag {
  std::string precision;  ///< empty: not given

  void add_to(CLI::App& verb);

  /// Freezes the task's model in it. Throws Error(kUsage) for an unknown one, and for a task that
  /// does not write token by token.
  void apply(Task& task) const;
};

/// The flags that act on a model's attention.
struct SteeringFlags {
  Steering steering;

  void add_to(CLI::App& verb);
};

/// Examples with where they came from; typed inputs are examples of their own.
struct InputSet {
  std::shared_ptr<Dataset> data;
  bool typed = false;  ///< all of them were typed on the command line
};

/// Reads what the flags name. Something that looks like a file name (has a path or a known ending)
/// but does not exist is an Error(kData), not a text.
std::vector<InputSet> read_inputs(const InputFlags& flags, const Task& task);

/// For verbs that show one input: the first of them, with the output that the flags give it; says
/// so on stderr if there are more.
InputSet read_single_input(const InputFlags& flags, Task& task);

/// `text` written to `path`, or to standard output if it is empty.
void write_output(const std::filesystem::path& path, const std::string& text);

}  // namespace attend
