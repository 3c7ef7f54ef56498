// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/parallel.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "attend/base/error.h"
#include "attend/base/file.h"

namespace attend {
namespace {

class Parallel : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() /
        ("attend_parallel_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
         "_" + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& content) {
    write_file_atomically(folder_ / name, content);
    return (folder_ / name).string();
  }

  std::string error_of(const std::string& path, const ParallelOptions& options = {}) {
    try {
      read_parallel(path, options);
    } catch (const Error& error) {
      std::string text = error.what();
      const std::string prefix = folder_.string() + "/";
      for (size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
        text.erase(at, prefix.size());
      }
      return text;
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(Parallel, ReadsTsvTwoFilesAndJsonl) {
  const std::string tsv = file("a.tsv", "\xEF\xBB\xBFone\teins\r\n\ntwo\tzwei\textra\n");
  const std::string en = file("a.en", "one\n\ntwo");
  const std::string de = file("a.de", "eins\n\nzwei\n");
  const std::string jsonl =
      file("a.jsonl", "{\"en\": \"one\", \"de\": \"eins\"}\n{\"de\": \"zwei\", \"en\": \"two\"}\n");
  for (const std::string& path : {tsv, en + "," + de, jsonl}) {
    const ParallelText text = read_parallel(path);
    ASSERT_EQ(text.pairs.size(), 2u) << path;
    EXPECT_EQ(text.pairs[0].source, "one");
    EXPECT_EQ(text.pairs[0].target, "eins");
    EXPECT_EQ(text.pairs[1].source, "two");
    EXPECT_EQ(text.pairs[1].target, "zwei");
  }
  EXPECT_EQ(read_parallel(tsv).pairs[1].line, 3);
  EXPECT_EQ(read_parallel(tsv).description, "source<TAB>target, 2 pairs");
}

TEST_F(Parallel, ColumnsCanBeChosen) {
  ParallelOptions options;
  options.source_column = "3";
  options.target_column = "1";
  const auto pairs = read_parallel(file("a.tsv", "eins\t1\tone\n"), options).pairs;
  EXPECT_EQ(pairs[0].source, "one");
  EXPECT_EQ(pairs[0].target, "eins");
  options.source_column = "x";
  EXPECT_NE(error_of(file("b.tsv", "a\tb\n"), options).find("column's number"), std::string::npos);
}

TEST_F(Parallel, SourcesAloneWillDoWithoutGold) {
  ParallelOptions options;
  options.require_targets = false;
  EXPECT_EQ(read_parallel(file("a.txt", "one\ntwo\n"), options).pairs.size(), 2u);
}

TEST_F(Parallel, SaysWhichLineIsWrong) {
  const std::string three = file("three", "a\nb\nc\n");
  const std::string two = file("two", "x\ny\n");
  const std::string gap = file("gap", "x\n\nz\n");
  EXPECT_EQ(
      error_of(three + "," + two),
      "three:3: no partner: three has 3 lines, two has 2; line i of one must translate line i "
      "of the other");
  EXPECT_EQ(error_of(three + "," + gap),
            "gap:2: empty, but line 2 of three is not; fill it in or remove both lines");
  EXPECT_EQ(error_of(file("a.tsv", "a\tb\nc\n")),
            "a.tsv:2: 1 column where 2 are needed; write source<TAB>target on each line");
  EXPECT_EQ(error_of(file("b.tsv", "a\tb\nc\t \n")),
            "b.tsv:2: the target is empty; fill it in or remove the pair");
  EXPECT_EQ(error_of(file("c.tsv", "a\tb\nc\t\xff\n")),
            "c.tsv:2: byte 3 of the line is not UTF-8; save the file as UTF-8");
  EXPECT_EQ(error_of(file("d.jsonl", "{\"source\": \"a\", \"target\": \"b\"}\n[]\n")),
            "d.jsonl:2: not a JSON object; write {\"source\": ..., \"target\": ...}");
  EXPECT_EQ(error_of(file("e.jsonl", "{\"source\": \"a\", \"target\": 4}\n")),
            "e.jsonl:1: no text under \"target\"; name the keys with data.source_column and "
            "data.target_column");
  EXPECT_EQ(error_of(file("f.tsv", "\n")), "f.tsv: no sentence in it; is it the right file?");
  EXPECT_NE(error_of("nowhere.tsv").find("nowhere.tsv"), std::string::npos);
}

TEST_F(Parallel, LinksAreReadAndChecked) {
  ParallelOptions options;
  options.links_column = "3";
  const auto pairs = read_parallel(file("a.tsv", "a b\tx y z\t0-2 1-0\nc\td\n"), options).pairs;
  EXPECT_EQ(pairs[0].links, (std::vector<std::pair<int64_t, int64_t>>{{0, 2}, {1, 0}}));
  EXPECT_TRUE(pairs[1].links.empty());
  EXPECT_EQ(error_of(file("b.tsv", "a b\tx\t2-0\n"), options),
            "b.tsv:1: link \"2-0\" is not i-j with words of this line, counted from 0");

  const std::string gold = file("gold.tsv", "a b\tx y z\t1-3 2p1\n");
  const AlignedPair pair = read_aligned(gold)[0];
  EXPECT_EQ(pair.sure, (std::vector<std::pair<int64_t, int64_t>>{{0, 2}}));
  EXPECT_EQ(pair.possible, (std::vector<std::pair<int64_t, int64_t>>{{1, 0}}));
  const AlignedPair swapped = read_aligned(gold, true)[0];
  EXPECT_EQ(swapped.source.size(), 3u);
  EXPECT_EQ(swapped.sure, (std::vector<std::pair<int64_t, int64_t>>{{2, 0}}));
  EXPECT_THROW(read_aligned(file("c.tsv", "a\tb\t1-2\n")), Error);
}

TEST_F(Parallel, BlankLinesOfSourcesKeepTheirPlace) {
  EXPECT_EQ(read_source_lines(file("a", "one\n\n two \n")),
            (std::vector<std::string>{"one", "", " two "}));
}

}  // namespace
}  // namespace attend
