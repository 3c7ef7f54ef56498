// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_edit.h"

#include <algorithm>

namespace attend {

std::vector<AttentionEdit> ForwardRequest::edits_of_layer(int64_t layer) const {
  std::vector<AttentionEdit> acting;
  for (const AttentionEdit& edit : edits) {
    const auto& layers = edit.layers;
    const bool acts =
        layers.empty() || std::find(layers.begin(), layers.end(), layer) != layers.end();
    if (acts) acting.push_back(edit);
  }
  return acting;
}

}  // namespace attend
