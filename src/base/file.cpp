// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "attend/base/text.h"
#include "replace_folder.h"

namespace attend {
namespace fs = std::filesystem;
namespace {

std::string shown(const fs::path& path) { return printable(path.string(), 1000); }

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// What went wrong with writing `path`, in words that end in what to do about it.
Error write_error(const fs::path& path, int cause) {
  const std::string folder = shown(folder_of(path));
  switch (cause) {
    case ENOSPC:
    case EDQUOT:
      return data_error(fmt::format(
          "{}: disk is full ({}); free some space or write to another disk", shown(path),
          cause == EDQUOT ? "your quota is used up" : "no space left on the device"));
    case EFBIG:
      return data_error(fmt::format(
          "{}: file is larger than the file system or the shell's limit allows; raise it with "
          "'ulimit -f unlimited' or write to another disk",
          shown(path)));
    case EACCES:
    case EPERM:
      return data_error(fmt::format(
          "{}: no permission to write in {}; change its permissions or write to another folder",
          shown(path), folder));
    case EROFS:
      return data_error(
          fmt::format("{}: the file system is read-only; write to another folder", shown(path)));
    case ENOENT:
      return data_error(fmt::format("{}: folder {} does not exist; make it first with mkdir -p",
                                    shown(path), folder));
    case ENOTDIR:
      return data_error(fmt::format(
          "{}: a part of this path is a file, not a folder; choose another path", shown(path)));
    case EISDIR:
      return data_error(fmt::format(
          "{}: is a folder; give the name of a file, such as one inside it", shown(path)));
    case ENAMETOOLONG:
      return data_error(fmt::format(
          "{}: the name is too long for the file system; choose a shorter one", shown(path)));
    case EBUSY:
      return data_error(fmt::format(
          "{}: is in use by the system (a mount point?); choose a folder inside it", shown(path)));
    case EXDEV:
      return data_error(fmt::format(
          "{}: the file system cannot rename this folder; write to another folder", shown(path)));
    default:
      return data_error(fmt::format("{}: cannot write: {}; check the disk or write elsewhere",
                                    shown(path), std::strerror(cause)));
  }
}

/// `path` + ".tmp.<pid>.<n>": in the same folder, so that a rename stays within one file system,
/// and different for every process and call, so that two writers of one path do not mix their
/// bytes.
fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> calls = 0;
  fs::path name = path;
  name += fmt::format(".tmp.{}.{}", ::getpid(), calls.fetch_add(1));
  return name;
}

/// The place that `path` stands for when it is a symbolic link; renaming over the link itself would
/// put the file where its owner did not want it.
fs::path follow_links(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored)) return path;
  fs::path target = fs::weakly_canonical(path, ignored);
  return ignored ? path : target;
}

/// Whether `path` names an open handle or a device rather than a place in a folder.
bool is_handle(const fs::path& path) {
  const std::string& name = path.native();
  if (name.starts_with("/dev/fd/") || name.starts_with("/proc/") || name == "/dev/stdout" ||
      name == "/dev/stderr") {
    return true;  // even when it leads to a regular file: the shell holds that one open
  }
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

/// Flushes a file or folder to disk by name. What cannot be opened for it, or has no disk, is left.
void sync_by_name(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return;
  const int cause = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (cause != 0 && cause != EINVAL && cause != ENOTSUP && cause != EROFS) {
    throw write_error(path, cause);
  }
}

}  // namespace

std::string read_file(const fs::path& path, ExitCode code) {
  const auto fail = [&](int cause) -> Error {
    switch (cause) {
      case ENOENT:
      case ENOTDIR:
        return {code, fmt::format("{}: file not found; check the path", shown(path))};
      case EISDIR:
        return {code, fmt::format("{}: is a folder; give the name of a file", shown(path))};
      case EACCES:
        return {code, fmt::format("{}: no permission to read; change the file's permissions",
                                  shown(path))};
      default:
        return {code, fmt::format("{}: cannot read: {}; check the disk", shown(path),
                                  std::strerror(cause))};
    }
  };
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw fail(errno);
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};

  // The size only says how much to ask for at first: pipes and /proc report 0, and a file may grow.
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) throw fail(errno);
  std::string bytes(S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) + 1 : 65536,
                    '\0');
  std::size_t size = 0;
  for (;;) {
    if (size == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t got = ::read(descriptor, bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw fail(errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  bytes.resize(size);
  return bytes;
}

AtomicFile::AtomicFile(const fs::path& path) : shown_(path) {
  if (is_handle(path)) {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (descriptor_ < 0) throw write_error(shown_, errno);
    return;
  }
  path_ = follow_links(path);
  struct stat old {};
  const bool replaces = ::stat(path_.c_str(), &old) == 0;
  if ((replaces && S_ISDIR(old.st_mode)) || !path_.has_filename()) {
    throw write_error(shown_, replaces ? EISDIR : ENOENT);
  }
  temporary_ = temporary_name(path_);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                       replaces ? 0600 : 0666);
  if (descriptor_ < 0) throw write_error(shown_, errno);
  if (replaces && ::fchmod(descriptor_, old.st_mode & 07777) != 0) {
    const int cause = errno;
    close_and_remove();
    throw write_error(shown_, cause);
  }
}

AtomicFile::~AtomicFile() { close_and_remove(); }

void AtomicFile::close_and_remove() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(descriptor_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw write_error(shown_, errno);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

void AtomicFile::commit() {
  // Delayed allocation reports a full disk only here, or at close on network file systems.
  if (::fsync(descriptor_) != 0) {
    const bool has_no_disk = temporary_.empty() && (errno == EINVAL || errno == ENOTSUP);
    if (!has_no_disk) throw write_error(shown_, errno);
  }
  const int closed = ::close(descriptor_);
  int cause = closed == 0 ? 0 : errno;
  descriptor_ = -1;
  if (!temporary_.empty()) {
    if (cause == 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0) cause = errno;
    if (cause != 0) ::unlink(temporary_.c_str());
  }
  if (cause != 0) throw write_error(shown_, cause);
  if (!temporary_.empty()) sync_by_name(folder_of(path_));
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

namespace internal {

void replace_folder(const fs::path& fresh, const fs::path& path, Exchange exchange) {
  if (!fs::exists(fs::symlink_status(path))) {
    fs::rename(fresh, path);
    return;
  }
  std::error_code ignored;
#ifdef RENAME_EXCHANGE
  if (exchange == Exchange::kTry &&
      ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(fresh, ignored);  // now the old one
    return;
  }
#endif
  const fs::path aside = temporary_name(path);
  fs::rename(path, aside);
  try {
    fs::rename(fresh, path);
  } catch (...) {
    fs::rename(aside, path);
    throw;
  }
  fs::remove_all(aside, ignored);
}

}  // namespace internal

void write_folder_atomically(const fs::path& path,
                             const std::function<void(const fs::path&)>& fill) {
  fs::path fresh;
  std::error_code ignored;
  try {
    fs::path target = fs::absolute(path).lexically_normal();
    if (!target.has_filename()) target = target.parent_path();  // "runs/mine/"
    target = follow_links(target);
    if (fs::exists(target) && !fs::is_directory(target)) {
      throw data_error(fmt::format("{}: is a file; give another folder or remove it", shown(path)));
    }
    if (target == target.root_path()) throw write_error(path, EBUSY);
    fs::create_directories(target.parent_path());
    fresh = temporary_name(target);
    fs::create_directory(fresh);

    fill(fresh);
    for (const auto& entry : fs::recursive_directory_iterator(fresh)) {
      if (entry.is_regular_file() || entry.is_directory()) sync_by_name(entry.path());
    }
    sync_by_name(fresh);

    internal::replace_folder(fresh, target);
    sync_by_name(target.parent_path());
  } catch (const fs::filesystem_error& error) {
    if (!fresh.empty()) fs::remove_all(fresh, ignored);
    throw write_error(path, error.code().value());
  } catch (...) {
    if (!fresh.empty()) fs::remove_all(fresh, ignored);
    throw;
  }
}

}  // namespace attend
