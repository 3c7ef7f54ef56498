// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

enum class DataFormat {
  kAuto,      ///< from the first rows, then from the file name
  kTsv,       ///< columns between tabs, no quoting, with or without a header
  kCsv,       ///< RFC 4180: quotes, line breaks inside quotes; , or ; or tab
  kJsonl,     ///< one JSON object per line
  kFastText,  ///< __label__x text
  kPlain      ///< one text per line, no labels
};

/// "auto", "tsv", "csv", "jsonl", "fasttext" or "plain".
std::string_view to_string(DataFormat format);

/// The reverse of to_string; anything else throws Error(kUsage).
DataFormat parse_data_format(std::string_view name);

/// What to do with a line that cannot be used.
enum class BadLines {
  kThrow,   ///< throw Error(kData) "FILE:LINE: rule; fix" at the first one
  kCollect  ///< leave it out and list it in ReadResult::problems
};

/// How a file is read. A column is its name in the header (for JSONL the key) or its number from 1;
/// empty means: find it.
struct ReaderOptions {
  DataFormat format = DataFormat::kAuto;
  std::string text_column;
  std::string text2_column;  ///< second text of a pair; empty = none
  std::string label_column;
  /// Kept in Row::extra, in this order; an array in JSONL as its JSON text.
  std::vector<std::string> extra_columns;
  char separator = '\0';              ///< between columns; 0 = tab for TSV, found for CSV
  std::filesystem::path label_names;  ///< one name per line; turns label ids 0 to n-1 into names
  bool require_labels = true;         ///< false for prediction: the file may have no labels
  BadLines bad_lines = BadLines::kThrow;
  int64_t max_bytes = int64_t{4} << 30;  ///< unpacked size above which a file is refused
};

/// One example.
struct Row {
  std::string text;
  std::string text2;               ///< if ReaderOptions::text2_column was given
  std::string label;               ///< empty if the file has none
  std::vector<std::string> extra;  ///< as ReaderOptions::extra_columns
  int64_t line = 0;                ///< from 1; of the record's first line
};

/// A line that cannot be used.
struct Problem {
  int64_t line = 0;
  std::string rule;  ///< what is wrong
  std::string fix;   ///< what to do about it
};

/// "FILE:LINE: rule; fix"
std::string describe(const std::filesystem::path& path, const Problem& problem);

/// What is known about the bytes of a file.
struct FileFacts {
  int64_t bytes = 0;  ///< unpacked
  bool gzip = false;
  bool byte_order_mark = false;  ///< starts with the UTF-8 mark (it is dropped)
  int64_t lines = 0;
  int64_t crlf_lines = 0;  ///< end with CR LF
  int64_t blank_lines = 0;
};

struct ReadResult {
  std::vector<Row> rows;
  bool has_labels = false;
  DataFormat format = DataFormat::kAuto;  ///< the one that was used, never kAuto
  /// The columns that were used, as ReaderOptions takes them (name, or number from 1); empty where
  /// the format has none. With `format`, they make another file be read the same way.
  std::string text_column;
  std::string label_column;
  /// In one line, "label<TAB>text, 2 columns, gzip, 44956 rows".
  std::string description;
  std::vector<Problem> problems;   ///< with BadLines::kCollect
  std::vector<std::string> notes;  ///< things that were settled for the user ("3 rows have several
                                   ///< labels; the first is used")
  std::vector<std::string> label_names;  ///< content of ReaderOptions::label_names
  FileFacts facts;
};

/// Reads `path` ("-" = standard input). Blank lines are skipped. Throws Error(kData) if the file is
/// missing, empty, a folder, UTF-16, damaged, or holds no usable row; Error(kUsage) if a column
/// that was asked for does not exist.
ReadResult read_rows(const std::filesystem::path& path, const ReaderOptions& options = {});

/// As read_rows for bytes in memory (already unpacked); `name` is for messages and for its
/// extension.
ReadResult read_rows_from_memory(std::string_view bytes, const std::string& name,
                                 const ReaderOptions& options = {});

/// The distinct labels of `rows`: in the order of `names` if given, else by number if all are
/// numbers, else alphabetically.
std::vector<std::string> distinct_labels(const std::vector<Row>& rows,
                                         const std::vector<std::string>& names = {});

}  // namespace attend
