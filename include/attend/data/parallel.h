// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Sentences with their translations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attend {

enum class ParallelFormat {
  kAuto,  ///< two files if the path is "SOURCE,TARGET", else by the first line
  kTsv,   ///< source<TAB>target
  kJsonl  ///< one object per line
};

/// How sentence pairs are read. Columns of a TSV file are numbers from 1, keys of a JSONL file
/// names; empty: the first two columns; "source" and "target", or the first two keys.
struct ParallelOptions {
  ParallelFormat format = ParallelFormat::kAuto;
  std::string source_column;
  std::string target_column;
  bool require_targets =
      true;  ///< false: a file of sources alone will do, and targets may be empty
};

/// One sentence and its translation.
struct SentencePair {
  std::string source;
  std::string target;
  int64_t line = 0;  ///< from 1
};

struct ParallelText {
  std::vector<SentencePair> pairs;
  std::string description;  ///< "source<TAB>target, gzip, 28997 pairs"
};

/// Reads `path` (gzip is recognised; "-" = standard input): a file of pairs, or "SOURCE,TARGET",
/// two files whose lines belong together. Throws Error(kData) "FILE:LINE: rule; fix" for a side
/// that is empty, a missing column, files of different length (naming the first line without a
/// partner), text that is not UTF-8, or no pair at all.
ParallelText read_parallel(const std::string& path, const ParallelOptions& options = {});

/// The lines of `path`, as they are but for a final CR; blank lines are kept, since line i of an
/// output belongs to line i of the input.
std::vector<std::string> read_source_lines(const std::string& path);

}  // namespace attend
