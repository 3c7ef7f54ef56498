// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_inputs.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace attend {
namespace {

// Row vectors at once, the kernels' largest value dim being 256; pairs at once.
constexpr int64_t kRowsAtOnce = 128;
constexpr int64_t kPairsAtOnce = 16384;

AttentionArguments without_gradients(AttentionArguments arguments) {
  for (torch::Tensor* term :
       {&arguments.bias, &arguments.distance_bias, &arguments.alibi_slopes, &arguments.sink}) {
    if (term->defined()) *term = term->detach();
  }
  arguments.dropout = 0;
  arguments.statistics = {};
  return arguments;
}

// Keys or values of each query head: [1, kv_heads, ...] -> [1, heads, ...].
torch::Tensor per_query_head(const torch::Tensor& tensor, int64_t heads) {
  return tensor.size(1) == heads ? tensor : tensor.repeat_interleave(heads / tensor.size(1), 1);
}

// d_output [1, heads, query, n] -> weights^T d_output [1, heads, key, n].
torch::Tensor by_values(const AttentionInputs& call, const torch::Tensor& d_output) {
  const torch::AutoGradMode with_gradients(true);
  const torch::Tensor key = per_query_head(call.key.detach(), call.heads());
  const torch::Tensor value =
      torch::zeros({1, call.heads(), call.keys(), d_output.size(3)}, key.options())
          .requires_grad_(true);
  const torch::Tensor output =
      attention(call.query.detach(), key, value, without_gradients(call.arguments)).output;
  return torch::autograd::grad({output}, {value}, {d_output})[0];
}

void check_batch(const AttentionInputs& call) {
  TORCH_CHECK(call.query.size(0) == 1, "AttentionInputs: the batch must be of one, not ",
              call.query.size(0));
}

}  // namespace

torch::Tensor AttentionInputs::tile(const WeightsTile& tile) const {
  return attention_weights_tile(query, key, lse, tile, arguments);
}

torch::Tensor AttentionInputs::times_weights(const torch::Tensor& rows) const {
  check_batch(*this);
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& part : rows.detach().to(query.scalar_type()).split(kRowsAtOnce)) {
    const torch::Tensor d_output =
        part.t().unsqueeze(0).unsqueeze(0).expand({1, heads(), queries(), part.size(0)});
    parts.push_back(by_values(*this, d_output.contiguous())[0].permute({2, 0, 1}));
  }
  return torch::cat(parts);
}

torch::Tensor AttentionInputs::weights_at(const torch::Tensor& at_queries,
                                          const torch::Tensor& at_keys) const {
  check_batch(*this);
  const torch::NoGradGuard no_grad;
  const double scale = arguments.scale.value_or(1.0 / std::sqrt(double(query.size(3))));
  const auto& bias = arguments.bias;
  const auto& table = arguments.distance_bias;
  const torch::Tensor all_bias =
      bias.defined() ? bias.expand({1, heads(), queries(), keys()})[0] : bias;
  const torch::Tensor heads_of_keys = torch::arange(heads()).floor_divide(heads() / key.size(1));
  std::vector<torch::Tensor> parts;
  for (int64_t begin = 0; begin < at_queries.size(0); begin += kPairsAtOnce) {
    const int64_t end = std::min(begin + kPairsAtOnce, at_queries.size(0));
    const torch::Tensor i = at_queries.slice(0, begin, end), j = at_keys.slice(0, begin, end);
    const torch::Tensor of_query = query[0].index_select(1, i);
    const torch::Tensor of_key = key[0].index_select(1, j).index_select(0, heads_of_keys);
    torch::Tensor scores = (of_query * of_key).sum(-1) * scale;  // [heads, pairs]
    const torch::Tensor distance = j - i - arguments.query_offset;
    if (all_bias.defined()) {
      using torch::indexing::Slice;
      scores = scores + all_bias.index({Slice(), i, j});
    }
    if (table.defined()) {
      const int64_t reach = (table.size(1) - 1) / 2;
      scores = scores + table.index_select(1, distance.clamp(-reach, reach) + reach);
    }
    if (arguments.alibi_slopes.defined()) {
      scores = scores - arguments.alibi_slopes.to(scores.scalar_type()).unsqueeze(1) *
                            distance.abs().to(scores.scalar_type());
    }
    torch::Tensor forbidden = torch::zeros(distance.sizes(), torch::kBool);
    if (arguments.causal) forbidden = forbidden | (distance > 0);
    if (arguments.window_left >= 0) forbidden = forbidden | (distance < -arguments.window_left);
    if (arguments.window_right >= 0) forbidden = forbidden | (distance > arguments.window_right);
    parts.push_back((scores - lse[0].index_select(1, i)).exp().masked_fill(forbidden, 0));
  }
  return parts.empty() ? torch::zeros({heads(), 0}, query.options()) : torch::cat(parts, 1);
}

torch::Tensor AttentionInputs::carried(const torch::Tensor& row) const {
  check_batch(*this);
  const torch::Tensor typed = row.detach().to(query.scalar_type());
  torch::Tensor mixed;  // [heads, key, dim or 1]
  if (gate.defined()) {
    mixed = by_values(*this, (gate.detach() * typed.view({1, 1, -1, 1})).contiguous())[0];
  } else {
    mixed = times_weights(typed.unsqueeze(0))[0].unsqueeze(-1);
  }
  const torch::NoGradGuard no_grad;
  const torch::Tensor said = mixed * per_query_head(value, heads())[0];  // [heads, key, dim]
  return torch::matmul(said.transpose(0, 1).flatten(1), output_weight.t());
}

}  // namespace attend
