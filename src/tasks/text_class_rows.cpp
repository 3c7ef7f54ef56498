// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The rows that a text classifier is trained on: those of the training files and those from
// elsewhere, some of which are judged first.
#include <algorithm>
#include <iterator>

#include "attend/base/error.h"
#include "attend/data/unicode.h"
#include "row_judge.h"
#include "text_class.h"
#include "text_class_config.h"

namespace attend {

using nlohmann::json;

// What was found in the training file holds for every later file: guessed anew, a small file might
// be read with text and label swapped.
void TextClassTask::settle_format(const ReadResult& read) {
  json& data = config_["data"];
  if (data["format"] == "auto") data["format"] = to_string(read.format);
  if (data.value("text_column", "").empty()) data["text_column"] = read.text_column;
  if (data.value("label_column", "").empty()) data["label_column"] = read.label_column;
}

std::vector<Row> TextClassTask::read_training_rows(const std::vector<std::string>& paths) {
  std::vector<Row> rows;
  label_file_ = setting<std::string>(config_, "data", "label_names");
  std::string layouts;
  for (const std::string& path : paths) {
    ReaderOptions reader = reader_options(config_, path, label_file_, true);
    if (rationale_weight(config_) > 0) {
      reader.extra_columns = {setting<std::string>(config_, "data", "rationale_column")};
    }
    ReadResult read = read_rows(path, reader);
    settle_format(read);
    layouts += (layouts.empty() ? "" : "; ") + read.description;
    if (label_names_.empty()) label_names_ = read.label_names;
    rows.insert(rows.end(), std::make_move_iterator(read.rows.begin()),
                std::make_move_iterator(read.rows.end()));
  }
  const std::string origin = paths.size() == 1 ? paths[0] : paths[0] + " and others";
  description_ = origin + ": " + layouts;
  labels_ = LabelSet(distinct_labels(rows, label_names_));
  if (labels_.size() < 2) {
    throw data_error(origin + ": every row has the label \"" + labels_.names().at(0) +
                     "\"; a classifier needs at least two classes (is data.label_column right?)");
  }
  return rows;
}

std::vector<Row> TextClassTask::read_dev_rows(const char* key) const {
  const auto dev = setting<std::vector<std::string>>(config_, "data", "dev");
  if (dev.empty()) {
    throw usage_error(
        std::string(key) +
        " needs a dev file (--dev FILE), so that rows which stand in it can be dropped");
  }
  std::vector<Row> rows;
  for (const std::string& path : dev) {
    ReadResult read = read_rows(path, reader_options(config_, path, label_file_, true));
    rows.insert(rows.end(), std::make_move_iterator(read.rows.begin()),
                std::make_move_iterator(read.rows.end()));
  }
  return rows;
}

void TextClassTask::note_sources(const std::vector<RowSource>& sources,
                                 const std::vector<SourceRows>& read, const char* key) {
  for (size_t i = 0; i < read.size(); ++i) {
    description_ += "; " + std::string(key) + " " + describe(sources[i], read[i]);
    sources_.push_back({{"setting", key},
                        {"file", sources[i].file},
                        {"rows", read[i].rows.size()},
                        {"equal_to_dev", read[i].equal_to_dev},
                        {"left_out", read[i].left_out}});
    if (sources[i].margin > 0) sources_.back()["undecided"] = read[i].undecided;
  }
}

void TextClassTask::judge_sources(const std::vector<RowSource>& sources,
                                  const std::vector<std::string>& paths,
                                  const std::vector<Row>& rows, const std::vector<Row>& dev_rows,
                                  std::vector<SourceRows>& read) const {
  const auto is_judged = [](const RowSource& source) { return source.margin > 0; };
  const auto judged = std::find_if(sources.begin(), sources.end(), is_judged);
  if (judged == sources.end()) return;
  if (!wants_ngrams(config_)) {
    throw usage_error("data.extra[" + std::to_string(judged - sources.begin()) +
                      "].margin needs text.ngrams, by which the rows are judged; set it to 0 to "
                      "take their labels as they are");
  }
  SureTexts train, dev;
  const auto add = [&](SureTexts& to, const std::string& path, const Row& row, double weight) {
    to.texts.push_back(row.text);
    to.classes.push_back(class_of(path, row));
    to.weights.push_back(static_cast<float>(weight));
  };
  for (const Row& row : rows) add(train, paths[0], row, 1);
  for (size_t i = 0; i < sources.size(); ++i) {
    if (is_judged(sources[i])) continue;
    for (const Row& row : read[i].rows) add(train, sources[i].file, row, sources[i].weight);
  }
  const auto dev_paths = setting<std::vector<std::string>>(config_, "data", "dev");
  for (const Row& row : dev_rows) add(dev, dev_paths.at(0), row, 1);
  const RowJudge judge(ngram_options(config_), wide_options(config_), labels_.size(), train, dev);
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!is_judged(sources[i])) continue;
    std::vector<Row> decided;
    for (Row& row : read[i].rows) {
      const int64_t found = judge.judge(row.text, class_of(sources[i].file, row), sources[i].trust,
                                        sources[i].margin);
      if (found < 0) {
        ++read[i].undecided;
        continue;
      }
      row.label = labels_.names()[static_cast<size_t>(found)];
      decided.push_back(std::move(row));
    }
    read[i].rows = std::move(decided);
    require_rows(sources[i], read[i]);
  }
}

}  // namespace attend
