// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "attend/nn/attention_edit.h"
#include "attend/tasks/sequence_task.h"

namespace attend {

/// What a SequenceTask offers whose attention can be changed while it searches; dynamic_cast finds
/// it.
class SteeredSearch {
 public:
  virtual ~SteeredSearch() = default;

  /// The best texts for example `row` of `data` alone, every step under `edits`: those of the
  /// input's positions act in the encoder and on what the decoder reads of it. Throws Error(kUsage)
  /// for a layer or head that does not exist, and for a model frozen in less than fp32.
  virtual std::vector<ProducedText> produce_under(const Dataset& data, int64_t row,
                                                  const ProduceOptions& options,
                                                  const std::vector<AttentionEdit>& edits) = 0;
};

}  // namespace attend
