// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace attend {

/// A small random generator (SplitMix64, Steele et al. 2014) whose whole state is one uint64, so
/// that a checkpoint can save and restore it. The same state gives the same numbers on every
/// platform, which std::uniform_*_distribution and std::shuffle do not promise. Not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t state() const { return state_; }
  void set_state(std::uint64_t state) { state_ = state; }

  /// Uniform over all 64-bit values.
  std::uint64_t next_u64() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, 1), with all 53 bits that a double holds.
  double uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

  /// Uniform in [0, n), n > 0. Exactly unbiased: draws below 2^64 mod n, which would make the small
  /// results likelier, are thrown away.
  std::uint64_t below(std::uint64_t n) {
    assert(n > 0);
    const std::uint64_t surplus = (0 - n) % n;  // 2^64 mod n, in 64-bit arithmetic
    for (;;) {
      const std::uint64_t draw = next_u64();
      if (draw >= surplus) return draw % n;
    }
  }

  /// Puts the elements in an order drawn uniformly from all orders (Fisher-Yates).
  template <typename T>
  void shuffle(std::span<T> elements) {
    for (std::size_t i = elements.size(); i > 1; --i) {
      using std::swap;
      swap(elements[i - 1], elements[static_cast<std::size_t>(below(i))]);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace attend
