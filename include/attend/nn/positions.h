// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <vector>

#include "attend/nn/attention_options.h"

namespace attend {

/// [length, size]: column 2c is sin(p / base^(2c/size)), column 2c+1 the cosine
/// (Vaswani et al. 2017, section 3.5, base 10000). Computed in double, given in `options`' type.
torch::Tensor sinusoidal_positions(int64_t length, int64_t size,
                                   const torch::TensorOptions& options = {});

/// Options of PositionEmbedding.
struct PositionEmbeddingOptions {
  PositionKind kind = PositionKind::kNone;  ///< only kLearned and kSinusoidal add something
  int64_t hidden = 0;                       ///< size of the embeddings, >= 1
  int64_t max_length = 512;                 ///< rows of the learned table, >= 1
  /// Standard deviation of the learned table, or factor on the sinusoids, at first; > 0. The factor
  /// is learned (Li et al. 2019), because embeddings may be far smaller than sines.
  double initial_scale = 0.1;
};

/// Adds a vector per position to embeddings.
class PositionEmbeddingImpl : public torch::nn::Module {
 public:
  explicit PositionEmbeddingImpl(const PositionEmbeddingOptions& embedding_options);

  /// `embeddings` [batch, length, hidden] -> same shape; the first has position `offset`.
  /// Throws Error (data) when a learned table has no row for a position.
  torch::Tensor forward(const torch::Tensor& embeddings, int64_t offset = 0);

 private:
  PositionEmbeddingOptions options_;
  torch::Tensor table_;  // [max_length, hidden] when learned
  torch::Tensor scale_;  // [1] when sinusoidal
};
TORCH_MODULE(PositionEmbedding);

/// Cosines and sines of rotary positions, made once per call for queries and keys.
struct RotaryAngles {
  torch::Tensor cosine;  ///< [length, dim]
  torch::Tensor sine;    ///< [length, dim]
};

/// Angles of positions offset .. offset + length - 1 for `dim` (even) turning dimensions:
/// dimension c and c + dim / 2 form a pair that turns by p / base^(2c/dim), the pairing of GPT-NeoX
/// and of Hugging Face's Llama (Su et al. 2021).
RotaryAngles rotary_angles(int64_t offset, int64_t length, int64_t dim, double base,
                           const torch::TensorOptions& options);

/// Turns the leading dimensions of `input` [batch, heads, length, head_dim] by `angles`; the
/// others pass. Scores of turned queries and keys depend on the difference of positions only.
torch::Tensor apply_rotary(const torch::Tensor& input, const RotaryAngles& angles);

/// [heads] float64, the published geometric slopes: 2^(-8 (h+1) / heads) for a power of two, else
/// those of the next lower power followed by every second one of the next higher
/// (Press et al. 2022).
torch::Tensor alibi_slopes(int64_t heads);

/// Row of T5's table for a distance (key position - query position): `buckets` / 2 rows per
/// direction (one direction takes all when `causal`), half of them exact, the rest logarithmic up
/// to `max_distance` (Raffel et al. 2020).
int64_t relative_bucket(int64_t distance, int64_t buckets, int64_t max_distance, bool causal);

/// A learned bias per head and distance. Parameter: table [rows, heads], zero at first.
class RelativeBiasImpl : public torch::nn::Module {
 public:
  /// Reads heads, causal and the relative_* fields.
  explicit RelativeBiasImpl(const AttentionOptions& options);

  /// [heads, 2 * max_distance + 1], the `distance_bias` of AttentionArguments.
  torch::Tensor forward();

 private:
  std::vector<int64_t> rows_;  // row of the table per distance -max_distance .. max_distance
  torch::Tensor table_;        // [rows, heads]
};
TORCH_MODULE(RelativeBias);

}  // namespace attend
