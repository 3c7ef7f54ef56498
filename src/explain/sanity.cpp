// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/sanity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "attend/train/batches.h"
#include "subject.h"

namespace attend {
namespace {

using Tensors = std::vector<std::pair<std::string, torch::Tensor>>;

Tensors tensors_of(const torch::nn::Module& model) {
  Tensors tensors;
  const auto add = [&](const auto& entries) {
    for (const auto& entry : entries) {
      // A single number cannot be shuffled.
      const torch::Tensor& tensor = entry.value();
      if (tensor.is_floating_point() && tensor.numel() > 1)
        tensors.emplace_back(entry.key(), tensor);
    }
  };
  add(model.named_parameters());
  add(model.named_buffers());
  return tensors;
}

// "encoder.block_0.attention.query.weight" -> "encoder.block_0", "encoder.stem.convolution.weight"
// -> "encoder.stem", "pooling.projection.weight" -> "pooling".
std::string part_of(const std::string& name) {
  const size_t first = std::min(name.find('.'), name.size());
  std::string module = name.substr(0, first);
  // Encoders and decoders are made of parts of their own.
  if (module.find("coder") == std::string::npos || first == name.size()) return module;
  return name.substr(0, std::min(name.find('.', first + 1), name.size()));
}

void shuffle_entries(const torch::Tensor& tensor, Random& random) {
  torch::NoGradGuard no_grad;
  std::vector<int64_t> order(static_cast<size_t>(tensor.numel()));
  std::iota(order.begin(), order.end(), int64_t{0});
  random.shuffle(std::span<int64_t>(order));
  const torch::Tensor places = torch::tensor(order, torch::kInt64);
  tensor.copy_(tensor.detach().reshape({-1}).index_select(0, places).view(tensor.sizes()));
}

// Gives the weights back however the scope is left.
class WeightsKeeper {
 public:
  explicit WeightsKeeper(Tensors tensors) : tensors_(std::move(tensors)) {
    for (const auto& [name, tensor] : tensors_) saved_.push_back(tensor.detach().clone());
  }
  ~WeightsKeeper() {
    torch::NoGradGuard no_grad;
    for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].second.copy_(saved_[i]);
  }
  WeightsKeeper(const WeightsKeeper&) = delete;
  WeightsKeeper& operator=(const WeightsKeeper&) = delete;

 private:
  Tensors tensors_;
  std::vector<torch::Tensor> saved_;
};

std::vector<double> magnitudes(std::vector<double> scores) {
  for (double& score : scores) score = std::abs(score);
  return scores;
}

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) {
      rank[order[i]] = (static_cast<double>(begin) + static_cast<double>(end) - 1) / 2;
    }
    begin = end;
  }
  return rank;
}

// The outcomes of all rows under one request.
std::unique_ptr<Metrics> outcomes(Task& task, const Dataset& data, const ForwardRequest& request) {
  torch::NoGradGuard no_grad;
  auto metrics = task.new_metrics();
  for (const auto& rows : plan_by_length(data, 128)) {
    if (interrupted()) break;
    const Batch batch = task.collate(data, rows);
    metrics->add(task.forward(batch, request), batch);
  }
  return metrics;
}

double primary_value(const Metrics& metrics, const PrimaryMetric& primary,
                     std::span<const int64_t> sample) {
  return metrics.compute(sample).at(primary.name);
}

Estimate paired_drop(const Metrics& trained, const Metrics& changed, const PrimaryMetric& primary,
                     uint64_t seed) {
  constexpr int kResamples = 1000;
  const double sign = primary.higher_is_better ? 1 : -1;
  const auto count = static_cast<uint64_t>(trained.examples());
  std::vector<int64_t> sample(count);
  std::iota(sample.begin(), sample.end(), int64_t{0});
  const auto drop = [&] {
    return sign *
           (primary_value(trained, primary, sample) - primary_value(changed, primary, sample));
  };
  Estimate estimate;
  estimate.examples = trained.examples();
  estimate.mean = drop();
  Random random(seed);
  std::vector<double> drops;
  for (int resample = 0; resample < kResamples; ++resample) {
    for (auto& index : sample) index = static_cast<int64_t>(random.below(count));
    drops.push_back(drop());
  }
  std::sort(drops.begin(), drops.end());
  estimate.low = drops[static_cast<size_t>(0.025 * (kResamples - 1))];
  estimate.high = drops[static_cast<size_t>(std::lround(0.975 * (kResamples - 1)))];
  return estimate;
}

}  // namespace

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  const auto ranks_a = ranks(a);
  const auto ranks_b = ranks(b);
  const double middle = (static_cast<double>(a.size()) - 1) / 2;
  double product = 0;
  double square_a = 0;
  double square_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += (ranks_a[i] - middle) * (ranks_b[i] - middle);
    square_a += (ranks_a[i] - middle) * (ranks_a[i] - middle);
    square_b += (ranks_b[i] - middle) * (ranks_b[i] - middle);
  }
  const double norm = std::sqrt(square_a * square_b);
  return norm > 0 ? product / norm : std::numeric_limits<double>::quiet_NaN();
}

std::vector<std::string> model_parts(const torch::nn::Module& model) {
  std::vector<std::string> parts;
  for (const auto& [name, tensor] : tensors_of(model)) {
    const std::string part = part_of(name);
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<RandomisedStage> randomisation_test(Task& task, const Dataset& data,
                                                const SanityOptions& options) {
  const Tensors tensors = tensors_of(*task.model());
  const WeightsKeeper keeper(tensors);
  task.model()->eval();
  ExplainOptions explain_options;
  explain_options.removal = options.removal;
  explain_options.seed = options.seed;

  struct Original {
    int64_t row;
    std::string target;
    std::map<std::string, std::vector<double>> scores;
  };
  const auto rows = drawn_rows(data.size(), options.limit, options.seed);
  std::string left_out;
  const auto methods = methods_for(task, data, rows, options.methods, left_out);
  const auto parts = model_parts(*task.model());
  const auto start = std::chrono::steady_clock::now();
  const auto total = static_cast<int64_t>(rows.size() * (parts.size() + 1));
  int64_t done = 0;
  const auto step = [&] {
    if (interrupted())
      throw Error(ExitCode::kInterrupted, "interrupted; the weights are as before");
    ++done;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = static_cast<double>(done) / std::max(seconds, 1e-9);
    if (options.observe) {
      options.observe({done, total, rate, static_cast<double>(total - done) / rate});
    }
  };

  std::vector<Original> originals;
  for (const int64_t row : rows) {
    step();
    const Subject subject = make_subject(task, data, row, options.units);
    if (subject.groups.size() < 3) continue;  // ranks of two units say nothing
    Original original{row, subject.target.label, {}};
    for (const auto& method : methods) {
      original.scores[method] = magnitudes(subject.attribute(method, explain_options).scores);
    }
    originals.push_back(std::move(original));
  }
  if (originals.empty()) throw data_error("no example has three units or more to rank");
  // The random row would be the same numbers again; other ones stand for chance.
  explain_options.seed = options.seed + 1;

  Random random(options.seed);
  std::vector<RandomisedStage> stages;
  for (const std::string& part : parts) {
    for (const auto& [name, tensor] : tensors) {
      if (part_of(name) == part) shuffle_entries(tensor, random);
    }
    std::map<std::string, std::vector<double>> correlations;
    for (const Original& original : originals) {
      step();
      const Subject subject =
          make_subject(task, data, original.row, options.units, original.target);
      for (const auto& method : methods) {
        correlations[method].push_back(
            spearman(original.scores.at(method),
                     magnitudes(subject.attribute(method, explain_options).scores)));
      }
    }
    stages.push_back({part, {}});
    for (const auto& [method, values] : correlations) {
      stages.back().correlation[method] = estimate(values, 1000, options.seed);
    }
  }
  return stages;
}

UniformTest uniform_attention_test(Task& task, const Dataset& data, int64_t limit, uint64_t seed) {
  task.model()->eval();
  const auto rows = drawn_rows(data.size(), limit, seed);
  const auto chosen = data.subset(rows);
  UniformTest test;
  const PrimaryMetric primary = task.primary_metric();
  test.metric = primary.name;
  test.examples = chosen->size();
  const auto trained = outcomes(task, *chosen, {});
  std::vector<int64_t> all(static_cast<size_t>(trained->examples()));
  std::iota(all.begin(), all.end(), int64_t{0});
  test.trained = primary_value(*trained, primary, all);

  TraceRequest trace;
  trace.all_layers = true;
  trace.statistics.received = true;
  std::vector<int64_t> layers;
  if (chosen->size() > 0) {
    torch::NoGradGuard no_grad;
    const std::vector<int64_t> first = {0};
    for (const auto& layer : task.forward(task.collate(*chosen, first), trace).trace.layers) {
      layers.push_back(layer.layer);
    }
  }
  if (layers.empty()) {
    test.verdict = "this model has no attention layer; there is nothing to force uniform";
    return test;
  }
  std::vector<int64_t> asked = {-1};
  if (layers.size() > 1) asked.insert(asked.end(), layers.begin(), layers.end());
  for (const int64_t layer : asked) {
    ForwardRequest request;
    AttentionEdit edit;
    edit.uniform = true;
    if (layer >= 0) edit.layers = {layer};
    request.edits.push_back(edit);
    const auto changed = outcomes(task, *chosen, request);
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; nothing was measured");
    test.effects.push_back({layer, primary_value(*changed, primary, all),
                            paired_drop(*trained, *changed, primary, seed)});
  }
  const UniformEffect& whole = test.effects[0];
  if (whole.used()) {
    test.verdict = fmt::format(
        "attention is used: with equal weights {} drops by {:.3f} ({:.3f} to "
        "{:.3f})",
        test.metric, whole.drop.mean, whole.drop.low, whole.drop.high);
  } else {
    test.verdict = fmt::format(
        "attention is not used here: with equal weights {} is no worse (drop {:.3f}, {:.3f} to "
        "{:.3f}); its weights explain nothing",
        test.metric, whole.drop.mean, whole.drop.low, whole.drop.high);
  }
  return test;
}

}  // namespace attend
