// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace attend {

/// Log of the sum of the exponentials, within 3e-7 of max(1, |result|) for up to 2^17 numbers; -inf
/// where all of them are or there are none. One pass for the maximum and one for the sum, both in
/// vectors.
float log_sum_exp(std::span<const float> numbers);

}  // namespace attend
