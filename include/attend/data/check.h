// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "attend/data/reader.h"

namespace attend {

struct ClassCount {
  std::string label;
  int64_t rows = 0;
  double share = 0;  ///< of the file's rows, 0 to 1
};

/// Lengths in user-perceived characters, white space not counted.
struct LengthStatistics {
  int64_t shortest = 0;
  int64_t median = 0;
  int64_t percentile95 = 0;
  int64_t longest = 0;
};

/// Rows that repeat an earlier row, and the first few as (line of the first, line of the repeat).
struct RepeatedRows {
  struct Example {
    int64_t first_line = 0;
    int64_t second_line = 0;
    std::string text;  ///< start of the second row
  };
  int64_t rows = 0;
  std::vector<Example> examples;
};

/// What is wrong with the characters of a file; each count is in rows, and `*_line` is the first
/// one.
struct EncodingFaults {
  int64_t invalid_utf8 = 0, invalid_utf8_line = 0;
  int64_t control = 0, control_line = 0;          ///< control characters (NUL, escape, C1)
  int64_t replacement = 0, replacement_line = 0;  ///< U+FFFD: text was lost before
  int64_t mojibake = 0, mojibake_line = 0;  ///< looks like UTF-8 that was read as something else
  bool byte_order_mark = false;
  bool mixed_line_endings = false;
};

struct FileReport {
  std::filesystem::path path;
  std::string description;
  int64_t rows = 0;
  bool has_labels = false;
  std::vector<ClassCount> classes;  ///< the most frequent first
  double imbalance = 0;             ///< rows of the largest class / rows of the smallest
  LengthStatistics lengths;
  RepeatedRows exact;          ///< the same bytes
  RepeatedRows normalised;     ///< the same comparison_key (contains `exact`)
  RepeatedRows contradicting;  ///< the same comparison_key, another label
  EncodingFaults encoding;
  std::vector<Problem> problems;  ///< lines that cannot be used
  std::vector<std::string> notes;
};

/// Rows of a dev file that stand in the training file, by comparison_key. In the examples the first
/// line is that of the training file.
struct DevReport {
  FileReport file;
  RepeatedRows leaks;
  std::vector<std::string> unseen_labels;  ///< labels that never occur in training
};

struct DataReport {
  FileReport train;
  std::vector<DevReport> dev;
  /// What should be mended before training, worst first, each with its fix.
  std::vector<std::string> warnings;

  bool clean() const { return warnings.empty(); }
};

/// Looks at a training file, and at dev files beside it, before anything is trained. Bad lines are
/// listed, not thrown; what stops a file from being read at all throws as read_rows does.
DataReport check_data(const std::filesystem::path& train,
                      const std::vector<std::filesystem::path>& dev = {},
                      const ReaderOptions& options = {});

/// For a terminal: aligned lines, at most `examples` examples of each fault.
std::string to_text(const DataReport& report, int examples = 5);

nlohmann::json to_json(const DataReport& report);

}  // namespace attend
