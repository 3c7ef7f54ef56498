// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A second linear model for the wide term, which errs on other texts than the support vector
// machine: each n-gram has a vector, a text is the sum of its vectors, and one matrix makes class
// scores of it (fastText; Joulin et al., "Bag of Tricks for Efficient Text Classification", EACL
// 2017). The classes share the vectors, so what is learnt of a rare n-gram for one class tells
// about the others. Most n-grams of a text are dropped at each visit (Wang and Manning, "Fast
// dropout training", ICML 2013): no n-gram may lean on another one beside it.
#pragma once

#include "naive_bayes_svm.h"

namespace attend {

struct FactoredLinearOptions {
  int64_t dim = 64;              ///< of an n-gram's vector, >= 1
  int64_t epochs = 8;            ///< passes over the examples, >= 1
  double dropout = 0.7;          ///< probability in [0, 1) that a visit leaves out an n-gram
  double learning_rate = 0.3;    ///< of Adagrad at first, > 0; falls to a tenth
  double label_smoothing = 0.1;  ///< in [0, 1)
  uint64_t seed = 1;             ///< of vectors, order and dropout
};

/// Fits on all rows; `labels` in [0, classes). The two matrices are multiplied out at the end, so
/// the result is an ordinary linear scorer; its scores want a calibrated scale. The weight of a row
/// counts in its step. One thread: the same rows, options and seed give the same bits. Throws
/// Error(kInterrupted) on Ctrl-C.
LinearScorer fit_factored_linear(const SparseRows& rows, std::span<const int64_t> labels,
                                 int64_t features, int64_t classes,
                                 const FactoredLinearOptions& options);

}  // namespace attend
