// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "attend/kernels/packed_matrix.h"
#include "attend/nn/ranked_outputs.h"

namespace attend {

/// What weights and cache are read as while a text is decoded. Sums, norms and residuals are fp32.
enum class Precision {
  kFloat32,   ///< the same results but for the order of sums
  kBFloat16,  ///< weights, the vectors they multiply, and the key/value cache in bfloat16
  kInt8       ///< weights in 8 bits, one scale per output; the cache in bfloat16
};

/// "f32", "bf16", "int8". Throws Error (usage) on another.
Precision parse_precision(const std::string& name);
std::string to_string(Precision precision);

/// Memory for packed matrices, one behind the other in the order in which they are added: a step of
/// decoding then reads one ascending stream.
class PackedWeights {
 public:
  /// For products with `many_rows` a call, or with few, which are bound by reading the weights.
  explicit PackedWeights(Precision precision, bool many_rows = false);

  /// Adds a matrix: `weights` [outputs_i, inputs] side by side, with `biases` [outputs_i]
  /// (undefined entries count as zeros). Returns its number.
  size_t add(const std::vector<torch::Tensor>& weights, const std::vector<torch::Tensor>& biases);

  /// Packs what was added; nothing may be added afterwards.
  void pack();

  const kernels::PackedMatrix& operator[](size_t number) const { return matrices_[number]; }
  kernels::WeightType type() const { return type_; }
  int64_t bytes() const { return bytes_; }
  int64_t count() const { return count_; }  ///< of weights

 private:
  struct Pending {
    torch::Tensor weight, bias;
  };
  kernels::WeightType type_;
  bool many_rows_;
  std::vector<Pending> pending_;
  std::vector<kernels::PackedMatrix> matrices_;
  std::shared_ptr<void> memory_;
  int64_t bytes_ = 0;
  int64_t count_ = 0;
};

/// A linear layer whose weights stay as they are now: for few rows, without gradients.
class FrozenLinear {
 public:
  /// `weight` [outputs, inputs], `bias` [outputs] or undefined; both are copied.
  FrozenLinear(const torch::Tensor& weight, const torch::Tensor& bias, Precision precision);

  /// [..., inputs] -> [..., outputs], float.
  torch::Tensor forward(const torch::Tensor& input) const;

  /// `input` [rows, inputs], `targets` [rows] int64 -> log softmax(forward(input)) at each target,
  /// [rows]; 0 for targets below 0. Holds a few rows of outputs at a time.
  torch::Tensor log_probabilities(const torch::Tensor& input, const torch::Tensor& targets) const;

  /// The `count` best of each row of forward(`input` [rows, inputs]), where the outputs `excluded`
  /// count as -inf; the same as ranked_outputs() gives. Of many rows the outputs are never held all
  /// at once.
  std::vector<std::vector<RankedOutput>> ranked(const torch::Tensor& input, int64_t count,
                                                const std::vector<int64_t>& excluded) const;

  int64_t bytes() const { return weights_.bytes(); }  ///< that one call reads

 private:
  PackedWeights weights_;
};

}  // namespace attend
