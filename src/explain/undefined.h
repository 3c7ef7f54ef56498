// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The number that stands where a quantity has no value; written to JSON as null.
#pragma once

#include <limits>

namespace attend {

inline constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

}  // namespace attend
