// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_edit.h"

#include <algorithm>

#include "attend/base/error.h"

namespace attend {
namespace {

bool contains(const std::vector<int64_t>& numbers, int64_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

std::string numbers_below(int64_t count) {
  return count == 1 ? "layer 0" : "layers 0 to " + std::to_string(count - 1);
}

}  // namespace

std::vector<AttentionEdit> ForwardRequest::edits_of_layer(int64_t layer, AttentionRole role) const {
  std::vector<AttentionEdit> acting;
  for (const AttentionEdit& edit : edits) {
    if (!edit.layers.empty() && !contains(edit.layers, layer)) continue;
    acting.push_back(edit);
    if (role != AttentionRole::kDecoder) continue;
    acting.back().key_bias.reset();
    acting.back().value_scale.reset();
  }
  return acting;
}

std::vector<AttentionEdit> ForwardRequest::edits_of_pooling(int64_t layer) const {
  std::vector<AttentionEdit> acting;
  for (const AttentionEdit& edit : edits) {
    // Head 3 of all layers means nothing to pooling, which has heads of its own.
    const bool everywhere = edit.layers.empty() && edit.heads.empty();
    if (everywhere || contains(edit.layers, layer)) acting.push_back(edit);
  }
  return acting;
}

ForwardRequest ForwardRequest::before(int64_t layer) const {
  const auto earlier = [layer](std::vector<int64_t> layers) {
    std::erase_if(layers, [layer](int64_t one) { return one >= layer; });
    return layers;
  };
  ForwardRequest part;
  part.trace = trace;
  part.trace.layers = earlier(trace.layers);
  for (const AttentionEdit& edit : edits) {
    AttentionEdit kept = edit;
    kept.layers = earlier(edit.layers);
    if (kept.layers.empty() == edit.layers.empty()) part.edits.push_back(std::move(kept));
  }
  return part;
}

void ForwardRequest::check_layers(int64_t layers, bool pooling) const {
  for (const int64_t layer : trace.layers) {
    if (layer >= 0 && layer < layers) continue;
    throw usage_error("layer " + std::to_string(layer) + " cannot be traced: the model has " +
                      std::to_string(layers) + " layers, counted from 0");
  }
  const int64_t editable = layers + (pooling ? 1 : 0);
  for (const AttentionEdit& edit : edits) {
    for (const int64_t layer : edit.layers) {
      if (layer >= 0 && layer < editable) continue;
      std::string there = layers > 0 ? numbers_below(layers) : "no attention layer";
      if (pooling) there += " and pooling, which is " + std::to_string(layers);
      throw usage_error("layer " + std::to_string(layer) + " cannot be steered: the model has " +
                        there);
    }
  }
}

}  // namespace attend
