// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace attend {

/// The whole file as bytes. Throws Error(code) naming the path if it is missing, a folder, or cannot
/// be read.
std::string read_file(const std::filesystem::path& path);

/// Writes `bytes` to `path` so that a reader sees the old file or the new one, never a part: writes
/// `path` + ".tmp.<pid>", flushes it to disk (fsync), renames it over `path` and syncs the folder.
/// On failure (disk full, no permission) removes the temporary file, leaves the old one as it was and
/// throws Error(kData) naming path, cause and fix.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// As write_file_atomically, for a whole folder: `fill(temporary_folder)` writes the files, which are
/// then synced; the folder replaces `path` by rename (an old folder is moved aside first and removed
/// last, and is put back if the rename fails). If `fill` throws, the temporary folder is removed and
/// `path` stays as it was.
void write_folder_atomically(const std::filesystem::path& path,
                             const std::function<void(const std::filesystem::path&)>& fill);

}  // namespace attend
