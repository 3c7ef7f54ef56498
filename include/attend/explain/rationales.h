// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Do explanations point where people pointed? Plausibility, which is not faithfulness: a model may
// be right for reasons of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attend/data/rationales.h"
#include "attend/explain/score.h"

namespace attend {

/// Scores of tokens against marked ones. Definitions of ERASER's scorer (DeYoung et al. 2020).
struct RationaleAgreement {
  /// Area under precision over recall, by trapezoids; equal scores stand in a drawn order, so that
  /// scores that are all the same are no better than random. NaN without evidence.
  double auprc = 0;
  // Of the `top` highest tokens against the marked ones.
  double token_precision = 0, token_recall = 0, token_f1 = 0;
  // Runs of the `top` highest tokens; one is right if its intersection over union with a marked
  // span is at least 0.5.
  double right_runs = 0, runs = 0, marked_spans = 0;
};

/// `scores` and `evidence` have an entry per token; `spans` are the marked stretches as token
/// ranges [begin, end), which may touch.
RationaleAgreement rationale_agreement(const std::vector<double>& scores,
                                       const std::vector<bool>& evidence,
                                       const std::vector<Span>& spans, int64_t top);

/// Scores of units as scores of tokens: the largest score of the units that overlap the token, for
/// units cut a token up or span several. A token that the model did not read gets `missing`.
std::vector<double> token_scores(const std::vector<double>& scores, const std::vector<Unit>& units,
                                 const std::vector<Span>& tokens, double missing);

struct RationaleOptionsScore {
  /// Names, or "all": every method that is not too slow for these inputs. "random" is added.
  std::vector<std::string> methods = {"all"};
  std::string units;  ///< as ExplainOptions
  int64_t limit = 0;  ///< rows, drawn with the seed; 0: all
  uint64_t seed = 1;
  std::function<void(const ScoreProgress&)> observe;
};

struct MethodPlausibility {
  std::string method;
  Estimate auprc;
  Estimate token_f1;  ///< mean of the rows' F1
  /// F1 of mean precision and mean recall over the rows (not the mean of F1); interval likewise.
  Estimate iou_f1;
  double seconds_per_input = 0;
};

struct PlausibilityTable {
  std::vector<MethodPlausibility> methods;
  int64_t rows = 0;       ///< scored: those with evidence and two units or more
  int64_t left_out = 0;   ///< without evidence, or of a single unit
  int64_t truncated = 0;  ///< of which the model does not read the end
  double share = 0;       ///< of tokens marked, mean over rows: so large is a row's hard selection
  double tokens = 0;      ///< per row, mean
  double seconds = 0;
};

/// Explains the predicted output of every row and compares with the marks. The number of tokens of
/// a row's hard selection is the mean marked share times its tokens, rounded, at least 1 (ERASER
/// takes the mean length per data set, too). Throws Error(kData) if no row has evidence.
PlausibilityTable score_rationales(Task& task, const std::vector<RationaleRow>& rows,
                                   const RationaleOptionsScore& options = {});

}  // namespace attend
