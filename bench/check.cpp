// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace attend::bench {
namespace {

constexpr double kLargestExact = double(int64_t{1} << 30);
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double dot(const float* left, const float* right, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += double(left[i]) * double(right[i]);
  return sum;
}

// The first, the last and `count - 2` others, spread over [0, size) without a common step.
std::vector<int64_t> sample(int64_t size, int64_t count) {
  std::vector<int64_t> picked{0, size - 1};
  for (int64_t i = 1; i < count - 1; ++i) {
    picked.push_back(std::min(size - 1, (i * size) / (count - 1) + (i * 37) % 11));
  }
  std::sort(picked.begin(), picked.end());
  picked.erase(std::unique(picked.begin(), picked.end()), picked.end());
  return picked;
}

std::vector<float> load(const Problem& problem, Problem::Tensor tensor, int64_t batch_head) {
  const int64_t rows = problem.rows(tensor);
  const int64_t dim = problem.measured().shape.dim;
  std::vector<float> head(size_t(rows * dim));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < dim; ++column) {
      head[size_t(row * dim + column)] = float(problem.element(tensor, batch_head, row, column));
    }
  }
  return head;
}

double largest(const std::vector<float>& numbers) {
  double most = 0;
  for (const float number : numbers) most = std::max(most, std::fabs(double(number)));
  return most;
}

}  // namespace

Reference::Reference(const Problem& problem)
    : problem_(problem),
      dim_(problem.measured().shape.dim),
      scale_(1 / std::sqrt(double(problem.measured().shape.dim))),
      half_precision_(problem.measured().type == kernels::ElementType::kBFloat16) {}

int64_t Reference::kv_head_of(int64_t batch_head) const {
  const Shape& s = problem_.measured().shape;
  const int64_t head = batch_head % s.heads;
  return batch_head / s.heads * s.kv_heads + head / (s.heads / s.kv_heads);
}

void Reference::load_head(int64_t batch_head) {
  if (loaded_ == batch_head) return;
  query_ = load(problem_, Problem::kQuery, batch_head);
  if (loaded_ < 0 || kv_head_of(loaded_) != kv_head_of(batch_head)) {
    key_ = load(problem_, Problem::kKey, kv_head_of(batch_head));
    value_ = load(problem_, Problem::kValue, kv_head_of(batch_head));
  }
  loaded_ = batch_head;
}

double Reference::score(int64_t row, int64_t key) const {
  return scale_ * dot(&query_[size_t(row * dim_)], &key_[size_t(key * dim_)], dim_);
}

Reference::Row Reference::row(int64_t row) const {
  Row result;
  result.keys = visible_keys(problem_.measured(), row);
  double most = -kInfinity;
  for (int64_t key = result.keys.first; key < result.keys.last; ++key) {
    result.scores.push_back(score(row, key));
    most = std::max(most, result.scores.back());
  }
  double sum = 0;
  for (const double s : result.scores) {
    result.weights.push_back(std::exp(s - most));
    sum += result.weights.back();
  }
  for (double& weight : result.weights) weight /= sum;
  result.lse = most + std::log(sum);
  return result;
}

// The next case's memory is to be seen alone.
void Reference::drop_head() {
  query_ = {};
  key_ = {};
  value_ = {};
  loaded_ = -1;
}

const Reference::Statistics& Reference::statistics(int64_t batch_head) {
  for (const auto& [head, known] : statistics_) {
    if (head == batch_head) return known;
  }
  load_head(batch_head);
  const Shape& s = problem_.measured().shape;
  const bool exact = double(s.queries) * double(s.keys) <= kLargestExact;
  const bool backward = problem_.measured().what == What::kBackward;
  const auto d_output =
      backward ? load(problem_, Problem::kGradOutput, batch_head) : std::vector<float>();
  Statistics found;
  found.lse.resize(size_t(s.queries));
  if (backward) found.delta.resize(size_t(s.queries));
#pragma omp parallel for schedule(dynamic, 16)
  for (int64_t i = 0; i < s.queries; ++i) {
    if (!exact) found.lse[size_t(i)] = problem_.trace().lse[batch_head * s.queries + i];
    if (!exact && !backward) continue;
    const Row exact_row = row(i);
    if (exact) found.lse[size_t(i)] = exact_row.lse;
    if (!backward) continue;
    double delta = 0;
    for (int64_t key = exact_row.keys.first; key < exact_row.keys.last; ++key) {
      delta += exact_row.weights[size_t(key - exact_row.keys.first)] *
               dot(&d_output[size_t(i * dim_)], &value_[size_t(key * dim_)], dim_);
    }
    found.delta[size_t(i)] = delta;
  }
  statistics_.emplace_back(batch_head, std::move(found));
  return statistics_.back().second;
}

void Reference::note(const std::string& part, double error, double bound) {
  // Written so that NaN fails.
  if (!(error <= bound)) worst_.passed = false;
  const bool worse = !(error * worst_.bound <= worst_.error * bound);
  if (worst_.part.empty() || worse) {
    worst_.part = part;
    worst_.error = error;
    worst_.bound = bound;
  }
}

void Reference::check_row(int64_t batch_head, int64_t i, bool traced) {
  const Shape& s = problem_.measured().shape;
  const Row expected = row(i);
  double error = 0;
  for (int64_t column = 0; column < dim_; ++column) {
    double sum = 0;
    for (int64_t key = expected.keys.first; key < expected.keys.last; ++key) {
      sum += expected.weights[size_t(key - expected.keys.first)] *
             double(value_[size_t(key * dim_ + column)]);
    }
    const double difference = sum - problem_.element(Problem::kOutput, batch_head, i, column);
    error = difference == difference ? std::max(error, std::fabs(difference)) : kInfinity;
  }
  note("output", error / largest(value_), half_precision_ ? kBf16ForwardBound : kForwardBound);
  if (!traced) return;

  const double bound = half_precision_ ? kBf16StatisticBound : kStatisticBound;
  const auto& trace = problem_.trace();
  const int64_t at = batch_head * s.queries + i;
  if (trace.lse) {
    note("LSE", std::fabs(trace.lse[at] - expected.lse) / std::max(1.0, std::fabs(expected.lse)),
         bound);
  }
  if (trace.entropy) {
    double entropy = expected.lse;
    for (size_t k = 0; k < expected.scores.size(); ++k) {
      entropy -= expected.weights[k] * expected.scores[k];
    }
    note("entropy", std::fabs(trace.entropy[at] - entropy) / std::max(1.0, entropy), bound);
  }
  if (trace.top_keys) check_top_keys(at, expected);
}

void Reference::check_top_keys(int64_t at, const Row& expected) {
  const double bound = half_precision_ ? kBf16StatisticBound : kStatisticBound;
  const auto& trace = problem_.trace();
  auto sorted = expected.weights;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (int64_t k = 0; k < trace.top_k; ++k) {
    const int64_t key = trace.top_keys[at * trace.top_k + k] - expected.keys.first;
    const double weight = trace.top_weights[at * trace.top_k + k];
    if (k >= int64_t(sorted.size())) {
      note("top keys", key + expected.keys.first == -1 ? 0 : kInfinity, bound);
      continue;
    }
    const bool exists = key >= 0 && key < int64_t(expected.weights.size());
    // Weights that differ by rounding alone may change places, so the k-th weight is compared, and
    // the key must be one that has it.
    note("top keys",
         exists ? std::fabs(expected.weights[size_t(key)] / sorted[size_t(k)] - 1) : kInfinity,
         bound);
    note("top weights", std::fabs(weight / sorted[size_t(k)] - 1), bound);
  }
}

void Reference::check_received(int64_t batch_head) {
  const Shape& s = problem_.measured().shape;
  const Statistics& all = statistics(batch_head);
  load_head(batch_head);
  for (const int64_t key : sample(s.keys, 6)) {
    double sum = 0;
    for (int64_t i = 0; i < s.queries; ++i) {
      const KeyRange seen = visible_keys(problem_.measured(), i);
      if (key < seen.first || key >= seen.last) continue;
      sum += std::exp(score(i, key) - all.lse[size_t(i)]);
    }
    const double found = problem_.trace().received[batch_head * s.keys + key];
    note("mass received", std::fabs(found - sum) / std::max(1.0, sum),
         half_precision_ ? kBf16StatisticBound : kStatisticBound);
  }
}

void Reference::check_pooled(int64_t batch_head) {
  const Shape& s = problem_.measured().shape;
  const Statistics& all = statistics(batch_head);
  load_head(batch_head);
  const auto start = [](int64_t index, int64_t size) { return index * size / kPooledCells; };
  const std::pair<int64_t, int64_t> cells[] = {
      {0, 0}, {kPooledCells - 1, kPooledCells / 2 - 1}, {kPooledCells / 3, kPooledCells / 3}};
  for (const auto& cell : cells) {
    const int64_t r = cell.first;  // clang keeps structured bindings out of OpenMP regions
    const int64_t c = cell.second;
    double sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (int64_t i = start(r, s.queries); i < start(r + 1, s.queries); ++i) {
      const KeyRange seen = visible_keys(problem_.measured(), i);
      const int64_t last = std::min(seen.last, start(c + 1, s.keys));
      for (int64_t key = std::max(seen.first, start(c, s.keys)); key < last; ++key) {
        sum += std::exp(score(i, key) - all.lse[size_t(i)]);
      }
    }
    const double found =
        problem_.trace().pooled[(batch_head * kPooledCells + r) * kPooledCells + c];
    note("pooled map", std::fabs(found - sum) / std::max(1.0, sum),
         half_precision_ ? kBf16StatisticBound : kStatisticBound);
  }
}

CheckResult Reference::check_forward(bool traced) {
  worst_ = {};
  const Shape& s = problem_.measured().shape;
  for (const int64_t head : sample(s.batch * s.heads, 3)) {
    load_head(head);
    for (const int64_t i : sample(s.queries, 4)) check_row(head, i, traced);
  }
  if (traced && problem_.trace().received) check_received(s.batch * s.heads - 1);
  if (traced && problem_.trace().pooled) check_pooled(s.batch * s.heads - 1);
  drop_head();
  return worst_;
}

void Reference::compare_gradient(Problem::Tensor tensor, int64_t batch_head,
                                 const std::vector<int64_t>& rows,
                                 const std::vector<double>& expected) {
  double scale = 0;
  for (const double number : expected) scale = std::max(scale, std::fabs(number));
  double error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double found =
        problem_.element(tensor, batch_head, rows[i / size_t(dim_)], int64_t(i) % dim_);
    const double difference = found - expected[i];
    error = difference == difference ? std::max(error, std::fabs(difference)) : kInfinity;
  }
  const char* part = tensor == Problem::kGradQuery ? "d query"
                     : tensor == Problem::kGradKey ? "d key"
                                                   : "d value";
  note(part, error / std::max(scale, 1e-30), half_precision_ ? kBf16BackwardBound : kBackwardBound);
}

void Reference::check_query_gradient(int64_t batch_head, const std::vector<int64_t>& rows) {
  const Statistics& all = statistics(batch_head);
  load_head(batch_head);
  const auto d_output = load(problem_, Problem::kGradOutput, batch_head);
  std::vector<double> expected(rows.size() * size_t(dim_));
  for (size_t r = 0; r < rows.size(); ++r) {
    const Row exact = row(rows[r]);
    for (int64_t key = exact.keys.first; key < exact.keys.last; ++key) {
      const double d_weight =
          dot(&d_output[size_t(rows[r] * dim_)], &value_[size_t(key * dim_)], dim_);
      const double d_score = exact.weights[size_t(key - exact.keys.first)] *
                             (d_weight - all.delta[size_t(rows[r])]) * scale_;
      for (int64_t d = 0; d < dim_; ++d) {
        expected[r * size_t(dim_) + size_t(d)] += d_score * double(key_[size_t(key * dim_ + d)]);
      }
    }
  }
  compare_gradient(Problem::kGradQuery, batch_head, rows, expected);
}

void Reference::check_key_gradients(int64_t batch, int64_t kv_head,
                                    const std::vector<int64_t>& keys) {
  const Shape& s = problem_.measured().shape;
  const int64_t group = s.heads / s.kv_heads;
  std::vector<double> d_key(keys.size() * size_t(dim_));
  std::vector<double> d_value(keys.size() * size_t(dim_));
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t batch_head = batch * s.heads + head;
    const Statistics& all = statistics(batch_head);
    load_head(batch_head);
    const auto d_output = load(problem_, Problem::kGradOutput, batch_head);
    for (size_t k = 0; k < keys.size(); ++k) {
      for (int64_t i = 0; i < s.queries; ++i) {
        const KeyRange seen = visible_keys(problem_.measured(), i);
        if (keys[k] < seen.first || keys[k] >= seen.last) continue;
        const double weight = std::exp(score(i, keys[k]) - all.lse[size_t(i)]);
        const double d_weight =
            dot(&d_output[size_t(i * dim_)], &value_[size_t(keys[k] * dim_)], dim_);
        const double d_score = weight * (d_weight - all.delta[size_t(i)]) * scale_;
        for (int64_t d = 0; d < dim_; ++d) {
          const size_t at = k * size_t(dim_) + size_t(d);
          d_key[at] += d_score * double(query_[size_t(i * dim_ + d)]);
          d_value[at] += weight * double(d_output[size_t(i * dim_ + d)]);
        }
      }
    }
  }
  const int64_t batch_head = batch * s.kv_heads + kv_head;
  compare_gradient(Problem::kGradKey, batch_head, keys, d_key);
  compare_gradient(Problem::kGradValue, batch_head, keys, d_value);
}

CheckResult Reference::check_backward() {
  worst_ = {};
  const Shape& s = problem_.measured().shape;
  check_query_gradient(s.batch * s.heads - 1, sample(s.queries, 4));
  check_key_gradients(s.batch - 1, s.kv_heads - 1, sample(s.keys, 4));
  drop_head();
  return worst_;
}

}  // namespace attend::bench
