// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace attend {

/// What the process exits with; each user-facing failure belongs to one of them.
enum class ExitCode : int {
  kOk = 0,
  kUsage = 1,         ///< the command line is wrong
  kData = 2,          ///< an input file is wrong
  kModel = 3,         ///< a run folder or model file is wrong or does not fit
  kCheck = 4,         ///< a check or gate failed
  kInterrupted = 130  ///< stopped by Ctrl-C
};

/// A mistake that the user can mend. The text names where (file and line, or the value), the rule
/// that was broken, and the fix, in one line. A programmer's mistake is an assertion instead.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

inline Error usage_error(const std::string& message) { return {ExitCode::kUsage, message}; }
inline Error data_error(const std::string& message) { return {ExitCode::kData, message}; }
inline Error model_error(const std::string& message) { return {ExitCode::kModel, message}; }

}  // namespace attend
