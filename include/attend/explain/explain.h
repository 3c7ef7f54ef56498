// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attend/explain/explanation.h"
#include "attend/explain/steering.h"
#include "attend/tasks/task.h"

namespace attend {

/// What is known of a method without running it.
struct MethodInfo {
  std::string name;
  bool is_signed = false;  ///< positive speaks for the target, negative against it
  std::string meaning;     ///< what one score is
  std::string cost;        ///< passes of the model, e.g. "one forward pass per unit"
};

/// The methods that explain() knows, in the order it shows them. docs/guide/explain.md has their
/// formulas. All start from the task's read-out and work for every task.
const std::vector<MethodInfo>& explanation_method_table();

/// Their names.
std::vector<std::string> explanation_methods();

/// A part of one layer's matrix that is wanted in full, in units.
struct TileRequest {
  int64_t layer = 0;
  int64_t head = -1;  ///< -1: mean over heads
  int64_t first_row = 0, rows = 0, first_column = 0, columns = 0;
};

/// "LAYER[.HEAD]:ROW-ROW,COLUMN-COLUMN", ranges from 0 with both ends included. Throws
/// Error(kUsage) on anything else.
TileRequest parse_tile(const std::string& text);

struct ExplainOptions {
  /// Names of methods, or "all": every one that is not too slow for the input (a notice names the
  /// others).
  std::vector<std::string> methods = {"all"};
  std::string target;  ///< the output to explain; empty: the predicted one
  std::string units;   ///< "word" merges units into words; empty: the model's own
  /// Units that are merged into one, as select_units() understands them, commas between; not
  /// together with `units`.
  std::string spans;
  Removal removal = Removal::kDelete;  ///< how occlusion takes a unit out
  int64_t layer = -1;                  ///< of method "attention"; -1: the last
  int64_t head = -1;                   ///< of method "attention"; -1: mean over heads
  int64_t window = 0;      ///< units that occlusion-window takes out; 0: 3, more of long inputs
  int64_t path_steps = 0;  ///< of integrated gradients; 0: 16, doubled until the residual is 1 %
  uint64_t seed = 1;       ///< of the random row
  bool views = true;       ///< attention maps, heads, layers, alignments
  bool evidence = true;    ///< the stretch of the input that carries the target
  Steering steering;       ///< what to try out; fills Explanation::effects
  std::vector<TileRequest> tiles;
  int64_t max_map_units = 256;  ///< beyond so many units layers are summarised, nothing is N x N
  /// Work that "all" may cost per method, in positions that the model runs; a position of a long
  /// input counts as 1 + length / 2048.
  int64_t max_positions = 2'000'000;
  bool faithfulness = true;       ///< measure how far each row can be trusted on this input
  std::string best_method;        ///< most faithful for this model on dev data; empty: unknown
  bool best_beats_random = true;  ///< and whether it is better there than random orders
};

/// Explains the output of `task` for example `row`. The model must be in eval mode. Throws
/// Error(kUsage) for an unknown method, layer, head, target, unit or kind of unit, with what there
/// is.
Explanation explain(Task& task, const Dataset& data, int64_t row,
                    const ExplainOptions& options = {});

/// The prediction of one example with the stretch of its input that carries it, without the rest of
/// an explanation. Nothing for an input of a single unit, or too long for leaving out every word.
std::optional<Span> evidence_span(Task& task, const Dataset& data, int64_t row,
                                  const Target& target);

/// The consecutive units whose scores, each less a tenth of the largest, have the largest sum
/// (Bentley's maximum segment): indices [first, last], or nothing if no score is above zero.
std::optional<std::pair<int64_t, int64_t>> strongest_segment(const std::vector<double>& scores);

}  // namespace attend
