// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "attend/nn/attention_edit.h"
#include "attend/nn/branching_cache.h"
#include "attend/nn/encoder.h"
#include "attend/nn/frozen_linear.h"
#include "attend/nn/key_value_cache.h"
#include "attend/nn/multi_head_attention.h"
#include "attend/nn/positions.h"
#include "attend/nn/trace.h"

namespace attend {
/// How a decoder block reads the memory that an encoder made.
enum class CrossKind {
  kNone,       ///< it does not: a language model
  kAttention,  ///< cross-attention (Vaswani et al. 2017)
  kMean        ///< the mean of the memory alone: the attention-free peer
};

/// "none", "attention", "mean". Throws Error (usage) on another.
CrossKind parse_cross_kind(const std::string& name);
std::string to_string(CrossKind kind);

/// Options of Decoder.
struct DecoderOptions {
  /// Sizes, activation, dropout, positions and mixed precision, as in an encoder. Self-attention is
  /// causal whatever `attention.causal` says; positions inside attention are its alone.
  EncoderOptions block{};
  CrossKind cross = CrossKind::kNone;
  /// Size of the memory's vectors; 0 = block.hidden.
  int64_t memory = 0;
  /// Blocks with parameters of their own; block i uses those of block i mod distinct_blocks
  /// (Dehghani et al. 2019, "Universal Transformers"; Lan et al. 2020). 0 = every block its own.
  int64_t distinct_blocks = 0;
  /// Number of the first layer in traces and edits: the encoder's layers, if there is one.
  int64_t first_layer = 0;

  int64_t resolved_distinct_blocks() const {
    return distinct_blocks > 0 ? distinct_blocks : block.layers;
  }
};

/// Throws Error (usage) that names the value, the rule and the fix.
void check_options(const DecoderOptions& options);

/// Keys and values of the positions that a decoder has already read, and of its memory.
class DecoderState {
 public:
  /// `branching`: short sequences that often share beginnings will be reordered at every step, as
  /// by a beam search. A frozen decoder keeps them in a BranchingCache then.
  explicit DecoderState(bool branching = false) : branching_(branching) {}

  int64_t length() const { return self_.empty() ? branches_.length() : self_.front().length(); }

  /// [layers, batch, hidden]: what a recurrent decoder keeps instead; undefined at first.
  torch::Tensor recurrent;

  /// Keeps the sequences `rows` [new batch] int64, in that order; sequences that read the same
  /// memory stay neighbours.
  void reorder(const torch::Tensor& rows);

  /// Keeps the memories `rows` [new memories] int64, in that order.
  void reorder_memory(const torch::Tensor& rows);

 private:
  friend class DecoderImpl;
  bool branching_ = false;
  BranchingCache branches_;           // instead of self_, where it applies
  std::vector<KeyValueCache> self_;   // one per block
  std::vector<KeyValueCache> cross_;  // one per block, or none
};

/// What travels with one call of Decoder, besides its input.
struct DecoderCall {
  /// [batch] int64: valid positions of the input; undefined = all. Not together with a state.
  torch::Tensor lengths;
  /// [memories, memory length, memory size]. `memories` divides the batch: sequence b reads memory
  /// b / (batch / memories), so that the hypotheses of a beam share one. Undefined without cross.
  torch::Tensor memory;
  /// [memories] int64: valid positions of the memory; undefined = all.
  torch::Tensor memory_lengths;
  /// The input stands behind the positions read before, and joins them. The memory's keys and
  /// values are made in the first call. Not owned; null = none.
  DecoderState* state = nullptr;
  /// Layers are numbered from DecoderOptions::first_layer; see AttentionRole. Key biases and value
  /// scales act on the memory's positions; without a memory, on the decoder's own.
  ForwardRequest request;
};

struct DecoderOutput {
  torch::Tensor hidden;  ///< [batch, length, hidden]; zeros at padding
  Trace trace;           ///< empty unless asked for
};

/// One pre-norm block: self-attention, reading the memory, feed-forward part, each as
/// x + dropout(part(norm(x))).
class DecoderBlockImpl : public torch::nn::Module {
 public:
  explicit DecoderBlockImpl(const DecoderOptions& options);

  struct Call {
    AttentionCall self;
    AttentionCall cross;  ///< `memory` [memories, length, size]; kMean: [memories, 1, size]
  };
  struct Output {
    torch::Tensor hidden;  ///< [batch, length, hidden]
    AttentionStatistics self;
    AttentionStatistics cross;  ///< with the batch axis of `hidden`
  };

  /// `input` [batch, length, hidden].
  Output forward(const torch::Tensor& input, const Call& call);

 private:
  torch::Tensor read_memory(const torch::Tensor& normed, const Call& call, Output& output);

  MultiHeadAttention attention_{nullptr}, cross_attention_{nullptr};
  torch::nn::Linear mean_value_{nullptr}, mean_output_{nullptr};
  FeedForward feed_forward_{nullptr};
  torch::nn::LayerNorm attention_norm_{nullptr}, cross_norm_{nullptr}, feed_forward_norm_{nullptr};
  double dropout_ = 0;
  bool mixed_precision_ = false;
};
TORCH_MODULE(DecoderBlock);

/// Positions, causal blocks, final norm. Without a memory it is a decoder-only Transformer
/// (Radford et al. 2018); with one, the second half of an encoder-decoder.
class DecoderImpl : public torch::nn::Module {
 public:
  /// Throws Error (usage) when the options do not fit together.
  explicit DecoderImpl(const DecoderOptions& decoder_options);

  /// `input` [batch, length, hidden]. Throws Error (usage) when the request names a layer that does
  /// not exist or the call does not fit the options.
  DecoderOutput forward(const torch::Tensor& input, const DecoderCall& call = {});

  const DecoderOptions& options() const { return options_; }

  /// Packs the weights as they are now: until thaw() or training, calls without gradients, traces
  /// and edits read the packed ones, a step in a few passes. A state belongs to the precision it
  /// was begun with. False, and no change, for what has no such form (cross kMean, no layers).
  bool freeze(Precision precision);
  void thaw() { frozen_.reset(); }
  void train(bool on = true) override;

  /// Bytes of packed weights that a step reads; 0 = not frozen.
  int64_t frozen_bytes() const;

  /// Attention layers of the decoder, as traces number them.
  int64_t attention_layers() const;

 private:
  DecoderBlock& block(int64_t index) {
    return blocks_[static_cast<size_t>(index % options_.resolved_distinct_blocks())];
  }
  void check_call(const torch::Tensor& input, const DecoderCall& call) const;
  torch::Tensor shared_memory(const DecoderCall& call) const;

  std::shared_ptr<const detail::FrozenBlocks> frozen_;
  DecoderOptions options_;
  PositionEmbedding positions_{nullptr};
  std::vector<DecoderBlock> blocks_;
  torch::nn::LayerNorm final_norm_{nullptr};
};
TORCH_MODULE(Decoder);

}  // namespace attend
