// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "attend/nn/safetensors.h"

namespace attend::internal {

inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as in the reference implementation

/// What is wrong with a header, without the file's name and the fix.
struct HeaderFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct HeaderEntry {
  TensorInfo tensor;
  std::uint64_t begin = 0;  ///< bytes from the end of the header
  std::uint64_t end = 0;
};

struct Header {
  std::vector<HeaderEntry> entries;
  std::map<std::string, std::string> metadata;
};

std::optional<DType> dtype_of(std::string_view name);

/// Bytes that a tensor of this type and shape takes; nothing if that, or the product of the
/// non-zero dimensions, does not fit into 63 bits.
std::optional<std::uint64_t> byte_count(DType dtype, const std::vector<std::int64_t>& shape);

/// Reads the JSON text of a header: its form only, not whether the byte ranges fit the file. Throws
/// HeaderFault.
Header parse_header(std::string_view text);

/// The JSON text for entries in this order, padded with spaces to a multiple of 8 bytes.
std::string format_header(const Header& header);

}  // namespace attend::internal
