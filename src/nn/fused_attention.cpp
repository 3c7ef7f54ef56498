// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The one bridge from attend::kernels to autograd. Everything here is about memory: which tensors
// the kernels read in place, who owns what they read, and how gradients are laid out. Gradients and
// outputs take the memory order of the tensors they belong to, so that the [batch, length, heads *
// dim] matrices around attention are views of them and no transposition is ever carried out.
#include "fused_attention.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "attend/kernels/attention.h"
#include "random_seed.h"

namespace attend::detail {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = c10::optional<torch::Tensor>;

// The kernels' limits.
constexpr int64_t kLargestDim = 256;
constexpr int64_t kMostTopKeys = 32;

kernels::Strides strides_of(const torch::Tensor& tensor) {
  return {tensor.stride(0), tensor.stride(1), tensor.stride(2), tensor.stride(3)};
}

kernels::ConstTensor readable(const torch::Tensor& tensor) {
  return {tensor.data_ptr(), strides_of(tensor)};
}

kernels::MutableTensor writable(const torch::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.data_ptr(), strides_of(tensor)};
}

const float* floats(const torch::Tensor& tensor) {
  return tensor.defined() && tensor.numel() > 0 ? tensor.data_ptr<float>() : nullptr;
}

float* writable_floats(const torch::Tensor& tensor) {
  return tensor.defined() && tensor.numel() > 0 ? tensor.data_ptr<float>() : nullptr;
}

// The tensors of a call that gradients flow to, in the type that the kernels read.
struct Terms {
  torch::Tensor bias;           // float, broadcasts to [batch, heads, query, key]
  torch::Tensor distance_bias;  // float, dense
  torch::Tensor sink;           // float, dense
};

Terms terms_of(const AttentionArguments& arguments) {
  const auto dense = [](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.to(torch::kFloat).contiguous() : tensor;
  };
  Terms terms;
  if (arguments.bias.defined()) terms.bias = arguments.bias.to(torch::kFloat);
  terms.distance_bias = dense(arguments.distance_bias);
  terms.sink = dense(arguments.sink);
  return terms;
}

// What else shapes a call. The backward needs it too, so it owns the memory that it points to.
struct FusedCall : torch::CustomClassHolder {
  kernels::Attention settings;               // all but shapes, tensors and the terms above
  torch::Tensor query_lengths, key_lengths;  // int64
  torch::Tensor alibi_slopes;                // float
  TraceStatistics wanted;
};
using FusedCallPointer = c10::intrusive_ptr<FusedCall>;

FusedCallPointer call_of(const torch::Tensor& query, const torch::Tensor& key,
                         const AttentionArguments& arguments) {
  // clamp() copies: the kernels refuse what the plain path ignores, and the caller may write on.
  const auto lengths = [](const torch::Tensor& given, int64_t longest) {
    if (!given.defined()) return given;
    return given.to(torch::kCPU, torch::kInt64).clamp(0, longest).contiguous();
  };
  FusedCallPointer call = c10::make_intrusive<FusedCall>();
  call->wanted = arguments.statistics;
  call->query_lengths = lengths(arguments.query_lengths, query.size(2));
  call->key_lengths = lengths(arguments.key_lengths, key.size(2));
  if (arguments.alibi_slopes.defined()) {
    call->alibi_slopes = arguments.alibi_slopes.detach().to(torch::kFloat, false, /*copy=*/true);
  }
  kernels::Attention& settings = call->settings;
  settings.scale = arguments.scale.value_or(1 / std::sqrt(double(query.size(3))));
  settings.causal = arguments.causal;
  settings.query_offset = arguments.query_offset;
  settings.window_left = std::max<int64_t>(arguments.window_left, -1);
  settings.window_right = std::max<int64_t>(arguments.window_right, -1);
  if (call->query_lengths.defined()) {
    settings.query_lengths = call->query_lengths.data_ptr<int64_t>();
  }
  if (call->key_lengths.defined()) settings.key_lengths = call->key_lengths.data_ptr<int64_t>();
  settings.alibi_slopes = floats(call->alibi_slopes);
  settings.dropout = arguments.dropout;
  if (arguments.dropout > 0) settings.dropout_seed = draw_seed();
  return call;
}

kernels::Attention description(const FusedCall& call, const torch::Tensor& query,
                               const torch::Tensor& key, const torch::Tensor& value,
                               const Terms& terms) {
  kernels::Attention all = call.settings;
  all.batch = query.size(0);
  all.heads = query.size(1);
  all.kv_heads = key.size(1);
  all.queries = query.size(2);
  all.keys = key.size(2);
  all.dim = query.size(3);
  all.value_dim = value.size(3);
  all.type = query.scalar_type() == torch::kBFloat16 ? kernels::ElementType::kBFloat16
                                                     : kernels::ElementType::kFloat32;
  all.query = readable(query);
  all.key = readable(key);
  all.value = readable(value);
  if (terms.bias.defined()) {
    const torch::Tensor bias = terms.bias.expand({all.batch, all.heads, all.queries, all.keys});
    all.bias = {floats(bias), strides_of(bias)};
  }
  if (terms.distance_bias.defined()) {
    all.distance_bias = floats(terms.distance_bias);
    all.distance_reach = (terms.distance_bias.size(1) - 1) / 2;
  }
  all.sink = floats(terms.sink);
  all.threads = at::get_num_threads();
  const char* wrong = kernels::check(all);
  TORCH_CHECK(!wrong, wrong);
  return all;
}

// [batch, heads, query, value_dim] in the order of the query's memory.
torch::Tensor empty_output(const torch::Tensor& query, int64_t value_dim) {
  const int64_t batch = query.size(0), heads = query.size(1), queries = query.size(2);
  if (query.stride(1) < query.stride(2)) {
    return torch::empty({batch, queries, heads, value_dim}, query.options()).transpose(1, 2);
  }
  return torch::empty({batch, heads, queries, value_dim}, query.options());
}

torch::Tensor weights_of(const kernels::Attention& all, const torch::Tensor& lse,
                         const WeightsTile& tile) {
  torch::Tensor weights = torch::empty(
      {tile.batch < 0 ? all.batch : 1, tile.head < 0 ? all.heads : 1, tile.queries, tile.keys},
      lse.options());
  kernels::WeightsRequest request;
  request.lse = floats(lse);
  request.batch = tile.batch;
  request.head = tile.head;
  request.first_query = tile.first_query;
  request.queries = tile.queries;
  request.first_key = tile.first_key;
  request.keys = tile.keys;
  request.weights = writable_floats(weights);
  kernels::weights(all, request);
  return weights;
}

// The kernels' Trace and the tensors behind it.
class Report {
 public:
  Report(const kernels::Attention& all, const TraceStatistics& wanted) {
    const auto real = torch::TensorOptions().dtype(torch::kFloat);
    lse = torch::empty({all.batch, all.heads, all.queries}, real);
    trace.lse = writable_floats(lse);
    // Undefined outputs of an autograd function are not allowed: an empty one stands for "not
    // asked".
    entropy = wanted.entropy ? torch::empty_like(lse) : torch::empty({0}, real);
    trace.entropy = writable_floats(entropy);
    if (wanted.received) {
      statistics.received = torch::empty({all.batch, all.heads, all.keys}, real);
      trace.received = writable_floats(statistics.received);
    }
    if (wanted.top_keys > 0) {
      const int64_t count = std::min(wanted.top_keys, all.keys);
      statistics.top_weights = torch::empty({all.batch, all.heads, all.queries, count}, real);
      statistics.top_keys = torch::empty(statistics.top_weights.sizes(), real.dtype(torch::kInt32));
      trace.top_k = static_cast<int32_t>(count);
      trace.top_keys = statistics.top_keys.data_ptr<int32_t>();
      trace.top_weights = writable_floats(statistics.top_weights);
    }
    if (wanted.pooled()) {
      statistics.pooled =
          torch::empty({all.batch, all.heads, wanted.pooled_rows, wanted.pooled_columns}, real);
      trace.pooled_rows = wanted.pooled_rows;
      trace.pooled_columns = wanted.pooled_columns;
      trace.pooled = writable_floats(statistics.pooled);
    }
  }

  kernels::Trace trace;
  torch::Tensor lse, entropy;
  AttentionStatistics statistics;  // what is not differentiated
};

struct FusedFunction : torch::autograd::Function<FusedFunction> {
  // -> output, LSE, entropy (empty when not asked for). `report` receives the statistics that are
  // not differentiated.
  static variable_list forward(AutogradContext* context, const torch::Tensor& query,
                               const torch::Tensor& key, const torch::Tensor& value,
                               const OptionalTensor& bias, const OptionalTensor& distance_bias,
                               const OptionalTensor& sink, const FusedCallPointer& call,
                               AttentionStatistics* report) {
    const Terms terms{bias.value_or(torch::Tensor()), distance_bias.value_or(torch::Tensor()),
                      sink.value_or(torch::Tensor())};
    const kernels::Attention all = description(*call, query, key, value, terms);
    const torch::Tensor output = empty_output(query, all.value_dim);
    Report asked(all, call->wanted);
    kernels::forward(all, writable(output), asked.trace);
    if (call->wanted.weights) {
      WeightsTile whole;
      whole.queries = all.queries;
      whole.keys = all.keys;
      asked.statistics.weights = weights_of(all, asked.lse, whole);
    }
    *report = std::move(asked.statistics);
    context->set_materialize_grads(false);
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    context->save_for_backward({query, key, value, terms.bias, terms.distance_bias, terms.sink,
                                output, asked.lse, asked.entropy});
    if (asked.entropy.numel() == 0) context->mark_non_differentiable({asked.entropy});
    return {output, asked.lse, asked.entropy};
  }

  static variable_list backward(AutogradContext* context, const variable_list& by_outputs) {
    TORCH_CHECK(!torch::GradMode::is_enabled(),
                "attention: the fused kernels give no gradients of gradients (create_graph); set "
                "AttentionArguments::route to AttentionRoute::kPlain");
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &query = saved[0], &key = saved[1], &value = saved[2];
    const Terms terms{saved[3], saved[4], saved[5]};
    const torch::Tensor &output = saved[6], &lse = saved[7], &entropy = saved[8];
    const auto call =
        c10::static_intrusive_pointer_cast<FusedCall>(context->saved_data["call"].toCapsule());
    const kernels::Attention all = description(*call, query, key, value, terms);

    // Absent terms have no edge, so the edges of the others move up.
    size_t edge = 0;
    const auto needed = [&](const torch::Tensor& input) {
      return input.defined() && context->needs_input_grad(edge++);
    };
    const auto overwritten = [&](const torch::Tensor& input) {
      return needed(input) ? torch::empty_like(input) : torch::Tensor();
    };
    const auto added_to = [&](const torch::Tensor& input) {
      if (!needed(input)) return torch::Tensor();
      return torch::zeros(input.sizes(), input.options());
    };
    const torch::Tensor d_query = overwritten(query), d_key = overwritten(key),
                        d_value = overwritten(value);
    const torch::Tensor d_bias = added_to(terms.bias),
                        d_distance_bias = added_to(terms.distance_bias),
                        d_sink = added_to(terms.sink);

    const torch::Tensor by_output = by_outputs[0].defined()
                                        ? by_outputs[0]
                                        : torch::zeros({1}, output.options()).expand_as(output);
    const auto dense = [](const torch::Tensor& gradient) {
      return gradient.defined() ? gradient.contiguous() : gradient;
    };
    const torch::Tensor by_lse = dense(by_outputs[1]), by_entropy = dense(by_outputs[2]);
    kernels::Gradients gradients;
    gradients.output = readable(output);
    gradients.d_output = readable(by_output);
    gradients.lse = floats(lse);
    gradients.d_lse = floats(by_lse);
    gradients.entropy = floats(entropy);
    gradients.d_entropy = floats(by_entropy);
    gradients.d_query = writable(d_query);
    gradients.d_key = writable(d_key);
    gradients.d_value = writable(d_value);
    if (d_bias.defined()) {
      gradients.d_bias = writable_floats(d_bias);
      gradients.d_bias_strides =
          strides_of(d_bias.expand({all.batch, all.heads, all.queries, all.keys}));
    }
    gradients.d_distance_bias = writable_floats(d_distance_bias);
    gradients.d_sink = writable_floats(d_sink);
    kernels::backward(all, gradients);
    return {d_query, d_key, d_value, d_bias, d_distance_bias, d_sink, {}, {}};
  }
};

bool same_kind(const torch::Tensor& tensor, const torch::Tensor& query) {
  return tensor.device() == query.device() && tensor.scalar_type() == query.scalar_type() &&
         tensor.layout() == torch::kStrided;
}

bool on_cpu(const torch::Tensor& tensor) { return !tensor.defined() || tensor.is_cpu(); }

}  // namespace

bool fused_takes(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                 const AttentionArguments& arguments) {
  const auto type = query.scalar_type();
  if (!query.is_cpu() || (type != torch::kFloat && type != torch::kBFloat16) ||
      !same_kind(query, query) || !same_kind(key, query) || !same_kind(value, query) ||
      !on_cpu(arguments.bias) || !on_cpu(arguments.distance_bias) ||
      !on_cpu(arguments.alibi_slopes) || !on_cpu(arguments.sink)) {
    return false;
  }
  const auto fits = [](int64_t dim) { return dim >= 1 && dim <= kLargestDim; };
  const double scale = arguments.scale.value_or(1);
  const TraceStatistics& wanted = arguments.statistics;
  if (!fits(query.size(3)) || !fits(value.size(3)) || !std::isfinite(scale) || scale < 0 ||
      wanted.top_keys > kMostTopKeys) {
    return false;
  }
  if (!torch::GradMode::is_enabled()) return true;
  const auto recorded = [](const torch::Tensor& tensor) {
    return tensor.defined() && tensor.requires_grad();
  };
  if (recorded(arguments.alibi_slopes)) return false;
  if (!wanted.weights && !wanted.received && wanted.top_keys == 0 && !wanted.pooled()) return true;
  return !(recorded(query) || recorded(key) || recorded(value) || recorded(arguments.bias) ||
           recorded(arguments.distance_bias) || recorded(arguments.sink));
}

AttentionResult fused_attention(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& value, const AttentionArguments& arguments) {
  const TraceStatistics& wanted = arguments.statistics;
  const Terms terms = terms_of(arguments);
  const auto optional = [](const torch::Tensor& tensor) {
    return tensor.defined() ? OptionalTensor(tensor) : OptionalTensor();
  };
  AttentionResult result;
  const variable_list outputs = FusedFunction::apply(
      query, key, value, optional(terms.bias), optional(terms.distance_bias), optional(terms.sink),
      call_of(query, key, arguments), &result.statistics);
  result.output = outputs[0];
  const torch::Tensor& lse = outputs[1];
  AttentionStatistics& statistics = result.statistics;
  if (wanted.lse) statistics.lse = lse;
  if (wanted.entropy) statistics.entropy = outputs[2];
  if (wanted.top_keys > 0) {
    statistics.top_keys =
        statistics.top_keys.to(torch::kInt64).masked_fill(statistics.top_weights <= 0, -1);
  }
  if (wanted.sink && terms.sink.defined()) {
    // exp(sink - lse); a row without keys (lse = -inf) gives its sink nothing.
    const torch::Tensor total =
        lse.masked_fill(torch::isneginf(lse), std::numeric_limits<double>::infinity());
    statistics.sink = (terms.sink.view({1, -1, 1}) - total).exp();
  } else if (wanted.sink) {
    statistics.sink = torch::zeros_like(lse);
  }
  return result;
}

torch::Tensor fused_weights_tile(const torch::Tensor& query, const torch::Tensor& key,
                                 const torch::Tensor& lse, const WeightsTile& tile,
                                 const AttentionArguments& arguments) {
  AttentionArguments kept = arguments;
  kept.dropout = 0;  // the weights are those before it: no seed is drawn
  const FusedCallPointer call = call_of(query, key, kept);
  const Terms terms = terms_of(kept);  // owns what the description points to
  const kernels::Attention all = description(*call, query, key, key, terms);
  return weights_of(all, lse.to(torch::kCPU, torch::kFloat).contiguous(), tile);
}

}  // namespace attend::detail
