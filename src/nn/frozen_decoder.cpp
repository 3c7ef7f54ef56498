// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "frozen_decoder.h"

#include "attend/nn/positions.h"

namespace attend::detail {
namespace {

constexpr float kLayerNormEpsilon = 1e-5f;  // LibTorch's default, which the modules leave

torch::Tensor parameter(const torch::nn::Module& module, const std::string& name) {
  const auto parameters = module.named_parameters();
  const torch::Tensor* found = parameters.find(name);
  return found == nullptr ? torch::Tensor() : found->detach().to(torch::kFloat).contiguous();
}

}  // namespace

bool FrozenDecoder::supports(const DecoderOptions& options) {
  constexpr int64_t kLargestHead = 256;
  return options.cross != CrossKind::kMean && options.block.layers > 0 &&
         options.block.resolved_attention().resolved_head_dim() <= kLargestHead;
}

FrozenDecoder::Attention FrozenDecoder::attention_of(const torch::nn::Module& decoder,
                                                     const std::string& block,
                                                     const std::string& name) {
  const std::string own = block + name + ".";
  const auto weight = [&](const char* part) { return parameter(decoder, own + part + ".weight"); };
  const auto bias = [&](const char* part) { return parameter(decoder, own + part + ".bias"); };
  Attention attention;
  attention.norm = {parameter(decoder, block + name + "_norm.weight"),
                    parameter(decoder, block + name + "_norm.bias"), kLayerNormEpsilon};
  const bool cross = name == "cross_attention";
  if (cross) {
    attention.norm = {parameter(decoder, block + "cross_norm.weight"),
                      parameter(decoder, block + "cross_norm.bias"), kLayerNormEpsilon};
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
  attention.query_norm = parameter(decoder, own + "query_norm.gain");
  attention.key_norm = parameter(decoder, own + "key_norm.gain");
  attention.sink = parameter(decoder, own + "sink");
  const auto modules = decoder.named_modules();
  if (const auto* relative = modules.find(own + "relative"); relative != nullptr) {
    const torch::NoGradGuard no_grad;
    attention.distance_bias = (*relative)->as<RelativeBiasImpl>()->forward().to(torch::kFloat);
    attention.distance_bias = attention.distance_bias.contiguous();
  }
  return attention;
}

FrozenDecoder::FrozenDecoder(const torch::nn::Module& decoder, const DecoderOptions& options,
                             Precision precision)
    : options_(options),
      attention_(options.block.resolved_attention()),
      precision_(precision),
      weights_(precision) {
  std::vector<std::string> names;
  for (int64_t index = 0; index < options_.resolved_distinct_blocks(); ++index) {
    names.push_back("block_" + std::to_string(index) + ".");
    Block block;
    block.self = attention_of(decoder, names.back(), "attention");
    if (options_.cross == CrossKind::kAttention) {
      block.cross = attention_of(decoder, names.back(), "cross_attention");
    }
    if (options_.block.resolved_feed_forward() > 0) {
      const std::string part = names.back() + "feed_forward";
      block.feed_forward_norm = {parameter(decoder, part + "_norm.weight"),
                                 parameter(decoder, part + "_norm.bias"), kLayerNormEpsilon};
      const auto add = [&](const std::string& name) {
        return weights_.add({parameter(decoder, part + "." + name + ".weight")},
                            {parameter(decoder, part + "." + name + ".bias")});
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
        {parameter(decoder, own + "key.weight"), parameter(decoder, own + "value.weight")},
        {parameter(decoder, own + "key.bias"), parameter(decoder, own + "value.bias")});
  }
  weights_.pack();
  final_norm_ = {parameter(decoder, "final_norm.weight"), parameter(decoder, "final_norm.bias"),
                 kLayerNormEpsilon};
  if (options_.block.positions == PositionKind::kAlibi) {
    alibi_slopes_ = alibi_slopes(options_.block.heads).to(torch::kFloat).contiguous();
  }
}

}  // namespace attend::detail
