// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace attend::detail {

/// 64 random bits from LibTorch's default CPU generator: what torch::manual_seed() sets and a
/// checkpoint saves, so that whatever is derived from them can be repeated.
uint64_t draw_seed();

}  // namespace attend::detail
