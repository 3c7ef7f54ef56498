// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What an engine_<isa>.cpp includes before it sets its target: everything here is compiled for any
// processor, and so are the inline functions that the linker may take from any of those files.
#pragma once

#include <omp.h>

#include <cstdint>
#include <type_traits>

#include "attend/kernels/attention.h"
#include "dropout.h"
#include "engine.h"
#include "geometry.h"
#include "scratch.h"

namespace attend::kernels {

inline int thread_count(const Attention& a) {
  return a.threads > 0 ? a.threads : omp_get_max_threads();
}

}  // namespace attend::kernels

#define ATTEND_INLINE inline __attribute__((always_inline))
#define ATTEND_INLINE_LAMBDA __attribute__((always_inline))
