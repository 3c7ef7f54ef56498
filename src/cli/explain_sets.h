// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// `attend explain` of more than one thing: two runs, two inputs, or a data set.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "attend/explain/explanation.h"
#include "common.h"

namespace attend {

struct ExplainSetsFlags {
  std::string against_run;
  std::string against;
  int64_t limit = 0;  ///< 0: one input

  void add_to(CLI::App& verb);
  bool wanted() const { return !against_run.empty() || !against.empty() || limit > 0; }
};

/// Explains the input `row` of `data` with the task of `run`.
using ExplainOne = std::function<Explanation(const Run& run, const std::string& name,
                                             const Dataset& data, int64_t row)>;

/// Where a report goes: a file whose ending names its form, or standard output.
struct ExplainSetsOutput {
  std::string file;
  const OutputFlags& flags;
};

/// Explains the second run or input, or the first `limit` inputs of a file (with their labels where
/// it has any), and shows the comparison or the table. Error(kUsage) for flags that exclude each
/// other.
void explain_sets(const ExplainSetsFlags& flags, const Run& run, const std::string& run_name,
                  const InputFlags& input, const ExplainOne& explain_one,
                  const ExplainSetsOutput& output);

}  // namespace attend
