// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace attend {

/// One output the model could have given, with how much it was believed.
struct OutputScore {
  std::string label;
  double probability = 0;  ///< in [0, 1]
  double logit = 0;        ///< before the softmax
};

/// What a task answers for one example: its outputs, best first.
using Prediction = std::vector<OutputScore>;

}  // namespace attend
