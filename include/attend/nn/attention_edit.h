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
  /// 0-based, numbered as in LayerTrace; empty = all. The number behind the last layer is pooling
  /// by attention, where the model has one; an edit of all layers acts there too unless it names
  /// heads.
  std::vector<int64_t> layers;
  std::vector<int64_t> heads;  ///< 0-based; empty = all
  /// [1 or batch, positions], added to the scores of those keys: the log of an emphasis; -inf hides
  /// a key. Acts in layers whose keys are the input's positions. Keys beyond the last position
  /// (decoded since) are left as they are.
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

  /// The edits that act in `layer`. In a decoder's self-attention, whose keys are not the input's
  /// positions, they come without `key_bias` and `value_scale`.
  std::vector<AttentionEdit> edits_of_layer(int64_t layer,
                                            AttentionRole role = AttentionRole::kSelf) const;

  /// The edits that act in pooling by attention, numbered `layer`.
  std::vector<AttentionEdit> edits_of_pooling(int64_t layer) const;

  /// What of this request concerns the layers before `layer`: the encoder's share in a larger
  /// model.
  ForwardRequest before(int64_t layer) const;

  /// Throws Error (usage) that says what there is when the trace names a layer outside [0,
  /// `layers`) or an edit one outside [0, `layers`) or, with `pooling`, one other than `layers`.
  void check_layers(int64_t layers, bool pooling = false) const;
};

}  // namespace attend
