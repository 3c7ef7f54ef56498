// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/frozen_linear.h"

namespace attend {

/// What a task that writes token by token offers beside Task; dynamic_cast finds it.
class DecodingTask {
 public:
  virtual ~DecodingTask() = default;

  /// Packs the weights for decoding and evaluation, as they are now; training undoes it. kFloat32
  /// is always possible and changes nothing but the order of sums. Otherwise throws Error(kUsage)
  /// where the model has no such form (a recurrent decoder, or one that reads the mean of its
  /// input).
  virtual void freeze(Precision precision) = 0;
};

}  // namespace attend
