// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Sanity checks: does an explanation depend on what the model learnt, and does the model use its
// attention at all?
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "attend/explain/score.h"

namespace attend {

struct SanityOptions {
  std::vector<std::string> methods = {"all"};  ///< as ScoreOptions
  std::string units;                           ///< as ExplainOptions
  int64_t limit = 50;                          ///< examples, drawn with the seed; 0: all
  Removal removal = Removal::kDelete;
  uint64_t seed = 1;
  std::function<void(const ScoreProgress&)> observe;  ///< after each example; may be empty
};

/// The model with some of its parts randomised.
struct RandomisedStage {
  std::string part;  ///< the part that was randomised last; those of earlier stages are too
  /// Per method: Spearman's rank correlation of |score| with that of the trained model, mean over
  /// the examples. NaN where scores are constant.
  std::map<std::string, Estimate> correlation;
};

/// Cascading model randomisation (Adebayo et al. 2018): parts lose what they learnt one after the
/// other, from the head down, and the same target is explained again. A method whose scores stay as
/// they were does not show the model. A part is randomised by shuffling the entries of each of its
/// tensors, so that sizes of activations stay plausible. A method that multiplies by the input
/// carries the input's structure into its scores and may correlate for that reason alone
/// (Kokhlikyan et al. 2021). The weights are restored, also when an error is thrown.
std::vector<RandomisedStage> randomisation_test(Task& task, const Dataset& data,
                                                const SanityOptions& options = {});

/// The names of a model's parts that hold weights, from the head down: the reverse of their
/// registration. A part is a module registered in the model itself, or in its encoder or decoder.
std::vector<std::string> model_parts(const torch::nn::Module& model);

/// One layer, or all, with equal attention weights.
struct UniformEffect {
  int64_t layer = -1;  ///< -1: all
  double metric = 0;   ///< the task's primary metric with it
  Estimate drop;       ///< trained minus uniform (signed so that positive is worse), paired
  bool used() const { return drop.low > 0; }
};

struct UniformTest {
  std::string metric;  ///< its name
  double trained = 0;  ///< its value with the attention that was learnt
  int64_t examples = 0;
  std::vector<UniformEffect> effects;  ///< all layers first, then one by one if there are several
  std::string verdict;                 ///< one sentence
};

/// Evaluates `data`, which must have gold, with the encoder's attention forced uniform (Wiegreffe
/// and Pinter 2019). If nothing drops, attention is not used here, and explains nothing. How the
/// head pools the positions stays as it is.
UniformTest uniform_attention_test(Task& task, const Dataset& data, int64_t limit = 0,
                                   uint64_t seed = 1);

/// Spearman's rank correlation, ties sharing their mean rank; NaN where one side is constant.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace attend
