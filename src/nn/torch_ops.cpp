// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// attend::attention and attend::attention_trace as operators of LibTorch, in a library of its own:
//
//   torch.ops.load_library("libattend-torch.so")
//   output = torch.ops.attend.attention(query, key, value, causal=True)
//
// Registered for all dispatch keys at once: attention() itself records gradients and picks the code
// for the device. Both operators read their inputs from the interpreter's stack, because a list of
// fifteen parameters would otherwise be written out four times.
#include <ATen/core/stack.h>
#include <torch/library.h>

#include <string>

#include "attend/nn/attention_function.h"

namespace attend {
namespace {

// The meaning of each is that of the field of AttentionArguments with its name.
#define ATTEND_INPUTS                                                                         \
  "(Tensor query, Tensor key, Tensor value, *, bool causal=False, float? scale=None, "        \
  "int query_offset=0, int window_left=-1, int window_right=-1, Tensor? query_lengths=None, " \
  "Tensor? key_lengths=None, Tensor? bias=None, Tensor? distance_bias=None, "                 \
  "Tensor? alibi_slopes=None, Tensor? sink=None, float dropout=0.0"
constexpr size_t kInputs = 15;

// `top_keys`: how many heaviest keys to list per query.
constexpr const char* kAttention = "attention" ATTEND_INPUTS ") -> Tensor";
constexpr const char* kAttentionTrace =
    "attention_trace" ATTEND_INPUTS
    ", int top_keys=8) -> (Tensor output, Tensor lse, Tensor entropy, Tensor top_keys, "
    "Tensor top_weights, Tensor received)";

struct Inputs {
  torch::Tensor query, key, value;
  AttentionArguments arguments;

  AttentionResult run() const { return attention(query, key, value, arguments); }
};

// Reads ATTEND_INPUTS from the start of `values`.
Inputs inputs_of(c10::ArrayRef<c10::IValue> values) {
  size_t at = 0;
  const auto next = [&]() -> const c10::IValue& { return values[at++]; };
  const auto next_or_undefined = [&] {
    const c10::IValue& value = next();
    return value.isNone() ? torch::Tensor() : value.toTensor();
  };
  Inputs inputs;
  inputs.query = next().toTensor();
  inputs.key = next().toTensor();
  inputs.value = next().toTensor();
  AttentionArguments& arguments = inputs.arguments;
  arguments.causal = next().toBool();
  if (const c10::IValue& scale = next(); !scale.isNone()) arguments.scale = scale.toDouble();
  arguments.query_offset = next().toInt();
  arguments.window_left = next().toInt();
  arguments.window_right = next().toInt();
  arguments.query_lengths = next_or_undefined();
  arguments.key_lengths = next_or_undefined();
  arguments.bias = next_or_undefined();
  arguments.distance_bias = next_or_undefined();
  arguments.alibi_slopes = next_or_undefined();
  arguments.sink = next_or_undefined();
  arguments.dropout = next().toDouble();
  return inputs;
}

void attention_operator(const c10::OperatorHandle&, torch::jit::Stack* stack) {
  const AttentionResult result = inputs_of(torch::jit::last(*stack, kInputs)).run();
  torch::jit::drop(*stack, kInputs);
  torch::jit::push(*stack, result.output);
}

void attention_trace_operator(const c10::OperatorHandle&, torch::jit::Stack* stack) {
  const auto values = torch::jit::last(*stack, kInputs + 1);
  Inputs inputs = inputs_of(values);
  TraceStatistics& wanted = inputs.arguments.statistics;
  wanted.lse = wanted.entropy = wanted.received = true;
  wanted.top_keys = values[kInputs].toInt();
  TORCH_CHECK(wanted.top_keys > 0, "attend::attention_trace: top_keys must be at least 1, got ",
              wanted.top_keys);
  const AttentionResult result = inputs.run();
  torch::jit::drop(*stack, kInputs + 1);
  const AttentionStatistics& seen = result.statistics;
  torch::jit::push(*stack, result.output, seen.lse, seen.entropy, seen.top_keys, seen.top_weights,
                   seen.received);
}

}  // namespace

TORCH_LIBRARY(attend, library) {
  library.def(kAttention, torch::CppFunction::makeFromBoxedFunction<&attention_operator>());
  library.def(kAttentionTrace,
              torch::CppFunction::makeFromBoxedFunction<&attention_trace_operator>());
}

}  // namespace attend
