// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Following attention from a read-out back to the input. Everything is row vectors times matrices,
// from the last layer to the first: no product of two matrices, and no matrix where a layer's trace
// has none. In a model with cross-attention a read-out starts at the output's positions.
#pragma once

#include "attend/nn/torch.h"

#include <functional>
#include <vector>

#include "attend/nn/trace.h"

namespace attend {

/// Whether the model reads its input through cross-attention.
bool has_cross(const Trace& trace);

/// The last layer whose keys are the input's positions and whose queries the read-out can start
/// from; null if there is none.
const LayerTrace* last_input_layer(const Trace& trace);

/// `rows` [n, query] times the weights of each head: [n, heads, key].
torch::Tensor times_weights(const LayerTrace& layer, const torch::Tensor& rows);

/// The same, mean over heads: [n, key].
torch::Tensor times_mean_weights(const LayerTrace& layer, const torch::Tensor& rows);

/// What `rows` reach when every layer passes half of what it gets on to the same position and half
/// through `mix(layer, rows)` (Abnar and Zuidema 2020): [n, input positions]. What ends at the
/// output's positions is not returned.
using Mix = std::function<torch::Tensor(const LayerTrace&, const torch::Tensor&)>;
torch::Tensor roll_out(const Trace& trace, const torch::Tensor& rows, const Mix& mix);

/// One layer for the rules of Chefer et al. 2021: products with the matrix mean_h (dy/dA_h * A_h)+.
class RelevanceLayer {
 public:
  virtual ~RelevanceLayer() = default;
  virtual AttentionRole role() const = 0;
  virtual torch::Tensor left(const torch::Tensor& row) const = 0;      ///< row [query] -> [key]
  virtual torch::Tensor right(const torch::Tensor& column) const = 0;  ///< column [key] -> [query]
  virtual torch::Tensor matrix() const = 0;                            ///< [query, key]
};

/// q^T R of those rules for the read-out `start`: [input positions]. A position's own row leaves
/// out the diagonal that R starts from; `pooled` says that `start` is the relevance of pooling by
/// attention, which is a cross-attention of one query and goes by norm(R) (their equations 8 to
/// 10): what a position got from others counts as much as what it was. `layers` in the order of
/// computation; with kCross among them the rules for encoder and decoder (their equations 5 to 11),
/// matrices being made for the decoder's self-attention only.
torch::Tensor propagate_relevance(const std::vector<const RelevanceLayer*>& layers,
                                  const torch::Tensor& start, bool pooled);

}  // namespace attend
