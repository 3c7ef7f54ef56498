// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/key_value_cache.h"

#include <algorithm>
#include <cstring>

#include "attend/nn/parallel.h"

namespace attend {
namespace {

constexpr int64_t kSmallestCapacity = 16;

// `stored` with room for `capacity` positions; its first `length` are kept.
torch::Tensor grown(const torch::Tensor& stored, int64_t length, int64_t capacity,
                    torch::IntArrayRef shape, const torch::TensorOptions& options) {
  torch::Tensor larger = torch::empty({shape[0], shape[1], capacity, shape[3]}, options);
  if (length > 0) larger.narrow(2, 0, length).copy_(stored.narrow(2, 0, length));
  return larger;
}

// Whether sequence i may become what sequence rows[i] is, for all i in any order: nothing that is
// still to be read is written.
bool fits_in_place(const torch::Tensor& rows, int64_t sequences) {
  const int64_t count = rows.size(0);
  const auto* row = rows.data_ptr<int64_t>();
  if (count > sequences) return false;
  for (int64_t i = 0; i < count; ++i) {
    if (row[i] < count && row[row[i]] != row[i]) return false;
  }
  return true;
}

// The first `length` positions of the sequences `rows` of contiguous `stored`, with its capacity;
// in its memory where that can be. A beam moves sequences at every step, so this is no more than
// the copies it takes.
torch::Tensor moved(const torch::Tensor& stored, int64_t length, const torch::Tensor& rows) {
  const int64_t heads = stored.size(1), count = rows.size(0);
  const int64_t from_sequence = stored.stride(0) * stored.element_size();
  const int64_t from_head = stored.stride(1) * stored.element_size();
  const int64_t bytes = length * stored.size(3) * stored.element_size();
  // Others may still read memory that is not ours alone.
  const bool ours = stored.use_count() == 1 && stored.storage().use_count() == 1;
  const bool in_place = ours && fits_in_place(rows, stored.size(0));
  torch::Tensor result =
      in_place ? stored.narrow(0, 0, count)
               : torch::empty({count, heads, stored.size(2), stored.size(3)}, stored.options());
  const auto* from = static_cast<const char*>(stored.data_ptr());
  auto* to = static_cast<char*>(result.data_ptr());
  const auto* row = rows.data_ptr<int64_t>();
  at::parallel_for(0, count, std::max<int64_t>(1, (int64_t{1} << 16) / (heads * bytes + 1)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) {
                       if (in_place && row[i] == i) continue;
                       for (int64_t head = 0; head < heads; ++head) {
                         std::memcpy(to + i * from_sequence + head * from_head,
                                     from + row[i] * from_sequence + head * from_head,
                                     static_cast<size_t>(bytes));
                       }
                     }
                   });
  return result;
}

}  // namespace

void KeyValueCache::reserve(int64_t total, torch::IntArrayRef shape,
                            const torch::TensorOptions& options) {
  if (writable_ >= total) return;
  writable_ = std::max({total, 2 * length_, kSmallestCapacity});
  key_ = grown(key_, length_, writable_, shape, options);
  value_ = grown(value_, length_, writable_, shape, options);
}

std::pair<torch::Tensor, torch::Tensor> KeyValueCache::extend(torch::IntArrayRef shape,
                                                              torch::ScalarType type) {
  const int64_t total = length_ + shape[2];
  reserve(total, shape, torch::TensorOptions().dtype(type));
  length_ = total;
  return {key(), value()};
}

std::pair<torch::Tensor, torch::Tensor> KeyValueCache::append(const torch::Tensor& new_key,
                                                              const torch::Tensor& new_value) {
  const int64_t total = length_ + new_key.size(2);
  if (torch::GradMode::is_enabled()) {
    key_ = length_ > 0 ? torch::cat({key(), new_key}, 2) : new_key;
    value_ = length_ > 0 ? torch::cat({value(), new_value}, 2) : new_value;
    writable_ = 0;
  } else {
    reserve(total, new_key.sizes(), new_key.options());
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
  if (writable_ > 0 && key_.is_cpu()) {
    const torch::Tensor order = rows.to(torch::kInt64).contiguous();
    key_ = moved(key_, length_, order);
    value_ = moved(value_, length_, order);
    return;
  }
  key_ = key().index_select(0, rows);
  value_ = value().index_select(0, rows);
  writable_ = 0;
}

}  // namespace attend
