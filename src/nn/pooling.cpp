// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/pooling.h"

#include <cmath>
#include <limits>

#include "attend/base/error.h"
#include "attend/nn/attention_function.h"
#include "attend/nn/masks.h"
#include "edited_attention.h"
#include "option_checks.h"
#include "projection.h"

namespace attend {
namespace {

constexpr detail::NamedValue<PoolingKind> kPoolingKinds[] = {{"attention", PoolingKind::kAttention},
                                                             {"mean", PoolingKind::kMean},
                                                             {"cls", PoolingKind::kCls},
                                                             {"max", PoolingKind::kMax}};

// Sum of hidden * readout over positions: pooling by weights that are the same for all dimensions.
torch::Tensor weighted_sum(const torch::Tensor& hidden, const torch::Tensor& readout) {
  return torch::bmm(readout.unsqueeze(1), hidden).squeeze(1);
}

PoolingOutput mean_pool(const torch::Tensor& hidden, const torch::Tensor& lengths) {
  const int64_t batch = hidden.size(0), length = hidden.size(1);
  PoolingOutput output;
  if (lengths.defined()) {
    const torch::Tensor share = lengths.to(hidden.options()).clamp_min(1).reciprocal();
    output.readout = zero_padding(share.unsqueeze(1).expand({batch, length}), lengths);
  } else {
    output.readout = torch::full({batch, length}, 1.0 / double(length), hidden.options());
  }
  output.pooled = weighted_sum(hidden, output.readout);
  return output;
}

PoolingOutput cls_pool(const torch::Tensor& hidden, const torch::Tensor& lengths) {
  PoolingOutput output;
  output.readout = torch::zeros({hidden.size(0), hidden.size(1)}, hidden.options());
  output.readout.select(1, 0).fill_(1);
  output.readout = zero_padding(output.readout, lengths);
  output.pooled = hidden.select(1, 0);
  if (lengths.defined()) output.pooled = output.pooled * output.readout.narrow(1, 0, 1);
  return output;
}

PoolingOutput max_pool(const torch::Tensor& hidden, const torch::Tensor& lengths) {
  const int64_t size = hidden.size(2);
  torch::Tensor candidates = hidden;
  torch::Tensor empty;  // [batch, 1] bool: nothing to take the maximum of
  if (lengths.defined()) {
    const torch::Tensor padding = padding_mask(lengths.to(hidden.device()), hidden.size(1));
    candidates =
        hidden.masked_fill(padding.unsqueeze(-1), -std::numeric_limits<double>::infinity());
    empty = padding.narrow(1, 0, 1);
  }
  const auto [maximum, position] = candidates.max(1);
  PoolingOutput output;
  output.pooled = maximum;
  output.readout =
      torch::zeros({hidden.size(0), hidden.size(1)}, hidden.options())
          .scatter_add_(1, position, torch::full_like(maximum.detach(), 1.0 / double(size)));
  if (empty.defined()) {
    output.pooled = output.pooled.masked_fill(empty, 0);
    output.readout = output.readout.masked_fill(empty, 0);
  }
  return output;
}

}  // namespace

PoolingKind parse_pooling_kind(const std::string& name) {
  return detail::parse_named("pooling", name, kPoolingKinds);
}

std::string to_string(PoolingKind kind) { return detail::name_of(kind, kPoolingKinds); }

void check_options(const PoolingOptions& options) {
  detail::require_at_least("hidden", options.hidden, 1);
  detail::require_at_least("pooling heads", options.heads, 1);
  detail::require_at_least("pooling_hops", options.hops, 1);
  if (options.kind == PoolingKind::kAttention && options.hidden % options.heads != 0) {
    throw usage_error("hidden " + std::to_string(options.hidden) +
                      " is not divisible by pooling heads " + std::to_string(options.heads) +
                      ": choose pooling heads that divide hidden");
  }
}

PoolingImpl::PoolingImpl(const PoolingOptions& pooling_options) : options_(pooling_options) {
  check_options(options_);
  if (options_.kind != PoolingKind::kAttention) return;
  const int64_t dim = options_.hidden / options_.heads;
  projection_ = register_module("projection", detail::projection(options_.hidden, options_.hidden));
  query_ =
      register_parameter("query", torch::randn({options_.heads, dim}) / std::sqrt(double(dim)));
  if (options_.hops > 1) {
    hop_ = register_module("hop", detail::projection(options_.hidden, options_.hidden));
  }
}

PoolingOutput PoolingImpl::attention_pool(const torch::Tensor& hidden, const torch::Tensor& lengths,
                                          const std::vector<AttentionEdit>& edits) {
  const int64_t batch = hidden.size(0), length = hidden.size(1);
  const int64_t heads = options_.heads, dim = options_.hidden / heads;
  const auto split = [&](const torch::Tensor& joined) {
    return joined.reshape({batch, length, heads, dim}).transpose(1, 2);
  };
  const torch::Tensor keys = split(torch::tanh(projection_->forward(hidden)));
  const torch::Tensor values = split(hidden);
  const torch::Tensor query = query_.view({1, heads, 1, dim}).expand({batch, heads, 1, dim});
  PoolingOutput output;
  for (int64_t hop = 0; hop < options_.hops; ++hop) {
    detail::AttentionOperands operands;
    operands.query = query;
    if (hop > 0) {
      operands.query = query + hop_->forward(output.pooled).view({batch, heads, 1, dim});
    }
    operands.key = keys;
    operands.value = values;
    operands.arguments.scale = 1;
    operands.arguments.key_lengths = lengths;
    operands.arguments.statistics.weights = true;
    detail::apply_edits(edits, operands);
    AttentionResult result =
        attention(operands.query, operands.key, operands.value, operands.arguments);
    output.weights = result.statistics.weights.squeeze(2);
    if (output.weights.requires_grad()) {
      // Through the weights that are handed out, so that the output can be differentiated by them.
      result.output = torch::matmul(output.weights.unsqueeze(2), operands.value);
    }
    if (operands.kept_heads.defined()) result.output = result.output * operands.kept_heads;
    output.pooled = result.output.reshape({batch, options_.hidden});
  }
  output.readout = output.weights.mean(1);
  return output;
}

PoolingOutput PoolingImpl::forward(const torch::Tensor& hidden, const torch::Tensor& lengths,
                                   const std::vector<AttentionEdit>& edits) {
  TORCH_CHECK(hidden.dim() == 3 && hidden.size(2) == options_.hidden && hidden.size(1) > 0,
              "Pooling: input must be [batch, length >= 1, ", options_.hidden, "], got ",
              hidden.sizes());
  switch (options_.kind) {
    case PoolingKind::kMean:
      return mean_pool(hidden, lengths);
    case PoolingKind::kCls:
      return cls_pool(hidden, lengths);
    case PoolingKind::kMax:
      return max_pool(hidden, lengths);
    case PoolingKind::kAttention:
      break;
  }
  return attention_pool(hidden, lengths, edits);
}

}  // namespace attend
