// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "nn/linear.h"

#include <ATen/Parallel.h>

#include "attend/kernels/attention.h"
#include "nn/projection.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;

struct Values {
  torch::Tensor input, weight, bias, by_output;
};

Values values(int64_t inputs, int64_t outputs, torch::ScalarType type) {
  torch::manual_seed(inputs);
  // Not contiguous, and sizes that fill neither a panel of 32 outputs nor a block of rows.
  const torch::Tensor input = torch::randn({3, inputs, 111}).transpose(1, 2).to(type);
  return {input, torch::randn({outputs, inputs}), torch::randn({outputs}),
          torch::randn({3, outputs, 111}).transpose(1, 2).to(type)};
}

// Output and gradients of input, weight and bias; in double precision with the weight that a
// product of the input's type sees.
std::vector<torch::Tensor> both_ways(const Values& v, bool with_bias, bool exact) {
  const auto leaf = [&](const torch::Tensor& tensor) {
    return (exact ? tensor.to(torch::kDouble) : tensor).detach().clone().set_requires_grad(true);
  };
  const torch::Tensor input = leaf(v.input), bias = leaf(v.bias);
  const torch::Tensor weight = leaf(exact ? v.weight.to(v.input.scalar_type()) : v.weight);
  const torch::Tensor shift = with_bias ? bias : torch::Tensor();
  const torch::Tensor output =
      exact ? torch::linear(input, weight, shift) : detail::linear(input, weight, shift);
  output.backward(exact ? v.by_output.to(torch::kDouble) : v.by_output);
  std::vector<torch::Tensor> results{output.detach(), input.grad(), weight.grad()};
  if (with_bias) results.push_back(bias.grad());
  return results;
}

class LinearTest : public ::testing::TestWithParam<torch::ScalarType> {};

TEST_P(LinearTest, EqualsDoublePrecisionBothWays) {
  const bool rounded = GetParam() == torch::kBFloat16;
  for (const auto& [inputs, outputs] : {std::pair{40, 75}, {33, 1}, {1, 64}, {128, 96}}) {
    for (const bool with_bias : {true, false}) {
      const Values v = values(inputs, outputs, GetParam());
      const auto found = both_ways(v, with_bias, false), expected = both_ways(v, with_bias, true);
      for (size_t i = 0; i < found.size(); ++i) {
        // What is given back in 8 bits; the gradients of the parameters are not.
        EXPECT_EQ(found[i].scalar_type(), i < 2 ? GetParam() : torch::kFloat);
        const double bound = rounded && i < 2 ? 4e-3 : 2e-6;
        const double scale = expected[i].abs().max().item<double>();
        EXPECT_TRUE(close(found[i], expected[i], bound * scale))
            << inputs << " to " << outputs << ", result " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, LinearTest, ::testing::Values(torch::kFloat, torch::kBFloat16));

TEST(Linear, ParametersThatWantNoGradientGetNone) {
  const Values v = values(20, 30, torch::kFloat);
  const torch::Tensor input = v.input.clone().set_requires_grad(true);
  detail::linear(input, v.weight, v.bias).sum().backward();
  EXPECT_TRUE(close(input.grad(), v.weight.sum(0).expand_as(input), 1e-5));
  EXPECT_FALSE(v.weight.grad().defined());
}

// The gradients of |d/dinput of sum(output^2)|^2 + |d/dweight of it|^2, as LibTorch's own operators
// have them.
TEST(Linear, GradientsOfGradients) {
  const Values v = values(12, 17, torch::kFloat);
  std::vector<torch::Tensor> by_input, by_weight, by_bias;
  for (const bool ours : {true, false}) {
    const torch::Tensor input = v.input.clone().set_requires_grad(true);
    const torch::Tensor weight = v.weight.clone().set_requires_grad(true);
    const torch::Tensor bias = v.bias.clone().set_requires_grad(true);
    const torch::Tensor output =
        ours ? detail::linear(input, weight, bias) : torch::linear(input, weight, bias);
    torch::Tensor sum = torch::zeros({});
    for (const torch::Tensor& gradient :
         torch::autograd::grad({output.square().sum()}, {input, weight, bias}, {},
                               /*retain_graph=*/true, /*create_graph=*/true)) {
      sum = sum + gradient.square().sum();
    }
    sum.backward();
    by_input.push_back(input.grad());
    by_weight.push_back(weight.grad());
    by_bias.push_back(bias.grad());
  }
  for (const auto& pair : {by_input, by_weight, by_bias}) {
    EXPECT_TRUE(close(pair[0], pair[1], 1e-5 * pair[1].abs().max().item<double>()));
  }
}

TEST(Linear, DoesNotDependOnTheNumberOfThreads) {
  const Values v = values(48, 96, torch::kFloat);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = both_ways(v, true, false);
  at::set_num_threads(2);
  const auto two = both_ways(v, true, false);
  at::set_num_threads(threads);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(one[i].equal(two[i])) << i;
}

TEST(Linear, IsTakenWhereItPays) {
  const torch::Tensor many = torch::randn({8, 64, 24}), weight = torch::randn({10, 24});
  const auto isa = kernels::active_isa();
  const bool wide = isa >= kernels::Isa::kAvx512, pairs = isa == kernels::Isa::kAvx512Bf16;
  EXPECT_EQ(detail::takes_dense_products(many, weight), wide);
  EXPECT_EQ(detail::takes_dense_products(many.to(torch::kBFloat16), weight), pairs);
  EXPECT_FALSE(detail::takes_dense_products(many, weight.to(torch::kBFloat16)));
  EXPECT_FALSE(detail::takes_dense_products(many.narrow(0, 0, 3), weight)) << "few rows";
  EXPECT_FALSE(detail::takes_dense_products(many.to(torch::kDouble), weight.to(torch::kDouble)));
  // Whatever is taken, a layer gives the same, and complains of vectors that do not fit.
  torch::nn::Linear layer(24, 10);
  EXPECT_TRUE(close(detail::project(layer, many), layer->forward(many), 1e-5));
  EXPECT_THROW(detail::project(layer, torch::randn({8, 64, 23})), c10::Error);
}

}  // namespace
}  // namespace attend
