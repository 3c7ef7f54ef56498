// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <string>
#include <vector>

#include "attend/nn/attention_edit.h"

namespace attend {

/// How a sequence of vectors becomes one.
enum class PoolingKind {
  kAttention,  ///< weights by a learned query (Yang et al. 2016, "HAN")
  kMean,       ///< the mean of the valid positions
  kCls,        ///< the first position
  kMax         ///< the maximum per dimension over the valid positions
};

/// "attention", "mean", "cls", "max". Throws Error (usage) on another.
PoolingKind parse_pooling_kind(const std::string& name);
std::string to_string(PoolingKind kind);

/// Options of Pooling.
struct PoolingOptions {
  PoolingKind kind = PoolingKind::kAttention;
  /// Size of the vectors, >= 1. Required.
  int64_t hidden = 0;
  /// Learned queries of attention pooling, >= 1, divides `hidden`: head h weighs its own
  /// hidden / heads dimensions.
  int64_t heads = 1;
  /// Times attention pooling reads the text, >= 1: what one hop pooled moves the query of the next
  /// (Sukhbaatar et al. 2015), so that weights may depend on what the whole text says.
  int64_t hops = 1;
};

/// Throws Error (usage) that names the value, the rule and the fix.
void check_options(const PoolingOptions& options);

struct PoolingOutput {
  torch::Tensor pooled;  ///< [batch, hidden]; zeros where the length is 0
  /// [batch, length], what the head reads of each position, zero at padding; sums to 1: pooling
  /// weights (mean over heads), 1/n, one-hot, or for max the share of dimensions whose maximum is
  /// at that position.
  torch::Tensor readout;
  /// [batch, heads, length], attention pooling only; in the autograd graph.
  torch::Tensor weights;
};

/// Pools [batch, length, hidden] over the length. Parameters (attention only): projection (Linear),
/// query [heads, hidden / heads] and, with two or more hops, hop (Linear); weights = softmax over
/// positions of query . tanh(projection(x)), behind the first hop of
/// (query + hop(pooled)) . tanh(projection(x)). What is handed out is of the last hop.
class PoolingImpl : public torch::nn::Module {
 public:
  explicit PoolingImpl(const PoolingOptions& pooling_options);

  /// `hidden` [batch, length, hidden]; `lengths` [batch] int64, undefined = all valid. `edits`
  /// change attention pooling like any attention (their layers are not looked at), other kinds not
  /// at all.
  PoolingOutput forward(const torch::Tensor& hidden, const torch::Tensor& lengths = {},
                        const std::vector<AttentionEdit>& edits = {});

  const PoolingOptions& options() const { return options_; }

 private:
  PoolingOutput attention_pool(const torch::Tensor& hidden, const torch::Tensor& lengths,
                               const std::vector<AttentionEdit>& edits);

  PoolingOptions options_;
  torch::nn::Linear projection_{nullptr};
  torch::nn::Linear hop_{nullptr};  // two or more hops only
  torch::Tensor query_;             // [heads, hidden / heads]
};
TORCH_MODULE(Pooling);

}  // namespace attend
