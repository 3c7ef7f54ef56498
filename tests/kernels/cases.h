// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Every mask and bias, alone and combined: the cases that forward, trace and backward share.
#pragma once

#include <string>
#include <vector>

#include "problem.h"

namespace attend::kernels::testing {

struct NamedProblem {
  std::string name;
  Problem problem;
};

/// Masks and biases of every kind on a few shapes each.
std::vector<NamedProblem> feature_cases(ElementType type = ElementType::kFloat32);

/// Random shapes with random features on, all of them reachable; the same for the same seed.
std::vector<NamedProblem> random_cases(int count, uint64_t seed, int64_t longest);

}  // namespace attend::kernels::testing
