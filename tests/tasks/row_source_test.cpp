// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "../../src/tasks/row_source.h"

#include <gtest/gtest.h>

#include <functional>

#include "attend/base/error.h"
#include "attend/data/unicode.h"
#include "attend/nn/weights.h"
#include "small_task.h"

namespace attend {
namespace {

using nlohmann::json;
using testing::TemporaryFolder;

std::string error_of(const std::function<void()>& call, ExitCode code) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

std::vector<std::string> lines_of(const SourceRows& rows) {
  std::vector<std::string> lines;
  for (const Row& row : rows.rows) lines.push_back(row.label + "|" + row.text);
  return lines;
}

TEST(RowSource, DropsWhatStandsInTheDevSetHoweverItIsWritten) {
  TemporaryFolder folder;
  const auto file = folder.write("more.tsv", "1\tGood film!\n0\tbad film\n1\tgood, FILM\n1\tnew\n");
  const auto sources = row_sources(
      {{{"file", file}, {"labels", {{"1", "yes"}}}, {"label_column", "1"}, {"text_column", "2"}}},
      "data.extra", true);
  const SourceRows rows = read_source(sources[0], {comparison_key("good film")});
  EXPECT_EQ(rows.equal_to_dev, 2);
  // A label without an entry stays as it is.
  EXPECT_EQ(lines_of(rows), (std::vector<std::string>{"0|bad film", "yes|new"}));
  EXPECT_EQ(rows.rows[1].line, 4);
  EXPECT_NE(describe(sources[0], rows).find("2 rows, 2 equal to dev rows dropped"),
            std::string::npos);
  const std::unordered_set<std::string> all = {comparison_key("good film"),
                                               comparison_key("bad film"), comparison_key("new")};
  const auto error = error_of([&] { read_source(sources[0], all); }, ExitCode::kData);
  EXPECT_NE(error.find("nothing is left"), std::string::npos) << error;
}

TEST(RowSource, LeavesCategoriesOut) {
  TemporaryFolder folder;
  const auto file = folder.write("shop.tsv", "1\ttea\tnice tea\n0\tbook\tdull book\n1\tcup\tred\n");
  const auto sources = row_sources({{{"file", file},
                                     {"label_column", "1"},
                                     {"text_column", "3"},
                                     {"category_column", "2"},
                                     {"leave_out", {"book", "cup"}}}},
                                   "data.extra", true);
  const SourceRows rows = read_source(sources[0], {});
  EXPECT_EQ(lines_of(rows), std::vector<std::string>{"1|nice tea"});
  EXPECT_EQ(rows.left_out, 2);
}

TEST(RowSource, SpansBecomeRows) {
  TemporaryFolder folder;
  const auto read = [&](const std::string& spans) {
    const auto file = folder.write(
        "spans.jsonl",
        R"({"label": 1, "text": "the  film is a joy , really", "spans": )" + spans + "}\n");
    return read_source(row_sources({{{"file", file}, {"span_column", "spans"}}}, "x", true)[0], {});
  };
  EXPECT_EQ(lines_of(read("[[0, 2], [4, 5], [6, 7]]")),
            (std::vector<std::string>{"1|the  film", "1|joy", "1|really"}));
  for (const char* spans : {"[[0, 8]]", "[[3, 3]]", "[[-1, 2]]", "[[1]]", "[1, 2]", "\"0-2\"",
                            "[[0, 18446744073709551615]]", "[[0.5, 2]]"}) {
    const auto error = error_of([&] { read(spans); }, ExitCode::kData);
    EXPECT_NE(error.find("spans.jsonl:1: "), std::string::npos) << error;
  }
  // No span, no row.
  EXPECT_NE(error_of([&] { read("[]"); }, ExitCode::kData).find("nothing is left"),
            std::string::npos);
}

TEST(RowSource, SentencesBecomeRowsAndThoseOfTheDevSetAreDropped) {
  TemporaryFolder folder;
  const auto file = folder.write("long.tsv", "1\tgood film . we laughed ! oh dear .\n0\tBad.\n");
  const auto sources = row_sources(
      {{{"file", file}, {"label_column", "1"}, {"text_column", "2"}, {"sentences", true}}},
      "data.extra", true);
  const SourceRows rows = read_source(sources[0], {comparison_key("We laughed")});
  EXPECT_EQ(lines_of(rows), (std::vector<std::string>{"1|good film .", "1|oh dear .", "0|Bad."}));
  EXPECT_EQ(rows.equal_to_dev, 1);
}

TEST(RowSource, SaysWhichEntryIsWrong) {
  const auto error = [&](const json& entry, bool labelled = true) {
    return error_of(
        [&] {
          row_sources({{{"file", "a.tsv"}}, entry}, "data.extra", labelled);
        },
        ExitCode::kUsage);
  };
  EXPECT_NE(error("a.tsv").find("data.extra[1]"), std::string::npos);
  EXPECT_NE(error(json::object()).find("names no \"file\""), std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"wieght", 1}}).find("did you mean \"weight\"?"),
            std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"weight", 0}}).find("above 0"), std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"weight", 1e9}}).find("at most 1000"), std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"labels", {{"0", 1}}}}).find("labels"), std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"leave_out", {"x"}}}).find("need each other"),
            std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"category_column", "2"}}).find("need each other"),
            std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"category_column", "2"}, {"leave_out", {1}}}).find("texts"),
            std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"margin", -1}}).find("margin is -1"), std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"trust", 2000}}).find("from 0 to 1000"), std::string::npos);
  EXPECT_NE(error({{"file", "a"}, {"span_column", "s"}, {"sentences", true}}).find("exclude"),
            std::string::npos);
  // What has no meaning without labels is not known there.
  EXPECT_NE(error({{"file", "a"}, {"weight", 2}}, false).find("unknown setting"),
            std::string::npos);
}

class ExtraRows : public ::testing::Test {
 protected:
  std::shared_ptr<Dataset> prepare(const json& settings) {
    torch::manual_seed(1);
    const auto train = folder_.write("train.tsv", testing::marker_corpus(60, 1));
    const auto dev = folder_.write("dev.tsv", "A\tone alpha day\nB\tbeta\n");
    task_ = make_task("text-class");
    const json with_dev =
        merge_config(testing::small_config(*task_), {{"data", {{"dev", {dev}}}}}, "test");
    return task_->prepare(merge_config(with_dev, settings, "test"), {train});
  }

  TemporaryFolder folder_;
  std::unique_ptr<Task> task_;
};

TEST_F(ExtraRows, StandBehindTheTrainingRowsWithTheirWeight) {
  const auto file = folder_.write("more.tsv", "x\tone zulu day\nB\tone beta\nA\tOne alpha day.\n");
  const json extra = {{"data",
                       {{"extra",
                         {{{"file", file},
                           {"label_column", "1"},
                           {"text_column", "2"},
                           {"labels", {{"x", "C"}}},
                           {"weight", 0.25}}}}}}};
  const auto data = prepare(extra);
  ASSERT_EQ(data->size(), 62);
  EXPECT_EQ(data->gold(60), "C");
  EXPECT_EQ(data->input(60), "one zulu day");
  EXPECT_NE(data->description().find("1 equal to dev rows dropped"), std::string::npos);
  EXPECT_EQ(task_->state().at("sources").at(0).at("equal_to_dev"), 1);
  EXPECT_EQ(task_->state().at("sources").at(0).at("rows"), 2);

  // The mean over the batch of weight times loss, as if all weights were 1 below the line.
  task_->model()->eval();
  torch::NoGradGuard no_grad;
  const std::vector<int64_t> rows = {0, 60, 61};
  const Batch batch = task_->collate(*data, rows);
  const auto output = task_->forward(batch, {});
  for (const LossOptions& options : {LossOptions{}, LossOptions{0.2, {}}}) {
    double expected = 0;
    for (const int64_t row : rows) {
      const std::vector<int64_t> one = {row};
      Batch alone = task_->collate(*data, one);
      alone.inputs.erase("row_weights");
      const double loss = task_->loss(task_->forward(alone, {}), alone, options).item<double>();
      expected += (row < 60 ? 1 : 0.25) * loss / 3;
    }
    EXPECT_NEAR(task_->loss(output, batch, options).item<double>(), expected, 1e-5);
  }
  // With class weights, those of the targets are what the sum is divided by.
  const LossOptions classes{0, {1.0, 2.0, 3.0}};
  Batch unweighted = batch;
  unweighted.inputs["row_weights"] = torch::ones({3});
  const double same = task_->loss(output, unweighted, classes).item<double>();
  unweighted.inputs.erase("row_weights");
  EXPECT_NEAR(same, task_->loss(output, unweighted, classes).item<double>(), 1e-6);
}

// Of a hint and a marker that says something else the stronger one wins; where nothing is known,
// the hint alone does not reach the margin. A dev set that errs now and then keeps the judge's log
// odds small.
TEST_F(ExtraRows, LabelsThatAreHintsAreJudged) {
  const auto file = folder_.write("hints.tsv", "B\tsome alpha tree\nB\tbeta and sun\nC\t???\n");
  const auto dev = folder_.write("often.tsv",
                                 "A\talpha\nA\talpha sun\nA\tbeta\nB\tbeta\nB\tbeta sun\n"
                                 "B\tgamma\nC\tgamma\nC\tgamma sun\nC\talpha\n");
  const auto labels = [&](double trust, double margin) {
    const json entry = {{"file", file},
                        {"label_column", "1"},
                        {"text_column", "2"},
                        {"trust", trust},
                        {"margin", margin}};
    const auto data =
        prepare({{"data", {{"extra", {entry}}, {"dev", {dev}}}},
                 {"model", {{"wide", "fitted"}}},
                 {"text", {{"ngrams", {{"char_max", 3}, {"word_max", 1}, {"min_count", 1}}}}}});
    std::string found;
    for (int64_t row = 60; row < data->size(); ++row) found += data->gold(row);
    return found;
  };
  EXPECT_EQ(labels(0.1, 0), "BBC");  // margin 0: as they are
  EXPECT_EQ(labels(0.1, 0.5), "AB");
  EXPECT_EQ(task_->state().at("sources").at(0).at("undecided"), 1);
  EXPECT_EQ(labels(50, 0.5), "BBC");
  const auto none = error_of([&] { labels(0, 999); }, ExitCode::kData);
  EXPECT_NE(none.find("nothing is left"), std::string::npos) << none;
}

TEST_F(ExtraRows, HintsNeedNgrams) {
  const auto file = folder_.write("hints.tsv", "B\tsome alpha tree\n");
  const json entry = {{"file", file}, {"label_column", "1"}, {"text_column", "2"}, {"margin", 1}};
  const auto error = error_of([&] { prepare({{"data", {{"extra", {entry}}}}}); }, ExitCode::kUsage);
  EXPECT_NE(error.find("data.extra[0].margin needs text.ngrams"), std::string::npos) << error;
}

TEST_F(ExtraRows, NeedADevFileAndKnownLabels) {
  const auto file = folder_.write("more.tsv", "x\tone zulu day\nB\tone beta\n");
  const json entry = {{"file", file}, {"label_column", "1"}, {"text_column", "2"}};
  const auto unknown = error_of(
      [&] {
        prepare({{"data", {{"extra", {entry}}}}});
      },
      ExitCode::kData);
  EXPECT_NE(unknown.find("more.tsv:1: label \"x\""), std::string::npos) << unknown;
  const auto no_dev = error_of(
      [&] {
        prepare({{"data", {{"dev", json::array()}, {"extra", {entry}}}}});
      },
      ExitCode::kUsage);
  EXPECT_NE(no_dev.find("needs a dev file"), std::string::npos) << no_dev;
}

TEST_F(ExtraRows, PretrainingStartsTheEmbeddingsFromCompany) {
  std::string plain;
  for (int i = 0; i < 200; ++i) plain += "omega meets the sun\npsi meets the sun\nalpha one day\n";
  const auto file = folder_.write("plain.txt", plain);
  const json texts = {{{"file", file}, {"format", "plain"}}};
  const auto table = [&](int64_t epochs) {
    const auto data = prepare(
        {{"train", {{"pretrain", {{"epochs", epochs}, {"subsample", 0}, {"texts", texts}}}}}});
    task_->before_training(*data, *data);
    return named_tensors(*task_->model()).at("embedding.weight").detach().clone();
  };
  const torch::Tensor plain_start = table(0);
  const torch::Tensor first = table(10);
  EXPECT_TRUE(torch::equal(first, table(10)));
  // The vocabulary has the plain texts' units too, if they are used at all.
  EXPECT_GT(first.size(0), plain_start.size(0));
  EXPECT_TRUE(torch::equal(first.slice(0, 0, 1), torch::zeros({1, 16})));
  const double scale = first.slice(0, 5).square().mean().sqrt().item<double>();
  EXPECT_NEAR(scale, plain_start.square().mean().sqrt().item<double>(), 0.02);
}

}  // namespace
}  // namespace attend
