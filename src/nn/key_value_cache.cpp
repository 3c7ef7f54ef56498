// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/key_value_cache.h"

#include <algorithm>

namespace attend {
namespace {

constexpr int64_t kSmallestCapacity = 16;

// `stored` with room for `capacity` positions; its first `length` are kept.
torch::Tensor grown(const torch::Tensor& stored, int64_t length, int64_t capacity,
                    const torch::Tensor& like) {
  torch::Tensor larger =
      torch::empty({like.size(0), like.size(1), capacity, like.size(3)}, like.options());
  if (length > 0) larger.narrow(2, 0, length).copy_(stored.narrow(2, 0, length));
  return larger;
}

}  // namespace

std::pair<torch::Tensor, torch::Tensor> KeyValueCache::append(const torch::Tensor& new_key,
                                                              const torch::Tensor& new_value) {
  const int64_t total = length_ + new_key.size(2);
  if (torch::GradMode::is_enabled()) {
    key_ = length_ > 0 ? torch::cat({key(), new_key}, 2) : new_key;
    value_ = length_ > 0 ? torch::cat({value(), new_value}, 2) : new_value;
    writable_ = 0;
  } else {
    if (writable_ < total) {
      writable_ = std::max({total, 2 * length_, kSmallestCapacity});
      key_ = grown(key_, length_, writable_, new_key);
      value_ = grown(value_, length_, writable_, new_value);
    }
    key_.narrow(2, length_, total - length_).copy_(new_key);
    value_.narrow(2, length_, total - length_).copy_(new_value);
  }
  length_ = total;
  return {key(), value()};
}

torch::Tensor KeyValueCache::key() const {
  return key_.defined() ? key_.narrow(2, 0, length_) : key_;
}

torch::Tensor KeyValueCache::value() const {
  return value_.defined() ? value_.narrow(2, 0, length_) : value_;
}

void KeyValueCache::clear() { *this = {}; }

void KeyValueCache::reorder(const torch::Tensor& rows) {
  if (length_ == 0) return;
  key_ = key().index_select(0, rows);
  value_ = value().index_select(0, rows);
  writable_ = 0;
}

}  // namespace attend
