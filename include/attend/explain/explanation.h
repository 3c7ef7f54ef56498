// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attend/data/unit.h"
#include "attend/tasks/prediction.h"

namespace attend {

/// How far removing what a row of scores names changes the output, for one input. Probabilities are
/// those of the target; units are removed (or kept) from the highest score down.
struct Faithfulness {
  /// Mean drop of the probability without the top 1, 5, 10, 20, 50 % of the units (DeYoung et al.
  /// 2020, AOPC); high is good.
  double comprehensiveness = 0;
  /// Mean drop with these units only; low is good.
  double sufficiency = 0;
  double deletion = 0;   ///< area under deletion_curve, see FaithfulnessTest; low is good
  double insertion = 0;  ///< area under insertion_curve; high is good
  std::vector<double> deletion_curve;   ///< probability after removing steps[i] units
  std::vector<double> insertion_curve;  ///< probability with only steps[i] units
};

/// What the faithfulness of this input's rows was measured with, and what chance gives.
struct FaithfulnessTest {
  std::string removal;         ///< how units are taken out: "delete", "mask", "mean"
  std::vector<int64_t> steps;  ///< numbers of units, ascending, first 0, last all
  // The 2.5 % and 97.5 % quantiles over random orders, one per step.
  std::vector<double> random_deletion_low, random_deletion_high;
  std::vector<double> random_insertion_low, random_insertion_high;
};

/// A score per unit for the target. Attention says where information was mixed (unsigned);
/// attribution says what changed the output (signed). The two never share a colour.
struct Attribution {
  std::string method;      ///< "attention", "occlusion", "gradient-x-input", "random", ...
  bool is_signed = false;  ///< true: positive speaks for the target, negative against it
  std::string meaning;     ///< what one number is, e.g. "drop of the probability without the unit"
  std::vector<double> scores;                     ///< one per unit
  double seconds = 0;                             ///< wall time of this method on this input
  std::optional<Faithfulness> faithfulness = {};  ///< nothing where it was not measured
  std::string note = {};                          ///< e.g. a completeness residual; may be empty
};

/// Attention weights: row = query, column = key. Rows sum to 1 (to the mass that is left, where a
/// notice says some was left out). Columns are the units; of a decoder's map they are the output
/// units. Rows are the same; of a cross map they are the output units; a pooling map has one.
struct AttentionMap {
  int64_t layer = 0;           ///< 0-based; -1: mean over layers
  int64_t head = 0;            ///< 0-based; -1: mean over heads
  std::string label;           ///< e.g. "layer 0, head 2", "pooling"
  int64_t rows = 0;            ///< queries
  int64_t columns = 0;         ///< keys
  std::vector<float> weights;  ///< row-major, rows * columns, each in [0, 1]
  std::string role = "self";   ///< "self", "decoder", "cross" or "pooling"
};

/// Scores of every unit for every unit of an output sequence: which input made which output.
struct Alignment {
  std::string method;
  bool is_signed = false;
  std::string meaning;
  std::vector<double> scores;  ///< row-major, output units * units
};

/// What one head does on this input.
struct HeadSummary {
  int64_t layer = 0;
  int64_t head = 0;
  double entropy = 0;   ///< mean over queries, as a share of that of equal weights, in [0, 1]
  double distance = 0;  ///< mean |query - key| in units, by weight
  double self = 0, previous = 0, next = 0, first = 0;  ///< share of the weight, each in [0, 1]
  /// Drop of the task's metric on dev data with this head off, where it was measured.
  std::optional<double> importance;
};

/// One heavy weight of a long input.
struct AttentionLink {
  int64_t query = 0;
  int64_t key = 0;
  double weight = 0;  ///< mean over heads
};

/// One layer of an input that is too long for matrices, everything a mean over heads: exact sums,
/// not samples.
struct LayerSummary {
  int64_t layer = 0;
  std::string label;
  std::vector<double> entropy;       ///< nats, one per unit (query)
  std::vector<double> received;      ///< one per unit (key): sum over queries; totals the queries
  std::vector<AttentionLink> links;  ///< the heaviest of each query, heaviest first
  int64_t pooled_rows = 0, pooled_columns = 0;
  /// Sums over blocks as in AttentionStatistics::pooled, row-major; totals the number of queries.
  std::vector<double> pooled;
};

/// A part of a long input's matrix in full, computed when it was asked for.
struct AttentionTile {
  int64_t layer = 0;
  int64_t head = -1;  ///< -1: mean over heads
  int64_t first_row = 0, rows = 0, first_column = 0, columns = 0;
  std::vector<float> weights;  ///< row-major
};

/// A picture that units are parts of (an image, a spectrogram).
struct Surface {
  int64_t width = 0, height = 0;
  int64_t channels = 0;         ///< 1 grey, 3 RGB
  std::vector<uint8_t> pixels;  ///< row-major, channels last
  std::string x_axis, y_axis;   ///< what the axes are ("seconds", "mel band"), or empty
  struct Box {
    int64_t x = 0, y = 0, width = 0, height = 0;
  };
  std::vector<Box> boxes;  ///< one per unit
};

/// What one intervention did.
struct Effect {
  std::string edit;  ///< as the user asked for it: "emphasize 热爱:2", "uniform", "head 0.1 off"
  Prediction before, after;
  double change = 0;  ///< of the target's probability
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
  Prediction outputs;              ///< best first
  std::string output;              ///< the output sequence (UTF-8); empty if there is none
  std::vector<Unit> output_units;  ///< of `output`
  std::string target;              ///< the label being explained
  int64_t target_position = 0;     ///< its output unit
  std::optional<Span> evidence;    ///< span of `input` that carries the target
  std::vector<Attribution> attributions;
  std::vector<Alignment> alignments;
  std::vector<AttentionMap> attention;
  std::vector<HeadSummary> heads;
  std::vector<LayerSummary> layers;  ///< of inputs too long for `attention`
  std::vector<AttentionTile> tiles;
  std::optional<Surface> surface;
  std::optional<FaithfulnessTest> test;
  std::string best_method;  ///< most faithful for this model on dev data; empty: not measured
  std::string verdict;      ///< one sentence on how far the rows can be trusted, or empty
  std::vector<Effect> effects;
  std::vector<std::string> notices;  ///< truncation, dropped mass: always shown
};

}  // namespace attend
