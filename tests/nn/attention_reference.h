// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "attend/nn/attention_function.h"
#include "testing.h"

namespace attend::testing {

struct ReferenceResult {
  torch::Tensor output;
  torch::Tensor weights;
  torch::Tensor lse;
};

/// attention() written as loops over the definition: one query at a time, only the keys it may see.
inline ReferenceResult reference_attention(const torch::Tensor& query, const torch::Tensor& key,
                                           const torch::Tensor& value,
                                           const AttentionArguments& arguments) {
  const int64_t batch = query.size(0), heads = query.size(1), queries = query.size(2);
  const int64_t dim = query.size(3), kv_heads = key.size(1), keys = key.size(2);
  const int64_t value_dim = value.size(3);
  const double infinity = std::numeric_limits<double>::infinity();
  ReferenceResult result{torch::zeros({batch, heads, queries, value_dim}, real()),
                         torch::zeros({batch, heads, queries, keys}, real()),
                         torch::full({batch, heads, queries}, -infinity, real())};
  const auto q = query.accessor<double, 4>();
  const auto k = key.accessor<double, 4>();
  const auto v = value.accessor<double, 4>();
  auto output = result.output.accessor<double, 4>();
  auto weights = result.weights.accessor<double, 4>();
  auto lse = result.lse.accessor<double, 3>();
  const torch::Tensor bias = arguments.bias.defined()
                                 ? arguments.bias.expand({batch, heads, queries, keys}).contiguous()
                                 : torch::zeros({batch, heads, queries, keys}, real());
  const auto extra = bias.accessor<double, 4>();
  const double scale = arguments.scale.value_or(1 / std::sqrt(static_cast<double>(dim)));
  const auto length = [](const torch::Tensor& lengths, int64_t row, int64_t all) {
    return lengths.defined() ? lengths[row].item<int64_t>() : all;
  };
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t g = h / (heads / kv_heads);
      for (int64_t i = 0; i < length(arguments.query_lengths, b, queries); ++i) {
        const int64_t place = arguments.query_offset + i;
        std::vector<double> scores(static_cast<size_t>(keys), -infinity);
        double largest = -infinity;
        for (int64_t j = 0; j < length(arguments.key_lengths, b, keys); ++j) {
          if (arguments.causal && j > place) continue;
          if (arguments.window_left >= 0 && j < place - arguments.window_left) continue;
          if (arguments.window_right >= 0 && j > place + arguments.window_right) continue;
          double score = extra[b][h][i][j];
          for (int64_t d = 0; d < dim; ++d) score += scale * q[b][h][i][d] * k[b][g][j][d];
          if (arguments.alibi_slopes.defined()) {
            score -=
                arguments.alibi_slopes[h].item<double>() * static_cast<double>(std::abs(place - j));
          }
          if (arguments.distance_bias.defined()) {
            const int64_t reach = (arguments.distance_bias.size(1) - 1) / 2;
            const int64_t column = std::min(std::max(j - place, -reach), reach) + reach;
            score += arguments.distance_bias[h][column].item<double>();
          }
          scores[static_cast<size_t>(j)] = score;
          largest = std::max(largest, score);
        }
        if (largest == -infinity) continue;
        double sum = 0;
        for (const double score : scores) sum += std::exp(score - largest);
        if (arguments.sink.defined()) sum += std::exp(arguments.sink[h].item<double>() - largest);
        lse[b][h][i] = largest + std::log(sum);
        for (int64_t j = 0; j < keys; ++j) {
          const double weight = std::exp(scores[static_cast<size_t>(j)] - largest) / sum;
          weights[b][h][i][j] = weight;
          for (int64_t d = 0; d < value_dim; ++d) output[b][h][i][d] += weight * v[b][g][j][d];
        }
      }
    }
  }
  return result;
}

}  // namespace attend::testing
