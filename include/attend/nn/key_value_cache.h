// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <utility>

namespace attend {

/// Keys and values of the positions that were already seen, for one attention layer.
/// Appending costs amortised O(new positions): the storage doubles. While gradients are recorded it
/// copies instead, so that earlier graphs stay valid.
class KeyValueCache {
 public:
  /// Appends [batch, kv_heads, new, dim] and returns all keys and values so far,
  /// [batch, kv_heads, length(), dim]. The views are valid until the next append or reorder.
  std::pair<torch::Tensor, torch::Tensor> append(const torch::Tensor& key,
                                                 const torch::Tensor& value);

  /// Room for further positions of shape [batch, kv_heads, new, dim] that the caller writes itself;
  /// they count as read. Returns all keys and values, as append() does. Not while gradients are
  /// recorded.
  std::pair<torch::Tensor, torch::Tensor> extend(torch::IntArrayRef shape, torch::ScalarType type);

  torch::Tensor key() const;    ///< [batch, kv_heads, length(), dim]; undefined when empty
  torch::Tensor value() const;  ///< likewise

  int64_t length() const { return length_; }
  bool empty() const { return length_ == 0; }
  void clear();

  /// Keeps the batch rows `rows` [new batch] int64, in that order (beam search).
  void reorder(const torch::Tensor& rows);

 private:
  void reserve(int64_t total, torch::IntArrayRef shape, const torch::TensorOptions& options);

  torch::Tensor key_;  // [batch, kv_heads, capacity, dim]
  torch::Tensor value_;
  int64_t length_ = 0;
  int64_t writable_ = 0;  // capacity that may be written in place; 0 while a graph may hold key_
};

}  // namespace attend
