// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Which column is the text and which the label. Names settle it where there are any; otherwise
// labels are short and come again, texts are long and do not.
#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_set>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/data/unicode.h"
#include "reader_internal.h"

namespace attend::internal {
namespace {

// In order of preference.
constexpr std::array<std::string_view, 27> kTextNames = {
    "text",    "sentence",  "content",   "review",   "review_text", "document", "body",
    "comment", "message",   "utterance", "query",    "question",    "tweet",    "sms",
    "text_a",  "sentence1", "premise",   "headline", "title",       "texts",    "sentences",
    "文本",    "内容",      "评论",      "句子",     "标题",        "正文"};
constexpr std::array<std::string_view, 22> kLabelNames = {
    "label",    "labels",     "class",    "category", "target", "intent", "sentiment", "topic",
    "label_id", "label_text", "polarity", "emotion",  "rating", "stars",  "score",     "tag",
    "y",        "标签",       "类别",     "分类",     "情感",   "意图"};

constexpr size_t kSample = 2000;
constexpr size_t kLongestLabel = 64;

std::string lower(std::string_view name) {
  std::string result(trim(name));
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return result;
}

template <size_t N>
size_t rank(const std::array<std::string_view, N>& names, std::string_view name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), lower(name)) - names.begin());
}

bool is_number(std::string_view text) {
  text = trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

// "O B-city I-city", "2 2 3 2": one tag per token, not a text.
bool is_tag_row(std::string_view text) {
  size_t tokens = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view token = text.substr(at, end - at);
    at = end + 1;
    if (token.empty()) continue;
    ++tokens;
    const bool tag = token == "O" || token.starts_with("B-") || token.starts_with("I-");
    if (!tag && !is_number(token)) return false;
  }
  return tokens > 0;
}

struct Statistics {
  size_t rows = 0;
  size_t distinct = 0;
  size_t longest = 0;
  double mean = 0;
  size_t tag_rows = 0;
  size_t with_space = 0;

  bool repeats() const { return longest <= kLongestLabel && 2 * distinct <= rows; }

  bool label_like() const {
    if (rows == 0 || longest > kLongestLabel) return false;
    return 2 * distinct <= rows || (rows < 20 && with_space == 0);
  }

  double text_score() const { return 2 * tag_rows > rows || repeats() ? mean * 1e-6 : mean; }
};

Statistics measure(const Table& table, int column, size_t fields) {
  Statistics result;
  std::unordered_set<std::string_view> distinct;
  double bytes = 0;
  for (const Record& record : table.records) {
    if (result.rows == kSample) break;
    if (!record.rule.empty() || record.fields.size() < fields) continue;
    const std::string_view cell = trim(record.fields[static_cast<size_t>(column)]);
    ++result.rows;
    distinct.insert(cell);
    bytes += static_cast<double>(cell.size());
    result.longest = std::max(result.longest, cell.size());
    result.tag_rows += is_tag_row(cell);
    result.with_space += cell.find(' ') != std::string_view::npos;
  }
  result.distinct = distinct.size();
  if (result.rows > 0) result.mean = bytes / static_cast<double>(result.rows);
  return result;
}

size_t usual_field_count(const Table& table) {
  std::vector<size_t> counts;
  size_t seen = 0;
  for (const Record& record : table.records) {
    if (!record.rule.empty()) continue;
    const size_t fields = std::min<size_t>(record.fields.size(), 10'000);
    if (counts.size() <= fields) counts.resize(fields + 1);
    ++counts[fields];
    if (++seen == kSample) break;
  }
  if (counts.empty()) return 1;
  return static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
}

std::string list_of(const std::vector<std::string>& names) {
  std::string result;
  for (const std::string& name : names) {
    if (result.size() > 200) return result + ", ...";
    result += (result.empty() ? "\"" : ", \"") + printable(name, 40) + "\"";
  }
  return result;
}

int resolve(const std::string& wanted, const Table& table, size_t count, const std::string& file,
            const char* what) {
  const auto same = std::find(table.names.begin(), table.names.end(), wanted);
  if (same != table.names.end()) return static_cast<int>(same - table.names.begin());
  for (size_t i = 0; i < table.names.size(); ++i)
    if (lower(table.names[i]) == lower(wanted)) return static_cast<int>(i);
  size_t number = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
  if (error == std::errc() && end == wanted.data() + wanted.size() && number >= 1 &&
      number <= count)
    return static_cast<int>(number - 1);
  throw usage_error(std::string(what) + " column \"" + printable(wanted, 40) + "\": " + file +
                    " has no such column; it has " +
                    (table.names.empty() ? "no header and " + std::to_string(count) +
                                               " columns: use a number from 1"
                                         : list_of(table.names)));
}

bool asks_for(const ReaderOptions& options, std::string_view cell) {
  const auto is = [&](const std::string& wanted) {
    return !wanted.empty() && lower(wanted) == lower(cell) && !is_number(wanted);
  };
  return is(options.text_column) || is(options.text2_column) || is(options.label_column) ||
         std::any_of(options.extra_columns.begin(), options.extra_columns.end(), is);
}

bool is_identifier(std::string_view cell) {
  return !cell.empty() && cell.size() <= 40 && !is_number(cell) &&
         cell.find_first_of(" .,;!?") == std::string_view::npos;
}

bool recurs(const Table& table, size_t column) {
  const std::string_view cell = table.records[0].fields[column];
  for (size_t i = 1; i < std::min(table.records.size(), kSample); ++i)
    if (table.records[i].fields.size() > column && table.records[i].fields[column] == cell)
      return true;
  return false;
}

bool has_header(const Table& table, DataFormat format, const ReaderOptions& options) {
  if (table.records.empty() || !table.records[0].rule.empty()) return false;
  const auto& cells = table.records[0].fields;
  if (std::any_of(cells.begin(), cells.end(), [&](auto cell) { return asks_for(options, cell); }))
    return true;
  if (table.records.size() < 2 || std::any_of(cells.begin(), cells.end(), is_number)) return false;
  const bool text = std::any_of(cells.begin(), cells.end(), is_text_name);
  const bool label = std::any_of(cells.begin(), cells.end(), is_label_name);
  if (text && label) return true;
  if (!std::all_of(cells.begin(), cells.end(), is_identifier)) return false;
  for (size_t i = 0; i < cells.size(); ++i)
    if (recurs(table, i)) return false;
  if (text || label) return true;
  // CSV usually has a header; believe it if its cells are unlike those below.
  return format == DataFormat::kCsv && table.records.size() > 3;
}

}  // namespace

bool is_text_name(std::string_view name) { return rank(kTextNames, name) < kTextNames.size(); }
bool is_label_name(std::string_view name) { return rank(kLabelNames, name) < kLabelNames.size(); }

void take_header(Table& table, DataFormat format, const ReaderOptions& options) {
  if (format != DataFormat::kTsv && format != DataFormat::kCsv) return;
  if (!has_header(table, format, options)) return;
  for (const std::string_view cell : table.records[0].fields) table.names.emplace_back(trim(cell));
  table.records.erase(table.records.begin());
}

Columns find_columns(const Table& table, DataFormat format, const ReaderOptions& options,
                     const std::string& name) {
  Columns columns;
  if (format == DataFormat::kFastText) {
    columns.label = 0;
    columns.text = 1;
    columns.count = 2;
    return columns;
  }
  columns.count = table.names.empty() ? usual_field_count(table) : table.names.size();
  if (columns.count == 0)
    throw data_error(name + ": no columns; write one example per line, such as label<TAB>text");
  const auto find = [&](const std::string& wanted, const char* what) {
    return wanted.empty() ? -1 : resolve(wanted, table, columns.count, name, what);
  };
  columns.text = find(options.text_column, "text");
  columns.text2 = find(options.text2_column, "second text");
  columns.label = find(options.label_column, "label");
  for (const std::string& extra : options.extra_columns)
    columns.extra.push_back(find(extra, "extra"));

  // By name.
  const auto taken = [&](int i) {
    return i == columns.text || i == columns.text2 || i == columns.label;
  };
  const auto by_name = [&](const auto& known) {
    int best = -1;
    size_t best_rank = known.size();
    for (size_t i = 0; i < table.names.size(); ++i) {
      const size_t r = rank(known, table.names[i]);
      if (r < best_rank && !taken(static_cast<int>(i))) {
        best_rank = r;
        best = static_cast<int>(i);
      }
    }
    return best;
  };
  if (columns.text < 0) columns.text = by_name(kTextNames);
  if (columns.label < 0) columns.label = by_name(kLabelNames);
  if (columns.text >= 0 && columns.label >= 0) return columns;

  // By content.
  const size_t looked_at = std::min<size_t>(columns.count, 100);
  std::vector<Statistics> statistics;
  for (size_t i = 0; i < looked_at; ++i) {
    // A line that lacks columns has something else in this one; in JSONL any key may be missing.
    const size_t fields = format == DataFormat::kJsonl ? i + 1 : columns.count;
    statistics.push_back(measure(table, static_cast<int>(i), fields));
  }
  const auto of = [&](int i) -> const Statistics& { return statistics[static_cast<size_t>(i)]; };
  const int width = static_cast<int>(looked_at);
  if (columns.text < 0) {
    const bool any_label =
        columns.label >= 0 || std::any_of(statistics.begin(), statistics.end(),
                                          [](const Statistics& s) { return s.label_like(); });
    for (int i = 0; i < width; ++i) {
      if (taken(i)) continue;
      const bool better = columns.text < 0 || of(i).text_score() > of(columns.text).text_score();
      // Without a label there is nothing to tell a text from its translation: take the first.
      if (better && (columns.text < 0 || any_label || of(columns.text).tag_rows > 0))
        columns.text = i;
    }
  }
  if (columns.label < 0) {
    int candidates = 0;
    for (int i = 0; i < width; ++i) {
      if (taken(i) || !of(i).label_like()) continue;
      if (candidates++ == 0) columns.label = i;
    }
    // In a table with names, a guess among several would be a silent mistake.
    if (!table.names.empty() && candidates > 1) columns.label = -1;
  }
  return columns;
}

}  // namespace attend::internal
