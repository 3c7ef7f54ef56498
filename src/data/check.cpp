// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/check.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "attend/base/text.h"
#include "attend/data/unicode.h"
#include "utf8.h"

namespace attend {
namespace {

constexpr size_t kExamples = 20;

// UTF-8 that was once read as Latin-1, Windows-1252 or GBK and saved again.
constexpr std::string_view kMojibake[] = {"Ã©",  "Ã¨",  "Ã¤",     "Ã¶",     "Ã¼",      "Ã§", "Ã±",
                                          "Ã¡",  "â€™", "â€œ",    "â€“",    "Â\u00A0", "ä¸", "çš",
                                          "ï¼Œ", "ï»¿", "锟斤拷", "烫烫烫", "鈥",      "锛"};

struct FirstRow {
  int64_t line = 0;
  std::string_view label;
};

using Index = std::unordered_map<std::string, FirstRow>;

void add_example(RepeatedRows& repeated, int64_t first, const Row& row) {
  ++repeated.rows;
  if (repeated.examples.size() < kExamples)
    repeated.examples.push_back({first, row.line, printable(row.text, 60)});
}

void count_fault(int64_t& count, int64_t& first_line, int64_t line) {
  if (count++ == 0) first_line = line;
}

void look_at_characters(const Row& row, EncodingFaults& faults) {
  bool control = false, replacement = false, suspicious = false;
  const std::string_view text = row.text;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      control |= (byte < 32 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 127;
      ++at;
      continue;
    }
    const internal::CodePoint c = internal::next_code_point(text, at);
    control |= c.value < 0xA0;
    replacement |= c.value == internal::kReplacement;
    // Every pattern holds one of these; the search is dear and nearly always in vain.
    suspicious |= c.value < 0x100 || c.value == 0x951F || c.value == 0x70EB || c.value == 0x9225 ||
                  c.value == 0x951B;
    at += static_cast<size_t>(c.length);
  }
  if (control) count_fault(faults.control, faults.control_line, row.line);
  if (replacement) count_fault(faults.replacement, faults.replacement_line, row.line);
  if (suspicious && std::any_of(std::begin(kMojibake), std::end(kMojibake), [&](auto pattern) {
        return text.find(pattern) != std::string_view::npos;
      }))
    count_fault(faults.mojibake, faults.mojibake_line, row.line);
}

LengthStatistics measure_lengths(const std::vector<Row>& rows) {
  std::vector<int64_t> lengths;
  lengths.reserve(rows.size());
  for (const Row& row : rows) lengths.push_back(count_characters(row.text));
  std::sort(lengths.begin(), lengths.end());
  const auto quantile = [&](double q) {
    return lengths[static_cast<size_t>(std::lround(q * static_cast<double>(lengths.size() - 1)))];
  };
  return {lengths.front(), quantile(0.5), quantile(0.95), lengths.back()};
}

void count_classes(const std::vector<Row>& rows, FileReport& report) {
  std::unordered_map<std::string_view, int64_t> counts;
  for (const Row& row : rows)
    if (!row.label.empty()) ++counts[row.label];
  for (const auto& [label, count] : counts)
    report.classes.push_back(
        {std::string(label), count, static_cast<double>(count) / static_cast<double>(rows.size())});
  std::sort(report.classes.begin(), report.classes.end(),
            [](const ClassCount& a, const ClassCount& b) {
              return a.rows != b.rows ? a.rows > b.rows : a.label < b.label;
            });
  if (!report.classes.empty())
    report.imbalance = static_cast<double>(report.classes.front().rows) /
                       static_cast<double>(report.classes.back().rows);
}

// Pairs are compared as pairs: both texts make the key. \x1F separates; it is in no key otherwise
// unless the user's text is made of control characters alone.
std::string key_of(const Row& row) {
  std::string key = comparison_key(row.text);
  if (!row.text2.empty()) key += '\x1F' + comparison_key(row.text2);
  return key;
}

void find_repeats(const std::vector<Row>& rows, Index& index, FileReport& report) {
  index.reserve(rows.size());
  std::unordered_map<std::string, int64_t> exact;
  exact.reserve(rows.size());
  for (const Row& row : rows) {
    const std::string whole = row.text2.empty() ? row.text : row.text + '\x1F' + row.text2;
    if (const auto [at, added] = exact.emplace(whole, row.line); !added)
      add_example(report.exact, at->second, row);
    const auto [at, added] = index.emplace(key_of(row), FirstRow{row.line, row.label});
    if (added) continue;
    add_example(report.normalised, at->second.line, row);
    if (at->second.label != row.label) add_example(report.contradicting, at->second.line, row);
  }
}

FileReport look_at_file(const std::filesystem::path& path, const ReadResult& read, Index& index) {
  FileReport report;
  report.path = path;
  report.description = read.description;
  report.rows = static_cast<int64_t>(read.rows.size());
  report.has_labels = read.has_labels;
  report.notes = read.notes;
  report.problems = read.problems;
  for (const Problem& problem : read.problems)
    if (problem.rule.find("not valid UTF-8") != std::string::npos)
      count_fault(report.encoding.invalid_utf8, report.encoding.invalid_utf8_line, problem.line);
  report.encoding.byte_order_mark = read.facts.byte_order_mark;
  report.encoding.mixed_line_endings =
      read.facts.crlf_lines > 0 && read.facts.crlf_lines + 1 < read.facts.lines;
  for (const Row& row : read.rows) look_at_characters(row, report.encoding);
  count_classes(read.rows, report);
  report.lengths = measure_lengths(read.rows);
  find_repeats(read.rows, index, report);
  return report;
}

std::string rows_text(int64_t count) {
  return std::to_string(count) + (count == 1 ? " row" : " rows");
}

void warn_about_file(const FileReport& file, bool training, std::vector<std::string>& warnings) {
  const std::string name = file.path == "-" ? "standard input" : file.path.string();
  const auto warn = [&](const std::string& what) { warnings.push_back(name + ": " + what); };
  const auto at = [](int64_t line) { return " (first in line " + std::to_string(line) + ")"; };
  if (!file.problems.empty())
    warn(std::to_string(file.problems.size()) + (file.problems.size() == 1 ? " line" : " lines") +
         " cannot be used; the first: line " + std::to_string(file.problems[0].line) + ": " +
         file.problems[0].rule + "; " + file.problems[0].fix);
  if (training && file.has_labels && file.classes.size() == 1)
    warn("only one class, \"" + printable(file.classes[0].label, 40) +
         "\"; there is nothing to learn, add rows of another class");
  if (file.contradicting.rows > 0)
    warn(rows_text(file.contradicting.rows) +
         " with the text of an earlier row but another label; decide which label is right");
  if (training && file.normalised.rows > 0)
    warn(rows_text(file.normalised.rows) +
         " repeat an earlier row; remove them, or they weigh double");
  if (training && file.imbalance >= 10)
    warn("the largest class has " + std::to_string(static_cast<int64_t>(file.imbalance)) +
         " times the rows of the smallest, \"" + printable(file.classes.back().label, 40) +
         "\"; look at macro F1 rather than accuracy");
  const EncodingFaults& faults = file.encoding;
  if (faults.mojibake > 0)
    warn(rows_text(faults.mojibake) + " look like text read in the wrong encoding" +
         at(faults.mojibake_line) + "; export them again as UTF-8");
  if (faults.replacement > 0)
    warn(rows_text(faults.replacement) + " with U+FFFD" + at(faults.replacement_line) +
         ": characters were lost in an earlier conversion; export them again");
  if (faults.control > 0)
    warn(rows_text(faults.control) + " with control characters" + at(faults.control_line) +
         "; remove them");
  if (faults.mixed_line_endings)
    warn("some lines end in CR LF and some in LF; convert with dos2unix");
}

}  // namespace

DataReport check_data(const std::filesystem::path& train,
                      const std::vector<std::filesystem::path>& dev, const ReaderOptions& options) {
  ReaderOptions collect = options;
  collect.bad_lines = BadLines::kCollect;
  const ReadResult train_rows = read_rows(train, collect);
  DataReport report;
  Index index;  // holds views of train_rows' labels
  report.train = look_at_file(train, train_rows, index);

  std::unordered_set<std::string_view> known;
  for (const ClassCount& count : report.train.classes) known.insert(count.label);
  std::vector<std::string> leak_warnings;
  for (const std::filesystem::path& path : dev) {
    const ReadResult dev_rows = read_rows(path, collect);
    DevReport& part = report.dev.emplace_back();
    Index own;
    part.file = look_at_file(path, dev_rows, own);
    for (const Row& row : dev_rows.rows)
      if (const auto found = index.find(key_of(row)); found != index.end())
        add_example(part.leaks, found->second.line, row);
    for (const ClassCount& count : part.file.classes)
      if (!known.contains(count.label)) part.unseen_labels.push_back(count.label);
    std::sort(part.unseen_labels.begin(), part.unseen_labels.end());
    if (part.leaks.rows > 0)
      report.warnings.push_back(path.string() + ": " + rows_text(part.leaks.rows) +
                                " also in the training file; remove them from training, or the "
                                "result is too good to be true");
    if (!part.unseen_labels.empty())
      report.warnings.push_back(path.string() + ": " + std::to_string(part.unseen_labels.size()) +
                                (part.unseen_labels.size() == 1 ? " label" : " labels") +
                                " never seen in training, the first is \"" +
                                printable(part.unseen_labels[0], 40) +
                                "\"; add training rows, or correct the labels");
  }
  warn_about_file(report.train, true, report.warnings);
  for (const DevReport& part : report.dev) warn_about_file(part.file, false, report.warnings);
  return report;
}

}  // namespace attend
