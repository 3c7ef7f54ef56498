// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Bytes as text (RFC 4648, with padding). Private to the report layer.
namespace attend::report {

std::string to_base64(std::span<const uint8_t> bytes);

/// Nothing where `text` is not what to_base64 writes.
std::optional<std::vector<uint8_t>> from_base64(std::string_view text);

}  // namespace attend::report
