// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Sentences with their translations.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
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
  std::string links_column;  ///< word links as Moses writes them, i-j from 0; empty: none
  bool require_targets =
      true;  ///< false: a file of sources alone will do, and targets may be empty
};

/// One sentence and its translation.
struct SentencePair {
  std::string source;
  std::string target;
  int64_t line = 0;  ///< from 1
  /// Source and target words between spaces, from 0; if there is a column of links.
  std::vector<std::pair<int64_t, int64_t>> links{};
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

/// A sentence pair in words, with the links that a person made between them.
struct AlignedPair {
  std::vector<std::string> source;
  std::vector<std::string> target;
  std::vector<std::pair<int64_t, int64_t>> sure;      ///< source and target word, from 0
  std::vector<std::pair<int64_t, int64_t>> possible;  ///< beside the sure ones
};

/// Reads source words<TAB>target words<TAB>links: words between spaces; links "3-4" (sure) or "3p4"
/// (possible), counted from 1. `swapped`: the columns of source and target change places. Throws
/// Error(kData) naming file and line.
std::vector<AlignedPair> read_aligned(const std::string& path, bool swapped = false);

}  // namespace attend
