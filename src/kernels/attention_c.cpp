// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/kernels/attention_c.h"

#include "attend/kernels/attention.h"

namespace {

using namespace attend::kernels;

Strides strides(const attend_strides& s) { return {s.batch, s.head, s.row, s.dim}; }
ConstTensor tensor(const attend_const_tensor& t) { return {t.data, strides(t.strides)}; }
MutableTensor tensor(const attend_tensor& t) { return {t.data, strides(t.strides)}; }

Attention attention_of(const attend_attention& c) {
  Attention a;
  a.batch = c.batch;
  a.heads = c.heads;
  a.kv_heads = c.kv_heads;
  a.queries = c.queries;
  a.keys = c.keys;
  a.dim = c.dim;
  a.value_dim = c.value_dim;
  a.type = c.type == ATTEND_BFLOAT16 ? ElementType::kBFloat16 : ElementType::kFloat32;
  a.query = tensor(c.query);
  a.key = tensor(c.key);
  a.value = tensor(c.value);
  a.scale = c.scale;
  a.soft_cap = c.soft_cap;
  a.causal = c.causal != 0;
  a.query_offset = c.query_offset;
  a.query_offsets = c.query_offsets;
  a.window_left = c.window_left;
  a.window_right = c.window_right;
  a.query_lengths = c.query_lengths;
  a.key_lengths = c.key_lengths;
  a.query_starts = c.query_starts;
  a.key_starts = c.key_starts;
  a.pages = c.pages;
  a.page_size = c.page_size;
  a.pages_per_batch = c.pages_per_batch;
  a.bias = {c.bias, strides(c.bias_strides)};
  a.distance_bias = c.distance_bias;
  a.distance_reach = c.distance_reach;
  a.alibi_slopes = c.alibi_slopes;
  a.block_mask = {c.block_mask, strides(c.block_mask_strides), c.query_block, c.key_block};
  a.sink = c.sink;
  a.dropout = c.dropout;
  a.dropout_seed = c.dropout_seed;
  a.threads = c.threads;
  return a;
}

}  // namespace

void attend_attention_init(attend_attention* attention) {
  const Attention defaults;
  *attention = attend_attention{};
  attention->batch = defaults.batch;
  attention->heads = defaults.heads;
  attention->kv_heads = defaults.kv_heads;
  attention->scale = defaults.scale;
  attention->window_left = defaults.window_left;
  attention->window_right = defaults.window_right;
  attention->query.strides.dim = attention->key.strides.dim = attention->value.strides.dim = 1;
  attention->bias_strides.dim = attention->block_mask_strides.dim = 1;
  attention->query_block = defaults.block_mask.query_block;
  attention->key_block = defaults.block_mask.key_block;
}

const char* attend_attention_forward(const attend_attention* attention, const attend_tensor* output,
                                     const attend_trace* trace) {
  const Attention a = attention_of(*attention);
  if (const char* wrong = check(a)) return wrong;
  Trace wanted;
  if (trace) {
    wanted = {trace->lse,         trace->entropy,        trace->top_k,
              trace->top_keys,    trace->top_weights,    trace->received,
              trace->pooled_rows, trace->pooled_columns, trace->pooled};
  }
  if (wanted.top_k < 0 || wanted.top_k > 32) return "attention: top_k must be 0 to 32";
  forward(a, tensor(*output), wanted);
  return nullptr;
}

const char* attend_attention_backward(const attend_attention* attention,
                                      const attend_gradients* gradients) {
  const Attention a = attention_of(*attention);
  if (const char* wrong = check(a)) return wrong;
  if (!gradients->lse) return "attention: the backward needs the forward's lse";
  Gradients g;
  g.output = tensor(gradients->output);
  g.d_output = tensor(gradients->d_output);
  g.lse = gradients->lse;
  g.d_lse = gradients->d_lse;
  g.entropy = gradients->entropy;
  g.d_entropy = gradients->d_entropy;
  g.d_query = tensor(gradients->d_query);
  g.d_key = tensor(gradients->d_key);
  g.d_value = tensor(gradients->d_value);
  g.d_bias = gradients->d_bias;
  g.d_bias_strides = strides(gradients->d_bias_strides);
  g.d_distance_bias = gradients->d_distance_bias;
  g.d_sink = gradients->d_sink;
  backward(a, g);
  return nullptr;
}

const char* attend_attention_weights(const attend_attention* attention,
                                     const attend_weights_request* request) {
  const Attention a = attention_of(*attention);
  if (const char* wrong = check(a)) return wrong;
  if (!request->lse) return "attention: weights need the forward's lse";
  weights(a, {request->lse, request->batch, request->head, request->first_query, request->queries,
              request->first_key, request->keys, request->weights});
  return nullptr;
}

const char* attend_attention_isa(void) { return to_string(active_isa()); }
