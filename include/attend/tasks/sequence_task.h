// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What tasks whose output is a text have beyond the Task interface.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "attend/tasks/search.h"
#include "attend/tasks/task.h"

namespace attend {

/// A word of the input and one of the output that belong together, both counted from 0.
using WordLink = std::pair<int64_t, int64_t>;

/// Where the score of a source word for a target word comes from.
enum class AlignmentMethod {
  kAttention,  ///< the weights of a cross-attention layer, averaged over its heads
  kNorm,       ///< the length of what those weights bring (Kobayashi et al. 2020)
  kOcclusion   ///< how much less probable the target word becomes when the source word is taken out
};

/// "attention", "norm", "occlusion". Throws Error(kUsage) on another.
AlignmentMethod parse_alignment_method(const std::string& name);

struct AlignOptions {
  AlignmentMethod method = AlignmentMethod::kAttention;
  /// Decoder layer from 0; -1: the last but one, which follows the words best (Garg et al. 2019).
  int64_t layer = -1;
};

/// A sentence and its translation, cut into words by whoever made them.
struct WordPair {
  std::vector<std::string> source;
  std::vector<std::string> target;
};

/// Links that a person made: certain ones, and ones that may be there.
struct GoldLinks {
  std::vector<WordLink> sure;
  std::vector<WordLink> possible;  ///< beside the sure ones
};

/// How well found links match what people linked: aer, precision, recall (Och and Ney 2003). With
/// found links A, sure ones S and possible ones P (S among them), aer = 1 - (|A & S| + |A & P|) /
/// (|A| + |S|), precision |A & P| / |A|, recall |A & S| / |S|.
std::unique_ptr<Metrics> new_alignment_metrics(const std::vector<std::vector<WordLink>>& links,
                                               const std::vector<GoldLinks>& gold);

/// One text that a task produced.
struct ProducedText {
  std::string text;
  double log_probability = 0;  ///< of all its tokens and the end, nats
  double score = 0;            ///< what it was ranked by
  bool finished = true;        ///< false: cut at the greatest length
  /// Words of input and output that belong together (white-space words, 0-based), by the attention
  /// that produced the output; empty unless asked for.
  std::vector<WordLink> alignment;
};

/// What is asked for beside the texts, and how they are searched for.
struct ProduceOptions {
  SearchOptions search;  ///< start, end, forbidden tokens and lengths are the task's own business
  bool align = false;
  AlignOptions alignment;
  int64_t batch_size = 64;  ///< inputs decoded together; examples of similar length share a batch
};

class SequenceTask : public Task {
 public:
  /// The search that the run's settings ask for.
  virtual SearchOptions default_search() const = 0;

  /// The best texts for each example of `data`, in the order of `data`. Ctrl-C throws
  /// Error(kInterrupted).
  virtual std::vector<std::vector<ProducedText>> produce(const Dataset& data,
                                                         const ProduceOptions& options) = 0;

  /// The links of each pair, the target being forced. Pairs of Chinese words are read without the
  /// spaces between them.
  virtual std::vector<std::vector<WordLink>> align(std::span<const WordPair> pairs,
                                                   const AlignOptions& options) = 0;

  /// Example `row` alone, with `output` as the output that is explained or scored; empty: what the
  /// model produces.
  virtual std::shared_ptr<Dataset> with_output(const Dataset& data, int64_t row,
                                               const std::string& output) = 0;
};

}  // namespace attend
