// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Texts in memory as a language model reads them, and how they become a batch.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attend/data/tokenizer.h"
#include "attend/nn/linear_cross_entropy.h"
#include "attend/tasks/task.h"

namespace attend {

/// A text, or one piece of a text that is longer than the context.
struct GenerateExample {
  std::string prompt;         // title or theme; empty: none
  std::string text;           // what was read or typed
  Encoding prompt_ids;        // spans in `prompt`
  Encoding text_ids;          // spans in `text`
  bool whole = true;          // the text ends here, so its end is to be predicted as well
  bool gold = false;          // has targets
  int64_t left_out = 0;       // tokens at the beginning that the context has no room for
  int64_t characters = 0;     // of the piece
  std::vector<bool> removed;  // by unit: its place is empty; shorter than the units: the rest stays
};

class GenerateDataset : public Dataset {
 public:
  GenerateDataset(std::string description, std::vector<GenerateExample> examples)
      : description_(std::move(description)), examples_(std::move(examples)) {}

  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  int64_t length(int64_t row) const override;
  std::string input(int64_t row) const override;
  std::string gold(int64_t row) const override;
  std::string notice(int64_t row) const override;
  std::shared_ptr<Dataset> subset(std::span<const int64_t> rows) const override;
  std::string description() const override { return description_; }

  const GenerateExample& example(int64_t row) const { return examples_[static_cast<size_t>(row)]; }

 private:
  std::string description_;
  std::vector<GenerateExample> examples_;
};

/// How a model's sequences are laid out, settled before training:
///   [CLS] text [SEP]                                 without prompts
///   [CLS] prompt [SEP] text [SEP]                    with prompts, each of which may be empty
///   [CLS] prompt [SEP] before [MASK] behind [MASK] gap [SEP]       infilling (Aghajanyan et al.
///                                                    2022, "causal masking"; Bavarian et al. 2022)
/// Only the text (in infilling: the gap) and its end are to be predicted.
struct SequenceLayout {
  bool prompts = false;
  double prompt_dropout =
      0;                    ///< share of the training examples whose prompt is left out, in [0, 1]
  double infill_share = 0;  ///< share of the training examples with a gap, in [0, 1]
  int64_t context = 512;    ///< positions at most

  /// What comes before the text.
  std::vector<int64_t> opening(std::span<const int64_t> prompt) const;

  /// `tokens` `[batch, length]`, `lengths` `[batch]`, `characters` `[batch]`; targets
  /// `[batch, length]` where all have gold: the token behind each position, kNoTarget where none is
  /// to be predicted. With `training`, prompts are dropped and gaps made by LibTorch's generator,
  /// which a checkpoint keeps.
  Batch collate(const GenerateDataset& data, std::span<const int64_t> rows, bool training) const;
};

}  // namespace attend
