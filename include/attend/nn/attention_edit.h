// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Steering: changes to attention that travel with a forward call, beside what it is asked to trace.
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <vector>

#include "attend/nn/trace.h"

namespace attend {

/// One change to the attention of some layers and heads. Several changes of one layer act in the
/// order they are listed.
struct AttentionEdit {
  std::vector<int64_t> layers;  ///< 0-based, numbered as in LayerTrace; empty = all
  std::vector<int64_t> heads;   ///< 0-based; empty = all
  /// [1 or batch, positions], added to the scores of those keys: the log of an emphasis; -inf hides
  /// a key. Acts in layers whose keys are the input's positions.
  torch::Tensor key_bias;
  /// [1 or batch, positions], factor on the values of those keys; 0 takes away what they say and
  /// leaves the weights as they are (Mohebbi et al. 2023, "value zeroing"). Same layers.
  torch::Tensor value_scale;
  /// > 0: scores are divided by it; below 1 sharpens, above 1 flattens.
  double temperature = 1;
  /// Equal weights on all keys that the masks allow (Wiegreffe and Pinter 2019).
  bool uniform = false;
  /// The heads give zeros (Michel et al. 2019).
  bool off = false;
};

/// What a forward call is asked for besides its output.
struct ForwardRequest {
  TraceRequest trace;
  std::vector<AttentionEdit> edits;

  ForwardRequest() = default;
  ForwardRequest(TraceRequest trace_request)
      : trace(std::move(trace_request)) {}  // NOLINT: a trace is a request

  /// The edits that act in `layer`.
  std::vector<AttentionEdit> edits_of_layer(int64_t layer) const;
};

}  // namespace attend
