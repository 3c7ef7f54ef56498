// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "row_judge.h"

#include <algorithm>

#include "text_dataset.h"

namespace attend {
namespace {

SparseRows sparse_rows(const NgramVocabulary& vocabulary, const SureTexts& texts) {
  SparseRows rows;
  for (const std::string& text : texts.texts) append_ngrams(vocabulary.extract(text, {}), rows);
  rows.weights = texts.weights;
  return rows;
}

}  // namespace

RowJudge::RowJudge(const NgramOptions& ngrams, const NaiveBayesSvmOptions& options, int64_t classes,
                   const SureTexts& train, const SureTexts& dev)
    : vocabulary_(NgramVocabulary::build(ngrams, train.texts)),
      scorer_(fit_naive_bayes_svm(sparse_rows(vocabulary_, train), train.classes,
                                  vocabulary_.size(), classes, options)) {
  const SparseRows rows = sparse_rows(vocabulary_, dev);
  std::vector<float> scores;
  for (int64_t row = 0; row < rows.size(); ++row) {
    const std::vector<float> one = scorer_.score(rows, row);
    scores.insert(scores.end(), one.begin(), one.end());
  }
  scale_ = calibrated_scale(scores, dev.classes, classes);
}

int64_t RowJudge::judge(const std::string& text, int64_t hint, double trust, double margin) const {
  SparseRows row;
  append_ngrams(vocabulary_.extract(text, {}), row);
  std::vector<double> scores;
  for (const float score : scorer_.score(row, 0)) scores.push_back(score * scale_);
  scores[static_cast<size_t>(hint)] += trust;
  const auto best = std::max_element(scores.begin(), scores.end());
  const int64_t found = best - scores.begin();
  const double lead = *best;
  scores.erase(best);
  return lead - *std::max_element(scores.begin(), scores.end()) < margin ? -1 : found;
}

}  // namespace attend
