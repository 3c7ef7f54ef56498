// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <thread>
#include <vector>

#include "replace_folder.h"
#include "temporary_folder.h"

namespace attend {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// Root may write where permissions say no; such tests have nothing to see then.
bool is_root() { return ::geteuid() == 0; }

/// No file may grow beyond `bytes` while this lives: a full disk that needs no root.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

TEST(ReadFile, ReturnsEveryByte) {
  TemporaryFolder folder;
  std::string bytes;
  for (int i = 0; i < 300000; ++i) bytes += static_cast<char>(i * 7);
  write_file_atomically(folder / "data", bytes);
  EXPECT_EQ(read_file(folder / "data"), bytes);
  write_file_atomically(folder / "empty", "");
  EXPECT_EQ(read_file(folder / "empty"), "");
}

TEST(ReadFile, ReadsFilesWithoutASize) {
  EXPECT_THAT(read_file("/proc/self/status"), HasSubstr("Name:"));
}

TEST(ReadFile, NamesWhatIsWrong) {
  TemporaryFolder folder;
  auto [code, text] = error_of([&] { read_file(folder / "no\nsuch"); });
  EXPECT_EQ(code, ExitCode::kData);
  EXPECT_EQ(text, (folder / "no\\nsuch").string() + ": file not found; check the path");

  std::tie(code, text) = error_of([&] { read_file(folder.path(), ExitCode::kModel); });
  EXPECT_EQ(code, ExitCode::kModel);
  EXPECT_THAT(text, HasSubstr("is a folder; give the name of a file"));
}

TEST(WriteFile, ReplacesAndLeavesNothingElse) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  write_file_atomically(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "a"), "new");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(WriteFile, KeepsPermissionsAndFollowsLinks) {
  TemporaryFolder folder;
  write_file_atomically(folder / "real", "old");
  fs::permissions(folder / "real", fs::perms{0640});
  fs::create_symlink("real", folder / "link");
  write_file_atomically(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_file(folder / "real"), "new");
  EXPECT_EQ(fs::status(folder / "real").permissions(), fs::perms{0640});
}

TEST(WriteFile, WritesToANameInTheCurrentFolder) {
  TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomically("here", "x");
  fs::current_path(before);
  EXPECT_EQ(read_file(folder / "here"), "x");
}

TEST(WriteFile, WritesThroughDevicesInsteadOfReplacingThem) {
  write_file_atomically("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(WriteFile, AppendsToTheFileThatTheShellHoldsOpen) {
  TemporaryFolder folder;
  std::FILE* open_file = std::fopen((folder / "redirected").c_str(), "w");
  std::fputs("before ", open_file);
  std::fflush(open_file);
  write_file_atomically("/dev/fd/" + std::to_string(fileno(open_file)), "after");
  std::fclose(open_file);
  EXPECT_EQ(read_file(folder / "redirected"), "before after");
}

TEST(WriteFile, FullDeviceIsADataErrorWithAFix) {
  const auto [code, text] = error_of([] { write_file_atomically("/dev/full", "bytes"); });
  EXPECT_EQ(code, ExitCode::kData);
  EXPECT_EQ(text,
            "/dev/full: disk is full (no space left on the device); free some space or write to "
            "another disk");
}

TEST(WriteFile, LimitReachedKeepsTheOldFileAndRemovesTheTemporaryOne) {
  TemporaryFolder folder;
  write_file_atomically(folder / "model", "old");
  std::pair<ExitCode, std::string> error;
  {
    FileSizeLimit limit(4096);
    error = error_of([&] { write_file_atomically(folder / "model", std::string(100000, 'x')); });
  }
  EXPECT_EQ(error.first, ExitCode::kData);
  EXPECT_THAT(error.second, AllOf(HasSubstr("model: file is larger"), HasSubstr("ulimit -f")));
  EXPECT_EQ(read_file(folder / "model"), "old");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(WriteFile, FullDiskKeepsTheOldFileAndRemovesTheTemporaryOne) {
  TemporaryFolder folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "may not mount a small disk here";
  }
  write_file_atomically(folder / "model", "old");
  const auto [code, text] =
      error_of([&] { write_file_atomically(folder / "model", std::string(1 << 20, 'x')); });
  const std::string kept = read_file(folder / "model");
  const std::size_t entries = folder.entries();
  ::umount(folder.path().c_str());
  EXPECT_EQ(code, ExitCode::kData);
  EXPECT_THAT(text, HasSubstr("model: disk is full"));
  EXPECT_EQ(kept, "old");
  EXPECT_EQ(entries, 1u);
}

TEST(WriteFile, NamesWhatIsWrong) {
  TemporaryFolder folder;
  const auto text = [](const fs::path& path) {
    const auto [code, message] = error_of([&] { write_file_atomically(path, "x"); });
    EXPECT_EQ(code, ExitCode::kData);
    return message;
  };
  EXPECT_THAT(text(folder / "none/file"),
              AllOf(HasSubstr("none does not exist; make it first with mkdir -p")));
  EXPECT_THAT(text(folder.path()), HasSubstr("is a folder; give the name of a file"));
  EXPECT_THAT(text(folder.path().string() + "/"),
              HasSubstr("is a folder; give the name of a file"));
  write_file_atomically(folder / "file", "x");
  EXPECT_THAT(text(folder / "file/inside"), HasSubstr("a part of this path is a file"));
  EXPECT_THAT(text(folder / std::string(255, 'n')), HasSubstr("name is too long"));
  if (!is_root()) {
    fs::permissions(folder.path(), fs::perms{0500});
    EXPECT_THAT(text(folder / "new"), HasSubstr("no permission to write in"));
    fs::permissions(folder.path(), fs::perms{0700});
  }
}

TEST(AtomicFile, WithoutCommitLeavesNoTrace) {
  TemporaryFolder folder;
  {
    AtomicFile file(folder / "a");
    file.write("half");
    EXPECT_FALSE(fs::exists(folder / "a"));
  }
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(AtomicFile, WritersAndReadersOfOnePathNeverSeeAMixture) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", std::string(50000, '0'));
  std::vector<std::thread> writers;
  for (char c = '1'; c <= '3'; ++c) {
    writers.emplace_back([&, c] {
      for (int i = 0; i < 10; ++i) write_file_atomically(folder / "a", std::string(50000, c));
    });
  }
  for (int i = 0; i < 100; ++i) {
    const std::string bytes = read_file(folder / "a");
    ASSERT_EQ(bytes, std::string(50000, bytes.at(0)));
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(folder.entries(), 1u);
}

void fill_with(const fs::path& folder, const std::string& text) {
  fs::create_directories(folder / "sub");
  write_file_atomically(folder / "sub/file", text);
}

TEST(WriteFolder, MakesAndReplaces) {
  TemporaryFolder folder;
  const fs::path run = folder / "parent/run";
  write_folder_atomically(run, [](const fs::path& to) {
    fill_with(to, "old");
    write_file_atomically(to / "stale", "x");
  });
  EXPECT_EQ(read_file(run / "sub/file"), "old");
  write_folder_atomically(run.string() + "/", [](const fs::path& to) { fill_with(to, "new"); });
  EXPECT_EQ(read_file(run / "sub/file"), "new");
  EXPECT_FALSE(fs::exists(run / "stale"));
  EXPECT_EQ(folder.entries(), 4u);  // parent, run, sub, file
}

TEST(WriteFolder, FailingFillLeavesTheOldFolder) {
  TemporaryFolder folder;
  write_folder_atomically(folder / "run", [](const fs::path& to) { fill_with(to, "old"); });
  const auto [code, text] = error_of([&] {
    write_folder_atomically(folder / "run", [](const fs::path& to) {
      fill_with(to, "half");
      throw model_error("stop");
    });
  });
  EXPECT_EQ(code, ExitCode::kModel);
  EXPECT_EQ(text, "stop");
  EXPECT_EQ(read_file(folder / "run/sub/file"), "old");
  EXPECT_EQ(folder.entries(), 3u);
}

TEST(WriteFolder, RefusesAFileBeforeAnyWorkIsDone) {
  TemporaryFolder folder;
  write_file_atomically(folder / "run", "a file");
  bool filled = false;
  const auto [code, text] = error_of(
      [&] { write_folder_atomically(folder / "run", [&](const fs::path&) { filled = true; }); });
  EXPECT_EQ(code, ExitCode::kData);
  EXPECT_THAT(text, HasSubstr("run: is a file; give another folder or remove it"));
  EXPECT_FALSE(filled);
  EXPECT_THAT(
      error_of([&] { write_folder_atomically(folder / "run/x", [](const fs::path&) {}); }).second,
      HasSubstr("a part of this path is a file"));
}

TEST(WriteFolder, FullDiskInsideFillLeavesTheOldFolder) {
  TemporaryFolder folder;
  write_folder_atomically(folder / "run", [](const fs::path& to) { fill_with(to, "old"); });
  std::pair<ExitCode, std::string> error;
  {
    FileSizeLimit limit(4096);
    error = error_of([&] {
      write_folder_atomically(folder / "run",
                              [](const fs::path& to) { fill_with(to, std::string(10000, 'x')); });
    });
  }
  EXPECT_EQ(error.first, ExitCode::kData);
  EXPECT_EQ(read_file(folder / "run/sub/file"), "old");
  EXPECT_EQ(folder.entries(), 3u);
}

TEST(ReplaceFolder, WorksWithAndWithoutExchange) {
  for (const auto exchange : {internal::Exchange::kTry, internal::Exchange::kNever}) {
    TemporaryFolder folder;
    fill_with(folder / "old", "old");
    fill_with(folder / "new", "new");
    internal::replace_folder(folder / "new", folder / "old", exchange);
    EXPECT_EQ(read_file(folder / "old/sub/file"), "new");
    EXPECT_EQ(folder.entries(), 3u);
  }
}

TEST(ReplaceFolder, PutsTheOldFolderBackWhenTheRenameFails) {
  for (const auto exchange : {internal::Exchange::kTry, internal::Exchange::kNever}) {
    TemporaryFolder folder;
    fill_with(folder / "old", "old");
    EXPECT_THROW(internal::replace_folder(folder / "missing", folder / "old", exchange),
                 fs::filesystem_error);
    EXPECT_EQ(read_file(folder / "old/sub/file"), "old");
    EXPECT_EQ(folder.entries(), 3u);
  }
}

}  // namespace
}  // namespace attend
