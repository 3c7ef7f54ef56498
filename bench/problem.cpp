// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "cases.h"

namespace attend::bench {
namespace {

using kernels::ElementType;

uint64_t mix(uint64_t state) {  // splitmix64, Steele et al. 2014
  state += 0x9e3779b97f4a7c15;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
  return state ^ (state >> 31);
}

// Mean 0, variance 1: the sum of four uniform numbers of 16 bits, close enough to normal here.
float random_number(uint64_t index) {
  const uint64_t bits = mix(index);
  const double sum = double(bits & 0xffff) + double((bits >> 16) & 0xffff) +
                     double((bits >> 32) & 0xffff) + double(bits >> 48);
  return float((sum - 2 * 65535.0) / (65535.0 * std::sqrt(1.0 / 3)));
}

uint16_t to_bf16(float number) {  // to nearest, ties to even; the numbers here are finite
  const auto bits = std::bit_cast<uint32_t>(number);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float from_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

// Touched, so that its pages do not count as memory that the kernels use.
Buffer touched(size_t bytes) {
  Buffer buffer(bytes);
  std::fill_n(buffer.as<char>(), bytes, char{0});
  return buffer;
}

int64_t element_size(ElementType type) { return type == ElementType::kFloat32 ? 4 : 2; }

}  // namespace

int64_t Problem::rows(Tensor tensor) const {
  const bool of_keys =
      tensor == kKey || tensor == kValue || tensor == kGradKey || tensor == kGradValue;
  return of_keys ? case_.shape.keys : case_.shape.queries;
}

int64_t Problem::heads(Tensor tensor) const {
  const bool of_keys =
      tensor == kKey || tensor == kValue || tensor == kGradKey || tensor == kGradValue;
  return of_keys ? case_.shape.kv_heads : case_.shape.heads;
}

kernels::MutableTensor Problem::mutable_tensor(Tensor tensor) const {
  const int64_t dim = case_.shape.dim;
  kernels::MutableTensor view;
  view.data = tensors_[tensor].as<void>();
  view.strides = {heads(tensor) * rows(tensor) * dim, rows(tensor) * dim, dim, 1};
  return view;
}

kernels::ConstTensor Problem::const_tensor(Tensor tensor) const {
  const kernels::MutableTensor view = mutable_tensor(tensor);
  return {view.data, view.strides};
}

double Problem::element(Tensor tensor, int64_t batch_head, int64_t row, int64_t column) const {
  const size_t at = size_t((batch_head * rows(tensor) + row) * case_.shape.dim + column);
  return case_.type == ElementType::kFloat32 ? tensors_[tensor].as<float>()[at]
                                             : from_bf16(tensors_[tensor].as<uint16_t>()[at]);
}

Problem::Problem(const Case& measured) : case_(measured) {
  const Shape& s = case_.shape;
  const int last = case_.what == What::kBackward ? kGradValue : kOutput;
  for (int tensor = kQuery; tensor <= last; ++tensor) {
    const auto which = Tensor(tensor);
    const size_t count = size_t(s.batch * heads(which) * rows(which) * s.dim);
    tensors_[tensor] = touched(count * size_t(element_size(case_.type)));
    if (which == kOutput || which > kGradOutput) continue;
    const uint64_t seed = uint64_t(tensor) << 48;
    for (size_t i = 0; i < count; ++i) {
      const float number = random_number(seed + i);
      if (case_.type == ElementType::kFloat32) {
        tensors_[tensor].as<float>()[i] = number;
      } else {
        tensors_[tensor].as<uint16_t>()[i] = to_bf16(number);
      }
    }
  }
  attention_.batch = s.batch;
  attention_.heads = s.heads;
  attention_.kv_heads = s.kv_heads;
  attention_.queries = s.queries;
  attention_.keys = s.keys;
  attention_.dim = s.dim;
  attention_.value_dim = s.dim;
  attention_.type = case_.type;
  attention_.query = const_tensor(kQuery);
  attention_.key = const_tensor(kKey);
  attention_.value = const_tensor(kValue);
  attention_.causal = case_.causal;
  attention_.query_offset = case_.causal ? std::max<int64_t>(0, s.keys - s.queries) : 0;
  attention_.window_left = case_.window;
  attention_.window_right = case_.causal ? -1 : case_.window;
  if (const char* wrong = kernels::check(attention_)) throw std::invalid_argument(wrong);
  prepare_trace();
}

void Problem::prepare_trace() {
  const Shape& s = case_.shape;
  const size_t query_rows = size_t(s.batch * s.heads * s.queries);
  const bool with_lse = case_.what == What::kBackward || case_.trace != TraceKind::kNone;
  if (with_lse) {
    lse_ = touched(query_rows * sizeof(float));
    trace_.lse = lse_.as<float>();
  }
  switch (case_.trace) {
    case TraceKind::kNone:
      break;
    case TraceKind::kEntropy:
      entropy_ = touched(query_rows * sizeof(float));
      trace_.entropy = entropy_.as<float>();
      break;
    case TraceKind::kTopKeys:
      top_keys_ = touched(query_rows * kTopKeys * sizeof(int32_t));
      top_weights_ = touched(query_rows * kTopKeys * sizeof(float));
      trace_.top_k = kTopKeys;
      trace_.top_keys = top_keys_.as<int32_t>();
      trace_.top_weights = top_weights_.as<float>();
      break;
    case TraceKind::kReceived:
      received_ = touched(size_t(s.batch * s.heads * s.keys) * sizeof(float));
      trace_.received = received_.as<float>();
      break;
    case TraceKind::kPooled:
      pooled_ = touched(size_t(s.batch * s.heads * kPooledCells * kPooledCells) * sizeof(float));
      trace_.pooled_rows = trace_.pooled_columns = kPooledCells;
      trace_.pooled = pooled_.as<float>();
      break;
  }
}

void Problem::forward() { kernels::forward(attention_, mutable_tensor(kOutput)); }

void Problem::forward_traced() { kernels::forward(attention_, mutable_tensor(kOutput), trace_); }

void Problem::backward() {
  kernels::Gradients gradients;
  gradients.output = const_tensor(kOutput);
  gradients.d_output = const_tensor(kGradOutput);
  gradients.lse = trace_.lse;
  gradients.d_query = mutable_tensor(kGradQuery);
  gradients.d_key = mutable_tensor(kGradKey);
  gradients.d_value = mutable_tensor(kGradValue);
  kernels::backward(attention_, gradients);
}

}  // namespace attend::bench
