// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// One function per method; the registry in methods.cpp names them.
#pragma once

#include "methods.h"

namespace attend {

struct MethodResult {
  torch::Tensor positions;     // [leading + units], to be merged; or undefined:
  std::vector<double> scores;  // one per group
  std::string note;
};

// methods.cpp: the numbers of a tensor, in order
std::vector<double> to_vector(const torch::Tensor& numbers);

// attention_methods.cpp
MethodResult attention_of_layer(const MethodInput& input);
MethodResult mean_attention(const MethodInput& input);
MethodResult rollout(const MethodInput& input);
MethodResult norm_based(const MethodInput& input);
MethodResult value_zeroing(const MethodInput& input);

// The same for several read-outs `rows` [n, positions] of one trace: [n, input positions].
torch::Tensor attention_rows(const Trace& trace, const torch::Tensor& rows, int64_t layer,
                             int64_t head);
torch::Tensor rollout_rows(const Trace& trace, const torch::Tensor& rows);
torch::Tensor norm_rows(const Trace& trace, const torch::Tensor& rows);

// gradient_methods.cpp
MethodResult gradient_norm(const MethodInput& input);
MethodResult gradient_times_input(const MethodInput& input);
MethodResult integrated_gradients(const MethodInput& input);
MethodResult gradient_attention(const MethodInput& input);
MethodResult integrated_attention(const MethodInput& input);
MethodResult attention_times_gradient(const MethodInput& input);

// occlusion.cpp
MethodResult occlusion(const MethodInput& input);
MethodResult window_occlusion(const MethodInput& input);

/// Windows of occlusion-window: ranges of groups of `window` groups (0: 3, more of long inputs),
/// half a window apart or, up to 3, one unit.
std::vector<UnitGroup> occlusion_windows(int64_t groups, int64_t window);

/// How many copies of an input of `length` positions to run at once.
int64_t copies_at_once(int64_t length);

}  // namespace attend
