// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What libFuzzer would do, in every build: the seed corpus, and seeded mutations of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "attend/base/file.h"
#include "attend/base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace attend {
namespace {

std::vector<std::string> corpus() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(ATTEND_SOURCE_DIR) / "tests/fuzz/corpus/safetensors")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());  // a folder lists in no fixed order
  std::vector<std::string> seeds;
  for (const auto& path : paths) seeds.push_back(read_file(path));
  return seeds;
}

void run(const std::string& input) {
  // A copy of exactly this size on the heap: the address sanitizer then sees one byte too far.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
}

TEST(SafetensorsFuzz, ReplaysTheCorpus) {
  const auto seeds = corpus();
  ASSERT_GE(seeds.size(), 10u);
  for (const std::string& seed : seeds) run(seed);
}

TEST(SafetensorsFuzz, TwoThousandMutations) {
  const auto seeds = corpus();
  Random random(2024);
  for (int i = 0; i < 2000; ++i) {
    std::string input = seeds[random.below(seeds.size())];
    for (std::uint64_t edits = random.below(5); edits > 0 && !input.empty(); --edits) {
      const std::size_t at = random.below(input.size());
      switch (random.below(4)) {
        case 0:
          input[at] = static_cast<char>(random.next_u64());
          break;
        case 1:
          input.erase(at, random.below(9));
          break;
        case 2:
          input.insert(at, input.substr(random.below(input.size()), random.below(9)));
          break;
        default:
          input.resize(at);
          break;
      }
    }
    run(input);
  }
}

}  // namespace
}  // namespace attend
