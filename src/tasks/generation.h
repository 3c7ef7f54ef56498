// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A language model as the search sees it: behind a prompt, with edits, and remembering what each
// step attended to.
#pragma once

#include <vector>

#include "attend/tasks/search.h"
#include "language_model.h"

namespace attend {

class PromptedModel : public NextTokenModel {
 public:
  /// Reads `prompt` (at least one token) behind what `state` holds, before anything else; the start
  /// token of the search is not read. `sequences` of them go on from there. `state` is not owned.
  PromptedModel(LanguageModel model, std::vector<int64_t> prompt, int64_t sequences,
                DecoderState& state, const std::vector<AttentionEdit>& edits, bool sources);

  torch::Tensor next(const torch::Tensor& tokens) override;
  void keep(const torch::Tensor& rows, const torch::Tensor& groups) override;

  /// For each sequence (as numbered at first), for each token chosen: the mean over layers and
  /// heads of its weights on every position before, the first position included.
  const std::vector<std::vector<std::vector<float>>>& sources() const { return sources_; }

 private:
  void record(const Trace& trace);

  LanguageModel model_;
  std::vector<int64_t> prompt_;
  DecoderState& state_;
  ForwardRequest request_;
  std::vector<int64_t> numbers_;  // of the sequences that are still in the batch
  std::vector<std::vector<std::vector<float>>> sources_;
  bool read_ = false;  // the prompt
};

}  // namespace attend
