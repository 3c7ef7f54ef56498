// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attention_masks.h"

#include <algorithm>
#include <limits>

#include "attend/nn/masks.h"

namespace attend::detail {
namespace {

torch::Tensor both(const torch::Tensor& a, const torch::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a | b : a;
}

torch::Tensor sum(const torch::Tensor& a, const torch::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b : a;
}

// Positions of the queries [query, 1] and of the keys [1, key].
struct Positions {
  torch::Tensor query;
  torch::Tensor key;
};

// [query, key] bool, true = forbidden by causality or the window; undefined = nothing is.
torch::Tensor forbidden_by_place(const Positions& at, const AttentionArguments& arguments,
                                 int64_t queries, int64_t keys) {
  const int64_t first = arguments.query_offset;
  const int64_t last = first + queries - 1;
  int64_t right = arguments.window_right < 0 ? keys : arguments.window_right;
  if (arguments.causal) right = 0;
  torch::Tensor forbidden;
  // A bound that no pair of positions crosses needs no mask: decoding one token at a time is
  // causal without one.
  if (first + right < keys - 1) forbidden = at.key > at.query + right;
  if (arguments.window_left >= 0 && last - arguments.window_left > 0) {
    forbidden = both(forbidden, at.key < at.query - arguments.window_left);
  }
  return forbidden;
}

// The rows without any key to look at follow from interval arithmetic: a query at p may see keys
// [max(0, p - left), min(keys - 1, p + right)]. That costs O(batch * query), not O(query * key).
// [batch or 1, 1, query, 1] bool, or undefined when there is no such row.
torch::Tensor rows_without_keys(const Positions& at, const AttentionArguments& arguments,
                                int64_t queries, int64_t keys) {
  const bool windowed = arguments.window_left >= 0 || arguments.window_right >= 0;
  if (!windowed && !arguments.query_lengths.defined() && !arguments.key_lengths.defined()) {
    return {};
  }
  const torch::Tensor place = at.query.view({1, 1, queries, 1});
  torch::Tensor low = torch::zeros_like(place);
  if (arguments.window_left >= 0) low = (place - arguments.window_left).clamp_min(0);
  torch::Tensor high = torch::full_like(place, keys - 1);
  if (arguments.key_lengths.defined()) {
    high = torch::minimum(high, arguments.key_lengths.to(place.device()).view({-1, 1, 1, 1}) - 1);
  }
  if (arguments.causal) {
    high = torch::minimum(high, place);
  } else if (arguments.window_right >= 0) {
    high = torch::minimum(high, place + arguments.window_right);
  }
  torch::Tensor dead = low > high;
  if (arguments.query_lengths.defined()) {
    const torch::Tensor lengths = arguments.query_lengths.to(place.device());
    dead = dead | padding_mask(lengths, queries).view({-1, 1, queries, 1});
  }
  return dead.any().item<bool>() ? dead : torch::Tensor{};
}

// [heads, query, key] from a value per distance: row i of the result is a stretch of one long row
// of distances, so it is read through a view (unfold); reversing the queries gives the view
// positive strides.
torch::Tensor expand_distances(const torch::Tensor& table, int64_t offset, int64_t queries,
                               int64_t keys) {
  const int64_t reach = (table.size(1) - 1) / 2;
  const torch::Tensor distance =
      torch::arange(-(offset + queries - 1), keys - offset,
                    torch::TensorOptions().dtype(torch::kInt64).device(table.device()));
  const torch::Tensor row = table.index_select(1, distance.clamp(-reach, reach) + reach);
  return row.unfold(1, keys, 1).flip(1);
}

}  // namespace

double forbidden_score(torch::ScalarType type) {
  switch (type) {
    case torch::kDouble:
      return std::numeric_limits<double>::lowest() / 8;
    case torch::kHalf:
      return -65504.0 / 8;
    default:  // float, and bfloat16 which has the range of float
      return std::numeric_limits<float>::lowest() / 8;
  }
}

ScoreTerms score_terms(const torch::Tensor& query, const torch::Tensor& key,
                       const AttentionArguments& arguments) {
  const int64_t queries = query.size(2);
  const int64_t keys = key.size(2);
  const double forbidden = forbidden_score(query.scalar_type());
  const torch::TensorOptions integers =
      torch::TensorOptions().dtype(torch::kInt64).device(query.device());
  const int64_t offset = arguments.query_offset;
  const Positions at{torch::arange(offset, offset + queries, integers).unsqueeze(1),
                     torch::arange(keys, integers).unsqueeze(0)};
  ScoreTerms terms;
  terms.dead_rows = rows_without_keys(at, arguments, queries, keys);

  // Masks join as additive terms: adding in place needs neither a saved mask nor a pass in the
  // backward, where masked weights are exactly 0 anyway.
  torch::Tensor by_place = forbidden_by_place(at, arguments, queries, keys);
  torch::Tensor by_length;
  if (arguments.key_lengths.defined()) {
    const torch::Tensor lengths = arguments.key_lengths.to(query.device());
    by_length = padding_mask(lengths, keys).view({-1, 1, 1, keys});
    if (!by_length.any().item<bool>()) by_length.reset();
  }
  torch::Tensor mask = both(by_length, by_place);
  if (mask.defined()) {
    terms.by_batch = torch::zeros(mask.sizes(), query.options()).masked_fill_(mask, forbidden);
  }

  if (arguments.distance_bias.defined()) {
    terms.by_head = expand_distances(arguments.distance_bias, offset, queries, keys);
  }
  if (arguments.alibi_slopes.defined()) {
    const torch::Tensor distance = (at.key - at.query).abs().to(query.scalar_type());
    terms.by_head =
        sum(terms.by_head, distance * -arguments.alibi_slopes.to(query.options()).view({-1, 1, 1}));
  }
  if (arguments.bias.defined()) {
    const torch::Tensor infinite = torch::isneginf(arguments.bias);
    terms.bias_forbids = infinite.any().item<bool>();
    terms.bias =
        terms.bias_forbids ? arguments.bias.masked_fill(infinite, forbidden) : arguments.bias;
  }
  return terms;
}

}  // namespace attend::detail
