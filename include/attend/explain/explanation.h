// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attend/data/unit.h"
#include "attend/tasks/prediction.h"

namespace attend {

/// A score per unit for the target. Attention says where information was mixed (unsigned);
/// attribution says what changed the output (signed). The two never share a colour.
struct Attribution {
  std::string method;      ///< "attention", "occlusion", "gradient-x-input", "random", ...
  bool is_signed = false;  ///< true: positive speaks for the target, negative against it
  std::string meaning;     ///< what one number is, e.g. "drop of the probability without the unit"
  std::vector<double> scores;  ///< one per unit
  double seconds = 0;          ///< wall time of this method on this input
};

/// Attention weights between units: row = query, column = key. Rows sum to 1 (to the mass that is
/// left, where `dropped_mass` says some was left out).
struct AttentionMap {
  int64_t layer = 0;           ///< 0-based; -1: mean over layers
  int64_t head = 0;            ///< 0-based; -1: mean over heads
  std::string label;           ///< e.g. "layer 0, head 2", "pooling"
  int64_t rows = 0;            ///< queries; a pooling map has 1 row
  int64_t columns = 0;         ///< keys
  std::vector<float> weights;  ///< row-major, rows * columns, each in [0, 1]
};

/// Why a model gave an output for one input: everything that a renderer needs, and nothing of the
/// model itself. Its JSON form is documented in docs/explanation-format.md.
struct Explanation {
  std::string task;       ///< e.g. "text-class"
  std::string model;      ///< run folder, as the user typed it
  std::string command;    ///< the command that made this explanation
  std::string input;      ///< original text (UTF-8)
  std::string unit_kind;  ///< "character", "word", "token", ...
  std::vector<Unit> units;
  Prediction outputs;            ///< best first
  std::string target;            ///< the label being explained
  std::optional<Span> evidence;  ///< span of `input` that carries the target
  std::vector<Attribution> attributions;
  std::vector<AttentionMap> attention;
  std::vector<std::string> notices;  ///< truncation, dropped mass: always shown
};

}  // namespace attend
