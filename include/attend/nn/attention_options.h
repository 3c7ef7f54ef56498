// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace attend {

/// How a model knows the order of its inputs.
enum class PositionKind {
  kNone,        ///< a bag of inputs
  kLearned,     ///< a table added to the embeddings (Gehring et al. 2017); by the encoder
  kSinusoidal,  ///< sines added to the embeddings (Vaswani et al. 2017); by the encoder
  kRotary,      ///< query and key turned by their position (Su et al. 2021); inside attention
  kAlibi,       ///< a fixed linear penalty on distance (Press et al. 2022); inside attention
  kRelative     ///< a learned bias per distance, see RelativeBiasKind; inside attention
};

/// How a distance becomes a row of the learned bias table.
enum class RelativeBiasKind {
  kBucketed,  ///< exact when near, logarithmic when far (Raffel et al. 2020, T5)
  kClipped    ///< one row per distance, clipped at the maximum (Shaw et al. 2018, as a scalar)
};

/// Options of MultiHeadAttention.
struct AttentionOptions {
  /// Size of input and output vectors, >= 1. Required.
  int64_t hidden = 0;
  /// Query heads, >= 1.
  int64_t heads = 1;
  /// Key/value heads; divides `heads`. 0 = `heads` (MHA), 1 = MQA (Shazeer 2019), between = GQA
  /// (Ainslie et al. 2023).
  int64_t kv_heads = 0;
  /// Size of one head, >= 1; 0 = hidden / heads, which must then divide.
  int64_t head_dim = 0;
  /// Size of the vectors that keys and values are made of in cross-attention; 0 = `hidden`.
  int64_t memory = 0;
  /// Factor on q.k; 0 = 1 / sqrt(head_dim).
  double scale = 0;
  /// No query sees a later key.
  bool causal = false;
  /// Sliding window, keys to the left and right of the query's position; -1 = unlimited
  /// (Beltagy et al. 2020).
  int64_t window_left = -1;
  int64_t window_right = -1;
  /// kLearned and kSinusoidal are the encoder's business and change nothing here.
  PositionKind positions = PositionKind::kNone;
  /// Longest wavelength / 2 pi of rotary positions, > 1 (Su et al. 2021).
  double rotary_base = 10000;
  /// How many of a head's leading dimensions turn; even; 0 = all (GPT-NeoX turns a quarter).
  int64_t rotary_dim = 0;
  RelativeBiasKind relative_kind = RelativeBiasKind::kBucketed;
  /// Rows of the bucketed table, >= 4 and even (T5: 32).
  int64_t relative_buckets = 32;
  /// Distance from which on all distances share one row, >= 1 (T5: 128).
  int64_t relative_max_distance = 128;
  /// Root-mean-square normalisation of queries and keys per head, with a learned gain
  /// (Henry et al. 2020; Dehghani et al. 2023).
  bool qk_norm = false;
  /// A learned logit per head in the softmax denominator (Xiao et al. 2024; gpt-oss 2025).
  bool sink = false;
  /// Output times sigmoid(x W), elementwise, before the output projection (Qiu et al. 2025).
  bool output_gate = false;
  /// Probability in [0, 1) of dropping an attention weight in training.
  double dropout = 0;
  /// Whether the projections have a bias vector.
  bool bias = true;

  int64_t resolved_kv_heads() const { return kv_heads > 0 ? kv_heads : heads; }
  int64_t resolved_head_dim() const { return head_dim > 0 ? head_dim : hidden / heads; }
  int64_t resolved_memory() const { return memory > 0 ? memory : hidden; }
};

/// Throws Error (usage) that names the value, the rule and the fix.
void check_options(const AttentionOptions& options);

/// "none", "learned", "sinusoidal", "rotary", "alibi", "relative". Throws Error (usage) on another.
PositionKind parse_position_kind(const std::string& name);
std::string to_string(PositionKind kind);

}  // namespace attend
