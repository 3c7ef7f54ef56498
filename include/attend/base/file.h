// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "attend/base/error.h"

namespace attend {

/// The whole file as bytes. Throws Error(code) naming the path if it is missing, a folder, or
/// cannot be read.
std::string read_file(const std::filesystem::path& path, ExitCode code = ExitCode::kData);

/// A file that appears under its name complete or not at all: written as `path` + ".tmp.<pid>.<n>",
/// and on commit() flushed to disk (fsync), renamed over `path`, and the folder synced. Destroyed
/// without commit(), it removes the temporary file and leaves the old one as it was.
///
/// A symbolic link is followed, and the old file's permissions are kept. What is not a regular file
/// (/dev/stdout, a pipe) is a handle, not a place: it is written straight through, not replaced.
///
/// Every member throws Error(kData) naming path, cause and fix (disk full, no permission, ...).
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  void close_and_remove();

  std::filesystem::path shown_;      ///< as the caller named it, for messages
  std::filesystem::path path_;       ///< with symbolic links followed
  std::filesystem::path temporary_;  ///< empty when written straight through
  int descriptor_ = -1;
};

/// Writes `bytes` to `path` by way of AtomicFile: a reader sees the old file or the new one, never
/// a part. On failure the old file stays and Error(kData) names path, cause and fix.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// As write_file_atomically, for a whole folder: `fill(temporary_folder)` writes the files, which
/// are then synced; the folder replaces `path` by one exchange of names where the file system can,
/// and otherwise by rename (the old folder is moved aside first and removed last, and is put back
/// if the rename fails). If `fill` throws, the temporary folder is removed and `path` stays as it
/// was. Missing parent folders of `path` are made. Errors in `path` are found before `fill` runs.
void write_folder_atomically(const std::filesystem::path& path,
                             const std::function<void(const std::filesystem::path&)>& fill);

}  // namespace attend
