// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "attend/nn/safetensors.h"

namespace attend::testing {

/// A file of a header as given (nothing checked, nothing padded) and `data` behind it.
inline std::string file_of(std::string_view header, std::string_view data = "") {
  std::string file;
  for (int i = 0; i < 8; ++i) {
    file += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i));
  }
  file += header;
  file += data;
  return file;
}

inline SafetensorsFile parse_text(std::string_view file) {
  return SafetensorsFile::parse(std::as_bytes(std::span(file)), "model.safetensors");
}

}  // namespace attend::testing
