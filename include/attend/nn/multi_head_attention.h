// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include "attend/nn/attention_edit.h"
#include "attend/nn/attention_options.h"
#include "attend/nn/key_value_cache.h"
#include "attend/nn/positions.h"
#include "attend/nn/rms_norm.h"
#include "attend/nn/trace.h"

namespace attend {

/// What travels with one call of MultiHeadAttention, besides its input.
struct AttentionCall {
  /// [batch] int64: valid positions of the input; undefined = all. In self-attention it masks the
  /// keys as well. Not together with a cache in self-attention: decode equal lengths.
  torch::Tensor lengths;
  /// [batch, memory length, memory size]: cross-attention to it; undefined = self-attention.
  torch::Tensor memory;
  /// [batch] int64: valid positions of the memory; undefined = all.
  torch::Tensor memory_lengths;
  /// Added to the scores; broadcasts to [batch, heads, query, key]; -inf forbids.
  torch::Tensor bias;
  /// Self-attention: the call's keys are appended and the queries stand behind the cached ones.
  /// Cross-attention: the first call stores the projected memory, later calls read it.
  /// Not owned; null = none.
  KeyValueCache* cache = nullptr;
  TraceStatistics statistics;
  /// Changes to this layer's attention; their `layers` are not looked at.
  std::vector<AttentionEdit> edits;
};

struct AttentionOutput {
  torch::Tensor output;            ///< shape of the input
  AttentionStatistics statistics;  ///< always with a batch axis
};

/// Multi-head attention (Vaswani et al. 2017) with grouped key/value heads, masks, positions and
/// traces; see AttentionOptions. Parameters: query, key, value, output (Linear), and where asked
/// for gate, query_norm, key_norm, sink, relative.
class MultiHeadAttentionImpl : public torch::nn::Module {
 public:
  /// Throws Error (usage) when the options do not fit together.
  explicit MultiHeadAttentionImpl(const AttentionOptions& attention_options);

  /// `input` [batch, length, hidden], or [length, hidden] for one sequence (then `memory` is
  /// [memory length, memory size], and lengths, if given, have one element). Rows behind `lengths`
  /// hold the output projection's bias only: mask them before you read them. Throws Error (usage)
  /// when the call does not fit the options (cross-attention with positions inside attention or
  /// causal; lengths beside a cache).
  AttentionOutput forward(const torch::Tensor& input, const AttentionCall& call = {});

  const AttentionOptions& options() const { return options_; }

 private:
  struct Projected {
    torch::Tensor query;
    torch::Tensor key;
    torch::Tensor value;
    int64_t offset = 0;
  };

  Projected project_self(const torch::Tensor& input, KeyValueCache* cache);
  Projected project_cross(const torch::Tensor& input, const torch::Tensor& memory,
                          KeyValueCache* cache);
  torch::Tensor finish_key(const torch::Tensor& projected);

  AttentionOptions options_;
  torch::nn::Linear query_{nullptr}, key_{nullptr}, value_{nullptr}, output_{nullptr};
  torch::nn::Linear gate_{nullptr};
  RmsNorm query_norm_{nullptr}, key_norm_{nullptr};
  RelativeBias relative_{nullptr};
  torch::Tensor sink_;          // [heads]
  torch::Tensor alibi_slopes_;  // [heads] float64, a constant: neither parameter nor buffer
};
TORCH_MODULE(MultiHeadAttention);

}  // namespace attend
