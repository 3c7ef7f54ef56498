// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <torch/nn/modules/rnn.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "attend/nn/attention_options.h"
#include "attend/nn/frozen_linear.h"
#include "attend/nn/multi_head_attention.h"
#include "attend/nn/positions.h"
#include "attend/nn/trace.h"

namespace attend {
namespace detail {
class FrozenBlocks;
}

/// Non-linearity of the feed-forward part.
enum class Activation {
  kGelu,   ///< W2 gelu(W1 x) (Hendrycks and Gimpel 2016)
  kSwiGlu  ///< W3 (silu(W1 x) * W2 x) (Shazeer 2020)
};

/// "gelu", "swiglu". Throws Error (usage) on another.
Activation parse_activation(const std::string& name);
std::string to_string(Activation activation);

/// Options of Encoder.
struct EncoderOptions {
  /// Blocks, >= 0. With 0 the encoder is the identity (but for positions, stem and recurrence).
  int64_t layers = 1;
  /// Size of the vectors, >= 1. Required.
  int64_t hidden = 0;
  /// Query heads, and key/value heads (0 = `heads`); see AttentionOptions.
  int64_t heads = 4;
  int64_t kv_heads = 0;
  /// Inner size of the feed-forward part; 0 = 4 * hidden (SwiGLU: 8/3 * hidden, so that both have
  /// equally many parameters); -1 = no feed-forward part.
  int64_t feed_forward = 0;
  Activation activation = Activation::kGelu;
  /// Probability in [0, 1) on the output of each part, before it joins the residual.
  double dropout = 0.1;
  /// Where order comes from; overrides attention.positions.
  PositionKind positions = PositionKind::kSinusoidal;
  /// Rows of a learned position table, >= 1: the longest input.
  int64_t max_length = 512;
  /// Width of a residual 1-D convolution before the first block; odd; 0 = none. It looks left
  /// only when attention is causal.
  int64_t stem_width = 0;
  /// Whether the stem convolves each dimension alone (cheap) or mixes them.
  bool stem_depthwise = true;
  /// Layers of a long short-term memory before the first block, behind the stem; 0 = none. Half of
  /// `hidden`, which must be even, reads forwards and half backwards (all of it forwards when
  /// attention is causal). Where texts are short and few it learns from order what attention
  /// would need more of them for.
  int64_t recurrent_layers = 0;
  /// Layer normalisation behind the last block (pre-norm needs it; Xiong et al. 2020).
  bool final_norm = true;
  /// While training, matrix products and attention in bfloat16, which modern processors do at twice
  /// the rate of float or more; weights, gradients of weights, norms, softmax and residuals stay in
  /// float (Micikevicius et al. 2018, "Mixed precision training"). Evaluation is always in the
  /// type of the weights.
  bool mixed_precision = false;
  /// The rest of attention: window, causal, qk_norm, sink, gate, dropout on weights. Its hidden,
  /// heads, kv_heads and positions are set from the fields above.
  AttentionOptions attention{};

  /// `attention` with those four fields filled in.
  AttentionOptions resolved_attention() const;
  /// Inner size of the feed-forward part; 0 = there is none.
  int64_t resolved_feed_forward() const;
};

/// Throws Error (usage) that names the value, the rule and the fix.
void check_options(const EncoderOptions& options);

/// x + dropout(gelu(convolution(x))) over the length, blind to padding.
class ConvolutionStemImpl : public torch::nn::Module {
 public:
  explicit ConvolutionStemImpl(const EncoderOptions& options);

  /// `input` [batch, length, hidden], `lengths` [batch] int64 or undefined.
  torch::Tensor forward(const torch::Tensor& input, const torch::Tensor& lengths = {});

 private:
  int64_t left_, right_;  // zeros put before and behind the sequence
  double dropout_ = 0;
  torch::nn::Conv1d convolution_{nullptr};
};
TORCH_MODULE(ConvolutionStem);

/// Bidirectional long short-term memory (Hochreiter and Schmidhuber 1997; Graves and Schmidhuber
/// 2005), blind to padding: [batch, length, hidden] -> the same shape, zeros at padding.
class RecurrentStemImpl : public torch::nn::Module {
 public:
  explicit RecurrentStemImpl(const EncoderOptions& options);

  /// `input` [batch, length, hidden], `lengths` [batch] int64 or undefined.
  torch::Tensor forward(const torch::Tensor& input, const torch::Tensor& lengths = {});

 private:
  torch::nn::LSTM lstm_{nullptr};
};
TORCH_MODULE(RecurrentStem);

/// The position-wise part of a block: [..., hidden] -> [..., hidden].
class FeedForwardImpl : public torch::nn::Module {
 public:
  explicit FeedForwardImpl(const EncoderOptions& options);

  torch::Tensor forward(const torch::Tensor& input);

  /// hidden + dropout(forward(norm(hidden))), the products in `type`.
  torch::Tensor add_to(const torch::Tensor& hidden, torch::nn::LayerNorm norm,
                       torch::ScalarType type, double dropout);

 private:
  Activation activation_;
  torch::nn::Linear up_{nullptr}, gate_{nullptr}, down_{nullptr};
};
TORCH_MODULE(FeedForward);

/// One pre-norm block: x + dropout(attention(norm(x))), then x + dropout(feed_forward(norm(x))).
class EncoderBlockImpl : public torch::nn::Module {
 public:
  explicit EncoderBlockImpl(const EncoderOptions& options);

  /// `input` [batch, length, hidden].
  AttentionOutput forward(const torch::Tensor& input, const AttentionCall& call = {});

 private:
  MultiHeadAttention attention_{nullptr};
  FeedForward feed_forward_{nullptr};
  torch::nn::LayerNorm attention_norm_{nullptr}, feed_forward_norm_{nullptr};
  double dropout_ = 0;
  bool mixed_precision_ = false;
};
TORCH_MODULE(EncoderBlock);

struct EncoderOutput {
  torch::Tensor hidden;  ///< [batch, length, hidden]; zeros at padding
  Trace trace;           ///< empty unless asked for
};

/// Positions, optional convolution and recurrence, blocks, final norm.
class EncoderImpl : public torch::nn::Module {
 public:
  /// Throws Error (usage) when the options do not fit together.
  explicit EncoderImpl(const EncoderOptions& encoder_options);

  /// `input` [batch, length, hidden]; `lengths` [batch] int64, undefined = no padding.
  /// Throws Error (usage) when the request names a layer or a head that does not exist.
  EncoderOutput forward(const torch::Tensor& input, const torch::Tensor& lengths = {},
                        const ForwardRequest& request = {});

  const EncoderOptions& options() const { return options_; }

  /// As Decoder::freeze(), positions and stems left as they are.
  bool freeze(Precision precision);
  void train(bool on = true) override;

 private:
  std::shared_ptr<const detail::FrozenBlocks> frozen_;
  EncoderOptions options_;
  PositionEmbedding positions_{nullptr};
  ConvolutionStem stem_{nullptr};
  RecurrentStem recurrent_{nullptr};
  std::vector<EncoderBlock> blocks_;
  torch::nn::LayerNorm final_norm_{nullptr};
};
TORCH_MODULE(Encoder);

}  // namespace attend
