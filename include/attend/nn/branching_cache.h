// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <vector>

namespace attend {

/// Keys and values of sequences that share beginnings, as the hypotheses of a beam do. Every
/// position is kept once, in a place of its own, and a table says in which places a sequence lies:
/// reordering copies the table alone, and what several sequences share is read from the
/// processor's caches. For long sequences without branches KeyValueCache is better: its positions
/// lie side by side.
class BranchingCache {
 public:
  /// Sizes of what is kept; the same in every call of extend().
  struct Sizes {
    int64_t layers = 0, kv_heads = 0, dim = 0;
    torch::ScalarType type = torch::kFloat;
  };

  /// Room for `count` further positions of each of `sequences` sequences, in all layers; the caller
  /// writes them, and they count as read. `sequences` is what the last call or reorder() left.
  void extend(const Sizes& sizes, int64_t sequences, int64_t count);

  int64_t length() const { return length_; }
  bool empty() const { return length_ == 0; }

  /// Keeps the sequences `rows` [new sequences] int64, in that order.
  void reorder(const torch::Tensor& rows);

  /// Places [sequences, places_pitch()], of which the first length() of a row count: those of its
  /// positions. Valid until the next extend() or reorder().
  const int32_t* places() const { return places_.data(); }
  int64_t places_pitch() const { return pitch_; }

  torch::Tensor key(int64_t layer) const { return key_[static_cast<size_t>(layer)]; }
  torch::Tensor value(int64_t layer) const { return value_[static_cast<size_t>(layer)]; }

 private:
  void reserve(const Sizes& sizes, int64_t places);

  std::vector<int32_t> places_;
  std::vector<torch::Tensor> key_, value_;  // of each layer, [places, kv_heads, dim]
  int64_t sequences_ = 0, length_ = 0, pitch_ = 0;
  int64_t used_ = 0;  // places
};

}  // namespace attend
