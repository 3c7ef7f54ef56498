// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The one interface between what a task is (tasks/) and everything that works for any task:
// training, evaluation, explanation, reports. docs/architecture.md shows how each kind of task fits
// it.
#pragma once

#include "attend/nn/torch.h"

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "attend/data/unit.h"
#include "attend/nn/attention_edit.h"
#include "attend/nn/trace.h"
#include "attend/tasks/prediction.h"
#include "attend/tasks/pretraining.h"

namespace attend {

/// Examples of one or more files, held in memory in the form their task chose. Only the task that
/// made a data set looks inside; everybody else counts, orders and names its examples.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;

  /// Positions the model will see for example `row`; batches group examples of similar length.
  virtual int64_t length(int64_t row) const = 0;

  /// The input as a person is shown it (the text, a file name, a history).
  virtual std::string input(int64_t row) const = 0;

  /// The gold output as a person is shown it; empty where there is none.
  virtual std::string gold(int64_t row) const = 0;

  /// What the model will not see of this example ("120 units beyond 512 are left out"), or empty.
  virtual std::string notice(int64_t row) const = 0;

  /// The examples at `rows`, in that order.
  virtual std::shared_ptr<Dataset> subset(std::span<const int64_t> rows) const = 0;

  /// One line for the user: the file, its detected format, and the number of rows.
  virtual std::string description() const = 0;
};

/// What one forward pass takes. Names and shapes belong to the task ("tokens" `[batch, length]`,
/// "image" `[batch, channel, height, width]`); `targets` is undefined for examples without gold.
struct Batch {
  std::map<std::string, torch::Tensor> inputs;
  torch::Tensor targets;
  int64_t size = 0;  ///< examples
};

/// What one forward pass gives.
struct TaskOutput {
  torch::Tensor scores;  ///< `[batch, outputs]` logits; a task with a sequence of outputs adds axes
  torch::Tensor readout;  ///< `[batch, length]` how the head reads the encoder; rows sum to 1
  Trace trace;            ///< what the forward pass was asked to report about its attention
  /// `[batch, heads, length]`, in the autograd graph, where the head reads the encoder by
  /// attention: `readout` is their mean. Undefined elsewhere.
  torch::Tensor readout_weights{};
  /// `[batch, positions, dim]`, for tasks with large outputs: what the scores are made of. While
  /// training there may be no scores beside it, the loss making a few of them at a time.
  torch::Tensor hidden{};
};

/// One scalar output that can be explained: an output at a place. Tasks that give one output per
/// example (a class, an item) have one place, 0; a sequence of outputs has one per position.
struct Target {
  std::string label;     ///< the output: a class, a token, a tag, an item
  int64_t position = 0;  ///< 0-based place in the output sequence
};

/// How the loss is shaped; a task ignores what has no meaning for it.
struct LossOptions {
  double label_smoothing = 0;         ///< in [0, 1): probability mass spread over all outputs
  std::vector<double> class_weights;  ///< one per class, or empty: all equal
};

/// How units are taken out of an input when an explanation asks "what if this were not there?".
enum class Removal {
  kDelete,  ///< the sequence becomes shorter
  kMask,    ///< the unit is replaced by the task's unknown or mask unit; length stays
  kMean     ///< the unit's vector is replaced by the mean over known units; length stays
};

/// Collects per-example outcomes, so that any metric can be computed on any resample of them.
class Metrics {
 public:
  virtual ~Metrics() = default;

  /// Adds the outcome of each example of a batch; targets must be defined.
  virtual void add(const TaskOutput& output, const Batch& batch) = 0;

  /// As add(), for outcomes that need more than tensors (the texts of references). `rows` are those
  /// of the batch.
  virtual void add_examples(const Dataset& data, std::span<const int64_t> rows, const Batch& batch,
                            const TaskOutput& output) {
    (void)data, (void)rows;
    add(output, batch);
  }

  virtual int64_t examples() const = 0;

  /// Metric name -> value on the examples listed in `sample` (indices may repeat). Fractions, not
  /// percent.
  virtual std::map<std::string, double> compute(std::span<const int64_t> sample) const = 0;

  /// Tables beside the metrics, such as precision and recall per class.
  virtual nlohmann::json details() const = 0;
};

/// The metric that early stopping watches and tables show first.
struct PrimaryMetric {
  std::string name;
  bool higher_is_better = true;
};

/// What an example is, how it becomes a batch, its loss, its metrics, its prediction, and what an
/// explanation of it speaks of. A task owns its model and whatever else it learnt from the training
/// data (labels, vocabulary). Life: configure + prepare (training) or load (a finished run), then
/// the rest. Every call throws attend::Error for a user's mistake.
class Task {
 public:
  virtual ~Task() = default;

  virtual std::string name() const = 0;

  // ---- life

  /// All settings this task knows, with their defaults: sections "data" (formats and columns),
  /// "text" or their like, "model" and "train" (only where the task's default differs from the
  /// trainer's).
  virtual nlohmann::json default_config() const = 0;

  /// Training: reads `paths`, learns labels and vocabulary from them, builds the model with the
  /// current random seed, and returns the examples. `config` is complete (see default_config).
  virtual std::shared_ptr<Dataset> prepare(const nlohmann::json& config,
                                           const std::vector<std::string>& paths) = 0;

  /// Training: whatever is fitted on the training examples without gradients, before the first
  /// update. Deterministic, since a resumed run does it again.
  virtual void before_training(const Dataset& train, const Dataset& dev) = 0;

  /// Training: what the model learns from inputs alone after before_training; null: nothing. The
  /// task must outlive it.
  virtual std::unique_ptr<Pretraining> pretraining(const Dataset& train) {
    (void)train;
    return nullptr;
  }

  /// Training: what is settled on the dev set once the best weights are chosen; may change weights.
  virtual void after_training(const Dataset& dev) = 0;

  /// What prepare learnt apart from weights: the section "task_state" of attend.json.
  virtual nlohmann::json state() const = 0;

  /// Writes further files (tokenizer) into a run folder.
  virtual void save_files(const std::filesystem::path& folder) const = 0;

  /// The inverse of prepare + state + save_files; weights are loaded into model() afterwards.
  virtual void load(const nlohmann::json& config, const nlohmann::json& state,
                    const std::filesystem::path& folder) = 0;

  /// The module whose parameters and buffers are the run's weights.
  virtual std::shared_ptr<torch::nn::Module> model() const = 0;

  // ---- data

  /// Reads a file of the training format. With `with_gold`, a missing or unknown label is an error;
  /// without, labels are ignored where there are any.
  virtual std::shared_ptr<Dataset> read(const std::string& path, bool with_gold) const = 0;

  /// Examples from inputs typed by a user (one line each), without gold.
  virtual std::shared_ptr<Dataset> from_inputs(const std::vector<std::string>& inputs) const = 0;

  virtual Batch collate(const Dataset& data, std::span<const int64_t> rows) const = 0;

  // ---- model

  /// Runs the model in its current mode (train or eval), with the changes to its attention that the
  /// request holds; the trace comes back in the output.
  virtual TaskOutput forward(const Batch& batch, const ForwardRequest& request) = 0;

  /// Mean loss of a batch, a scalar.
  virtual torch::Tensor loss(const TaskOutput& output, const Batch& batch,
                             const LossOptions& options) const = 0;

  /// A weight per class that makes rare classes count as much as common ones (mean 1 over
  /// examples); empty for tasks without classes.
  virtual std::vector<double> balanced_class_weights(const Dataset& data) const = 0;

  virtual std::unique_ptr<Metrics> new_metrics() const = 0;

  /// Cheaper metrics for looks at the dev set while training; with the primary metric.
  virtual std::unique_ptr<Metrics> new_look_metrics() const { return new_metrics(); }

  virtual PrimaryMetric primary_metric() const = 0;

  /// One prediction per example, outputs best first, at most `top` outputs each.
  virtual std::vector<Prediction> predict(const TaskOutput& output, int64_t top) const = 0;

  // ---- explanation

  /// The units of an example at the model's own granularity: unit i is position i of every trace
  /// (after `leading_positions()` positions that stand for no unit).
  virtual std::vector<Unit> units(const Dataset& data, int64_t row) const = 0;

  /// What a unit is called: "character", "word", "token", "patch", "frame", "item".
  virtual std::string unit_kind() const = 0;

  /// Positions before the first unit, such as an added [CLS].
  virtual int64_t leading_positions() const = 0;

  /// Example `row` once per entry of `keep`, with only the units kept whose entry is true.
  /// `keep[variant][unit]`. Units keep their identity: nothing is re-tokenised.
  virtual std::shared_ptr<Dataset> without_units(const Dataset& data, int64_t row,
                                                 const std::vector<std::vector<bool>>& keep,
                                                 Removal removal) const = 0;

  /// What without_units can do.
  virtual std::vector<Removal> removals() const { return {Removal::kDelete, Removal::kMask}; }

  /// The target that a user names, for example `row` whose forward pass gave `output` (a batch of
  /// one). Empty: the predicted output. Otherwise an output's name, and for a sequence of outputs
  /// whatever the task documents (a place, a word of the output). Throws Error(kUsage) listing what
  /// there is if there is none of that name.
  virtual Target find_target(const Dataset& data, int64_t row, const TaskOutput& output,
                             const std::string& name) const = 0;

  /// What speaks for the target, `[batch]`: its logit; of a class less the mean of all logits.
  virtual torch::Tensor target_scores(const TaskOutput& output, const Target& target) const = 0;

  /// The natural log of the target's probability for each example, `[batch]`, in double precision.
  virtual torch::Tensor target_log_probabilities(const TaskOutput& output,
                                                 const Target& target) const = 0;

  /// `[batch, positions]`: how the head that gives the target reads the last layer; rows sum to 1.
  /// Methods that follow attention start from it. One-hot at the target's place for a sequence of
  /// outputs.
  virtual torch::Tensor target_readout(const TaskOutput& output, const Target& target) const {
    (void)target;
    return output.readout;
  }

  /// The output sequence that is explained (generated or given), in units of which each is a target
  /// of its own: unit i is position i. Empty for tasks with one output per example.
  virtual std::vector<Unit> output_units(const Dataset& data, int64_t row) const {
    (void)data, (void)row;
    return {};
  }

  /// The target that output unit `unit` is: what was generated or given there.
  virtual Target output_target(const Dataset& data, int64_t row, int64_t unit) const {
    return {output_units(data, row).at(static_cast<size_t>(unit)).text, unit};
  }

  /// The inputs as vectors `[batch, length, dim]`, where gradients and paths begin.
  virtual torch::Tensor embed(const Batch& batch) = 0;

  /// forward() from such vectors instead of the inputs themselves.
  virtual TaskOutput forward_from_embeddings(const torch::Tensor& embeddings, const Batch& batch,
                                             const ForwardRequest& request) = 0;

  /// Contributions to each output that do not pass through the embeddings, `[batch, length,
  /// outputs]` (a linear n-gram term); undefined where there are none. An attribution by gradients
  /// adds them, since they are exactly additive.
  virtual torch::Tensor additive_contributions(const Batch& batch) = 0;
};

/// A new task by its name ("text-class"). Throws Error(kUsage) listing the known names.
std::unique_ptr<Task> make_task(const std::string& name);

/// The names make_task knows.
std::vector<std::string> task_names();

}  // namespace attend
