// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Calls of attention() that between them use every option, and the same calls in another type.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "attend/nn/attention_function.h"
#include "testing.h"

namespace attend::testing {

/// One call. Tensors that gradients flow to are listed by differentiable().
struct FusedCase {
  std::string name;
  torch::Tensor query, key, value;
  AttentionArguments arguments;

  AttentionResult run() const { return attention(query, key, value, arguments); }

  std::vector<torch::Tensor> differentiable() const {
    std::vector<torch::Tensor> all = {query, key, value};
    for (const auto& term : {arguments.bias, arguments.distance_bias, arguments.sink}) {
      if (term.defined()) all.push_back(term);
    }
    return all;
  }

  /// The same numbers in double, on the plain path: the reference.
  FusedCase reference() const {
    FusedCase copy = *this;
    const auto leaf = [](torch::Tensor& tensor) {
      if (tensor.defined()) tensor = tensor.detach().to(torch::kDouble);
    };
    for (torch::Tensor* tensor :
         {&copy.query, &copy.key, &copy.value, &copy.arguments.bias, &copy.arguments.distance_bias,
          &copy.arguments.sink, &copy.arguments.alibi_slopes}) {
      leaf(*tensor);
    }
    copy.arguments.route = AttentionRoute::kPlain;
    return copy;
  }

  void record_gradients() const {
    for (torch::Tensor tensor : differentiable()) tensor.requires_grad_(true);
  }
};

struct FusedShape {
  int64_t batch = 2, heads = 4, kv_heads = 4, queries = 37, keys = 53, dim = 40, value_dim = 24;
};

inline FusedCase fused_case(std::string name, const FusedShape& shape = {},
                            torch::ScalarType type = torch::kFloat) {
  const auto filled = [type](torch::IntArrayRef sizes) {
    return torch::randn(sizes, torch::kFloat).to(type);
  };
  FusedCase made;
  made.name = std::move(name);
  made.query = filled({shape.batch, shape.heads, shape.queries, shape.dim});
  made.key = filled({shape.batch, shape.kv_heads, shape.keys, shape.dim});
  made.value = filled({shape.batch, shape.kv_heads, shape.keys, shape.value_dim});
  return made;
}

/// Every option, alone and together; multiples of blocks and not; one row and many.
inline std::vector<FusedCase> fused_cases(torch::ScalarType type = torch::kFloat) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<FusedCase> cases;
  const auto add = [&](std::string name, const FusedShape& shape = {}) -> FusedCase& {
    cases.push_back(fused_case(std::move(name), shape, type));
    return cases.back();
  };
  const auto real = [](torch::IntArrayRef sizes) { return torch::randn(sizes, torch::kFloat); };

  add("plain");
  add("scaled").arguments.scale = 0.31;
  add("zero scale").arguments.scale = 0;
  add("grouped", {.kv_heads = 2});
  add("multi-query", {.kv_heads = 1});
  add("one row", {.kv_heads = 2, .queries = 1, .keys = 300});
  add("one key", {.keys = 1});
  add("many blocks", {.batch = 1, .heads = 2, .kv_heads = 1, .queries = 333, .keys = 417});
  for (const int64_t dim : {1, 8, 64, 128, 256}) {
    add("dim " + std::to_string(dim), {.batch = 1, .dim = dim, .value_dim = dim});
  }
  add("value wider than key", {.dim = 5, .value_dim = 100});
  {
    AttentionArguments& padded = add("lengths").arguments;
    padded.key_lengths = lengths_of({53, 7});
    padded.query_lengths = lengths_of({20, 37});
  }
  {
    AttentionArguments& padded = add("empty lengths", {.kv_heads = 2}).arguments;
    padded.key_lengths = lengths_of({0, 53});
    padded.query_lengths = lengths_of({37, 0});
  }
  add("causal", {.queries = 130, .keys = 130}).arguments.causal = true;
  for (const int64_t offset : {5, 16, 60}) {
    AttentionArguments& causal = add("causal from " + std::to_string(offset)).arguments;
    causal.causal = true;
    causal.query_offset = offset;
  }
  for (const auto& [left, right] : {std::pair<int64_t, int64_t>{0, 0}, {9, 3}, {-1, 2}, {4, -1}}) {
    for (const int64_t offset : {0, 30, 70}) {
      AttentionArguments& window = add("window " + std::to_string(left) + " " +
                                       std::to_string(right) + " from " + std::to_string(offset))
                                       .arguments;
      window.window_left = left;
      window.window_right = right;
      window.query_offset = offset;
    }
  }
  const std::vector<std::vector<int64_t>> bias_shapes = {
      {2, 4, 37, 53}, {1, 4, 37, 53}, {2, 1, 1, 53}, {37, 53}, {1, 1, 37, 1}};
  for (const auto& sizes : bias_shapes) {
    add("bias of " + std::to_string(sizes.size()) + " axes").arguments.bias = real(sizes);
  }
  add("bias read backwards").arguments.bias = real({2, 4, 53, 37}).transpose(2, 3);
  {
    AttentionArguments& forbidding = add("bias of -infinity").arguments;
    forbidding.bias = real({1, 1, 37, 53});
    forbidding.bias.select(2, 4).fill_(-kInfinity);
    forbidding.bias.select(3, 9).fill_(-kInfinity);
  }
  {
    AttentionArguments& distances = add("distances", {.kv_heads = 2}).arguments;
    distances.query_offset = 3;
    distances.alibi_slopes = torch::rand({4}, torch::kFloat);
    distances.distance_bias = real({15, 4}).t();
  }
  add("sink").arguments.sink = real({4});
  {
    AttentionArguments& all = add("everything", {.kv_heads = 2}).arguments;
    all.causal = true;
    all.query_offset = 11;
    all.window_left = 25;
    all.key_lengths = lengths_of({53, 20});
    all.query_lengths = lengths_of({30, 37});
    all.bias = real({2, 1, 37, 53});
    all.bias.select(2, 6).fill_(-kInfinity);
    all.distance_bias = real({4, 9});
    all.alibi_slopes = torch::rand({4}, torch::kFloat);
    all.sink = real({4});
  }
  {
    // As the modules hand them over: views of [batch, length, heads * dim].
    FusedCase& views = add("views");
    views.query = torch::randn({2, 37, 160}).to(type).view({2, 37, 4, 40}).transpose(1, 2);
    views.key = torch::randn({2, 53, 160}).to(type).view({2, 53, 4, 40}).transpose(1, 2);
  }
  {
    FusedCase& views = add("any strides");
    views.query = torch::randn({40, 2, 37, 4}).to(type).permute({1, 3, 2, 0});
    views.key = torch::randn({1, 4, 106, 40}).to(type).slice(2, 0, 106, 2).expand({2, -1, -1, -1});
    views.value = torch::randn({2, 4, 1, 24}).to(type).expand({-1, -1, 53, -1});
  }
  return cases;
}

/// |actual - expected| <= tolerance * largest |expected|, everywhere; infinities must agree.
inline ::testing::AssertionResult within_scale(const torch::Tensor& actual,
                                               const torch::Tensor& expected, double tolerance,
                                               double at_least = 0) {
  if (!actual.defined() || actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure() << "shapes differ";
  }
  const torch::Tensor a = actual.detach().to(torch::kDouble);
  const torch::Tensor b = expected.detach().to(torch::kDouble);
  if (!torch::equal(torch::isinf(a), torch::isinf(b)) || torch::isnan(a).any().item<bool>()) {
    return ::testing::AssertionFailure() << "infinite or not a number in other places";
  }
  if (a.numel() == 0) return ::testing::AssertionSuccess();
  const torch::Tensor finite = torch::isfinite(b);
  const double scale =
      std::max(at_least, b.where(finite, torch::zeros_like(b)).abs().max().item<double>());
  const double error = (a - b).where(finite, torch::zeros_like(b)).abs().max().item<double>();
  if (error <= tolerance * scale) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "error " << error << " at a scale of " << scale;
}

}  // namespace attend::testing
