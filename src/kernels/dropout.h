// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Counter-based random bits: the mask of an attention weight is a function of (seed, head, row,
// key), so that the backward makes it again instead of keeping it, whatever the blocks and threads.
#pragma once

#include <cstdint>

namespace attend::kernels {

/// One key per row, mixed in 64 bits (the finaliser of SplitMix64, Steele et al. 2014).
inline uint32_t dropout_row_key(uint64_t seed, int64_t batch_head, int64_t row) {
  uint64_t z = seed + 0x9e3779b97f4a7c15u * (uint64_t(batch_head) + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z += 0x9e3779b97f4a7c15u * (uint64_t(row) + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return uint32_t(z >> 32);
}

/// 32 bits per key of the row: a bijective mixer with low bias (Wellons 2018, "lowbias32").
inline uint32_t dropout_bits(uint32_t row_key, uint32_t key) {
  uint32_t x = row_key ^ (key * 0x9e3779b1u);
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

/// A weight is kept when its bits are >= this.
inline uint32_t dropout_threshold(double probability) {
  return uint32_t(probability * 4294967296.0);
}

}  // namespace attend::kernels
