// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/branching_cache.h"

#include <algorithm>

namespace attend {
namespace {

constexpr int64_t kFewestPositions = 16;

// `rows` of `table` [sequences, pitch], with a pitch of `new_pitch`; `length` numbers of each.
std::vector<int32_t> copied(const std::vector<int32_t>& table, int64_t pitch, int64_t length,
                            int64_t new_pitch, const int64_t* rows, int64_t count) {
  std::vector<int32_t> result(static_cast<size_t>(count * new_pitch));
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(table.begin() + (rows != nullptr ? rows[i] : i) * pitch, length,
                result.begin() + i * new_pitch);
  }
  return result;
}

}  // namespace

void BranchingCache::reserve(const Sizes& sizes, int64_t places) {
  key_.resize(static_cast<size_t>(sizes.layers));
  value_.resize(static_cast<size_t>(sizes.layers));
  for (std::vector<torch::Tensor>* all : {&key_, &value_}) {
    for (torch::Tensor& stored : *all) {
      // What another cache reads too must not be written.
      const bool ours = stored.defined() && stored.use_count() == 1;
      if (ours && stored.size(0) >= places) continue;
      const int64_t capacity = stored.defined() ? std::max(places, 2 * stored.size(0)) : places;
      torch::Tensor larger = torch::empty({capacity, sizes.kv_heads, sizes.dim}, sizes.type);
      if (used_ > 0) larger.narrow(0, 0, used_).copy_(stored.narrow(0, 0, used_));
      stored = larger;
    }
  }
}

void BranchingCache::extend(const Sizes& sizes, int64_t sequences, int64_t count) {
  TORCH_CHECK(length_ == 0 || sequences == sequences_, "BranchingCache: ", sequences,
              " sequences continue ", sequences_);
  sequences_ = sequences;
  // One place is left out per step: equal positions of all steps would lie a power of two apart,
  // in the same sets of the processor's caches.
  const int64_t needed = used_ + sequences * count + 1;
  reserve(sizes, used_ > 0 ? needed : needed + sequences * kFewestPositions);
  if (length_ + count > pitch_) {
    const int64_t pitch = std::max({length_ + count, 2 * length_, kFewestPositions});
    places_ = copied(places_, pitch_, length_, pitch, nullptr, sequences);
    pitch_ = pitch;
  }
  for (int64_t sequence = 0; sequence < sequences; ++sequence) {
    for (int64_t i = 0; i < count; ++i) {
      places_[static_cast<size_t>(sequence * pitch_ + length_ + i)] =
          static_cast<int32_t>(used_ + sequence * count + i);
    }
  }
  used_ = needed;
  length_ += count;
}

void BranchingCache::reorder(const torch::Tensor& rows) {
  if (length_ == 0) return;
  const torch::Tensor order = rows.to(torch::kInt64).contiguous();
  places_ = copied(places_, pitch_, length_, pitch_, order.data_ptr<int64_t>(), order.size(0));
  sequences_ = order.size(0);
}

}  // namespace attend
