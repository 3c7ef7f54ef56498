// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

// Private to the report layer.
namespace attend::report {

/// A PNG file (8 bits, RGB, no interlace) of `pixels`, row-major, 3 bytes each.
std::vector<uint8_t> png_of(int64_t width, int64_t height, const std::vector<uint8_t>& pixels);

}  // namespace attend::report
