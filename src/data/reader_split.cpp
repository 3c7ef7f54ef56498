// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// From bytes to records: lines, tab-separated columns, CSV, JSON objects, fastText lines.
#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "attend/data/unicode.h"
#include "json.h"
#include "reader_internal.h"

namespace attend::internal {
namespace {

constexpr std::string_view kLabelMark = "__label__";

struct Line {
  std::string_view text;
  bool crlf = false;
};

// The line at `at`, without its end; moves `at` behind it.
Line take_line(std::string_view bytes, size_t& at) {
  size_t end = bytes.find('\n', at);
  if (end == std::string_view::npos) end = bytes.size();
  Line line{bytes.substr(at, end - at), false};
  if (!line.text.empty() && line.text.back() == '\r') {
    line.text.remove_suffix(1);
    line.crlf = end < bytes.size();
  }
  at = end < bytes.size() ? end + 1 : end;
  return line;
}

// Whether the bytes that are not ASCII come in pairs as GBK and GB18030 have them.
bool looks_like_gbk(std::string_view text) {
  size_t pairs = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) continue;
    if (lead < 0x81 || lead == 0xFF || i + 1 == text.size()) return false;
    const auto trail = static_cast<unsigned char>(text[++i]);
    if (trail < 0x40 || trail == 0x7F || trail == 0xFF) return false;
    ++pairs;
  }
  return pairs >= 2;
}

// Fills rule and fix and returns true if the line cannot be text.
bool reject_invalid(std::string_view text, Record& record) {
  const auto fault = first_utf8_fault(text);
  if (!fault) return false;
  record.rule = "byte " + std::to_string(*fault + 1) + " of the line is not valid UTF-8";
  record.fix = looks_like_gbk(text)
                   ? "it looks like GBK; convert the file with iconv -f GB18030 -t UTF-8"
                   : "save the file as UTF-8";
  return true;
}

void split_columns(std::string_view line, char separator, std::vector<std::string_view>& fields) {
  size_t begin = 0;
  while (true) {
    const size_t end = line.find(separator, begin);
    fields.push_back(line.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return;
    begin = end + 1;
  }
}

// Fields: label, text.
void split_fasttext(std::string_view line, Record& record) {
  std::string_view label;
  int labels = 0;
  line = trim(line);
  while (line.substr(0, kLabelMark.size()) == kLabelMark) {
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    if (labels++ == 0) label = line.substr(kLabelMark.size(), end - kLabelMark.size());
    line = trim(line.substr(end));
  }
  record.several_labels = labels > 1;
  record.fields = {label, line};
}

// Values that fit in a cell. Others are as if they were not there.
bool to_cell(const nlohmann::json& value, std::string& cell) {
  if (value.is_string())
    cell = value.get_ref<const std::string&>();
  else if (value.is_number() || value.is_boolean())
    cell = value.dump();
  else
    return false;
  return true;
}

class JsonColumns {
 public:
  JsonColumns(Table& table, const std::vector<std::string>& whole) : table_(table), whole_(whole) {}

  void split(std::string_view line, Record& record) {
    nlohmann::json json;
    std::string error;
    const bool array_begins =
        trim(line) == "[";  // a file that is one array, written over many lines
    if (!array_begins && !parse_json(line, json, error)) {
      record.rule = error;
      record.fix = "write one JSON object per line";
      return;
    }
    if (!json.is_object()) {
      record.rule = "not a JSON object";
      record.fix =
          "write one object such as {\"text\": \"...\", \"label\": \"...\"} per line; an array is "
          "converted by jq -c '.[]'";
      return;
    }
    for (const auto& [key, value] : json.items()) {
      const bool several = value.is_array() && !value.empty();
      std::string cell;
      // Of an array the first value counts, unless the column is wanted as it is.
      if (value.is_array() && std::find(whole_.begin(), whole_.end(), key) != whole_.end()) {
        cell = value.dump();
      } else if (!to_cell(several ? value.front() : value, cell)) {
        continue;
      }
      auto [at, added] = index_.emplace(key, index_.size());
      if (added) {
        // A file of objects with ever new keys would make every record as wide as the file is long.
        if (index_.size() > 1000) {
          index_.erase(at);
          continue;
        }
        table_.names.push_back(key);
      }
      if (record.fields.size() <= at->second) record.fields.resize(at->second + 1);
      table_.arena.push_back(std::move(cell));
      record.fields[at->second] = table_.arena.back();
      if (several && value.size() > 1 && is_label_name(key)) record.several_labels = true;
    }
  }

 private:
  Table& table_;
  const std::vector<std::string>& whole_;
  std::unordered_map<std::string, size_t> index_;
};

// RFC 4180, with any separator.
class CsvSplitter {
 public:
  CsvSplitter(std::string_view bytes, char separator, Table& table)
      : bytes_(bytes), separator_(separator), table_(table) {}

  void run() {
    while (at_ < bytes_.size()) {
      Record record;
      record.line = line_;
      const size_t begin = at_;
      take_record(record);
      const std::string_view raw = bytes_.substr(begin, at_ - begin);
      if (is_blank(raw)) {
        ++table_.facts.blank_lines;
        continue;
      }
      if (record.rule.empty()) reject_invalid(raw, record);
      table_.records.push_back(std::move(record));
    }
    table_.facts.lines = line_ - (bytes_.empty() || bytes_.back() != '\n' ? 0 : 1);
  }

 private:
  bool at_end_of_line() const {
    return at_ >= bytes_.size() || bytes_[at_] == '\n' ||
           (bytes_[at_] == '\r' && (at_ + 1 == bytes_.size() || bytes_[at_ + 1] == '\n'));
  }

  void take_record(Record& record) {
    while (true) {
      record.fields.push_back(at_ < bytes_.size() && bytes_[at_] == '"' ? quoted(record) : plain());
      if (!at_end_of_line() && bytes_[at_] != separator_) {
        if (record.rule.empty()) {
          record.rule =
              "text after a closing quote in column " + std::to_string(record.fields.size());
          record.fix = "write a quote inside quotes twice (\"\")";
        }
        while (!at_end_of_line() && bytes_[at_] != separator_) ++at_;
      }
      if (at_end_of_line()) break;
      ++at_;  // the separator
    }
    if (at_ < bytes_.size() && bytes_[at_] == '\r') {
      ++at_;
      if (at_ < bytes_.size()) ++table_.facts.crlf_lines;
    }
    if (at_ < bytes_.size()) {
      ++at_;
      ++line_;
    }
  }

  std::string_view plain() {
    const size_t begin = at_;
    while (!at_end_of_line() && bytes_[at_] != separator_) ++at_;
    return bytes_.substr(begin, at_ - begin);
  }

  std::string_view quoted(Record& record) {
    const int64_t opened = line_;
    const size_t begin = ++at_;
    bool doubled = false;
    while (at_ < bytes_.size()) {
      if (bytes_[at_] == '\n') ++line_;
      if (bytes_[at_] == '"') {
        if (at_ + 1 >= bytes_.size() || bytes_[at_ + 1] != '"') break;
        doubled = true;
        ++at_;
      }
      ++at_;
    }
    const std::string_view inner = bytes_.substr(begin, at_ - begin);
    if (at_ >= bytes_.size()) {
      record.rule = "the quote opened in line " + std::to_string(opened) + ", column " +
                    std::to_string(record.fields.size() + 1) + ", is never closed";
      record.fix = "close it, or write a quote inside quotes twice (\"\")";
      return inner;
    }
    ++at_;  // the closing quote
    if (!doubled) return inner;
    std::string& cell = table_.arena.emplace_back();
    for (size_t i = 0; i < inner.size(); ++i) {
      cell += inner[i];
      if (inner[i] == '"') ++i;
    }
    return cell;
  }

  std::string_view bytes_;
  char separator_;
  Table& table_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

std::string extension_of(const std::string& name) {
  std::filesystem::path path(name);
  if (path.extension() == ".gz") path = path.stem();
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return extension;
}

// The first lines that are not blank.
std::vector<std::string_view> first_lines(std::string_view bytes, size_t count) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < bytes.size() && lines.size() < count;) {
    const Line line = take_line(bytes, at);
    if (!is_blank(line.text)) lines.push_back(line.text);
  }
  return lines;
}

// Separators of the first CSV record outside quotes.
size_t count_outside_quotes(std::string_view bytes, char separator) {
  size_t count = 0;
  bool quoted = false;
  for (const char c : bytes) {
    if (c == '"') quoted = !quoted;
    if (!quoted && c == '\n') break;
    count += !quoted && c == separator;
  }
  return count;
}

char best_csv_separator(std::string_view bytes) {
  char best = ',';
  size_t most = 0;
  for (const char candidate : {',', ';', '\t'}) {
    const size_t count = count_outside_quotes(bytes, candidate);
    if (count > most) {
      most = count;
      best = candidate;
    }
  }
  return best;
}

}  // namespace

DataFormat detect_format(std::string_view bytes, const std::string& name,
                         const ReaderOptions& options) {
  const std::vector<std::string_view> lines = first_lines(bytes, 200);
  const std::string extension = extension_of(name);
  if (lines.empty()) return DataFormat::kPlain;
  const auto share = [&](auto holds) {
    return static_cast<double>(std::count_if(lines.begin(), lines.end(), holds)) /
           static_cast<double>(lines.size());
  };
  const auto starts_json = [](std::string_view line) {
    return trim(line)[0] == '{' || trim(line)[0] == '[';
  };
  if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json" ||
      (trim(lines[0])[0] == '{' && share(starts_json) > 0.5))
    return DataFormat::kJsonl;
  if (share([](std::string_view line) { return trim(line).starts_with(kLabelMark); }) > 0.5)
    return DataFormat::kFastText;
  if (extension == ".csv") return DataFormat::kCsv;
  const char tab = options.separator != '\0' ? options.separator : '\t';
  if (share([&](std::string_view line) { return line.find(tab) != std::string_view::npos; }) > 0.5)
    return DataFormat::kTsv;
  // Commas are part of any text: without the extension, a header with known names must speak for
  // CSV.
  std::vector<std::string_view> cells;
  split_columns(lines[0], best_csv_separator(lines[0]), cells);
  if (cells.size() > 1 && std::any_of(cells.begin(), cells.end(), is_text_name) &&
      std::any_of(cells.begin(), cells.end(), is_label_name))
    return DataFormat::kCsv;
  return extension == ".tsv" ? DataFormat::kTsv : DataFormat::kPlain;
}

char detect_separator(std::string_view bytes, DataFormat format, const ReaderOptions& options) {
  if (options.separator != '\0') return options.separator;
  return format == DataFormat::kCsv ? best_csv_separator(bytes) : '\t';
}

Table split(std::string_view bytes, DataFormat format, char separator,
            const std::vector<std::string>& whole) {
  Table table;
  if (format == DataFormat::kCsv) {
    CsvSplitter(bytes, separator, table).run();
    return table;
  }
  JsonColumns json(table, whole);
  for (size_t at = 0; at < bytes.size();) {
    const Line line = take_line(bytes, at);
    ++table.facts.lines;
    table.facts.crlf_lines += line.crlf;
    if (is_blank(line.text)) {
      ++table.facts.blank_lines;
      continue;
    }
    Record record;
    record.line = table.facts.lines;
    if (!reject_invalid(line.text, record)) {
      if (format == DataFormat::kTsv)
        split_columns(line.text, separator, record.fields);
      else if (format == DataFormat::kJsonl)
        json.split(line.text, record);
      else if (format == DataFormat::kFastText)
        split_fasttext(line.text, record);
      else
        record.fields = {line.text};
    }
    table.records.push_back(std::move(record));
  }
  return table;
}

}  // namespace attend::internal
