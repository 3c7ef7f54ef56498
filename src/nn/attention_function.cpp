// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_function.h"

#include <algorithm>

#include "attention_statistics.h"
#include "fused_attention.h"
#include "library_attention.h"
#include "plain_attention.h"

namespace attend {
namespace {

void check_terms(const torch::Tensor& query, const AttentionArguments& arguments) {
  const int64_t batch = query.size(0), heads = query.size(1);
  const auto check_lengths = [&](const torch::Tensor& lengths, const char* name) {
    TORCH_CHECK(!lengths.defined() || (lengths.dim() == 1 && lengths.size(0) == batch),
                "attention: ", name, " must be [batch] = [", batch, "], got ", lengths.sizes());
  };
  const auto check_per_head = [&](const torch::Tensor& numbers, const char* name) {
    TORCH_CHECK(!numbers.defined() || (numbers.dim() == 1 && numbers.size(0) == heads),
                "attention: ", name, " must be [heads] = [", heads, "], got ", numbers.sizes());
  };
  check_lengths(arguments.query_lengths, "query_lengths");
  check_lengths(arguments.key_lengths, "key_lengths");
  check_per_head(arguments.alibi_slopes, "alibi_slopes");
  check_per_head(arguments.sink, "sink");
  const auto& table = arguments.distance_bias;
  TORCH_CHECK(
      !table.defined() || (table.dim() == 2 && table.size(0) == heads && table.size(1) % 2 == 1),
      "attention: distance_bias must be [heads, 2 * reach + 1]");
}

void check_shapes(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                  const AttentionArguments& arguments) {
  TORCH_CHECK(query.dim() == 4 && key.dim() == 4 && value.dim() == 4,
              "attention: query, key and value are [batch, heads, length, dim], got ",
              query.sizes(), ", ", key.sizes(), " and ", value.sizes());
  TORCH_CHECK(query.size(0) == key.size(0) && key.size(0) == value.size(0) &&
                  query.size(3) == key.size(3) && key.size(1) == value.size(1) &&
                  key.size(2) == value.size(2),
              "attention: query ", query.sizes(), ", key ", key.sizes(), " and value ",
              value.sizes(), " do not fit together");
  TORCH_CHECK(key.size(1) > 0 && query.size(1) % key.size(1) == 0, "attention: ", key.size(1),
              " key/value heads do not divide ", query.size(1), " query heads");
  TORCH_CHECK(arguments.dropout >= 0 && arguments.dropout < 1, "attention: dropout ",
              arguments.dropout, " is not in [0, 1)");
  TORCH_CHECK(arguments.query_offset >= 0, "attention: query_offset ", arguments.query_offset,
              " is negative");
  const TraceStatistics& wanted = arguments.statistics;
  TORCH_CHECK((wanted.pooled_rows > 0) == (wanted.pooled_columns > 0),
              "attention: pooled_rows and pooled_columns must be given together, got ",
              wanted.pooled_rows, " and ", wanted.pooled_columns);
  check_terms(query, arguments);
}

// No rows, or nothing to look at.
AttentionResult empty_attention(const torch::Tensor& query, const torch::Tensor& value,
                                const TraceStatistics& wanted) {
  const std::vector<int64_t> rows = query.sizes().slice(0, 3).vec();
  const torch::Tensor none =
      torch::zeros({rows[0], rows[1], rows[2], value.size(2)}, query.options());
  AttentionResult result;
  result.output = torch::zeros({rows[0], rows[1], rows[2], value.size(3)}, query.options());
  result.statistics = detail::statistics_of(none, wanted);
  if (wanted.lse) result.statistics.lse = none.logsumexp(-1);
  if (wanted.sink) result.statistics.sink = torch::zeros(rows, query.options());
  return result;
}

// `tensor` at one index of an axis, the axis kept; all of it when there is nothing to choose.
torch::Tensor at(const torch::Tensor& tensor, int64_t axis, int64_t index) {
  return tensor.defined() && index >= 0 ? tensor.narrow(axis, index, 1) : tensor;
}

// The rows of the tile by the plain path, then its columns.
torch::Tensor plain_weights_tile(const torch::Tensor& query, const torch::Tensor& key,
                                 const WeightsTile& tile, const AttentionArguments& arguments) {
  const int64_t kv_head = tile.head < 0 ? -1 : tile.head / (query.size(1) / key.size(1));
  AttentionArguments of_rows = arguments;
  of_rows.dropout = 0;
  of_rows.statistics = {};
  of_rows.statistics.weights = true;
  of_rows.query_offset += tile.first_query;
  of_rows.key_lengths = at(arguments.key_lengths, 0, tile.batch);
  if (arguments.query_lengths.defined()) {
    of_rows.query_lengths =
        (at(arguments.query_lengths, 0, tile.batch) - tile.first_query).clamp_min(0);
  }
  if (arguments.bias.defined()) {
    const torch::Tensor bias =
        arguments.bias.expand({query.size(0), query.size(1), query.size(2), key.size(2)});
    of_rows.bias =
        at(at(bias, 0, tile.batch), 1, tile.head).narrow(2, tile.first_query, tile.queries);
  }
  of_rows.distance_bias = at(arguments.distance_bias, 0, tile.head);
  of_rows.alibi_slopes = at(arguments.alibi_slopes, 0, tile.head);
  of_rows.sink = at(arguments.sink, 0, tile.head);
  const torch::Tensor rows =
      at(at(query, 0, tile.batch), 1, tile.head).narrow(2, tile.first_query, tile.queries);
  const torch::Tensor all_keys = at(at(key, 0, tile.batch), 1, kv_head);
  return detail::plain_attention(rows, all_keys, all_keys, of_rows)
      .statistics.weights.narrow(3, tile.first_key, tile.keys)
      .contiguous();
}

}  // namespace

AttentionResult attention(const torch::Tensor& query, const torch::Tensor& key,
                          const torch::Tensor& value, const AttentionArguments& arguments) {
  check_shapes(query, key, value, arguments);
  if (query.size(0) == 0 || query.size(1) == 0 || query.size(2) == 0 || key.size(2) == 0) {
    return empty_attention(query, value, arguments.statistics);
  }
  if (arguments.route == AttentionRoute::kAuto) {
    if (detail::fused_takes(query, key, value, arguments)) {
      return detail::fused_attention(query, key, value, arguments);
    }
    const torch::Tensor output = detail::library_attention(query, key, value, arguments);
    if (output.defined()) return {output, {}};
  }
  return detail::plain_attention(query, key, value, arguments);
}

torch::Tensor attention_weights_tile(const torch::Tensor& query, const torch::Tensor& key,
                                     const torch::Tensor& lse, const WeightsTile& tile,
                                     const AttentionArguments& arguments) {
  check_shapes(query, key, key, arguments);
  TORCH_CHECK(lse.dim() == 3 && lse.sizes() == query.sizes().slice(0, 3),
              "attention_weights_tile: lse must be [batch, heads, query] = ",
              query.sizes().slice(0, 3), ", got ", lse.sizes());
  TORCH_CHECK(tile.batch < query.size(0) && tile.head < query.size(1) && tile.first_query >= 0 &&
                  tile.queries >= 0 && tile.first_query + tile.queries <= query.size(2) &&
                  tile.first_key >= 0 && tile.keys >= 0 &&
                  tile.first_key + tile.keys <= key.size(2),
              "attention_weights_tile: the tile lies outside the matrix [", query.size(0), ", ",
              query.size(1), ", ", query.size(2), ", ", key.size(2), "]");
  const torch::NoGradGuard no_grad;
  const bool nothing = tile.queries == 0 || tile.keys == 0 || query.numel() == 0;
  if (!nothing && arguments.route == AttentionRoute::kAuto &&
      detail::fused_takes(query, key, key, arguments)) {
    return detail::fused_weights_tile(query, key, lse, tile, arguments);
  }
  if (!nothing) return plain_weights_tile(query, key, tile, arguments);
  return torch::zeros({tile.batch < 0 ? query.size(0) : 1, tile.head < 0 ? query.size(1) : 1,
                       tile.queries, tile.keys},
                      query.options());
}

}  // namespace attend
