// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "attend/train/trainer.h"

namespace attend {

/// "accuracy 0.9512, loss 0.1630, macro_f1 0.9510"
std::string metrics_text(const std::map<std::string, double>& metrics);

/// Shows training on standard output: one line that is rewritten on a terminal, a plain line every
/// ten seconds and after every look at the dev set elsewhere.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(std::string primary_metric, std::string prefix = "");

  void show(const TrainProgress& progress);

  /// Leaves the cursor on a fresh line.
  void finish();

 private:
  std::string line(const TrainProgress& progress) const;

  std::string primary_metric_;
  std::string prefix_;
  bool terminal_;
  bool line_open_ = false;
  bool looked_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// Shows "scored 120/500  14.2/s  27s left" on standard error, since standard output is for the
/// result: rewritten on a terminal, a plain line every ten seconds elsewhere.
class CountPrinter {
 public:
  explicit CountPrinter(std::string what);

  void show(int64_t done, int64_t total, double per_second, double seconds_left);

  /// Leaves the cursor on a fresh line.
  void finish();

 private:
  std::string what_;
  bool terminal_;
  bool line_open_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace attend
