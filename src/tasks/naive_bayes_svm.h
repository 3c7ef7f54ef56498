// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The strongest cheap text classifier, used as the wide term beside attention: a linear support
// vector machine over n-grams scaled by their naive-Bayes log-count ratio (Wang and Manning,
// "Baselines and Bigrams", ACL 2012). Features are presence, not counts; one class against the
// rest.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

/// Sparse examples, one after another: example i has entries [offsets[i], offsets[i + 1]).
struct SparseRows {
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> features;
  std::vector<float> values;
  std::vector<float> weights;  // one per example, > 0, of its loss; empty: all 1

  int64_t size() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

/// score[c] = biases[c] + sum over entries of value * weights[feature * classes + c].
struct LinearScorer {
  int64_t classes = 0;
  std::vector<float> weights;
  std::vector<float> biases;

  /// The scores of one example, `[classes]`.
  std::vector<float> score(const SparseRows& rows, int64_t row) const;
};

struct NaiveBayesSvmOptions {
  double cost = 1.0;       ///< C of the SVM: weight of the loss against the norm, > 0
  double smoothing = 1.0;  ///< added to every count of the naive-Bayes ratio, > 0
  bool with_idf = false;   ///< average with a second SVM whose features are scaled by their inverse
                           ///< document frequency instead; the two err on different texts
  int64_t passes = 30;     ///< over the examples at most
  uint64_t seed = 1;       ///< of the order in which examples are visited
};

/// Fits on all rows; `labels` in [0, classes). Squared hinge loss, dual coordinate descent (Hsieh
/// et al., ICML 2008). The weight of a row counts in the loss and in the naive-Bayes counts.
/// Deterministic; classes are solved in parallel.
LinearScorer fit_naive_bayes_svm(const SparseRows& rows, std::span<const int64_t> labels,
                                 int64_t features, int64_t classes,
                                 const NaiveBayesSvmOptions& options);

/// The factor by which to multiply scores so that their softmax has the smallest negative log
/// likelihood (temperature scaling, Guo et al. 2017), by golden-section search in [0.01, 100].
double calibrated_scale(std::span<const float> scores, std::span<const int64_t> labels,
                        int64_t classes);

}  // namespace attend
