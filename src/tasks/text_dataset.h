// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Encoded texts in memory, and how they become a batch.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attend/data/ngrams.h"
#include "attend/data/tokenizer.h"
#include "attend/nn/text_classifier.h"
#include "attend/tasks/task.h"
#include "naive_bayes_svm.h"

namespace attend {

struct TextExample {
  std::string text;
  std::string label;  // empty without gold
  int64_t label_index = -1;
  float weight = 1;   // in the loss
  Encoding encoding;  // at most max_length units
  std::vector<NgramHit> ngrams;
  int64_t left_out = 0;        // units beyond max_length
  std::vector<bool> evidence;  // units that people marked; empty: not known
  std::vector<bool> replaced;  // units that Removal::kMean took out; empty: none
};

class TextDataset : public Dataset {
 public:
  TextDataset(std::string description, std::vector<TextExample> examples)
      : description_(std::move(description)), examples_(std::move(examples)) {}

  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  int64_t length(int64_t row) const override {
    return static_cast<int64_t>(example(row).encoding.ids.size());
  }
  std::string input(int64_t row) const override { return example(row).text; }
  std::string gold(int64_t row) const override { return example(row).label; }
  std::string description() const override { return description_; }
  std::string notice(int64_t row) const override;
  std::shared_ptr<Dataset> subset(std::span<const int64_t> rows) const override;

  const TextExample& example(int64_t row) const { return examples_[static_cast<size_t>(row)]; }

 private:
  std::string description_;
  std::vector<TextExample> examples_;
};

/// Presence rather than counts, vectors of length 1: each distinct n-gram of a text weighs 1 /
/// sqrt(number of distinct ones), shared evenly among its occurrences. N-grams of characters and of
/// words are counted apart and make up half of the squared length each, since there are many more
/// of the former; where a text has only one kind, that is all of it.
std::vector<float> ngram_values(const std::vector<NgramHit>& hits);

/// Adds a row of the distinct n-grams with their values, as the wide term sees a text.
void append_ngrams(const std::vector<NgramHit>& hits, SparseRows& rows);

/// Everything that turns a text into an example: fixed after training began.
struct TextEncoder {
  std::shared_ptr<const Tokenizer> tokenizer;
  NgramVocabulary ngrams;    // empty: no n-grams
  int64_t max_length = 512;  // units; the rest is left out, and said so

  /// Units and n-grams of `text`. An empty text becomes one unknown unit, since a model must see
  /// something.
  TextExample encode(const std::string& text) const;

  /// Marks the units of `example` that touch one of `spans` (bytes of its text).
  void mark_evidence(const std::vector<Span>& spans, TextExample& example) const;

  /// `example` once per entry of `keeps`, with only the units kept whose entry is true. N-grams
  /// that touch a removed unit go with it. kMask puts the padding id, whose embedding is zero, in
  /// the unit's place; so does kMean, and marks it as replaced.
  std::vector<TextExample> without_units(const TextExample& example,
                                         const std::vector<std::vector<bool>>& keeps,
                                         Removal removal) const;

  /// Inputs "tokens" `[batch, length]`, "lengths" `[batch]`, and for n-grams "ngram_ids",
  /// "ngram_positions", "ngram_values" `[total]`; "row_weights" `[batch]` unless all are 1;
  /// "replaced" `[batch, length]` bool if a unit is; "evidence" `[batch, length]` if any is marked,
  /// each row with sum 1 or 0; targets `[batch]` where all have gold.
  Batch collate(const TextDataset& data, std::span<const int64_t> rows) const;
};

/// What TextEncoder::collate made, as the model takes it.
TextInput text_input(const Batch& batch);

}  // namespace attend
