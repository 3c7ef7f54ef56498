// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/decoder.h"

#include <utility>

#include "attend/base/error.h"
#include "attend/nn/masks.h"
#include "elementwise.h"
#include "frozen_blocks.h"
#include "option_checks.h"
#include "projection.h"

namespace attend {
namespace {

constexpr detail::NamedValue<CrossKind> kCrossKinds[] = {
    {"none", CrossKind::kNone}, {"attention", CrossKind::kAttention}, {"mean", CrossKind::kMean}};

AttentionOptions self_options(const DecoderOptions& options) {
  AttentionOptions attention = options.block.resolved_attention();
  attention.causal = true;
  return attention;
}

AttentionOptions cross_options(const DecoderOptions& options) {
  AttentionOptions attention = options.block.resolved_attention();
  attention.memory = options.memory > 0 ? options.memory : options.block.hidden;
  attention.causal = false;
  attention.window_left = attention.window_right = -1;
  attention.positions = PositionKind::kNone;
  return attention;
}

// Biases and scales of keys speak of the input's positions, which are the memory's where there is
// one.
std::vector<AttentionEdit> without_key_edits(std::vector<AttentionEdit> edits) {
  for (AttentionEdit& edit : edits) {
    edit.key_bias = torch::Tensor();
    edit.value_scale = torch::Tensor();
  }
  return edits;
}

// A statistic of [memories, heads, sequences * length, ...] as [batch, heads, length, ...].
torch::Tensor per_sequence(const torch::Tensor& joined, int64_t batch) {
  if (!joined.defined() || joined.size(0) == batch) return joined;
  const int64_t memories = joined.size(0), sequences = batch / memories;
  std::vector<int64_t> split = joined.sizes().vec();
  split[2] /= sequences;
  split.insert(split.begin() + 2, sequences);
  return joined.view(split).transpose(1, 2).flatten(0, 1);
}

}  // namespace

CrossKind parse_cross_kind(const std::string& name) {
  return detail::parse_named("cross", name, kCrossKinds);
}

std::string to_string(CrossKind kind) { return detail::name_of(kind, kCrossKinds); }

void check_options(const DecoderOptions& options) {
  check_options(options.block);
  detail::require_at_least("memory", options.memory, 0);
  detail::require_at_least("distinct_blocks", options.distinct_blocks, 0);
  detail::require_at_least("first_layer", options.first_layer, 0);
  if (options.block.stem_width > 0) {
    throw usage_error("stem_width " + std::to_string(options.block.stem_width) +
                      " has no meaning in a decoder: set it to 0");
  }
  if (options.block.recurrent_layers > 0) {
    throw usage_error("recurrent_layers " + std::to_string(options.block.recurrent_layers) +
                      " has no meaning in a decoder: set it to 0");
  }
  if (options.distinct_blocks > options.block.layers) {
    throw usage_error("distinct_blocks " + std::to_string(options.distinct_blocks) +
                      " is more than the decoder's " + std::to_string(options.block.layers) +
                      " layers: use at most as many, or 0 for every layer its own");
  }
  if (options.block.layers == 0) return;
  check_options(self_options(options));
  if (options.cross == CrossKind::kAttention) check_options(cross_options(options));
}

void DecoderState::reorder(const torch::Tensor& rows) {
  branches_.reorder(rows);
  for (KeyValueCache& cache : self_) cache.reorder(rows);
  if (recurrent.defined()) recurrent = recurrent.index_select(1, rows);
}

void DecoderState::reorder_memory(const torch::Tensor& rows) {
  for (KeyValueCache& cache : cross_) cache.reorder(rows);
}

DecoderBlockImpl::DecoderBlockImpl(const DecoderOptions& options) {
  const EncoderOptions& block = options.block;
  attention_norm_ = register_module("attention_norm", detail::layer_normalisation(block.hidden));
  attention_ = register_module("attention", MultiHeadAttention(self_options(options)));
  if (options.cross == CrossKind::kAttention) {
    cross_norm_ = register_module("cross_norm", detail::layer_normalisation(block.hidden));
    cross_attention_ =
        register_module("cross_attention", MultiHeadAttention(cross_options(options)));
  } else if (options.cross == CrossKind::kMean) {
    // What attention with equal weights comes to, for every query alike.
    const int64_t memory = options.memory > 0 ? options.memory : block.hidden;
    mean_value_ = register_module("mean_value", detail::projection(memory, block.hidden));
    mean_output_ = register_module("mean_output", detail::projection(block.hidden, block.hidden));
  }
  if (block.resolved_feed_forward() > 0) {
    feed_forward_norm_ =
        register_module("feed_forward_norm", detail::layer_normalisation(block.hidden));
    feed_forward_ = register_module("feed_forward", FeedForward(block));
  }
  dropout_ = block.dropout;
  mixed_precision_ = block.mixed_precision;
}

torch::Tensor DecoderBlockImpl::read_memory(const torch::Tensor& normed, const Call& call,
                                            Output& output) {
  // Sequences that share a memory are further queries of one attention: cross-attention knows no
  // positions, so they need not be told apart and the memory is never copied.
  const int64_t batch = normed.size(0), memories = call.cross.memory.size(0);
  AttentionOutput result = cross_attention_->forward(
      normed.reshape({memories, batch / memories * normed.size(1), normed.size(2)}), call.cross);
  if (batch == memories) {
    output.cross = std::move(result.statistics);
    return result.output.view_as(normed);
  }
  // A trace of the inputs belongs to one sequence and memory; it is left out here.
  output.cross.weights = per_sequence(result.statistics.weights, batch);
  output.cross.lse = per_sequence(result.statistics.lse, batch);
  output.cross.entropy = per_sequence(result.statistics.entropy, batch);
  output.cross.sink = per_sequence(result.statistics.sink, batch);
  output.cross.top_keys = per_sequence(result.statistics.top_keys, batch);
  output.cross.top_weights = per_sequence(result.statistics.top_weights, batch);
  output.cross.received = result.statistics.received;  // of all sequences of a memory together
  output.cross.pooled = result.statistics.pooled;
  return result.output.view_as(normed);
}

DecoderBlockImpl::Output DecoderBlockImpl::forward(const torch::Tensor& input, const Call& call) {
  const torch::ScalarType type =
      mixed_precision_ && is_training() ? torch::kBFloat16 : input.scalar_type();
  Output output;
  AttentionOutput self =
      attention_->forward(detail::layer_norm(attention_norm_, input, type), call.self);
  output.self = std::move(self.statistics);
  torch::Tensor hidden = detail::dropout_add(input, self.output, dropout_, is_training());
  if (!cross_attention_.is_empty()) {
    const torch::Tensor normed = detail::layer_norm(cross_norm_, hidden, type);
    hidden =
        detail::dropout_add(hidden, read_memory(normed, call, output), dropout_, is_training());
  } else if (!mean_value_.is_empty()) {
    const torch::Tensor mean = call.cross.memory.to(type);
    const torch::Tensor context =
        detail::project(mean_output_, detail::project(mean_value_, mean));  // [memories, 1, hidden]
    const int64_t sequences = hidden.size(0) / context.size(0);
    hidden = detail::dropout_add(
        hidden, context.repeat_interleave(sequences, 0).expand_as(hidden).contiguous(), dropout_,
        is_training());
  }
  if (!feed_forward_.is_empty()) {
    hidden = feed_forward_->add_to(hidden, feed_forward_norm_, type, dropout_);
  }
  output.hidden = hidden;
  return output;
}

DecoderImpl::DecoderImpl(const DecoderOptions& decoder_options) : options_(decoder_options) {
  check_options(options_);
  const EncoderOptions& block = options_.block;
  if (block.positions == PositionKind::kLearned || block.positions == PositionKind::kSinusoidal) {
    PositionEmbeddingOptions positions;
    positions.kind = block.positions;
    positions.hidden = block.hidden;
    positions.max_length = block.max_length;
    positions_ = register_module("positions", PositionEmbedding(positions));
  }
  for (int64_t index = 0; index < options_.resolved_distinct_blocks(); ++index) {
    blocks_.push_back(register_module("block_" + std::to_string(index), DecoderBlock(options_)));
  }
  if (block.final_norm && block.layers > 0) {
    final_norm_ = register_module("final_norm", detail::layer_normalisation(block.hidden));
  }
}

int64_t DecoderImpl::attention_layers() const {
  return options_.block.layers * (options_.cross == CrossKind::kNone ? 1 : 2);
}

void DecoderImpl::check_call(const torch::Tensor& input, const DecoderCall& call) const {
  TORCH_CHECK(input.dim() == 3 && input.size(2) == options_.block.hidden,
              "Decoder: input must be [batch, length, ", options_.block.hidden, "], got ",
              input.sizes());
  const bool reads = options_.cross != CrossKind::kNone;
  TORCH_CHECK(reads == call.memory.defined(), "Decoder: a memory goes with cross, and only there");
  TORCH_CHECK(!reads || input.size(0) % call.memory.size(0) == 0, "Decoder: a batch of ",
              input.size(0), " cannot share ", call.memory.size(0), " memories evenly");
  TORCH_CHECK(!call.lengths.defined() || !call.state, "Decoder: lengths beside a state");
  const int64_t end = options_.first_layer + attention_layers();
  for (const int64_t layer : call.request.trace.layers) {
    if (layer >= 0 && layer < end) continue;
    throw usage_error("layer " + std::to_string(layer) + " cannot be traced: the model has " +
                      std::to_string(end) + " layers, counted from 0");
  }
}

// The memory as the blocks read it: rounded once instead of in every block, or its mean.
torch::Tensor DecoderImpl::shared_memory(const DecoderCall& call) const {
  if (options_.cross == CrossKind::kMean) {
    const torch::Tensor sum =
        zero_padding(call.memory, call.memory_lengths).sum(1, /*keepdim=*/true);
    if (!call.memory_lengths.defined()) return sum / call.memory.size(1);
    return sum / call.memory_lengths.clamp_min(1).view({-1, 1, 1}).to(sum.scalar_type());
  }
  const bool rounded = options_.block.mixed_precision && is_training();
  return rounded ? call.memory.to(torch::kBFloat16) : call.memory;
}

bool DecoderImpl::freeze(Precision precision) {
  if (!detail::FrozenBlocks::supports(options_)) return false;
  frozen_ = std::make_shared<detail::FrozenBlocks>(*this, options_, precision);
  return true;
}

void DecoderImpl::train(bool on) {
  if (on) thaw();
  torch::nn::Module::train(on);
}

int64_t DecoderImpl::frozen_bytes() const { return frozen_ ? frozen_->bytes() : 0; }

DecoderOutput DecoderImpl::forward(const torch::Tensor& input, const DecoderCall& call) {
  check_call(input, call);
  const bool reads = options_.cross != CrossKind::kNone;
  const auto blocks = static_cast<size_t>(options_.block.layers);
  const bool frozen = detail::runs_frozen(frozen_.get(), input, call.request);
  if (call.state) {
    const bool branches = frozen && call.state->branching_;
    TORCH_CHECK(branches || call.state->branches_.empty(),
                "Decoder: a branching state that was begun frozen goes on frozen");
    if (!branches) call.state->self_.resize(blocks);
    if (options_.cross == CrossKind::kAttention) call.state->cross_.resize(blocks);
  }
  DecoderOutput output;
  torch::Tensor hidden = input;
  if (!positions_.is_empty()) {
    hidden = positions_->forward(hidden, call.state ? call.state->length() : 0);
  }
  if (frozen) {
    detail::FrozenBlocks::Call frozen_call;
    if (call.state) {
      frozen_call.branches = call.state->branching_ ? &call.state->branches_ : nullptr;
      frozen_call.self = call.state->branching_ ? nullptr : &call.state->self_;
    }
    if (call.state && reads) frozen_call.cross = &call.state->cross_;
    frozen_call.memory = call.memory;
    frozen_call.memory_lengths = call.memory_lengths;
    output.hidden = zero_padding(frozen_->forward(hidden, frozen_call), call.lengths);
    return output;
  }
  DecoderBlockImpl::Call block_call;
  block_call.self.lengths = call.lengths;
  if (reads) {
    block_call.cross.memory = shared_memory(call);
    block_call.cross.memory_lengths = call.memory_lengths;
    block_call.cross.lengths = call.lengths;
  }
  const auto report = [&](int64_t layer, const std::string& label, AttentionRole role,
                          AttentionStatistics statistics) {
    LayerTrace entry;
    static_cast<AttentionStatistics&>(entry) = std::move(statistics);
    entry.layer = layer;
    entry.label = label;
    entry.role = role;
    output.trace.layers.push_back(std::move(entry));
  };
  for (int64_t index = 0; index < options_.block.layers; ++index) {
    const int64_t self_layer = options_.first_layer + index * (reads ? 2 : 1);
    block_call.self.statistics = call.request.trace.of_layer(self_layer);
    block_call.self.edits = call.request.edits_of_layer(self_layer);
    if (call.state) block_call.self.cache = &call.state->self_[static_cast<size_t>(index)];
    if (reads) {
      block_call.self.edits = without_key_edits(std::move(block_call.self.edits));
      block_call.cross.statistics = call.request.trace.of_layer(self_layer + 1);
      block_call.cross.edits = call.request.edits_of_layer(self_layer + 1);
    }
    if (call.state && !call.state->cross_.empty()) {
      block_call.cross.cache = &call.state->cross_[static_cast<size_t>(index)];
    }
    DecoderBlockImpl::Output result = block(index)->forward(hidden, block_call);
    hidden = result.hidden;
    const std::string number = std::to_string(index);
    if (block_call.self.statistics.any()) {
      report(self_layer, (reads ? "decoder layer " : "layer ") + number, AttentionRole::kDecoder,
             std::move(result.self));
    }
    // The mean has no weights to report.
    if (options_.cross == CrossKind::kAttention && block_call.cross.statistics.any()) {
      report(self_layer + 1, "cross layer " + number, AttentionRole::kCross,
             std::move(result.cross));
    }
  }
  if (!final_norm_.is_empty()) {
    hidden = detail::layer_norm(final_norm_, hidden, hidden.scalar_type());
  }
  output.hidden = zero_padding(hidden, call.lengths);
  return output;
}

}  // namespace attend
