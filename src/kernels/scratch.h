// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Working memory that outlives a call: a fresh page costs more than the arithmetic on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace attend::kernels {

/// One growing block, aligned to a cache line. Contents are undefined after grow().
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(memory_); }

  float* floats(int64_t count) {
    const size_t bytes = (size_t(count) * sizeof(float) + 127) / 64 * 64;
    if (bytes > size_) {
      std::free(memory_);
      memory_ = std::aligned_alloc(64, bytes);
      if (!memory_) std::abort();  // a kernel does not throw
      size_ = bytes;
    }
    return static_cast<float*>(memory_);
  }

 private:
  void* memory_ = nullptr;
  size_t size_ = 0;
};

/// Deals out a block of memory part by part, each from a cache line on. Without memory it counts
/// only.
class MemoryParts {
 public:
  explicit MemoryParts(float* memory) : memory_(memory) {}

  float* take(int64_t floats) {
    float* place = memory_ ? memory_ + used_ : nullptr;
    used_ += (floats + 15) / 16 * 16;
    return place;
  }
  int64_t used() const { return used_; }  ///< floats

 private:
  float* memory_;
  int64_t used_ = 0;
};

/// Of the calling thread. Each serves one purpose, so that nested uses never meet.
Scratch& pair_scratch();    ///< packed heads and blocks of one work item
Scratch& thread_scratch();  ///< inside a work item
Scratch& team_scratch();    ///< packed heads that the team shares
Scratch& column_scratch();  ///< LSE that the caller did not ask for

}  // namespace attend::kernels
