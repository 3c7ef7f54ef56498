// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/explain/steering.h"
#include "attend/train/batches.h"
#include "attend/train/evaluate.h"

namespace attend {
namespace {

// Every head of the model, as its attention of one example shows it.
std::vector<HeadSummary> heads_of(Task& task, const Dataset& data) {
  torch::NoGradGuard no_grad;
  TraceRequest request;
  request.all_layers = true;
  request.statistics.lse = true;
  const std::vector<int64_t> first = {0};
  std::vector<HeadSummary> heads;
  for (const LayerTrace& layer : task.forward(task.collate(data, first), request).trace.layers) {
    for (int64_t head = 0; head < layer.lse.size(1); ++head) {
      HeadSummary summary;
      summary.layer = layer.layer;
      summary.head = head;
      heads.push_back(summary);
    }
  }
  return heads;
}

}  // namespace

std::vector<HeadSummary> head_importance(Task& task, const Dataset& data,
                                         const HeadImportanceOptions& options) {
  torch::NoGradGuard no_grad;
  const bool was_training = task.model()->is_training();
  task.model()->eval();
  std::shared_ptr<Dataset> first;
  if (options.max_examples > 0 && data.size() > options.max_examples) {
    std::vector<int64_t> rows(static_cast<size_t>(options.max_examples));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    first = data.subset(rows);
  }
  const Dataset& used = first ? *first : data;
  std::vector<HeadSummary> heads = heads_of(task, used);
  if (heads.empty()) {
    throw usage_error(
        "head importance: this model has no attention layer whose heads could be "
        "switched off");
  }
  // The whole model comes first, then each head off; a batch is made once for all.
  std::vector<std::unique_ptr<Metrics>> metrics;
  for (size_t i = 0; i <= heads.size(); ++i) metrics.push_back(task.new_metrics());
  for (const auto& rows : plan_by_length(used, options.batch_size)) {
    if (interrupted())
      throw Error(ExitCode::kInterrupted, "interrupted; no importance was measured");
    const Batch batch = task.collate(used, rows);
    metrics[0]->add(task.forward(batch, {}), batch);
    for (size_t i = 0; i < heads.size(); ++i) {
      ForwardRequest request;
      AttentionEdit edit;
      edit.layers = {heads[i].layer};
      edit.heads = {heads[i].head};
      edit.off = true;
      request.edits = {edit};
      metrics[i + 1]->add(task.forward(batch, request), batch);
    }
  }
  task.model()->train(was_training);
  const PrimaryMetric primary = task.primary_metric();
  const auto value = [&](size_t i) { return metric_values(*metrics[i]).at(primary.name); };
  const double whole = value(0);
  for (size_t i = 0; i < heads.size(); ++i) {
    const double drop = whole - value(i + 1);
    heads[i].importance = primary.higher_is_better ? drop : -drop;
  }
  return heads;
}

}  // namespace attend
