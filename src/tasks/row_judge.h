// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Labels that are only hints. A sentence of a favourable review need not be favourable: what it
// says itself is weighed against what the review says, and it is left out where the two leave it
// open. (Self-training, Yarowsky 1995, with the label of the whole as a prior.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attend/data/ngrams.h"
#include "naive_bayes_svm.h"

namespace attend {

/// Texts with the classes they certainly have.
struct SureTexts {
  std::vector<std::string> texts;
  std::vector<int64_t> classes;
  std::vector<float> weights;  ///< of each in the loss; empty: all 1
};

/// A linear model of n-grams, fitted on sure texts, that judges others.
class RowJudge {
 public:
  /// `dev` calibrates the scores: they are log odds up to a common term.
  RowJudge(const NgramOptions& ngrams, const NaiveBayesSvmOptions& options, int64_t classes,
           const SureTexts& train, const SureTexts& dev);

  /// The class of `text` whose label is said to be `hint`: the one with the highest score, where
  /// `trust` is added to that of the hint; -1 if it leads by less than `margin`.
  int64_t judge(const std::string& text, int64_t hint, double trust, double margin) const;

 private:
  NgramVocabulary vocabulary_;
  LinearScorer scorer_;
  double scale_ = 1;
};

}  // namespace attend
