// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Acting on a model at prediction time: what if it had looked elsewhere?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attend/explain/explanation.h"
#include "attend/explain/grouping.h"
#include "attend/nn/attention_edit.h"
#include "attend/tasks/task.h"

namespace attend {

/// What a user wants tried, in his words. Each entry is an intervention of its own; of several, all
/// together is one more.
struct Steering {
  /// "SELECTION:FACTOR", factor >= 0: the units' weights are multiplied by it before the softmax
  /// normalises (a bias of ln FACTOR on their keys). Below 1 suppresses, 0 hides.
  std::vector<std::string> emphasize;
  std::vector<std::string> mask_units;  ///< selections: units that are masked in the input
  std::vector<std::string> heads_off;   ///< "LAYER.HEAD": heads that give zeros, all at once
  double temperature = 1;               ///< > 0; below 1 sharpens, above 1 flattens
  bool uniform = false;                 ///< equal weights on all keys
  /// Where emphasis, temperature and uniform act; empty = everywhere. See AttentionEdit.
  std::vector<int64_t> layers, heads;

  bool empty() const {
    return emphasize.empty() && mask_units.empty() && heads_off.empty() && temperature == 1 &&
           !uniform;
  }
};

/// One change, ready to be tried on one input.
struct Intervention {
  std::string label;                 ///< as the user asked for it
  std::vector<AttentionEdit> edits;  ///< inside attention
  std::vector<bool> masked;          ///< model units masked in the input; empty = none
};

/// Units by an index ("3"), a range of indices ("3-5", both included), or their text: every
/// occurrence of it in the input, whose units are all that it touches. "=TEXT" is text whatever it
/// looks like. Ranges of units [begin, end) in order. Throws Error(kUsage) that says what there is
/// when there is no such unit.
std::vector<UnitGroup> select_units(const std::string& selection, const std::string& input,
                                    const std::vector<Unit>& units);

/// `units` are the shown ones, of which each is the model units of its group; `positions` is the
/// number of positions that the model sees, `leading` of which stand before the first unit. Throws
/// Error(kUsage) for what does not exist or makes no sense.
std::vector<Intervention> interventions(const Steering& steering, const std::string& input,
                                        const std::vector<Unit>& units,
                                        const std::vector<UnitGroup>& groups, int64_t leading);

/// The output of `task` for example `row` under `intervention`.
TaskOutput forward_under(Task& task, const Dataset& data, int64_t row,
                         const Intervention& intervention);

/// The output before and after each intervention. Throws Error(kUsage) for a layer or head that
/// does not exist.
std::vector<Effect> effects(Task& task, const Dataset& data, int64_t row, const Target& target,
                            const std::vector<Intervention>& interventions);

struct HeadImportanceOptions {
  int64_t max_examples = 1000;  ///< the first so many of the data; 0 = all
  int64_t batch_size = 64;
};

/// How much the task's primary metric on `data` falls with each attention head switched off (Michel
/// et al. 2019): by layer, then head; `importance` is filled and nothing else. Negative: the model
/// is better without. Throws Error(kUsage) if the model has no attention layer.
std::vector<HeadSummary> head_importance(Task& task, const Dataset& data,
                                         const HeadImportanceOptions& options = {});

}  // namespace attend
