// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Vectors for units from the company they keep: skip-gram with negative sampling (Mikolov et al.,
// NIPS 2013), learnt from plain texts. A start for an embedding table: units that are rare in the
// labelled rows begin near those that are used alike.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

struct SkipGramOptions {
  int64_t dim = 64;             ///< of a vector, >= 1
  int64_t epochs = 5;           ///< passes over the texts, >= 1
  int64_t window = 5;           ///< units to either side at most (each time 1 to `window`), >= 1
  int64_t negatives = 5;        ///< units drawn against each pair, by count^0.75; >= 1
  double learning_rate = 0.05;  ///< at first; falls to nothing, > 0
  double subsample =
      1e-4;  ///< share of the text above which a unit is skipped now and then; 0: off
  uint64_t seed = 1;
};

/// `[vocabulary, dim]`, rows of zeros for ids that never occur. `texts` hold ids in
/// [0, vocabulary); ids below `first_id` (padding, unknown) are passed over. One thread: the same
/// texts, options and seed give the same bits. Throws Error(kInterrupted) on Ctrl-C.
std::vector<float> train_skip_gram(std::span<const std::vector<int64_t>> texts, int64_t vocabulary,
                                   int64_t first_id, const SkipGramOptions& options);

}  // namespace attend
