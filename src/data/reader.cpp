// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/data/bytes.h"
#include "attend/data/unicode.h"
#include "reader_internal.h"

namespace attend {
namespace {

using internal::Columns;
using internal::Record;
using internal::Table;

constexpr std::array<std::string_view, 6> kFormatNames = {"auto",  "tsv",      "csv",
                                                          "jsonl", "fasttext", "plain"};

std::string display_name(const std::filesystem::path& path) {
  return path == "-" ? "standard input" : path.string();
}

bool parse_integer(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// Turns label ids into names.
class LabelNames {
 public:
  explicit LabelNames(const std::filesystem::path& path) : path_(path) {
    if (path.empty()) return;
    const std::string bytes = read_bytes(path, 1 << 24).bytes;
    int64_t line = 0;
    for (size_t begin = 0; begin < bytes.size();) {
      const size_t end = std::min(bytes.find('\n', begin), bytes.size());
      const std::string_view name = trim(std::string_view(bytes).substr(begin, end - begin));
      begin = end + 1;
      ++line;
      const auto fail = [&](const std::string& rule, const std::string& fix) {
        return data_error(describe(path, {line, rule, fix}));
      };
      if (name.empty()) {
        if (is_blank(std::string_view(bytes).substr(std::min(begin, bytes.size())))) break;
        throw fail("empty label name", "write one name per line; line n names the id n - 1");
      }
      if (!is_valid_utf8(name)) throw fail("not valid UTF-8", "save the file as UTF-8");
      if (!known_.insert(std::string(name)).second)
        throw fail("the name \"" + printable(name, 40) + "\" comes twice", "make the names differ");
      names_.emplace_back(name);
    }
    if (names_.empty())
      throw data_error(path.string() + ": no label names; write one name per line");
  }

  /// False if `label` is neither an id nor a name.
  bool translate(std::string& label) const {
    if (names_.empty()) return true;
    int64_t id = -1;
    if (parse_integer(label, id) && id >= 0 && id < static_cast<int64_t>(names_.size())) {
      label = names_[static_cast<size_t>(id)];
      return true;
    }
    return known_.contains(label);
  }

  std::string rule(const std::string& label) const {
    return "the label \"" + printable(label, 40) + "\" is neither a number from 0 to " +
           std::to_string(names_.size() - 1) + " nor a name in " + path_.string();
  }

  const std::vector<std::string>& names() const { return names_; }

 private:
  std::filesystem::path path_;
  std::vector<std::string> names_;
  std::unordered_set<std::string> known_;
};

// Understands the records of a table; what cannot be used is thrown or listed.
class RowBuilder {
 public:
  RowBuilder(const Table& table, const Columns& columns, const LabelNames& labels,
             const ReaderOptions& options)
      : table_(table), columns_(columns), labels_(labels), options_(options) {}

  void run(const std::string& name, ReadResult& result) {
    result.rows.reserve(table_.records.size());
    for (const Record& record : table_.records) {
      Row row;
      Problem problem{record.line, {}, {}};
      if (build(record, row, problem)) {
        several_labels_ += record.several_labels;
        result.rows.push_back(std::move(row));
        continue;
      }
      if (options_.bad_lines == BadLines::kThrow) throw data_error(describe(name, problem));
      result.problems.push_back(std::move(problem));
    }
    const auto note = [&](int64_t count, const char* one, const char* many) {
      if (count > 0) result.notes.push_back(std::to_string(count) + (count == 1 ? one : many));
    };
    note(several_labels_, " row has several labels; the first is used",
         " rows have several labels; the first is used");
    note(joined_, " row has more tabs than columns; they are kept as part of the text",
         " rows have more tabs than columns; they are kept as part of the text");
  }

 private:
  bool build(const Record& record, Row& row, Problem& problem) {
    const auto fail = [&](std::string rule, std::string fix) {
      problem.rule = std::move(rule);
      problem.fix = std::move(fix);
      return false;
    };
    if (!record.rule.empty()) return fail(record.rule, record.fix);
    row.line = record.line;

    const int needed = std::max({columns_.text, columns_.text2, columns_.label});
    const bool sparse = options_.format == DataFormat::kJsonl;  // keys may be missing anywhere
    const size_t have = record.fields.size();
    if (!sparse && have <= static_cast<size_t>(needed))
      return fail(std::to_string(have) + (have == 1 ? " column" : " columns") +
                      " where the file has " + std::to_string(columns_.count),
                  "add what is missing, or remove the line");
    const bool text_last = columns_.text + 1 == static_cast<int>(columns_.count);
    bool join = false;
    if (!sparse && have > columns_.count && !rest_is_blank(record)) {
      join = options_.format == DataFormat::kTsv && text_last && columns_.count > 1;
      if (!join)
        return fail(
            std::to_string(have) + " columns where the file has " + std::to_string(columns_.count),
            options_.format == DataFormat::kCsv ? "put text that holds the separator in quotes"
                                                : "remove the separator from the text");
    }
    const auto field = [&](int column) -> std::string_view {
      return column >= 0 && static_cast<size_t>(column) < have
                 ? record.fields[static_cast<size_t>(column)]
                 : std::string_view();
    };
    std::string_view text = field(columns_.text);
    if (join) {
      // The fields of a line lie side by side in the file: from the text's begin to the line's end.
      const std::string_view last = record.fields.back();
      text = {text.data(), static_cast<size_t>(last.data() + last.size() - text.data())};
      ++joined_;
    }
    if (is_blank(text))
      return fail(sparse ? "no text under \"" + key(columns_.text) + "\"" : "empty text",
                  "write a text, or remove the line");
    row.text = text;
    row.text2 = field(columns_.text2);
    if (columns_.text2 >= 0 && is_blank(row.text2))
      return fail("empty second text", "write a text, or remove the line");
    if (columns_.label >= 0) {
      row.label = trim(field(columns_.label));
      if (row.label.empty()) {
        if (options_.require_labels)
          return fail(sparse ? "no label under \"" + key(columns_.label) + "\"" : "empty label",
                      "write a label, or remove the line");
      } else if (!labels_.translate(row.label)) {
        return fail(labels_.rule(row.label), "correct the label or the file of names");
      }
    }
    for (const int extra : columns_.extra) row.extra.emplace_back(field(extra));
    return true;
  }

  bool rest_is_blank(const Record& record) const {
    for (size_t i = columns_.count; i < record.fields.size(); ++i)
      if (!is_blank(record.fields[i])) return false;
    return true;
  }

  std::string key(int column) const { return table_.names[static_cast<size_t>(column)]; }

  const Table& table_;
  const Columns& columns_;
  const LabelNames& labels_;
  const ReaderOptions& options_;
  int64_t several_labels_ = 0;
  int64_t joined_ = 0;
};

std::string column_layout(const Table& table, const Columns& columns, char separator) {
  const std::string between = separator == '\t' ? "<TAB>" : std::string(1, separator);
  std::string layout;
  if (table.names.empty() && columns.count <= 12) {
    for (int i = 0; i < static_cast<int>(columns.count); ++i) {
      if (i > 0) layout += between;
      layout += i == columns.text    ? "text"
                : i == columns.label ? "label"
                : i == columns.text2 ? "text2"
                                     : "-";
    }
    return layout;
  }
  const auto add = [&](const char* what, int column) {
    if (column < 0) return;
    if (!layout.empty()) layout += ", ";
    layout += std::string(what) + " = ";
    layout += table.names.empty()
                  ? "column " + std::to_string(column + 1)
                  : "\"" + printable(table.names[static_cast<size_t>(column)], 40) + "\"";
  };
  add("text", columns.text);
  add("text2", columns.text2);
  add("label", columns.label);
  return layout;
}

std::string describe_format(DataFormat format, const Table& table, const Columns& columns,
                            char separator) {
  const std::string layout = column_layout(table, columns, separator);
  const std::string width =
      std::to_string(columns.count) + (columns.count == 1 ? " column" : " columns");
  switch (format) {
    case DataFormat::kJsonl:
      return "JSONL, " + layout;
    case DataFormat::kFastText:
      return "fastText, __label__x text";
    case DataFormat::kPlain:
      return "plain text, one per line";
    default: {
      const char* kind = format == DataFormat::kCsv ? "CSV" : "TSV";
      if (!table.names.empty()) return std::string(kind) + " with header, " + layout + ", " + width;
      return (format == DataFormat::kCsv ? "CSV " : "") + layout + ", " + width;
    }
  }
}

ReadResult read(std::string_view bytes, bool gzip, const std::string& name,
                const ReaderOptions& given) {
  ReaderOptions options = given;
  ReadResult result;
  FileFacts facts;
  facts.bytes = static_cast<int64_t>(bytes.size());
  facts.gzip = gzip;
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"))
    throw data_error(name +
                     ": UTF-16; convert it with iconv -f UTF-16 -t UTF-8, or save it as UTF-8");
  if (bytes.starts_with("\xEF\xBB\xBF")) {
    facts.byte_order_mark = true;
    bytes.remove_prefix(3);
  }
  if (is_blank(bytes))
    throw data_error(name + ": empty file; write one example per line, such as label<TAB>text");

  const LabelNames labels(options.label_names);
  if (options.format == DataFormat::kAuto)
    options.format = internal::detect_format(bytes, name, options);
  const char separator = internal::detect_separator(bytes, options.format, options);
  Table table = internal::split(bytes, options.format, separator, options.extra_columns);
  facts.lines = table.facts.lines;
  facts.crlf_lines = table.facts.crlf_lines;
  facts.blank_lines = table.facts.blank_lines;
  internal::take_header(table, options.format, options);

  // A fault that keeps every row from being read must be told before one that follows from it.
  const auto usable = [](const Record& record) { return record.rule.empty(); };
  if (std::none_of(table.records.begin(), table.records.end(), usable)) {
    if (table.records.empty()) throw data_error(name + ": only a header, no rows; add examples");
    const Record& first = table.records.front();
    throw data_error(describe(name, {first.line, first.rule, first.fix}) +
                     (table.records.size() > 1 ? " (no line of the file can be used)" : ""));
  }
  const Columns columns = internal::find_columns(table, options.format, options, name);
  if (columns.text < 0)
    throw data_error(name + ": no column looks like a text; name it with --text-col");
  if (columns.label < 0 && options.require_labels)
    throw data_error(name + ": no column looks like a label (" +
                     describe_format(options.format, table, columns, separator) +
                     "); name it with --label-col, or add a label to every row");

  result.format = options.format;
  result.has_labels = columns.label >= 0;
  const bool has_columns =
      options.format != DataFormat::kFastText && options.format != DataFormat::kPlain;
  const auto column_name = [&](int column) {
    if (column < 0 || !has_columns) return std::string();
    return table.names.empty() ? std::to_string(column + 1)
                               : table.names[static_cast<size_t>(column)];
  };
  result.text_column = column_name(columns.text);
  result.label_column = column_name(columns.label);
  result.label_names = labels.names();
  result.facts = facts;
  RowBuilder(table, columns, labels, options).run(name, result);
  if (result.rows.empty())
    throw data_error(name + ": no usable row; the first fault is " +
                     describe(name, result.problems.front()));
  result.description = describe_format(options.format, table, columns, separator) +
                       (gzip ? ", gzip" : "") + ", " + std::to_string(result.rows.size()) +
                       (result.rows.size() == 1 ? " row" : " rows");
  return result;
}

}  // namespace

std::string_view to_string(DataFormat format) { return kFormatNames[static_cast<size_t>(format)]; }

DataFormat parse_data_format(std::string_view name) {
  for (size_t i = 0; i < kFormatNames.size(); ++i)
    if (kFormatNames[i] == name) return static_cast<DataFormat>(i);
  throw usage_error("format \"" + printable(name, 40) +
                    "\": no such format; use auto, tsv, csv, jsonl, fasttext or plain");
}

std::string describe(const std::filesystem::path& path, const Problem& problem) {
  return display_name(path) + ":" + std::to_string(problem.line) + ": " + problem.rule + "; " +
         problem.fix;
}

ReadResult read_rows(const std::filesystem::path& path, const ReaderOptions& options) {
  const FileBytes file = read_bytes(path, options.max_bytes);
  return read(file.bytes, file.gzip, display_name(path), options);
}

ReadResult read_rows_from_memory(std::string_view bytes, const std::string& name,
                                 const ReaderOptions& options) {
  return read(bytes, false, name, options);
}

std::vector<std::string> distinct_labels(const std::vector<Row>& rows,
                                         const std::vector<std::string>& names) {
  if (!names.empty()) return names;
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> labels;
  bool numbers = true;
  int64_t value = 0;
  for (const Row& row : rows) {
    if (row.label.empty() || !seen.insert(row.label).second) continue;
    labels.push_back(row.label);
    numbers = numbers && parse_integer(row.label, value);
  }
  std::sort(labels.begin(), labels.end(), [&](const std::string& a, const std::string& b) {
    int64_t x = 0, y = 0;
    if (numbers && parse_integer(a, x) && parse_integer(b, y) && x != y) return x < y;
    return a < b;
  });
  return labels;
}

}  // namespace attend
