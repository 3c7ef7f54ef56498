// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/trace.h"

#include <algorithm>

namespace attend {

TraceRequest TraceRequest::all_weights() {
  TraceRequest request;
  request.all_layers = true;
  request.statistics.weights = true;
  return request;
}

bool TraceRequest::wants(int64_t layer) const {
  return all_layers || std::find(layers.begin(), layers.end(), layer) != layers.end();
}

TraceStatistics TraceRequest::of_layer(int64_t layer) const {
  return wants(layer) ? statistics : TraceStatistics{};
}

const LayerTrace* Trace::find(int64_t layer) const {
  const auto found = std::find_if(layers.begin(), layers.end(), [layer](const LayerTrace& entry) {
    return entry.layer == layer;
  });
  return found == layers.end() ? nullptr : &*found;
}

}  // namespace attend
