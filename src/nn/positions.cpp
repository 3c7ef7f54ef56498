// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/positions.h"

#include <algorithm>
#include <cmath>

#include "attend/base/error.h"
#include "option_checks.h"

namespace attend {
namespace {

constexpr double kSinusoidBase = 10000;

// [length, pairs] float64: p / base^(c / pairs) for positions offset .. and pairs c. In double,
// because a float position times a frequency loses the fraction of a turn at long lengths.
torch::Tensor turns(int64_t offset, int64_t length, int64_t pairs, double base) {
  const torch::TensorOptions real = torch::TensorOptions().dtype(torch::kDouble);
  const torch::Tensor frequency =
      torch::exp(torch::arange(pairs, real) * (-std::log(base) / static_cast<double>(pairs)));
  return torch::arange(offset, offset + length, real).unsqueeze(1) * frequency.unsqueeze(0);
}

torch::Tensor sinusoids(int64_t offset, int64_t length, int64_t size) {
  const torch::Tensor angle = turns(offset, length, (size + 1) / 2, kSinusoidBase);
  // An odd size leaves the last cosine out.
  return torch::stack({angle.sin(), angle.cos()}, -1).flatten(1).narrow(1, 0, size);
}

int64_t clipped_row(int64_t distance, int64_t max_distance, bool causal) {
  const int64_t near = std::clamp(distance, -max_distance, max_distance);
  return causal ? -std::min<int64_t>(near, 0) : near + max_distance;
}

}  // namespace

torch::Tensor sinusoidal_positions(int64_t length, int64_t size,
                                   const torch::TensorOptions& options) {
  return sinusoids(0, length, size).to(options);
}

PositionEmbeddingImpl::PositionEmbeddingImpl(const PositionEmbeddingOptions& embedding_options)
    : options_(embedding_options) {
  detail::require_at_least("hidden", options_.hidden, 1);
  if (options_.kind == PositionKind::kLearned) {
    detail::require_at_least("max_length", options_.max_length, 1);
    table_ = register_parameter(
        "table", torch::randn({options_.max_length, options_.hidden}) * options_.initial_scale);
  } else if (options_.kind == PositionKind::kSinusoidal) {
    scale_ = register_parameter("scale", torch::full({1}, options_.initial_scale));
  }
}

torch::Tensor PositionEmbeddingImpl::forward(const torch::Tensor& embeddings, int64_t offset) {
  const int64_t length = embeddings.size(1);
  if (table_.defined()) {
    if (offset + length > options_.max_length) {
      throw data_error("an input of length " + std::to_string(offset + length) +
                       " is longer than the learned position table (max_length " +
                       std::to_string(options_.max_length) +
                       "): cut the input, or train with a larger max_length");
    }
    return embeddings + table_.narrow(0, offset, length);
  }
  if (scale_.defined()) {
    return embeddings + scale_ * sinusoids(offset, length, options_.hidden).to(scale_.options());
  }
  return embeddings;
}

RotaryAngles rotary_angles(int64_t offset, int64_t length, int64_t dim, double base,
                           const torch::TensorOptions& options) {
  const torch::Tensor half = turns(offset, length, dim / 2, base);
  const torch::Tensor angle = torch::cat({half, half}, 1);
  return {angle.cos().to(options), angle.sin().to(options)};
}

torch::Tensor apply_rotary(const torch::Tensor& input, const RotaryAngles& angles) {
  const int64_t dim = angles.cosine.size(1);
  const int64_t rest = input.size(3) - dim;
  const torch::Tensor first = input.narrow(3, 0, dim / 2);
  const torch::Tensor second = input.narrow(3, dim / 2, dim / 2);
  const torch::Tensor turned =
      input.narrow(3, 0, dim) * angles.cosine + torch::cat({-second, first}, 3) * angles.sine;
  return rest == 0 ? turned : torch::cat({turned, input.narrow(3, dim, rest)}, 3);
}

torch::Tensor alibi_slopes(int64_t heads) {
  std::vector<double> slopes;
  int64_t power = 1;
  while (power * 2 <= heads) power *= 2;
  for (int64_t head = 1; head <= power; ++head) {
    slopes.push_back(std::exp2(-8.0 * static_cast<double>(head) / static_cast<double>(power)));
  }
  for (int64_t head = 1; static_cast<int64_t>(slopes.size()) < heads; head += 2) {
    slopes.push_back(std::exp2(-4.0 * static_cast<double>(head) / static_cast<double>(power)));
  }
  return torch::tensor(slopes, torch::kDouble);
}

int64_t relative_bucket(int64_t distance, int64_t buckets, int64_t max_distance, bool causal) {
  int64_t first = 0;
  if (!causal) {
    buckets /= 2;
    if (distance > 0) first = buckets;
  }
  const int64_t steps = causal ? -std::min<int64_t>(distance, 0) : std::abs(distance);
  const int64_t exact = buckets / 2;
  if (steps < exact) return first + steps;
  const double share = std::log(static_cast<double>(steps) / static_cast<double>(exact)) /
                       std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const auto beyond = static_cast<int64_t>(share * static_cast<double>(buckets - exact));
  return first + std::min(exact + beyond, buckets - 1);
}

RelativeBiasImpl::RelativeBiasImpl(const AttentionOptions& options) {
  const int64_t reach = options.relative_max_distance;
  const bool bucketed = options.relative_kind == RelativeBiasKind::kBucketed;
  for (int64_t distance = -reach; distance <= reach; ++distance) {
    rows_.push_back(bucketed
                        ? relative_bucket(distance, options.relative_buckets, reach, options.causal)
                        : clipped_row(distance, reach, options.causal));
  }
  const int64_t rows = bucketed         ? options.relative_buckets
                       : options.causal ? reach + 1
                                        : 2 * reach + 1;
  table_ = register_parameter("table", torch::zeros({rows, options.heads}));
}

torch::Tensor RelativeBiasImpl::forward() {
  const torch::Tensor rows = torch::tensor(rows_, torch::kInt64).to(table_.device());
  return table_.index_select(0, rows).t();
}

}  // namespace attend
