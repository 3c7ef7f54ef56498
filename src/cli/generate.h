// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// `attend run` of a model that writes texts.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "attend/tasks/text_generator.h"
#include "common.h"
#include "run_sequence.h"

namespace attend {

struct GenerateFlags {
  GenerateRequest request;
  std::string gap;  ///< --infill: a text with [MASK] in it
  std::string form;
  std::string rhyme_table;
  int64_t max_length = 256;
  bool stream = false;
  bool why = false;
  bool metrics = false;
  bool interactive = false;
  std::string reference;  ///< texts by people to measure beside
  std::string frontier;   ///< SVG to write

  void add_to(CLI::App& verb);

  /// Whether any of them was given.
  bool given() const { return group_ != nullptr && group_->count_all() > 0; }

 private:
  CLI::Option_group* group_ = nullptr;
};

struct OutputTarget {
  std::string out;  ///< file; empty: standard output
  OutputForm form = OutputForm::kHuman;
};

/// What the texts are written for or from, and how to print them.
struct GenerateJob {
  const Run& run;
  TextGenerator& generator;
  GenerateRequest request;  ///< complete but for the prompt
  const GenerateFlags& flags;
  std::vector<std::string> inputs;  ///< prompts, or beginnings of a model without prompts
  std::string out;
  OutputForm form = OutputForm::kHuman;
};

/// The flags of `attend run` that a model which writes has a use for.
struct GeneratorFlags {
  const GenerateFlags& generate;
  const SequenceFlags& sequence;
  const Steering& steering;
};

/// Writes, measures, or talks, as the flags say. Tokens are drawn unless there is a beam.
void run_generator(const Run& run, const GeneratorFlags& flags, const InputFlags& input,
                   const OutputTarget& output);

/// `--frontier`: quality against diversity over temperatures and steering.
void write_frontier(const GenerateJob& job);

/// `--interactive`: reads lines from standard input until its end or /quit.
void converse(const GenerateJob& job);

/// What each token drew on most: a line per token.
std::string sources_text(const GeneratedText& text);

/// The measures of a set of texts, with "peer_perplexity".
std::map<std::string, double> measured(const GenerateJob& job,
                                       const std::vector<std::string>& texts);

/// The texts of --reference in the form that was asked for; empty if none was given.
std::vector<std::string> reference_texts(const GenerateJob& job);

}  // namespace attend
