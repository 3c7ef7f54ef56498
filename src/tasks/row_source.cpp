// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "row_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/data/rationales.h"
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
    defaults["sentences"] = false;
    defaults["margin"] = 0.0;
    defaults["trust"] = 1.0;
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
    source.by_sentence = entry["sentences"];
    source.margin = entry["margin"];
    source.trust = entry["trust"];
    if (!(source.margin >= 0 && source.margin <= 1000)) {
      throw usage_error(origin + ".margin is " + entry["margin"].dump() +
                        "; it must be 0 (labels are sure) to 1000");
    }
    if (!(source.trust >= 0 && source.trust <= 1000)) {
      throw usage_error(origin + ".trust is " + entry["trust"].dump() +
                        "; it must be from 0 to 1000");
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
  if (source.by_span && source.by_sentence) {
    throw usage_error(origin + ": \"span_column\" and \"sentences\" exclude each other");
  }
  return source;
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
    if (!source.by_span && !source.by_sentence) {
      take(std::move(row));
      continue;
    }
    const std::string origin = source.file + ":" + std::to_string(row.line);
    const std::vector<Span> parts =
        source.by_sentence ? sentence_spans(row.text)
                           : evidence_spans({row.text, row.label, row.extra.back(), origin});
    for (const Span& span : parts) {
      Row part;
      part.text = row.text.substr(static_cast<size_t>(span.begin),
                                  static_cast<size_t>(span.end - span.begin));
      part.label = row.label;
      part.line = row.line;
      take(std::move(part));
    }
  }
  require_rows(source, result);
  return result;
}

void require_rows(const RowSource& source, const SourceRows& rows) {
  if (!rows.rows.empty()) return;
  throw data_error(describe(source, rows) + ": nothing is left to train on; take the file out");
}

std::string describe(const RowSource& source, const SourceRows& rows) {
  std::string text = fmt::format("{}: {} rows", source.file, rows.rows.size());
  if (source.weight != 1) text += fmt::format(", weight {}", source.weight);
  text += fmt::format(", {} equal to dev rows dropped", rows.equal_to_dev);
  if (rows.left_out > 0) text += fmt::format(", {} left out", rows.left_out);
  if (source.margin > 0) text += fmt::format(", {} undecided ones dropped", rows.undecided);
  return text;
}

}  // namespace attend
