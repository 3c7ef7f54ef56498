// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What areas under a deletion curve some order of the units can reach.
#pragma once

#include <vector>

#include "attend/explain/faithfulness.h"

namespace attend {

/// Over all orders, for curves measured at `steps`. Up to options.exact_bound_units units exactly,
/// by dynamic programming over the sets of units. Beyond, what greedy search reaches (Edin et al.
/// 2025 with a beam of 1): it removes the unit whose loss moves the probability most, asks all
/// remaining units again after every few removals, as many as options.bound_positions allows, and
/// does so from the full input down and, for the other end, towards the opposite. Infinite (low
/// above high) where even one round is too much.
AttainableBounds searched_bounds(KeptUnits& sets, int64_t units, const std::vector<int64_t>& steps,
                                 const FaithfulnessOptions& options);

}  // namespace attend
