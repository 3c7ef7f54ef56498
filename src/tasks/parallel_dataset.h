// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Encoded sentence pairs in memory, and how they become a batch.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attend/data/parallel.h"
#include "attend/data/tokenizer.h"
#include "attend/nn/linear_cross_entropy.h"
#include "attend/tasks/task.h"

namespace attend {

struct ParallelExample {
  std::string source;
  std::string target;                   // empty without gold
  std::vector<std::string> references;  // all known translations, `target` first
  Encoding source_units;                // at most max_length
  Encoding target_units;
  bool has_target = false;
  int64_t left_out = 0;  // units of the source beyond max_length
  int64_t unknown = 0;   // units of the source that the vocabulary cannot spell
  // Target and source units that belong together, where a person or an aligner said so.
  std::vector<std::pair<int64_t, int64_t>> links;
};

class ParallelDataset : public Dataset {
 public:
  ParallelDataset(std::string description, std::vector<ParallelExample> examples)
      : description_(std::move(description)), examples_(std::move(examples)) {}

  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  /// Of the longer side, since both are padded.
  int64_t length(int64_t row) const override;
  std::string input(int64_t row) const override { return example(row).source; }
  std::string gold(int64_t row) const override { return example(row).target; }
  std::string description() const override { return description_; }
  std::string notice(int64_t row) const override;
  std::shared_ptr<Dataset> subset(std::span<const int64_t> rows) const override;

  const ParallelExample& example(int64_t row) const { return examples_[static_cast<size_t>(row)]; }
  /// For the task, which fills in the outputs of examples that came without.
  ParallelExample& example(int64_t row) { return examples_[static_cast<size_t>(row)]; }

 private:
  std::string description_;
  std::vector<ParallelExample> examples_;
};

/// `data`, which a task of this kind made; throws std::bad_cast on another's.
inline const ParallelDataset& pairs(const Dataset& data) {
  return dynamic_cast<const ParallelDataset&>(data);
}

/// Pairs with the same source become one example with several references, in order of appearance;
/// equal ones count once.
std::vector<ParallelExample> join_references(std::vector<ParallelExample> examples);

/// Everything that turns a pair into an example: fixed after training began.
struct ParallelEncoder {
  std::shared_ptr<const Tokenizer> tokenizer;
  int64_t max_length = 256;  // units of either side

  ParallelExample encode(const std::string& source) const;
  ParallelExample encode(const std::string& source, const std::string& target) const;
  /// With its links.
  ParallelExample encode(const SentencePair& pair) const;

  /// Inputs "source" `[batch, length]` (a start, then the units), "source_lengths" `[batch]`; where
  /// all examples have a target also "target" `[batch, length]` (a start, then the units),
  /// "target_lengths", and targets `[batch, length]` (the units, then the end; -100 at padding);
  /// where there are links also "guide" `[batch, target length, source length]`, whose rows sum to
  /// 1 or 0.
  Batch collate(const ParallelDataset& data, std::span<const int64_t> rows) const;
};

}  // namespace attend
