// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/bench.h"

namespace attend::bench {

/// The three products of a linear layer (output, gradient of the input, gradient of the weight), in
/// fp32 and bf16, ours and LibTorch's in turn. Each is first compared with the product in double
/// precision. Returns how many differed too much.
int run_linear_cases(const Options& options, Printer& printer);

}  // namespace attend::bench
