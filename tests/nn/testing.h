// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include "attend/nn/torch.h"

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "attend/base/error.h"
#include "attend/nn/attention_options.h"

namespace attend::testing {

inline constexpr PositionKind kAllPositions[] = {
    PositionKind::kNone,   PositionKind::kLearned, PositionKind::kSinusoidal,
    PositionKind::kRotary, PositionKind::kAlibi,   PositionKind::kRelative};

inline torch::TensorOptions real() { return torch::TensorOptions().dtype(torch::kDouble); }

inline torch::Tensor random(torch::IntArrayRef shape) { return torch::randn(shape, real()); }

inline torch::Tensor lengths_of(std::vector<int64_t> lengths) {
  return torch::tensor(lengths, torch::kInt64);
}

inline ::testing::AssertionResult close(const torch::Tensor& actual, const torch::Tensor& expected,
                                        double tolerance = 1e-10) {
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure() << actual.sizes() << " is not " << expected.sizes();
  }
  const torch::Tensor a = actual.detach().to(torch::kDouble);
  const torch::Tensor b = expected.detach().to(torch::kDouble);
  if (torch::allclose(a, b, tolerance, tolerance)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "largest difference " << (a - b).abs().max().item<double>();
}

/// Compares the gradient of sum(f() * fixed random weights) with central differences, for every
/// element of `inputs` (double leaves that f reads).
inline ::testing::AssertionResult gradients_match(const std::function<torch::Tensor()>& f,
                                                  const std::vector<torch::Tensor>& inputs,
                                                  double tolerance = 1e-6) {
  constexpr double kStep = 1e-5;
  torch::Tensor weights;
  const auto scalar = [&] {
    const torch::Tensor value = f();
    if (!weights.defined()) weights = random(value.sizes());
    return (value * weights).sum();
  };
  for (torch::Tensor input : inputs) input.requires_grad_(true);
  const std::vector<torch::Tensor> gradients = torch::autograd::grad({scalar()}, inputs);
  torch::NoGradGuard no_grad;
  for (size_t index = 0; index < inputs.size(); ++index) {
    const torch::Tensor flat = inputs[index].view(-1);
    const torch::Tensor gradient = gradients[index].reshape(-1);
    for (int64_t element = 0; element < flat.numel(); ++element) {
      const double kept = flat[element].item<double>();
      flat[element] = kept + kStep;
      const double above = scalar().item<double>();
      flat[element] = kept - kStep;
      const double below = scalar().item<double>();
      flat[element] = kept;
      const double expected = (above - below) / (2 * kStep);
      const double actual = gradient[element].item<double>();
      if (!(std::abs(actual - expected) <= tolerance * std::max(1.0, std::abs(expected)))) {
        return ::testing::AssertionFailure()
               << "input " << index << ", element " << element << ": gradient " << actual
               << ", differences " << expected;
      }
    }
  }
  return ::testing::AssertionSuccess();
}

/// Runs `action` and checks that it throws Error (usage) whose text contains every fragment.
inline void expect_usage_error(const std::function<void()>& action,
                               std::initializer_list<const char*> fragments) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    for (const char* fragment : fragments) {
      EXPECT_NE(std::string(error.what()).find(fragment), std::string::npos)
          << "\"" << error.what() << "\" does not say \"" << fragment << "\"";
    }
    return;
  }
  ADD_FAILURE() << "no Error was thrown";
}

/// Turns a module's parameters to double and away from their special first values.
template <typename Module>
void randomise(Module& module) {
  module->to(torch::kDouble);
  torch::NoGradGuard no_grad;
  for (torch::Tensor parameter : module->parameters()) parameter.normal_(0, 0.4);
}

}  // namespace attend::testing
