// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What attention looked like: maps, heads, and summaries of inputs too long for maps.
#pragma once

#include "attend/nn/torch.h"

#include <vector>

#include "methods.h"

namespace attend {

/// The weights of all heads between groups of queries and groups of keys, [heads, rows, columns]:
/// mean over a group's queries, sum over its keys. No more memory than rows * keys * heads.
torch::Tensor merged_weights(const LayerTrace& layer, const std::vector<UnitGroup>& rows,
                             const std::vector<UnitGroup>& columns);

/// Fills attention, heads, layers and tiles of `explanation`, and says in its notices what they
/// leave out. Throws Error(kUsage) for a tile outside of what there is.
void add_views(const MethodInput& input, Explanation& explanation);

/// Fills alignments, for those of `methods` that have one: every unit for every output unit.
void add_alignments(const MethodInput& input, const std::vector<std::string>& methods,
                    Explanation& explanation);

}  // namespace attend
