// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace attend {

/// The content of a file, unpacked.
struct FileBytes {
  std::string bytes;
  bool gzip = false;  ///< it was packed
};

/// Reads a file, or standard input for "-"; gzip is recognised by its first two bytes, whatever the
/// name. Throws Error(kData) naming the path if it is missing, a folder, truncated, damaged, or
/// more than `max_bytes` when unpacked.
FileBytes read_bytes(const std::filesystem::path& path, int64_t max_bytes = int64_t{4} << 30);

/// Unpacks gzip data of one or more members; `name` is for messages.
std::string gunzip(std::string_view packed, const std::string& name,
                   int64_t max_bytes = int64_t{4} << 30);

}  // namespace attend
