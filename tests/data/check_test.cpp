// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"

namespace attend {
namespace {

namespace fs = std::filesystem;

class CheckTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("attend-check-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  static bool warns(const DataReport& report, const std::string& part) {
    for (const std::string& warning : report.warnings)
      if (warning.find(part) != std::string::npos) return true;
    return false;
  }

  fs::path folder_;
};

TEST_F(CheckTest, CleanData) {
  const auto report =
      check_data(write("train.tsv", "a\tone two three\nb\tfour five\na\tsix is it\n"),
                 {write("dev.tsv", "a\tseven to go\nb\teight or so\n")});
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.train.rows, 3);
  ASSERT_EQ(report.train.classes.size(), 2u);
  EXPECT_EQ(report.train.classes[0].label, "a");
  EXPECT_EQ(report.train.classes[0].rows, 2);
  EXPECT_NEAR(report.train.classes[0].share, 2.0 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(report.train.imbalance, 2);
  EXPECT_EQ(report.train.lengths.shortest, 7);
  EXPECT_EQ(report.train.lengths.median, 8);
  EXPECT_EQ(report.train.lengths.longest, 11);
  EXPECT_NE(to_text(report).find("nothing to mend"), std::string::npos);
}

TEST_F(CheckTest, DuplicatesAndContradictions) {
  const auto report = check_data(
      write("train.tsv",
            "a\tGood film!\nb\tbad film\na\tGood film!\nb\tｇｏｏｄ FILM\na\tanother one\n"));
  EXPECT_EQ(report.train.exact.rows, 1);
  EXPECT_EQ(report.train.normalised.rows, 2);
  ASSERT_EQ(report.train.contradicting.rows, 1);
  EXPECT_EQ(report.train.contradicting.examples[0].first_line, 1);
  EXPECT_EQ(report.train.contradicting.examples[0].second_line, 4);
  EXPECT_TRUE(warns(report, "another label"));
  EXPECT_NE(to_text(report).find("line 4 = line 1"), std::string::npos);
}

TEST_F(CheckTest, LeaksAndUnseenLabels) {
  const auto report =
      check_data(write("train.tsv", "a\tGood film!\nb\tbad film\n"),
                 {write("dev.tsv", "a\tnew film\na\tgood   film\nc\tother film\n")});
  ASSERT_EQ(report.dev.size(), 1u);
  ASSERT_EQ(report.dev[0].leaks.rows, 1);
  EXPECT_EQ(report.dev[0].leaks.examples[0].first_line, 1);
  EXPECT_EQ(report.dev[0].leaks.examples[0].second_line, 2);
  EXPECT_EQ(report.dev[0].unseen_labels, (std::vector<std::string>{"c"}));
  EXPECT_TRUE(warns(report, "also in the training file"));
  EXPECT_TRUE(warns(report, "never seen in training"));
}

TEST_F(CheckTest, EncodingFaults) {
  const auto report = check_data(write("train.tsv",
                                       "\xEF\xBB\xBF"
                                       "a\tplain text\r\nb\tcafÃ© noir\n"
                                       "a\tbell \x07 rings\nb\tlost \xEF\xBF\xBD here\n"
                                       "a\tbroken \xFF byte\nb\tà la São Paulo\n"));
  const EncodingFaults& faults = report.train.encoding;
  EXPECT_TRUE(faults.byte_order_mark);
  EXPECT_TRUE(faults.mixed_line_endings);
  EXPECT_EQ(faults.mojibake, 1);
  EXPECT_EQ(faults.mojibake_line, 2);
  EXPECT_EQ(faults.control, 1);
  EXPECT_EQ(faults.control_line, 3);
  EXPECT_EQ(faults.replacement, 1);
  EXPECT_EQ(faults.replacement_line, 4);
  EXPECT_EQ(faults.invalid_utf8, 1);
  EXPECT_EQ(faults.invalid_utf8_line, 5);
  ASSERT_EQ(report.train.problems.size(), 1u);
  EXPECT_NE(to_text(report).find("train.tsv:5: byte 10"), std::string::npos) << to_text(report);
  EXPECT_FALSE(report.clean());
}

TEST_F(CheckTest, OneClassAndImbalance) {
  EXPECT_TRUE(warns(check_data(write("one.tsv", "a\tx y z\na\tu v w\n")), "only one class"));
  std::string bytes = "rare\tthe only one\n";
  for (int i = 0; i < 20; ++i) bytes += "common\trow number " + std::to_string(i) + "\n";
  EXPECT_TRUE(warns(check_data(write("many.tsv", bytes)), "20 times"));
}

TEST_F(CheckTest, JsonHoldsEverything) {
  const auto report = check_data(write("train.tsv", "a\tGood film!\nb\tbad film\nb\n"),
                                 {write("dev.tsv", "a\tgood film\n")});
  const nlohmann::json json = nlohmann::json::parse(to_json(report).dump());
  EXPECT_EQ(json["train"]["rows"], 2);
  EXPECT_EQ(json["train"]["classes"][0]["label"], "a");
  EXPECT_EQ(json["train"]["problems"][0]["line"], 3);
  EXPECT_EQ(json["dev"][0]["leaks"]["rows"], 1);
  EXPECT_EQ(json["clean"], false);
}

TEST_F(CheckTest, UnlabelledAndUnreadable) {
  ReaderOptions options;
  options.require_labels = false;
  const auto report = check_data(write("plain.txt", "one line\nanother line\n"), {}, options);
  EXPECT_FALSE(report.train.has_labels);
  EXPECT_NE(to_text(report).find("no labels"), std::string::npos);
  EXPECT_THROW(check_data(folder_ / "missing.tsv"), Error);
}

}  // namespace
}  // namespace attend
