// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

namespace attend::bench {

/// What the machine gives to a number of threads at best, with the active instruction set.
struct Limits {
  double fp32_gflops = 0;
  double bf16_gflops = 0;  ///< 0: the instruction set has no bf16 products
  double read_gbs = 0;     ///< from memory, 10^9 bytes per second
};

/// The threads must have been placed, see place_threads(). About two seconds.
Limits measure_limits(int threads);

}  // namespace attend::bench
