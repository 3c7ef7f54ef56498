// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attend/explain/explanation.h"

namespace attend {

/// A unit that weighed much, and how much.
struct UnitScore {
  std::string text;
  double score = 0;
};

/// One explained input of a data set.
struct DatasetRow {
  std::string id;     ///< e.g. its line in the file
  std::string input;  ///< UTF-8
  std::string gold;   ///< empty where the data set has no labels
  std::string prediction;
  double confidence = 0;                    ///< probability of the prediction, in [0, 1]
  std::vector<std::vector<UnitScore>> top;  ///< per method: heaviest units, heaviest first
};

/// What speaks for one output over the whole data set, by one method.
struct ClassUnits {
  struct Entry {
    std::string text;
    /// Score as a share of the largest magnitude of its input, summed over the inputs that were
    /// explained for this output and divided by their number: often and heavy comes first.
    double score = 0;
    int64_t inputs = 0;  ///< inputs it stood in
  };
  std::string label;
  std::string method;
  int64_t inputs = 0;  ///< inputs explained for this output
  std::vector<Entry> units;
};

/// Explanations of many inputs: what a table with filters shows.
struct DatasetReport {
  std::string task;
  std::string model;
  std::string command;
  std::string data;  ///< file, as the user typed it
  std::string unit_kind;
  std::vector<std::string> methods;
  std::vector<bool> is_signed;  ///< per method
  std::vector<DatasetRow> rows;
  std::vector<ClassUnits> classes;
  std::vector<std::string> notices;
};

/// Collects explanations one by one, so that they need not all be kept.
class DatasetReportBuilder {
 public:
  struct Options {
    std::size_t top_units = 5;     ///< per row and method
    std::size_t class_units = 12;  ///< per class and method
  };

  DatasetReportBuilder() : DatasetReportBuilder(Options{}) {}
  explicit DatasetReportBuilder(Options options) : options_(options) {}

  /// The first explanation says which methods there are; every other must have the same, or
  /// Error(kData). `gold`: "" where there is none.
  void add(const Explanation& explanation, std::string id, std::string gold);

  /// Task and model are those of the explanations; the caller fills in command and data.
  DatasetReport finish();

 private:
  struct Sum {
    double score = 0;
    int64_t inputs = 0;
  };
  struct Class {
    int64_t inputs = 0;
    std::vector<std::map<std::string, Sum>> units;  ///< per method
  };

  Options options_;
  DatasetReport report_;
  std::map<std::string, Class> classes_;
};

/// Gold and predicted labels in order of first appearance, most frequent first, and how many rows
/// have each pair: counts[gold * labels + predicted]. Rows without gold are not counted.
struct Confusion {
  std::vector<std::string> labels;
  std::vector<int64_t> counts;
};
Confusion confusion_of(const DatasetReport& report);

/// Throws Error(kData) as check_explanation does.
void check_dataset(const DatasetReport& report, std::string_view origin = "report");

/// The JSON form that docs/explanation-format.md describes, and back.
std::string to_json(const DatasetReport& report);
DatasetReport dataset_from_json(std::string_view text, const std::string& origin);

/// One row per input: id, gold, prediction, confidence, input, then per method its top units as
/// "text:score" separated by spaces.
std::string to_tsv(const DatasetReport& report);

/// True if `text` is JSON that says it is a data set report.
bool is_dataset_json(std::string_view text);

}  // namespace attend
