// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// `attend run` for tasks whose output is a text.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>

#include "attend/tasks/sequence_task.h"
#include "common.h"

namespace attend {

/// Flags of the search; what is not given comes from the run's settings.
struct SequenceFlags {
  int64_t beam = 0;
  int64_t best = 1;
  double length_penalty = -1;
  bool scores = false;
  bool align = false;
  bool sample = false;
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1;
  double min_p = 0;
  int64_t seed = 1;
  double repetition_penalty = 1;
  int64_t no_repeat_ngram = 0;
  int64_t batch_size = 64;

  void add_to(CLI::App& verb);
  bool given() const;  ///< whether any of them was, for tasks that have no use for them
};

/// Reads what `input` names and writes a text per input line: line i of the output belongs to line
/// i of the input, an empty line stays empty.
void run_sequences(SequenceTask& task, const InputFlags& input, const SequenceFlags& flags,
                   OutputForm form, const std::filesystem::path& out);

}  // namespace attend
