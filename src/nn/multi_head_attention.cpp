// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/multi_head_attention.h"

#include <tuple>
#include <utility>

#include "attend/base/error.h"
#include "attend/nn/attention_function.h"
#include "attend/nn/attention_inputs.h"
#include "edited_attention.h"
#include "projection.h"

namespace attend {
namespace {

// [batch, length, heads * dim] -> [batch, heads, length, dim], a view.
torch::Tensor split_heads(const torch::Tensor& joined, int64_t heads) {
  const int64_t dim = joined.size(2) / heads;
  return joined.view({joined.size(0), joined.size(1), heads, dim}).transpose(1, 2);
}

torch::Tensor with_batch(const torch::Tensor& tensor, bool single) {
  return single && tensor.defined() && tensor.dim() == 2 ? tensor.unsqueeze(0) : tensor;
}

}  // namespace

MultiHeadAttentionImpl::MultiHeadAttentionImpl(const AttentionOptions& attention_options)
    : options_(attention_options) {
  check_options(options_);
  const int64_t head_dim = options_.resolved_head_dim();
  const int64_t joined = options_.heads * head_dim;
  const int64_t kv_joined = options_.resolved_kv_heads() * head_dim;
  const bool bias = options_.bias;
  query_ = register_module("query", detail::projection(options_.hidden, joined, bias));
  key_ = register_module("key", detail::projection(options_.resolved_memory(), kv_joined, bias));
  value_ =
      register_module("value", detail::projection(options_.resolved_memory(), kv_joined, bias));
  output_ = register_module("output", detail::projection(joined, options_.hidden, bias));
  if (options_.output_gate) {
    gate_ = register_module("gate", detail::projection(options_.hidden, joined, bias));
  }
  if (options_.qk_norm) {
    query_norm_ = register_module("query_norm", RmsNorm(head_dim));
    key_norm_ = register_module("key_norm", RmsNorm(head_dim));
  }
  if (options_.sink) sink_ = register_parameter("sink", torch::zeros({options_.heads}));
  if (options_.positions == PositionKind::kRelative) {
    relative_ = register_module("relative", RelativeBias(options_));
  }
  if (options_.positions == PositionKind::kAlibi) {
    alibi_slopes_ = attend::alibi_slopes(options_.heads);
  }
}

torch::Tensor MultiHeadAttentionImpl::finish_key(const torch::Tensor& projected) {
  const torch::Tensor key = split_heads(projected, options_.resolved_kv_heads());
  return key_norm_.is_empty() ? key : key_norm_->forward(key).to(projected.scalar_type());
}

MultiHeadAttentionImpl::Projected MultiHeadAttentionImpl::project_self(const torch::Tensor& input,
                                                                       KeyValueCache* cache) {
  Projected projected;
  projected.offset = cache ? cache->length() : 0;
  projected.query = split_heads(detail::project(query_, input), options_.heads);
  if (!query_norm_.is_empty()) {
    projected.query = query_norm_->forward(projected.query).to(input.scalar_type());
  }
  projected.key = finish_key(detail::project(key_, input));
  projected.value = split_heads(detail::project(value_, input), options_.resolved_kv_heads());
  if (options_.positions == PositionKind::kRotary) {
    const int64_t dim =
        options_.rotary_dim > 0 ? options_.rotary_dim : options_.resolved_head_dim();
    // Angles in bfloat16 would turn neighbours alike at long lengths.
    const bool rounded = projected.query.scalar_type() == torch::kBFloat16;
    const auto rotation =
        rounded ? projected.query.options().dtype(torch::kFloat) : projected.query.options();
    const RotaryAngles angles =
        rotary_angles(projected.offset, input.size(1), dim, options_.rotary_base, rotation);
    projected.query = apply_rotary(projected.query, angles).to(input.scalar_type());
    projected.key = apply_rotary(projected.key, angles).to(input.scalar_type());
  }
  if (cache) {
    std::tie(projected.key, projected.value) = cache->append(projected.key, projected.value);
  }
  return projected;
}

MultiHeadAttentionImpl::Projected MultiHeadAttentionImpl::project_cross(const torch::Tensor& input,
                                                                        const torch::Tensor& memory,
                                                                        KeyValueCache* cache) {
  Projected projected;
  projected.query = split_heads(detail::project(query_, input), options_.heads);
  if (!query_norm_.is_empty()) {
    projected.query = query_norm_->forward(projected.query).to(input.scalar_type());
  }
  if (cache && !cache->empty()) {
    projected.key = cache->key();
    projected.value = cache->value();
    return projected;
  }
  projected.key = finish_key(detail::project(key_, memory));
  projected.value = split_heads(detail::project(value_, memory), options_.resolved_kv_heads());
  if (cache) {
    std::tie(projected.key, projected.value) = cache->append(projected.key, projected.value);
  }
  return projected;
}

AttentionOutput MultiHeadAttentionImpl::forward(const torch::Tensor& input,
                                                const AttentionCall& call) {
  const bool single = input.dim() == 2;
  TORCH_CHECK((single || input.dim() == 3) && input.size(-1) == options_.hidden,
              "MultiHeadAttention: input must be [batch, length, ", options_.hidden,
              "] or [length, ", options_.hidden, "], got ", input.sizes());
  const torch::Tensor batch = with_batch(input, single);
  torch::Tensor memory = with_batch(call.memory, single);
  const bool cross = memory.defined();
  if (cross) memory = memory.to(input.scalar_type());  // an encoder beside mixed precision
  if (!cross && options_.resolved_memory() != options_.hidden) {
    throw usage_error("this attention reads a memory of size " + std::to_string(options_.memory) +
                      " and cannot attend to its own input of size " +
                      std::to_string(options_.hidden) + ": pass a memory, or set memory to 0");
  }
  if (cross && (options_.causal || options_.positions == PositionKind::kRotary ||
                options_.positions == PositionKind::kAlibi ||
                options_.positions == PositionKind::kRelative)) {
    throw usage_error(
        "cross-attention cannot be causal or use positions \"" + to_string(options_.positions) +
        "\": positions of query and memory are not comparable; leave both options off");
  }
  if (!cross && call.cache && call.lengths.defined()) {
    throw usage_error(
        "a key/value cache in self-attention does not take lengths: decode sequences of equal "
        "length together, or one at a time");
  }

  Projected projected =
      cross ? project_cross(batch, memory, call.cache) : project_self(batch, call.cache);
  detail::AttentionOperands operands{
      std::move(projected.query), std::move(projected.key), std::move(projected.value), {}, {}};
  AttentionArguments& arguments = operands.arguments;
  if (options_.scale > 0) arguments.scale = options_.scale;
  arguments.causal = options_.causal;
  arguments.query_offset = projected.offset;
  arguments.window_left = options_.window_left;
  arguments.window_right = options_.window_right;
  arguments.query_lengths = call.lengths;
  arguments.key_lengths = cross ? call.memory_lengths : call.lengths;
  arguments.bias = call.bias;
  if (!relative_.is_empty()) arguments.distance_bias = relative_->forward();
  arguments.alibi_slopes = alibi_slopes_;
  arguments.sink = sink_;
  arguments.dropout = is_training() ? options_.dropout : 0;
  arguments.statistics = call.statistics;
  if (call.statistics.inputs) arguments.statistics.lse = true;
  detail::apply_edits(call.edits, operands);

  AttentionResult result = attention(operands.query, operands.key, operands.value, arguments);
  const torch::Tensor mixed = result.output;
  if (operands.kept_heads.defined()) result.output = result.output * operands.kept_heads;
  torch::Tensor joined = result.output.transpose(1, 2).flatten(2);
  torch::Tensor gate;
  if (!gate_.is_empty()) {
    gate = torch::sigmoid(detail::project(gate_, batch));
    joined = joined * gate;
  }
  torch::Tensor output = detail::project(output_, joined);
  if (call.statistics.inputs) {
    auto inputs = std::make_shared<AttentionInputs>();
    inputs->query = operands.query;
    inputs->key = operands.key;
    inputs->value = operands.value;
    inputs->lse = result.statistics.lse;
    inputs->output = mixed;
    if (gate.defined()) inputs->gate = split_heads(gate, options_.heads);
    inputs->output_weight = output_->weight;
    inputs->arguments = arguments;
    result.statistics.inputs = std::move(inputs);
  }
  if (single) output = output.squeeze(0);
  return {output, std::move(result.statistics)};
}

}  // namespace attend
