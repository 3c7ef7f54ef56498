// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Decoding token by token: a decoder of 25 million parameters behind a context, one text or many.
#pragma once

#include "bench.h"

namespace attend::bench {

/// Times the steps of greedy search through the frozen decoder, for every precision, batch and
/// number of threads that the options name. Returns how many cases differed from the plain decoder
/// in double precision by more than their bound; those were not timed.
int run_generate_cases(const Options& options, Printer& printer);

}  // namespace attend::bench
