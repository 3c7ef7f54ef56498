// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// `attend bench`: this machine's limits, and how close the kernels come to them.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "machine.h"
#include "measure.h"
#include "options.h"

namespace attend::bench {

/// One line of the table, or of JSON.
struct Line {
  std::string name;
  int threads = 1;
  Timing timing;
  double gflop = 0;
  /// Further JSON fields, already written: "\"kv_gbs\":12.34".
  std::string json;
  double share = -1;  ///< of the limit that counts for this case; < 0: not known
  std::string note;   ///< last column of the table
};

/// Writes the lines to standard output as they come.
class Printer {
 public:
  /// `peer` is who is measured: the first field of a JSON line.
  explicit Printer(const Options& options, std::string peer = "attend")
      : options_(options), peer_(std::move(peer)) {}

  /// `foreign` as in Timing.
  void limits(int threads, const Limits& limits, double foreign);
  void line(const Line& line);
  /// A line for people; nothing with --json.
  void text(const std::string& text);
  /// Says whether lines were disturbed.
  void finish();

 private:
  const Options& options_;
  std::string peer_;
  bool headed_ = false;
  int disturbed_ = 0;
  std::map<std::string, double> single_thread_ms_;
};

/// Measures what the options ask for, except for What::kEncoder, kLinear and kGenerate, which need
/// the modules. Returns how many cases differed from the double reference by more than their bound;
/// those were not timed. Throws std::invalid_argument for a case that the kernels refuse.
int run_kernel_cases(const Options& options, Printer& printer);

/// 1 and 2, or what was asked for; never more than this process may use, which is reported.
std::vector<int> thread_counts(const Options& options, Printer& printer);

}  // namespace attend::bench
