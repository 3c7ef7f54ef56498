// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "naive_bayes_svm.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/random.h"

namespace attend {
namespace {

/// What is shared by the solves of all classes.
struct Problem {
  const SparseRows& rows;
  std::span<const int64_t> labels;
  int64_t features;
  const NaiveBayesSvmOptions& options;

  double weight(size_t row) const {
    return rows.weights.empty() ? 1.0 : static_cast<double>(rows.weights[row]);
  }
};

// log((p + s) / |p|) - log((q + s) / |q|) per feature: p counts the examples of the class that have
// the feature, q the others.
std::vector<float> log_count_ratio(const Problem& problem, int64_t positive) {
  const auto size = static_cast<size_t>(problem.features);
  std::vector<double> in(size, problem.options.smoothing);
  std::vector<double> out(size, problem.options.smoothing);
  for (size_t index = 0; index < problem.labels.size(); ++index) {
    auto& counts = problem.labels[index] == positive ? in : out;
    for (int64_t e = problem.rows.offsets[index]; e < problem.rows.offsets[index + 1]; ++e) {
      counts[static_cast<size_t>(problem.rows.features[static_cast<size_t>(e)])] +=
          problem.weight(index);
    }
  }
  const double in_total = std::accumulate(in.begin(), in.end(), 0.0);
  const double out_total = std::accumulate(out.begin(), out.end(), 0.0);
  std::vector<float> ratio(size);
  for (size_t f = 0; f < size; ++f) {
    ratio[f] = static_cast<float>(std::log(in[f] / in_total) - std::log(out[f] / out_total));
  }
  return ratio;
}

// log((1 + N) / (1 + df)) + 1 per feature, over its mean on the entries, so that the scaled
// examples keep a length of about 1 and the cost its meaning.
std::vector<float> inverse_document_frequency(const Problem& problem) {
  std::vector<double> frequency(static_cast<size_t>(problem.features), 0.0);
  for (size_t index = 0; index < problem.labels.size(); ++index) {
    for (int64_t e = problem.rows.offsets[index]; e < problem.rows.offsets[index + 1]; ++e) {
      frequency[static_cast<size_t>(problem.rows.features[static_cast<size_t>(e)])] += 1;
    }
  }
  const auto examples = static_cast<double>(problem.labels.size());
  std::vector<float> idf(frequency.size());
  double sum = 0;
  double entries = 0;
  for (size_t f = 0; f < idf.size(); ++f) {
    const double value = std::log((1 + examples) / (1 + frequency[f])) + 1;
    idf[f] = static_cast<float>(value);
    sum += value * value * frequency[f];
    entries += frequency[f];
  }
  const auto mean = static_cast<float>(std::sqrt(sum / std::max(1.0, entries)));
  for (float& value : idf) value /= mean;
  return idf;
}

/// Weights (already multiplied by `ratio`, the scale of each feature) and bias of `positive`
/// against the rest.
std::pair<std::vector<float>, float> solve(const Problem& problem, int64_t positive,
                                           const std::vector<float>& ratio) {
  const auto& rows = problem.rows;
  const size_t count = problem.labels.size();
  // Values with the ratio multiplied in, in the order of the subset, so that the inner loop
  // streams.
  std::vector<size_t> begins{0};
  std::vector<int32_t> features;
  std::vector<float> values;
  std::vector<double> squares;
  std::vector<float> signs;
  for (size_t index = 0; index < problem.labels.size(); ++index) {
    double square = 1;  // of the bias, a feature that is always 1
    for (int64_t e = rows.offsets[index]; e < rows.offsets[index + 1]; ++e) {
      const int32_t feature = rows.features[static_cast<size_t>(e)];
      const float value = rows.values[static_cast<size_t>(e)] * ratio[static_cast<size_t>(feature)];
      features.push_back(feature);
      values.push_back(value);
      square += static_cast<double>(value) * value;
    }
    begins.push_back(features.size());
    squares.push_back(square);
    signs.push_back(problem.labels[index] == positive ? 1.0F : -1.0F);
  }

  std::vector<float> weights(static_cast<size_t>(problem.features), 0.0F);
  float bias = 0;
  std::vector<double> dual(count, 0.0);
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  Random random(problem.options.seed);
  constexpr double kTolerance = 0.01;  // largest violation of optimality at which to stop
  for (int64_t pass = 0; pass < problem.options.passes; ++pass) {
    random.shuffle(std::span<size_t>(order));
    double worst = 0;
    for (const size_t i : order) {
      double margin = bias;
      for (size_t e = begins[i]; e < begins[i + 1]; ++e) {
        margin += static_cast<double>(weights[static_cast<size_t>(features[e])]) * values[e];
      }
      const double diagonal = 0.5 / (problem.options.cost * problem.weight(i));
      const double gradient = signs[i] * margin - 1 + diagonal * dual[i];
      const double projected = dual[i] == 0 ? std::min(gradient, 0.0) : gradient;
      worst = std::max(worst, std::fabs(projected));
      if (projected == 0) continue;
      const double updated = std::max(dual[i] - gradient / (squares[i] + diagonal), 0.0);
      const auto step = static_cast<float>((updated - dual[i]) * signs[i]);
      dual[i] = updated;
      for (size_t e = begins[i]; e < begins[i + 1]; ++e) {
        weights[static_cast<size_t>(features[e])] += step * values[e];
      }
      bias += step;
    }
    if (worst < kTolerance) break;
  }
  for (size_t f = 0; f < weights.size(); ++f) weights[f] *= ratio[f];
  return {std::move(weights), bias};
}

/// The solution, or the mean of the two solutions that `with_idf` asks for.
std::pair<std::vector<float>, float> solve_class(const Problem& problem, int64_t positive) {
  auto [weights, bias] = solve(problem, positive, log_count_ratio(problem, positive));
  if (!problem.options.with_idf) return {std::move(weights), bias};
  const auto [second, second_bias] = solve(problem, positive, inverse_document_frequency(problem));
  for (size_t f = 0; f < weights.size(); ++f) weights[f] = (weights[f] + second[f]) / 2;
  return {std::move(weights), (bias + second_bias) / 2};
}

}  // namespace

std::vector<float> LinearScorer::score(const SparseRows& rows, int64_t row) const {
  std::vector<float> scores = biases;
  const auto index = static_cast<size_t>(row);
  for (int64_t e = rows.offsets[index]; e < rows.offsets[index + 1]; ++e) {
    const auto entry = static_cast<size_t>(e);
    const float* line = weights.data() + rows.features[entry] * classes;
    for (int64_t c = 0; c < classes; ++c) {
      scores[static_cast<size_t>(c)] += rows.values[entry] * line[c];
    }
  }
  return scores;
}

LinearScorer fit_naive_bayes_svm(const SparseRows& rows, std::span<const int64_t> labels,
                                 int64_t features, int64_t classes,
                                 const NaiveBayesSvmOptions& options) {
  const Problem problem{rows, labels, features, options};
  LinearScorer scorer;
  scorer.classes = classes;
  scorer.weights.assign(static_cast<size_t>(features * classes), 0.0F);
  scorer.biases.assign(static_cast<size_t>(classes), 0.0F);
  const auto store = [&](int64_t c, const std::vector<float>& weights, float bias, float factor) {
    for (int64_t f = 0; f < features; ++f) {
      scorer.weights[static_cast<size_t>(f * classes + c)] =
          factor * weights[static_cast<size_t>(f)];
    }
    scorer.biases[static_cast<size_t>(c)] = factor * bias;
  };
  if (classes == 2) {
    // One solve serves both: the score of one class is that of the other with its sign turned.
    const auto [weights, bias] = solve_class(problem, 1);
    store(0, weights, bias, -0.5F);
    store(1, weights, bias, 0.5F);
    return scorer;
  }
#pragma omp parallel for schedule(dynamic)
  for (int64_t c = 0; c < classes; ++c) {
    const auto [weights, bias] = solve_class(problem, c);
    store(c, weights, bias, 1.0F);
  }
  return scorer;
}

double calibrated_scale(std::span<const float> scores, std::span<const int64_t> labels,
                        int64_t classes) {
  const auto loss = [&](double log_scale) {
    const double scale = std::exp(log_scale);
    double total = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
      const auto row =
          scores.subspan(i * static_cast<size_t>(classes), static_cast<size_t>(classes));
      const double top = scale * *std::max_element(row.begin(), row.end());
      double sum = 0;
      for (const float score : row) sum += std::exp(scale * score - top);
      total += top + std::log(sum) - scale * row[static_cast<size_t>(labels[i])];
    }
    return total;
  };
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(0.01);
  double high = std::log(100.0);
  double left = high - golden * (high - low);
  double right = low + golden * (high - low);
  double left_loss = loss(left);
  double right_loss = loss(right);
  while (high - low > 1e-3) {
    if (left_loss < right_loss) {
      high = right;
      right = left;
      right_loss = left_loss;
      left = high - golden * (high - low);
      left_loss = loss(left);
    } else {
      low = left;
      left = right;
      left_loss = right_loss;
      right = low + golden * (high - low);
      right_loss = loss(right);
    }
  }
  return std::exp((low + high) / 2);
}

}  // namespace attend
