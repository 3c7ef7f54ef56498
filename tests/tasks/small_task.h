// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A text classifier on a corpus that the test makes: fast to train, with a known deciding word.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "attend/base/random.h"
#include "attend/tasks/config.h"
#include "attend/tasks/task.h"

namespace attend::testing {

/// A folder of its own for one test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("attend_test_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

/// `rows` lines "label<TAB>text": filler words, and one marker word that alone decides the label.
inline std::string marker_corpus(int rows, uint64_t seed) {
  const char* fillers[] = {"one",  "day",  "the",  "sun", "went",
                           "over", "some", "hill", "and", "tree"};
  const char* markers[] = {"alpha", "beta", "gamma"};
  const char* labels[] = {"A", "B", "C"};
  Random random(seed);
  std::string text;
  for (int row = 0; row < rows; ++row) {
    const auto label = random.below(3);
    const auto length = 4 + random.below(6);
    const auto place = random.below(length);
    text += labels[label];
    text += '\t';
    for (uint64_t i = 0; i < length; ++i) {
      if (i > 0) text += ' ';
      text += i == place ? markers[label] : fillers[random.below(10)];
    }
    text += '\n';
  }
  return text;
}

inline nlohmann::json small_config(const Task& task) {
  return merge_config(
      task.default_config(),
      {{"data", {{"format", "tsv"}, {"label_column", "1"}, {"text_column", "2"}}},
       {"text", {{"units", "word"}}},
       {"model", {{"embedding_dim", 16}, {"hidden_size", 16}, {"heads", 2}, {"wide", "none"}}}},
      "test");
}

}  // namespace attend::testing
