// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "attend/data/reader.h"

namespace attend::internal {

/// One record of a file, cut into fields but not yet understood. With a `rule` it cannot be used.
struct Record {
  int64_t line = 0;
  std::vector<std::string_view> fields;
  bool several_labels = false;
  std::string rule;
  std::string fix;
};

/// A file cut into records. Fields point into the file's bytes, or into `arena` where quotes or
/// escapes were undone.
struct Table {
  std::vector<Record> records;
  std::vector<std::string> names;  ///< of the columns; empty without a header
  std::deque<std::string> arena;
  FileFacts facts;
};

/// The format and separator that the first rows and the extension of `name` speak for.
DataFormat detect_format(std::string_view bytes, const std::string& name,
                         const ReaderOptions& options);
char detect_separator(std::string_view bytes, DataFormat format, const ReaderOptions& options);

/// Of an array in JSONL the first value is the cell; `whole` names columns that keep the array, as
/// JSON text.
Table split(std::string_view bytes, DataFormat format, char separator,
            const std::vector<std::string>& whole);

/// Where in a record everything stands; -1 = nowhere.
struct Columns {
  int text = -1;
  int text2 = -1;
  int label = -1;
  std::vector<int> extra;
  size_t count = 0;  ///< fields that a record has
};

bool is_text_name(std::string_view name);
bool is_label_name(std::string_view name);

/// Moves a header from the records to Table::names if there is one.
void take_header(Table& table, DataFormat format, const ReaderOptions& options);

/// Finds the columns. `name` is that of the file, for messages.
Columns find_columns(const Table& table, DataFormat format, const ReaderOptions& options,
                     const std::string& name);

}  // namespace attend::internal
