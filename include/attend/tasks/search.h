// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Output sequences from a model that scores the next token: greedy, beam search, sampling.
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "attend/nn/ranked_outputs.h"

namespace attend {

/// A batch of unfinished sequences inside a model: what was read so far is the model's own
/// business. Sequences form groups of equal size that stand together (the hypotheses of one
/// sentence); at first every group has one.
class NextTokenModel {
 public:
  virtual ~NextTokenModel() = default;

  /// Reads one more token of every sequence, [sequences] int64, and returns the logits of the token
  /// after it, [sequences, vocabulary].
  virtual torch::Tensor next(const torch::Tensor& tokens) = 0;

  /// ranked_outputs(next(tokens), count, excluded), for models that can do with less than all
  /// logits.
  virtual std::vector<std::vector<RankedOutput>> next_ranked(const torch::Tensor& tokens,
                                                             int64_t count,
                                                             const std::vector<int64_t>& excluded);

  /// Keeps the groups `groups` [new groups] int64, and in them the sequences `rows` [new sequences]
  /// int64, in these orders; a sequence may be kept more than once.
  virtual void keep(const torch::Tensor& rows, const torch::Tensor& groups) = 0;
};

/// How a search chooses.
struct SearchOptions {
  int64_t beam = 1;  ///< hypotheses kept per group, >= 1; 1 = greedy, or sampling
  int64_t best = 1;  ///< results per group: at most `beam`, or independent samples
  /// A hypothesis of n tokens scores log probability / n^length_penalty; 0 favours short ones.
  double length_penalty = 1.0;
  /// Tokens at most, the end included, >= 1; for each group if there are as many entries.
  std::vector<int64_t> max_length{256};
  int64_t min_length = 0;  ///< no end before so many tokens
  /// Beam search goes on until no unfinished hypothesis can still win, instead of until none is
  /// ahead. Finds the best of all sequences if the beam is wide enough; slower.
  bool exact = false;

  bool sample = false;     ///< draw tokens instead of taking the most probable
  double temperature = 1;  ///< > 0; logits are divided by it
  int64_t top_k = 0;       ///< draw from the k most probable; 0 = all
  double top_p = 1;   ///< from the fewest that have this mass (Holtzman et al. 2020); in (0, 1]
  double min_p = 0;   ///< from those with at least this share of the largest probability
                      ///< (Nguyen et al. 2024); in [0, 1]
  uint64_t seed = 1;  ///< of the draws; the same for a group whatever stands beside it
  uint64_t first_group = 0;  ///< number of the first group, where a larger batch was cut up

  /// > 1: logits of tokens already produced are divided by it, or multiplied if negative (Keskar et
  /// al. 2019); 1 = off.
  double repetition_penalty = 1;
  int64_t no_repeat_ngram = 0;  ///< no n-gram of this size twice; 0 = off

  int64_t start = 3;               ///< read first
  int64_t end = 4;                 ///< finishes a sequence
  std::vector<int64_t> forbidden;  ///< tokens that are never produced

  /// Changes the logits of one sequence in place before anything is chosen: group, tokens so far,
  /// logits [vocabulary] in float. -inf forbids. May be empty.
  std::function<void(int64_t, std::span<const int64_t>, std::span<float>)> adjust;
  /// Asked after each token of greedy search and sampling: true stops this sequence. May be empty.
  std::function<bool(int64_t, std::span<const int64_t>)> stop;
  /// Told each token of greedy search and sampling as it is chosen: group, token. May be empty.
  std::function<void(int64_t, int64_t)> stream;
};

/// Throws Error(kUsage) that names the value, the rule and the fix.
void check_options(const SearchOptions& options, int64_t vocabulary);

/// One output sequence.
struct Hypothesis {
  std::vector<int64_t> tokens;            ///< without start and end
  std::vector<double> log_probabilities;  ///< of each token, and of the end if it was reached; nats
  double log_probability = 0;             ///< their sum
  double score = 0;       ///< log_probability / length^length_penalty, the end counted
  bool finished = false;  ///< the end or a stop condition was reached before max_length
};

/// The best sequences of each of `groups` groups, best first. Log probabilities are those of the
/// model after `adjust`, penalties and forbidden tokens, before temperature and cuts. Finished
/// groups leave the model at once. Without gradients. Ctrl-C ends it early, with empty or fewer
/// results: ask interrupted().
std::vector<std::vector<Hypothesis>> search(NextTokenModel& model, int64_t groups,
                                            const SearchOptions& options);

}  // namespace attend
