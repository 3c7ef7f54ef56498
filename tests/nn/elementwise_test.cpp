// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "nn/elementwise.h"

#include <cmath>
#include <limits>
#include <vector>

#include "nn/elementwise_dispatch.h"
#include "testing.h"

namespace attend {
namespace {

using detail::dropout_add;

using testing::close;

constexpr double kProbability = 0.3;

torch::Tensor filled(torch::IntArrayRef shape, torch::ScalarType type) {
  return torch::randn(shape).to(type);
}

// Odd sizes: the last chunk and the last vector are not full.
struct Types {
  torch::ScalarType residual, branch;
};
class DropoutAdd : public ::testing::TestWithParam<Types> {};

TEST_P(DropoutAdd, KeepsOrDropsEachElementOfTheBranch) {
  torch::manual_seed(1);
  const torch::Tensor residual = filled({7, 11, 333}, GetParam().residual);
  const torch::Tensor branch = filled({7, 11, 333}, GetParam().branch);
  const torch::Tensor sum = dropout_add(residual, branch, kProbability, true);
  EXPECT_EQ(sum.scalar_type(), GetParam().residual);
  // In double the two possible sums; each element is one of them, rounded.
  const torch::Tensor without = residual.to(torch::kDouble);
  const torch::Tensor with = without + branch.to(torch::kDouble) / (1 - kProbability);
  const double rounding = sum.scalar_type() == torch::kFloat ? 1e-6 : 0.02;
  const torch::Tensor is_without = sum == residual;
  EXPECT_TRUE(close(sum, torch::where(is_without, without, with), rounding));
  EXPECT_NEAR(is_without.to(torch::kDouble).mean().item<double>(), kProbability, 0.02);
}

TEST_P(DropoutAdd, GradientPassesWhereTheBranchDid) {
  torch::manual_seed(2);
  const torch::Tensor residual = torch::zeros({5, 1000}, GetParam().residual);
  torch::Tensor branch = torch::ones({5, 1000}, GetParam().branch);
  branch.requires_grad_(true);
  torch::Tensor leaf = residual.clone().requires_grad_(true);
  const torch::Tensor sum = dropout_add(leaf, branch, kProbability, true);
  const torch::Tensor factors = filled({5, 1000}, GetParam().residual);
  const auto gradients = torch::autograd::grad({sum}, {leaf, branch}, {factors});
  EXPECT_TRUE(torch::equal(gradients[0], factors));
  EXPECT_EQ(gradients[1].scalar_type(), GetParam().branch);
  EXPECT_TRUE(close(gradients[1], factors * (sum > 0).to(torch::kFloat) / (1 - kProbability),
                    GetParam().branch == torch::kFloat ? 1e-6 : 0.02));
}

INSTANTIATE_TEST_SUITE_P(Types, DropoutAdd,
                         ::testing::Values(Types{torch::kFloat, torch::kFloat},
                                           Types{torch::kFloat, torch::kBFloat16},
                                           Types{torch::kBFloat16, torch::kBFloat16}));

TEST(Elementwise, DropoutFollowsManualSeedAndTheThreadCountDoesNotMatter) {
  const torch::Tensor residual = torch::zeros({40, 1000});
  const torch::Tensor branch = torch::ones({40, 1000});
  const auto drawn = [&](uint64_t seed) {
    torch::manual_seed(seed);
    return dropout_add(residual, branch, kProbability, true);
  };
  const int before = torch::get_num_threads();
  const torch::Tensor first = drawn(1);
  torch::set_num_threads(before == 1 ? 2 : 1);
  EXPECT_TRUE(torch::equal(first, drawn(1)));
  torch::set_num_threads(before);
  EXPECT_FALSE(torch::equal(first, drawn(2)));
  EXPECT_FALSE(torch::equal(first[0], first[5]));
  // The second call with one seed draws another mask.
  torch::manual_seed(1);
  dropout_add(residual, branch, kProbability, true);
  EXPECT_FALSE(torch::equal(first, dropout_add(residual, branch, kProbability, true)));
}

TEST(Elementwise, WithoutTrainingNothingIsDropped) {
  const torch::Tensor residual = torch::randn({3, 5}), branch = torch::randn({3, 5});
  EXPECT_TRUE(torch::equal(dropout_add(residual, branch, 0.5, false), residual + branch));
  EXPECT_TRUE(torch::equal(dropout_add(residual, branch, 0, true), residual + branch));
}

TEST(Elementwise, OtherTypesAndStridesTakeTheOtherRoad) {
  torch::manual_seed(3);
  const torch::Tensor residual = torch::zeros({30, 40}, torch::kDouble);
  const torch::Tensor sum = dropout_add(residual, torch::ones_like(residual), 0.5, true);
  EXPECT_TRUE(torch::logical_or(sum == 0, sum == 2).all().item<bool>());
  const torch::Tensor turned = torch::randn({30, 40}).t();
  EXPECT_TRUE(close(detail::gelu(turned), torch::gelu(turned.to(torch::kDouble)), 1e-6));
}

TEST(Elementwise, GeluAndItsGradientAreExact) {
  const torch::Tensor input =
      torch::cat({torch::linspace(-12, 12, 100'003, torch::kFloat),
                  torch::tensor({0.0f, -0.0f, 1e-30f, -1e-30f, 40.0f, -40.0f, 1e30f, -1e30f})});
  torch::Tensor leaf = input.clone().requires_grad_(true);
  torch::Tensor reference = input.to(torch::kDouble).requires_grad_(true);
  const torch::Tensor output = detail::gelu(leaf);
  const torch::Tensor expected = torch::gelu(reference);
  const torch::Tensor scale = reference.detach().abs().clamp_min(1);
  EXPECT_LT(((output - expected).abs() / scale).max().item<double>(), 2e-7);
  const float infinity = std::numeric_limits<float>::infinity();
  const torch::Tensor far = detail::gelu(torch::tensor({infinity, -infinity, 5.7f, -5.7f}));
  EXPECT_TRUE(torch::allclose(far, torch::tensor({infinity, 0.0f, 5.7f, 0.0f}), 0, 2e-7)) << far;
  EXPECT_TRUE(torch::isnan(detail::gelu(torch::full({37}, NAN))).all().item<bool>());
  const torch::Tensor gradient = torch::autograd::grad({output.sum()}, {leaf})[0];
  const torch::Tensor expected_gradient = torch::autograd::grad({expected.sum()}, {reference})[0];
  EXPECT_LT((gradient - expected_gradient).abs().max().item<double>(), 5e-7);
}

TEST(Elementwise, GeluInBFloat16IsTheRoundedOne) {
  const torch::Tensor input = torch::linspace(-8, 8, 5001).to(torch::kBFloat16);
  const torch::Tensor expected = torch::gelu(input.to(torch::kDouble));
  EXPECT_LT(((detail::gelu(input) - expected).abs() / expected.abs().clamp_min(1e-4))
                .max()
                .item<double>(),
            0.004);
  EXPECT_TRUE(
      torch::isnan(detail::gelu(torch::full({4}, NAN).to(torch::kBFloat16))).all().item<bool>());
}

// What nn/gelu_table.h claims. Targets without a table take gelu() itself.
TEST(Elementwise, GeluToRoundIsExactToHalfAShortFloatsLastBit) {
  const torch::Tensor input = torch::cat({torch::linspace(-12, 12, 100'003, torch::kFloat),
                                          torch::tensor({0.0f, -0.0f, 1e-30f, -1e-30f, 1e30f})});
  torch::Tensor output = torch::empty_like(input);
  const auto gelu = detail::active_loops().gelu_to_round;
  gelu(input.data_ptr<float>(), output.data_ptr<float>(), input.numel());
  const torch::Tensor expected = torch::gelu(input.to(torch::kDouble));
  const torch::Tensor off = (output - expected).abs();
  const torch::Tensor relative = off / expected.abs().clamp_min(1e-30);
  EXPECT_LT(off.index({input < 12}).max().item<double>(), 2e-5);
  EXPECT_LT(relative.index({input > -3.5}).max().item<double>(), 1.0 / 512);
  EXPECT_LT(off.index({input < -3.5}).max().item<double>(), 1e-6);
  const float infinity = std::numeric_limits<float>::infinity();
  for (int64_t count : {1, 16, 17}) {
    std::vector<float> out(count + 1, 3.0f);
    const auto of = [&](float value) {
      const std::vector<float> in(count, value);
      gelu(in.data(), out.data(), count);
      EXPECT_EQ(out[count], 3.0f);
      return out[count - 1];
    };
    EXPECT_EQ(of(infinity), infinity);
    EXPECT_EQ(of(-infinity), 0.0f);
    EXPECT_EQ(of(0.0f), 0.0f);
    EXPECT_TRUE(std::isnan(of(NAN)));
  }
}

class LayerNormTypes : public ::testing::TestWithParam<Types> {};

TEST_P(LayerNormTypes, EqualsTheDefinitionAndItsGradient) {
  torch::manual_seed(7);
  for (const int64_t size : {1, 7, 256, 333}) {
    torch::nn::LayerNorm layer(torch::nn::LayerNormOptions({size}));
    {
      const torch::NoGradGuard no_grad;
      layer->weight.normal_();
      layer->bias.normal_();
    }
    torch::Tensor input = (torch::randn({3, 50, size}) * 2 + 5).to(GetParam().residual);
    input.requires_grad_(true);
    const torch::Tensor factors = torch::randn({3, 50, size}).to(GetParam().branch);
    const torch::Tensor output = detail::layer_norm(layer, input, GetParam().branch);
    EXPECT_EQ(output.scalar_type(), GetParam().branch);
    const auto gradients =
        torch::autograd::grad({output}, {input, layer->weight, layer->bias}, {factors});

    torch::Tensor wide = input.detach().to(torch::kDouble).requires_grad_(true);
    torch::Tensor gain = layer->weight.detach().to(torch::kDouble).requires_grad_(true);
    torch::Tensor shift = layer->bias.detach().to(torch::kDouble).requires_grad_(true);
    const torch::Tensor expected = torch::layer_norm(wide, {size}, gain, shift);
    const auto expected_gradients =
        torch::autograd::grad({expected}, {wide, gain, shift}, {factors.to(torch::kDouble)});
    const auto scaled = [](const torch::Tensor& actual, const torch::Tensor& wanted) {
      return ((actual - wanted).abs().max() / wanted.abs().max().clamp_min(1)).item<double>();
    };
    const double rounding = GetParam().branch == torch::kFloat ? 3e-6 : 0.01;
    EXPECT_LT(scaled(output, expected), rounding) << size;
    for (size_t i = 0; i < 3; ++i) {
      // With one element the gradient is a difference of equals, divided by the root of epsilon.
      if (size > 1) {
        EXPECT_LT(scaled(gradients[i], expected_gradients[i]), rounding) << size;
      }
      EXPECT_EQ(gradients[i].scalar_type(), i == 0 ? input.scalar_type() : torch::kFloat);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, LayerNormTypes,
                         ::testing::Values(Types{torch::kFloat, torch::kFloat},
                                           Types{torch::kFloat, torch::kBFloat16},
                                           Types{torch::kBFloat16, torch::kBFloat16}));

TEST(Elementwise, GradientsOfGradients) {
  torch::manual_seed(4);
  const auto twice = [](const std::function<torch::Tensor(torch::Tensor)>& f,
                        torch::ScalarType type) {
    torch::manual_seed(5);
    torch::Tensor input = torch::randn({6, 50}).to(type).requires_grad_(true);
    const auto once = torch::autograd::grad({f(input).square().sum()}, {input}, {}, true, true);
    return torch::autograd::grad({once[0].square().sum()}, {input})[0];
  };
  const auto plain = [](torch::Tensor input) { return torch::gelu(input); };
  EXPECT_TRUE(close(twice([](const torch::Tensor& x) { return detail::gelu(x); }, torch::kFloat),
                    twice(plain, torch::kDouble), 1e-5));
  torch::nn::LayerNorm layer(torch::nn::LayerNormOptions({50}));
  const auto normed = [&](torch::Tensor input) {
    return detail::layer_norm(layer, input, input.scalar_type()).pow(3);
  };
  const torch::Tensor single = twice(normed, torch::kFloat);
  layer->to(torch::kDouble);
  EXPECT_TRUE(close(single, twice(normed, torch::kDouble), 1e-3));
  const auto dropping = [](const torch::Tensor& input) {
    torch::manual_seed(6);
    return dropout_add(torch::zeros_like(input), input, 0.5, true);
  };
  // sum of (2 m^2 x)^2 with m = 0 or 2: 8 m^4 x.
  const torch::Tensor gradient = twice(dropping, torch::kFloat);
  torch::manual_seed(5);
  const torch::Tensor input = torch::randn({6, 50});
  EXPECT_TRUE(close(gradient, dropping(input).sign().abs() * 128 * input, 1e-5));
}

}  // namespace
}  // namespace attend
