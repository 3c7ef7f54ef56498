// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "attend/base/file.h"
#include "attend/base/interrupt.h"
#include "attend/train/batches.h"
#include "attend/train/evaluate.h"
#include "attend/train/objective.h"
#include "attend/train/optimizer.h"
#include "checkpoint.h"

namespace attend {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Trainer {
 public:
  explicit Trainer(const TrainJob& job)
      : job_(job), options_(job.options), optimizer_(*job.task.model(), job.options) {
    loss_options_.label_smoothing = options_.label_smoothing;
    if (options_.class_weights == "balanced") {
      loss_options_.class_weights = job.task.balanced_class_weights(job.train);
    }
    const auto steps_per_epoch = static_cast<int64_t>(plan_epoch(job.train, options_, 0).size());
    total_steps_ = steps_per_epoch * options_.epochs;
    if (options_.max_steps > 0) total_steps_ = std::min(total_steps_, options_.max_steps);
  }

  TrainResult run() {
    torch::manual_seed(static_cast<uint64_t>(options_.seed));  // a checkpoint brings its own state
    if (job_.resume) cursor_ = load_checkpoint(job_.run_folder, checkpoint_tensors());
    resumed_seconds_ = cursor_.seconds;
    start_ = Clock::now();
    first_step_ = cursor_.step;
    job_.task.model()->train();
    if (cursor_.look_due) look_at_dev();
    std::string because = "all epochs done";
    while (cursor_.step < total_steps_) {
      const BatchPlan plan = plan_epoch(job_.train, options_, cursor_.epoch);
      because = run_epoch(plan);
      if (!because.empty()) break;
      because = "all epochs done";
    }
    // A run whose last look lies some steps back still gets to see its last weights.
    if (!stopped_by_user_ && last_look_ != cursor_.step) {
      look_at_dev();
      checkpoint();
    }
    return finish(because);
  }

 private:
  /// The rest of one pass. Returns why training must stop, or nothing.
  std::string run_epoch(const BatchPlan& plan) {
    const auto batches = static_cast<int64_t>(plan.size());
    while (cursor_.batch < batches && cursor_.step < total_steps_) {
      const auto& rows = plan[static_cast<size_t>(cursor_.batch)];
      update(rows);
      ++cursor_.batch;
      const bool pass_done = cursor_.batch == batches;
      if (pass_done) {
        cursor_.batch = 0;
        ++cursor_.epoch;
      }
      examples_seen_ += static_cast<int64_t>(rows.size());
      report(cursor_.batch, batches);
      const bool look =
          options_.evaluate_every > 0 ? cursor_.step % options_.evaluate_every == 0 : pass_done;
      if (look) look_at_dev();
      if (interrupted()) {
        checkpoint();
        stopped_by_user_ = true;
        return "interrupted";
      }
      const bool due =
          options_.checkpoint_every > 0 ? cursor_.step % options_.checkpoint_every == 0 : look;
      if (due) checkpoint();
      if (options_.patience > 0 && cursor_.looks_without_gain >= options_.patience) {
        return fmt::format("no better dev {} in {} looks", job_.task.primary_metric().name,
                           options_.patience);
      }
      if (pass_done) return "";
    }
    return "";
  }

  void update(const std::vector<int64_t>& rows) {
    optimizer_.zero_gradients();
    const torch::Tensor loss = training_loss(job_.task, job_.train, rows, options_, loss_options_);
    const double rate = learning_rate_at(options_, cursor_.step, total_steps_);
    const double value = descend(optimizer_, loss, rate, cursor_.step,
                                 "lower train.learning_rate or set train.clip, then train again "
                                 "(checkpoint and best weights so far are kept)");
    const double share = cursor_.step == 0 ? 1.0 : 0.05;
    cursor_.loss += share * (value - cursor_.loss);
    ++cursor_.step;
  }

  void look_at_dev() {
    last_look_ = cursor_.step;
    // The averaged weights are what is kept, so they are what is measured.
    const TensorMap live = named_tensors(*job_.task.model());
    TensorMap saved;
    if (options_.ema > 0) {
      torch::NoGradGuard no_grad;
      for (const auto& [name, average] : optimizer_.averaged()) {
        saved[name] = live.at(name).detach().clone();
        live.at(name).copy_(average);
      }
    }
    const auto metrics =
        metric_values(*evaluate(job_.task, job_.dev, 128, job_.task.new_look_metrics()));
    const PrimaryMetric primary = job_.task.primary_metric();
    const bool complete = !interrupted();  // an interrupted look saw only a part of the dev set
    cursor_.look_due = !complete;
    bool improved = false;
    if (complete) {
      const double value = metrics.at(primary.name);
      improved = !cursor_.has_best ||
                 (primary.higher_is_better ? value > cursor_.best : value < cursor_.best);
      if (improved) {
        save_tensors(job_.run_folder / "model.safetensors", live);
        cursor_.has_best = true;
        cursor_.best = value;
        cursor_.best_step = cursor_.step;
        cursor_.best_metrics = metrics;
        cursor_.looks_without_gain = 0;
      } else {
        ++cursor_.looks_without_gain;
      }
      cursor_.history.push_back({{"step", cursor_.step},
                                 {"epoch", cursor_.epoch},
                                 {"loss", cursor_.loss},
                                 {"dev", metrics},
                                 {"seconds", std::round(elapsed() * 10) / 10}});
      write_history();
    }
    if (!saved.empty()) {
      torch::NoGradGuard no_grad;
      for (const auto& [name, tensor] : saved) live.at(name).copy_(tensor);
    }
    if (complete && job_.observe) {
      TrainProgress progress = progress_now(0);
      progress.dev = metrics;
      progress.improved = improved;
      job_.observe(progress);
    }
  }

  void write_history() const {
    std::string lines;
    for (const auto& line : cursor_.history) lines += line.dump() + "\n";
    write_file_atomically(job_.run_folder / "metrics.jsonl", lines);
  }

  void checkpoint() {
    cursor_.seconds = elapsed();
    save_checkpoint(job_.run_folder, cursor_, checkpoint_tensors());
  }

  TensorMap checkpoint_tensors() const {
    TensorMap tensors;
    for (const auto& [name, tensor] : named_tensors(*job_.task.model())) {
      tensors["weights." + name] = tensor;
    }
    for (const auto& [name, tensor] : optimizer_.state()) tensors["optimizer." + name] = tensor;
    return tensors;
  }

  TrainResult finish(const std::string& because) {
    TrainResult result;
    result.best_metrics = cursor_.best_metrics;
    result.best_step = cursor_.best_step;
    result.steps = cursor_.step;
    result.seconds = elapsed();
    result.interrupted = stopped_by_user_;
    result.stopped_because = because;
    if (cursor_.has_best) {
      const auto path = job_.run_folder / "model.safetensors";
      copy_tensors(load_tensors(path), named_tensors(*job_.task.model()), path.string());
    }
    job_.task.model()->eval();
    return result;
  }

  double elapsed() const { return resumed_seconds_ + seconds_since(start_); }

  TrainProgress progress_now(double part_of_epoch) const {
    TrainProgress progress;
    progress.step = cursor_.step;
    progress.total_steps = total_steps_;
    progress.epoch = static_cast<double>(cursor_.epoch) + part_of_epoch;
    progress.epochs = options_.epochs;
    progress.loss = cursor_.loss;
    const double seconds = std::max(1e-9, seconds_since(start_));
    progress.examples_per_second = static_cast<double>(examples_seen_) / seconds;
    const auto steps_here = static_cast<double>(std::max<int64_t>(1, cursor_.step - first_step_));
    progress.seconds_left = seconds / steps_here * static_cast<double>(total_steps_ - cursor_.step);
    progress.best = cursor_.best;
    return progress;
  }

  void report(int64_t batch, int64_t batches) const {
    if (job_.observe) {
      job_.observe(progress_now(static_cast<double>(batch) / static_cast<double>(batches)));
    }
  }

  const TrainJob& job_;
  TrainOptions options_;
  Optimizer optimizer_;
  LossOptions loss_options_;
  Cursor cursor_;
  int64_t total_steps_ = 0;
  int64_t first_step_ = 0;
  int64_t examples_seen_ = 0;
  int64_t last_look_ = -1;
  double resumed_seconds_ = 0;
  bool stopped_by_user_ = false;
  Clock::time_point start_;
};

}  // namespace

TrainResult train(const TrainJob& job) { return Trainer(job).run(); }

}  // namespace attend
