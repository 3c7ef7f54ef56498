// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Rows from elsewhere that help: labelled ones that are trained on beside the training files
// (data.extra), unlabelled ones for pre-training (train.pretrain.texts). Each file has columns and
// labels of its own.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "attend/data/reader.h"

namespace attend {

/// One entry of data.extra or train.pretrain.texts.
struct RowSource {
  std::string file;
  ReaderOptions reader;
  std::map<std::string, std::string> labels;  ///< a label of the file -> one of the training data
  double weight = 1;                          ///< of a row in the loss, beside 1 for other rows
  std::vector<std::string>
      leave_out;             ///< rows whose category column says one of these are not used
  bool by_category = false;  ///< the category is the first extra column of a row
  bool by_span = false;      ///< the last extra column holds spans: each becomes a row
  bool by_sentence = false;  ///< each sentence becomes a row
  /// Above 0: the label is a hint, which a model of the other rows weighs (RowJudge::judge).
  double margin = 0;
  double trust = 1;  ///< in the hint
};

/// The entries of `list`, the value of the setting `key`. Error(kUsage) names the entry and what is
/// wrong with it. Without `labelled`, labels and weights are unknown keys.
std::vector<RowSource> row_sources(const nlohmann::json& list, const std::string& key,
                                   bool labelled);

struct SourceRows {
  std::vector<Row> rows;
  int64_t equal_to_dev = 0;  ///< not in `rows`: their text is that of a dev row
  int64_t left_out = 0;      ///< not in `rows`: by category
  int64_t undecided = 0;     ///< not in `rows`: the best class did not lead by the margin
};

/// Reads a source. Rows whose comparison_key is in `dev_keys` are dropped, always: a model must not
/// be trained on what it is judged by. Throws Error(kData) and Error(kUsage) as read_rows does, and
/// if nothing is left.
SourceRows read_source(const RowSource& source, const std::unordered_set<std::string>& dev_keys);

/// Throws Error(kData) if nothing is left of a source.
void require_rows(const RowSource& source, const SourceRows& rows);

/// "FILE: 1234 rows, weight 0.5, 12 equal to dev rows dropped, 30 left out"
std::string describe(const RowSource& source, const SourceRows& rows);

}  // namespace attend
