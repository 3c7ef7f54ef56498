// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "frozen_blocks.h"

#include "attend/base/error.h"
#include "attend/nn/positions.h"

namespace attend::detail {
namespace {

constexpr float kLayerNormEpsilon = 1e-5f;  // LibTorch's default, which the modules leave
constexpr int64_t kLargestHead = 256;

bool supports_blocks(const EncoderOptions& options) {
  return options.layers > 0 && options.resolved_attention().resolved_head_dim() <= kLargestHead;
}

// An encoder is a decoder without a memory that looks both ways.
DecoderOptions as_decoder(const EncoderOptions& options) {
  DecoderOptions decoder;
  decoder.block = options;
  decoder.cross = CrossKind::kNone;
  return decoder;
}

torch::Tensor parameter(const torch::nn::Module& module, const std::string& name) {
  const auto parameters = module.named_parameters();
  const torch::Tensor* found = parameters.find(name);
  return found == nullptr ? torch::Tensor() : found->detach().to(torch::kFloat).contiguous();
}

}  // namespace

bool FrozenBlocks::supports(const DecoderOptions& options) {
  return options.cross != CrossKind::kMean && supports_blocks(options.block);
}

bool FrozenBlocks::supports(const EncoderOptions& options) { return supports_blocks(options); }

FrozenBlocks::Attention FrozenBlocks::attention_of(const torch::nn::Module& module,
                                                   const std::string& block,
                                                   const std::string& name) {
  const std::string own = block + name + ".";
  const auto weight = [&](const char* part) { return parameter(module, own + part + ".weight"); };
  const auto bias = [&](const char* part) { return parameter(module, own + part + ".bias"); };
  Attention attention;
  attention.norm = {parameter(module, block + name + "_norm.weight"),
                    parameter(module, block + name + "_norm.bias"), kLayerNormEpsilon};
  const bool cross = name == "cross_attention";
  if (cross) {
    attention.norm = {parameter(module, block + "cross_norm.weight"),
                      parameter(module, block + "cross_norm.bias"), kLayerNormEpsilon};
  }
  std::vector<torch::Tensor> weights{weight("query")}, biases{bias("query")};
  if (!cross) {
    weights.insert(weights.end(), {weight("key"), weight("value")});
    biases.insert(biases.end(), {bias("key"), bias("value")});
  }
  if (attention_.output_gate) {
    weights.push_back(weight("gate"));
    biases.push_back(bias("gate"));
  }
  attention.input = weights_.add(weights, biases);
  attention.output = weights_.add({weight("output")}, {bias("output")});
  attention.query_norm = parameter(module, own + "query_norm.gain");
  attention.key_norm = parameter(module, own + "key_norm.gain");
  attention.sink = parameter(module, own + "sink");
  const auto modules = module.named_modules();
  if (const auto* relative = modules.find(own + "relative"); relative != nullptr) {
    const torch::NoGradGuard no_grad;
    attention.distance_bias = (*relative)->as<RelativeBiasImpl>()->forward().to(torch::kFloat);
    attention.distance_bias = attention.distance_bias.contiguous();
  }
  return attention;
}

FrozenBlocks::FrozenBlocks(const torch::nn::Module& decoder, const DecoderOptions& options,
                           Precision precision)
    : options_(options),
      attention_(options.block.resolved_attention()),
      precision_(precision),
      weights_(precision) {
  attention_.causal = true;
  pack(decoder);
}

FrozenBlocks::FrozenBlocks(const torch::nn::Module& encoder, const EncoderOptions& options,
                           Precision precision)
    : options_(as_decoder(options)),
      attention_(options.resolved_attention()),
      precision_(precision),
      weights_(precision, /*many_rows=*/true) {
  pack(encoder);
}

void FrozenBlocks::pack(const torch::nn::Module& module) {
  std::vector<std::string> names;
  for (int64_t index = 0; index < options_.resolved_distinct_blocks(); ++index) {
    names.push_back("block_" + std::to_string(index) + ".");
    Block block;
    block.self = attention_of(module, names.back(), "attention");
    if (options_.cross == CrossKind::kAttention) {
      block.cross = attention_of(module, names.back(), "cross_attention");
    }
    if (options_.block.resolved_feed_forward() > 0) {
      const std::string part = names.back() + "feed_forward";
      block.feed_forward_norm = {parameter(module, part + "_norm.weight"),
                                 parameter(module, part + "_norm.bias"), kLayerNormEpsilon};
      const auto add = [&](const std::string& name) {
        return weights_.add({parameter(module, part + "." + name + ".weight")},
                            {parameter(module, part + "." + name + ".bias")});
      };
      block.up = add("up");
      if (options_.block.activation == Activation::kSwiGlu) block.gate = add("gate");
      block.down = add("down");
    }
    blocks_.push_back(std::move(block));
  }
  // Read once per memory, so behind what every step reads.
  for (size_t index = 0; index < blocks_.size(); ++index) {
    if (!blocks_[index].cross) continue;
    const std::string own = names[index] + "cross_attention.";
    blocks_[index].cross->memory = weights_.add(
        {parameter(module, own + "key.weight"), parameter(module, own + "value.weight")},
        {parameter(module, own + "key.bias"), parameter(module, own + "value.bias")});
  }
  weights_.pack();
  final_norm_ = {parameter(module, "final_norm.weight"), parameter(module, "final_norm.bias"),
                 kLayerNormEpsilon};
  if (options_.block.positions == PositionKind::kAlibi) {
    alibi_slopes_ = alibi_slopes(options_.block.heads).to(torch::kFloat).contiguous();
  }
}

bool runs_frozen(const FrozenBlocks* frozen, const torch::Tensor& input,
                 const ForwardRequest& request) {
  if (frozen == nullptr || torch::GradMode::is_enabled()) return false;
  const TraceRequest& trace = request.trace;
  const bool looked_at = trace.statistics.any() && (trace.all_layers || !trace.layers.empty());
  if (!looked_at && request.edits.empty()) {
    return input.scalar_type() == torch::kFloat && input.is_cpu();
  }
  if (frozen->precision() == Precision::kFloat32) return false;
  throw usage_error("a model in " + to_string(frozen->precision()) +
                    " neither reports its attention nor lets it be edited: use precision f32");
}

}  // namespace attend::detail
