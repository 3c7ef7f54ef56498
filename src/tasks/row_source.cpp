// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "row_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/data/unicode.h"
#include "attend/tasks/config.h"

namespace attend {
namespace {

using nlohmann::json;

json entry_defaults(bool labelled) {
  json defaults = {{"file", ""},        {"format", "auto"},      {"text_column", ""},
                   {"span_column", ""}, {"category_column", ""}, {"leave_out", json::array()}};
  if (labelled) {
    defaults["label_column"] = "";
    defaults["weight"] = 1.0;
  }
  return defaults;
}

RowSource parse_entry(json entry, const std::string& origin, bool labelled) {
  if (!entry.is_object()) {
    throw usage_error(origin + " is " + entry.dump() +
                      "; it must be an object such as {\"file\": \"more.tsv\"}");
  }
  RowSource source;
  if (labelled && entry.contains("labels")) {
    const json labels = entry["labels"];
    const bool texts = labels.is_object() && std::all_of(labels.begin(), labels.end(),
                                                         [](auto& l) { return l.is_string(); });
    if (!texts) {
      throw usage_error(origin + ".labels is " + labels.dump() +
                        "; it must be an object such as {\"1\": \"positive\"}");
    }
    source.labels = labels.get<std::map<std::string, std::string>>();
    entry.erase("labels");
  }
  entry = merge_config(entry_defaults(labelled), entry, origin);
  source.file = entry["file"];
  if (source.file.empty()) throw usage_error(origin + " names no \"file\"");
  source.reader.format = parse_data_format(entry["format"].get<std::string>());
  source.reader.text_column = entry["text_column"];
  source.reader.require_labels = labelled;
  if (labelled) {
    source.reader.label_column = entry["label_column"];
    source.weight = entry["weight"];
    if (!(source.weight > 0 && source.weight <= 1000)) {
      throw usage_error(origin + ".weight is " + entry["weight"].dump() +
                        "; it must be above 0 and at most 1000");
    }
  }
  for (const json& value : entry["leave_out"]) {
    if (!value.is_string()) {
      throw usage_error(origin + ".leave_out holds " + value.dump() + "; it must hold texts");
    }
    source.leave_out.push_back(value);
  }
  source.by_category = !entry["category_column"].get<std::string>().empty();
  if (source.by_category) source.reader.extra_columns.push_back(entry["category_column"]);
  if (source.by_category == source.leave_out.empty()) {
    throw usage_error(origin + ": \"category_column\" and \"leave_out\" need each other");
  }
  source.by_span = !entry["span_column"].get<std::string>().empty();
  if (source.by_span) source.reader.extra_columns.push_back(entry["span_column"]);
  return source;
}

// The parts of `row`'s text that its spans [[begin, end), ...] name: positions of its tokens, which
// white space separates.
std::vector<std::string> span_texts(const Row& row, const std::string& file) {
  const auto fail = [&](const std::string& what) {
    return data_error(
        fmt::format("{}:{}: {}; mend the row or leave out \"span_column\"", file, row.line, what));
  };
  const json spans = json::parse(row.extra.back(), nullptr, false);
  if (!spans.is_array()) throw fail("the spans are not an array such as [[0, 3], [7, 9]]");
  std::vector<Span> tokens;
  for (size_t at = 0; at < row.text.size();) {
    const size_t begin = row.text.find_first_not_of(" \t", at);
    if (begin == std::string::npos) break;
    at = std::min(row.text.find_first_of(" \t", begin), row.text.size());
    tokens.push_back({static_cast<int64_t>(begin), static_cast<int64_t>(at)});
  }
  std::vector<std::string> texts;
  for (const json& span : spans) {
    const bool pair = span.is_array() && span.size() == 2 && span[0].is_number_unsigned() &&
                      span[1].is_number_unsigned();
    if (!pair) throw fail("span " + span.dump() + " is not a pair [begin, end]");
    const auto begin = span[0].get<uint64_t>();
    const auto end = span[1].get<uint64_t>();
    if (begin >= end || end > tokens.size()) {
      throw fail(fmt::format("span {} does not lie in the {} tokens of the text", span.dump(),
                             tokens.size()));
    }
    const auto from = static_cast<size_t>(tokens[begin].begin);
    const auto to = static_cast<size_t>(tokens[end - 1].end);
    texts.push_back(row.text.substr(from, to - from));
  }
  return texts;
}

}  // namespace

std::vector<RowSource> row_sources(const json& list, const std::string& key, bool labelled) {
  std::vector<RowSource> sources;
  for (size_t i = 0; i < list.size(); ++i) {
    sources.push_back(parse_entry(list[i], fmt::format("{}[{}]", key, i), labelled));
  }
  return sources;
}

SourceRows read_source(const RowSource& source, const std::unordered_set<std::string>& dev_keys) {
  SourceRows result;
  const auto take = [&](Row row) {
    if (dev_keys.contains(comparison_key(row.text))) {
      ++result.equal_to_dev;
    } else {
      result.rows.push_back(std::move(row));
    }
  };
  for (Row& row : read_rows(source.file, source.reader).rows) {
    if (source.by_category && std::find(source.leave_out.begin(), source.leave_out.end(),
                                        trim(row.extra.front())) != source.leave_out.end()) {
      ++result.left_out;
      continue;
    }
    const auto label = source.labels.find(row.label);
    if (label != source.labels.end()) row.label = label->second;
    if (!source.by_span) {
      take(std::move(row));
      continue;
    }
    for (std::string& text : span_texts(row, source.file)) {
      Row part;
      part.text = std::move(text);
      part.label = row.label;
      part.line = row.line;
      take(std::move(part));
    }
  }
  if (result.rows.empty()) {
    throw data_error(describe(source, result) + ": nothing is left to train on; take the file out");
  }
  return result;
}

std::string describe(const RowSource& source, const SourceRows& rows) {
  std::string text = fmt::format("{}: {} rows", source.file, rows.rows.size());
  if (source.weight != 1) text += fmt::format(", weight {}", source.weight);
  text += fmt::format(", {} equal to dev rows dropped", rows.equal_to_dev);
  if (rows.left_out > 0) text += fmt::format(", {} left out", rows.left_out);
  return text;
}

}  // namespace attend
