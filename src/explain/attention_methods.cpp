// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Methods that follow attention forward only: what was mixed, not what changed the output.
#include <algorithm>
#include <map>

#include "attend/base/error.h"
#include "attention_chain.h"
#include "method_functions.h"

namespace attend {
namespace {

torch::Tensor readout_rows(const MethodInput& input) {
  return input.task.target_readout(input.shared().output(), input.target);  // [1, positions]
}

const LayerTrace& layer_at(const Trace& trace, int64_t index) {
  if (const LayerTrace* found = trace.find(index)) return *found;
  const std::string there = trace.layers.empty() ? "no attention layer"
                            : trace.layers.size() == 1
                                ? "layer 0 only"
                                : "layers 0 to " + std::to_string(trace.layers.back().layer);
  throw usage_error("layer " + std::to_string(index) + ": this model has " + there);
}

// [n, heads, key] -> [n, key].
torch::Tensor of_head(const torch::Tensor& heads, int64_t head) {
  if (head < 0) return heads.mean(1);
  if (head < heads.size(1)) return heads.select(1, head);
  throw usage_error(
      "head " + std::to_string(head) + ": this layer has " +
      (heads.size(1) == 1 ? "head 0 only" : "heads 0 to " + std::to_string(heads.size(1) - 1)));
}

// C[i, j] = 1 - cos(x_i, x_i with the value of j zeroed), rows made to sum to 1 (Mohebbi et al.
// 2023). Every j is a copy of the example in a batch.
torch::Tensor zeroed_value_changes(const MethodInput& input, const LayerTrace& layer) {
  const int64_t keys = layer.inputs->keys();
  const torch::Tensor before = layer.hidden[0].to(torch::kDouble);  // [query, size]
  const torch::Tensor others = 1 - torch::eye(keys, layer.hidden.options());
  std::vector<torch::Tensor> parts;
  const int64_t at_once = copies_at_once(keys);
  for (int64_t begin = 0; begin < keys; begin += at_once) {
    const int64_t count = std::min(at_once, keys - begin);
    ForwardRequest request;
    request.trace.layers = {layer.layer};
    request.trace.statistics.hidden = true;
    AttentionEdit edit;
    edit.layers = {layer.layer};
    edit.value_scale = others.narrow(0, begin, count);
    request.edits = {edit};
    const TaskOutput output = input.task.forward(input.shared().batch(count), request);
    const torch::Tensor after = output.trace.find(layer.layer)->hidden.to(torch::kDouble);
    parts.push_back(1 - torch::cosine_similarity(after, before.unsqueeze(0), 2));  // [copy, query]
  }
  const torch::Tensor changes = torch::cat(parts).t().clamp_min(0.0);
  return changes / changes.sum(1, true).clamp_min(1e-30);
}

}  // namespace

torch::Tensor attention_rows(const Trace& trace, const torch::Tensor& rows, int64_t layer,
                             int64_t head) {
  const LayerTrace* last = last_input_layer(trace);
  if (layer < 0 && last == nullptr) return rows;  // the head reads the embeddings
  const LayerTrace& chosen = layer < 0 ? *last : layer_at(trace, layer);
  if (chosen.role == AttentionRole::kDecoder && has_cross(trace)) {
    std::string list;
    for (const LayerTrace& one : trace.layers) {
      if (one.role == AttentionRole::kDecoder) continue;
      list += (list.empty() ? "" : ", ") + std::to_string(one.layer);
    }
    throw usage_error(
        "layer " + std::to_string(layer) +
        " looks at the output, not at the input; layers that look at the input: " + list);
  }
  // A layer of the encoder is read by way of the last cross-attention.
  const bool behind_cross = chosen.role == AttentionRole::kSelf && has_cross(trace);
  return of_head(times_weights(chosen, behind_cross ? times_mean_weights(*last, rows) : rows),
                 head);
}

torch::Tensor rollout_rows(const Trace& trace, const torch::Tensor& rows) {
  return roll_out(trace, rows, times_mean_weights);
}

torch::Tensor norm_rows(const Trace& trace, const torch::Tensor& rows) {
  const LayerTrace* last = last_input_layer(trace);
  if (last == nullptr) return rows;
  std::vector<torch::Tensor> norms;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    norms.push_back(last->inputs->carried(rows[i]).norm(2, -1));
  }
  return torch::stack(norms);
}

MethodResult attention_of_layer(const MethodInput& input) {
  const Trace& trace = input.shared().output().trace;
  MethodResult result;
  result.positions =
      attention_rows(trace, readout_rows(input), input.options.layer, input.options.head)[0];
  if (input.options.layer >= 0 || input.options.head >= 0) {
    const LayerTrace* last = last_input_layer(trace);
    result.note = input.options.layer >= 0 ? "layer " + std::to_string(input.options.layer)
                  : last == nullptr        ? "read-out"
                                           : "layer " + std::to_string(last->layer);
    result.note +=
        input.options.head < 0 ? ", mean of heads" : ", head " + std::to_string(input.options.head);
  }
  return result;
}

MethodResult mean_attention(const MethodInput& input) {
  const Trace& trace = input.shared().output().trace;
  const torch::Tensor rows = readout_rows(input);
  const bool cross = has_cross(trace);
  torch::Tensor sum;
  double layers = 0;
  for (const LayerTrace& layer : trace.layers) {
    if (cross && layer.role != AttentionRole::kCross) continue;
    const torch::Tensor one = times_mean_weights(layer, rows);
    sum = sum.defined() ? sum + one : one;
    ++layers;
  }
  return {sum.defined() ? sum[0] / layers : rows[0], {}, ""};
}

MethodResult rollout(const MethodInput& input) {
  return {rollout_rows(input.shared().output().trace, readout_rows(input))[0], {}, ""};
}

MethodResult norm_based(const MethodInput& input) {
  return {norm_rows(input.shared().output().trace, readout_rows(input))[0], {}, ""};
}

MethodResult value_zeroing(const MethodInput& input) {
  torch::NoGradGuard no_grad;
  const Trace& trace = input.shared().output().trace;
  const bool cross = has_cross(trace);
  const auto mix = [&](const LayerTrace& layer, const torch::Tensor& rows) {
    // The keys of a decoder's self-attention are no units whose values could be zeroed.
    if ((cross && layer.role == AttentionRole::kDecoder) || !layer.hidden.defined()) {
      return times_mean_weights(layer, rows).to(torch::kDouble);
    }
    return torch::matmul(rows.to(torch::kDouble), zeroed_value_changes(input, layer));
  };
  return {roll_out(trace, readout_rows(input).to(torch::kDouble), mix)[0], {}, ""};
}

}  // namespace attend
