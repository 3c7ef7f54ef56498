// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Self-pre-training of a text classifier: short stretches of a text are masked, and the encoder
// learns to say which units stood there (Devlin et al., NAACL 2019; stretches as in SpanBERT, Joshi
// et al., TACL 2020). Masking whole words instead (Cui et al. 2019) was no better on thucnews.
#pragma once

#include <vector>

#include "attend/base/random.h"
#include "attend/nn/text_classifier.h"
#include "attend/tasks/pretraining.h"
#include "text_dataset.h"

namespace attend {

struct MaskedUnitsOptions {
  int64_t epochs = 0;           ///< passes over the texts; 0: none
  int64_t batch_size = 128;     ///< texts per update, >= 1
  double learning_rate = 1e-3;  ///< peak, > 0
  double share = 0.3;           ///< of a text's units that are masked, in (0, 1)
  uint64_t seed = 1;
};

/// For each of `units` units whether it stays: stretches of one to three go until `share` of the
/// units has gone, at least one, and never all of several.
std::vector<bool> draw_kept_units(int64_t units, double share, Random& random);

/// Trains embeddings and encoder of `model`, which stays the caller's, on `texts` as `encoder` made
/// them. A masked unit is a padding unit, as where an explanation masks it, and n-grams that touch
/// it are gone. The output layer over the vocabulary lasts as long as this object.
class MaskedUnits : public Pretraining {
 public:
  MaskedUnits(const MaskedUnitsOptions& options, TextClassifierWithAttention model,
              const TextEncoder& encoder, std::vector<TextExample> texts);

  int64_t epochs() const override { return options_.epochs; }
  int64_t batch_size() const override { return options_.batch_size; }
  double learning_rate() const override { return options_.learning_rate; }
  const Dataset& data() const override { return texts_; }
  std::shared_ptr<torch::nn::Module> module() const override { return module_; }
  torch::Tensor loss(std::span<const int64_t> rows) override;

 private:
  MaskedUnitsOptions options_;
  TextClassifierWithAttention model_;
  const TextEncoder& encoder_;
  TextDataset texts_;
  Random random_;
  torch::nn::Linear output_{nullptr};
  std::shared_ptr<torch::nn::Module> module_;
};

}  // namespace attend
