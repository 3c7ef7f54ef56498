// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Layers of inputs that are too long for matrices.
#pragma once

#include <vector>

#include "methods.h"

namespace attend {

/// What the rows and columns of a layer's map are, as ranges of its query and key positions.
struct LayerSides {
  AttentionRole role = AttentionRole::kSelf;  // kSelf for a decoder without an encoder
  std::vector<UnitGroup> rows, columns;
};

LayerSides sides_of(const MethodInput& input, const LayerTrace& layer, const Trace& trace,
                    size_t output_units);

/// Mean entropy of a head's rows as a share of that of equal weights on the keys that the masks
/// allow, in [0, 1].
double entropy_share(const LayerTrace& layer, int64_t head);

/// Fills explanation.layers and .heads. Sums are exact and memory is linear in the length: entropy
/// comes from the kernels, sums over blocks of queries are row vectors times the weights, and a
/// link's weight is computed anew in every head.
void add_layer_summaries(const MethodInput& input, Explanation& explanation);

}  // namespace attend
