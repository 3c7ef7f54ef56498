// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "../../src/tasks/text_dataset.h"
#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "attend/nn/text_classifier.h"
#include "attend/nn/weights.h"
#include "attend/tasks/run_folder.h"
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

class TextClass : public ::testing::Test {
 protected:
  void prepare(const json& settings = json::object(), const std::string& corpus = "") {
    torch::manual_seed(1);
    const std::string path =
        folder_.write("train.tsv", corpus.empty() ? testing::marker_corpus(60, 1) : corpus);
    config_ = merge_config(testing::small_config(*task_), settings, "test");
    data_ = task_->prepare(config_, {path});
    task_->before_training(*data_, *data_);
    task_->model()->eval();
  }

  torch::Tensor scores(const Dataset& data, const std::vector<int64_t>& rows) {
    torch::NoGradGuard no_grad;
    return task_->forward(task_->collate(data, rows), {}).scores;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Task> task_ = make_task("text-class");
  json config_;
  std::shared_ptr<Dataset> data_;
};

const json kWide = {{"model", {{"wide", "fitted"}}},
                    {"text", {{"ngrams", {{"word_max", 2}, {"min_count", 1}}}}}};

TEST_F(TextClass, ABatchEqualsItsExamplesOneByOne) {
  for (const char* pooling : {"attention", "mean", "cls", "max"}) {
    prepare(
        merge_config(config_.is_null() ? task_->default_config() : config_, json::object(), ""));
    task_ = make_task("text-class");
    prepare({{"model", {{"pooling", pooling}}}});
    const auto together = scores(*data_, {0, 1, 2, 3, 4});
    for (int64_t row = 0; row < 5; ++row) {
      EXPECT_TRUE(torch::allclose(together[row], scores(*data_, {row})[0], 1e-4, 1e-6)) << pooling;
    }
  }
}

TEST_F(TextClass, RecurrenceIsASettingAndKeepsExamplesApart) {
  prepare({{"model", {{"layers", 0}, {"hidden_size", 8}, {"recurrent_layers", 2}}}});
  const auto parameters = task_->model()->named_parameters();
  EXPECT_EQ(parameters["encoder.recurrent.lstm.weight_hh_l1_reverse"].size(1), 4);
  const auto together = scores(*data_, {0, 1, 2, 3, 4});
  for (int64_t row = 0; row < 5; ++row) {
    EXPECT_TRUE(torch::allclose(together[row], scores(*data_, {row})[0], 1e-4, 1e-6));
  }
}

TEST_F(TextClass, HopsOfPoolingAndAMixingStemAreSettings) {
  prepare({{"model", {{"hidden_size", 8}, {"heads", 2}, {"stem_width", 3}}}});
  const auto plain = task_->model()->named_parameters();
  EXPECT_EQ(plain.find("pooling.hop.weight"), nullptr);
  EXPECT_EQ(plain["encoder.stem.convolution.weight"].size(1), 1);
  task_ = make_task("text-class");
  prepare({{"model",
            {{"hidden_size", 8},
             {"heads", 2},
             {"stem_width", 3},
             {"stem_depthwise", false},
             {"pooling_hops", 2}}}});
  const auto changed = task_->model()->named_parameters();
  EXPECT_NE(changed.find("pooling.hop.weight"), nullptr);
  EXPECT_EQ(changed["encoder.stem.convolution.weight"].size(1), 8);
  const std::string message = error_of(
      [&] {
        prepare({{"model", {{"pooling_hops", 0}}}});
      },
      ExitCode::kUsage);
  EXPECT_NE(message.find("pooling_hops is 0"), std::string::npos) << message;
}

TEST_F(TextClass, RunFolderGivesTheSameScoresBack) {
  for (const json& settings : {json::object(), kWide}) {
    task_ = make_task("text-class");
    prepare(settings);
    const auto before = scores(*data_, {0, 1, 2});
    const auto run_folder = folder_ / "run";
    write_run(run_folder, config_, {{"status", "done"}}, *task_);
    save_tensors(run_folder / "model.safetensors", named_tensors(*task_->model()));
    const attend::Run run = load_run(run_folder);
    const auto again = run.task->read((folder_ / "train.tsv").string(), true);
    torch::NoGradGuard no_grad;
    const std::vector<int64_t> rows = {0, 1, 2};
    EXPECT_TRUE(
        torch::equal(before, run.task->forward(run.task->collate(*again, rows), {}).scores));
    EXPECT_EQ(fingerprint(*again), fingerprint(*data_));
  }
}

TEST_F(TextClass, FittedWideTermAloneSeparatesTheMarkers) {
  prepare(kWide);
  const auto predictions = task_->predict({scores(*data_, {0, 1, 2, 3, 4, 5, 6, 7}), {}, {}}, 1);
  for (int64_t row = 0; row < 8; ++row) {
    EXPECT_EQ(predictions[static_cast<size_t>(row)][0].label, data_->gold(row));
  }
}

// The mix is a minimum: no other pair of factors near it has a smaller loss.
TEST_F(TextClass, AfterTrainingTheMixIsTheBestOnTheDevSet) {
  prepare(kWide);
  task_->after_training(*data_);
  std::vector<int64_t> all(static_cast<size_t>(data_->size()));
  std::iota(all.begin(), all.end(), int64_t{0});
  torch::NoGradGuard no_grad;
  const auto loss = [&](double deep, double wide) {
    auto* model = dynamic_cast<TextClassifierWithAttentionImpl*>(task_->model().get());
    model->scale_parts(deep, wide);
    const Batch batch = task_->collate(*data_, all);
    const double value = task_->loss(task_->forward(batch, {}), batch, {}).item<double>();
    model->scale_parts(1 / deep, 1 / wide);
    return value;
  };
  const double best = loss(1, 1);
  for (const double factor : {0.8, 1.25}) {
    EXPECT_GE(loss(factor, 1), best - 1e-5);
    EXPECT_GE(loss(1, factor), best - 1e-5);
  }
}

// With a second linear model the scores are those of the best mix of the two, as they come.
TEST_F(TextClass, ASecondLinearModelIsMixedIn) {
  const InterruptGuard fresh;  // another test may have left the flag raised
  prepare(kWide);
  const auto wide_loss = [&] {
    torch::NoGradGuard no_grad;
    std::vector<int64_t> all(static_cast<size_t>(data_->size()));
    std::iota(all.begin(), all.end(), int64_t{0});
    const Batch batch = task_->collate(*data_, all);
    auto* model = dynamic_cast<TextClassifierWithAttentionImpl*>(task_->model().get());
    model->scale_parts(0, 1);
    return task_->loss(task_->forward(batch, {}), batch, {}).item<double>();
  };
  const double one = wide_loss();
  const torch::Tensor alone = scores(*data_, {0, 1, 2, 3});
  task_ = make_task("text-class");
  json both = kWide;
  both["model"]["wide_factored"]["dim"] = 8;
  prepare(both);
  EXPECT_LE(wide_loss(), one + 1e-6);  // the corpus can be fitted to a loss of nothing
  EXPECT_FALSE(torch::allclose(scores(*data_, {0, 1, 2, 3}), alone, 1e-3));
}

TEST_F(TextClass, AdditiveContributionsAreExact) {
  prepare(kWide);
  torch::NoGradGuard no_grad;
  const std::vector<int64_t> rows = {0, 1};
  Batch batch = task_->collate(*data_, rows);
  const auto all = task_->forward(batch, {}).scores;
  const auto direct = task_->additive_contributions(batch).sum(1);
  batch.inputs.erase("ngram_ids");
  const auto rest = task_->forward(batch, {}).scores;
  EXPECT_TRUE(torch::allclose(all, rest + direct, 1e-4, 1e-5));
}

TEST_F(TextClass, KeepingEveryUnitChangesNothing) {
  prepare(kWide);
  const auto units = task_->units(*data_, 0).size();
  for (const Removal removal : task_->removals()) {
    const auto same = task_->without_units(*data_, 0, {std::vector<bool>(units, true)}, removal);
    EXPECT_TRUE(torch::equal(scores(*same, {0}), scores(*data_, {0})));
  }
}

TEST_F(TextClass, DeletingAUnitEqualsTheTextWithoutIt) {
  // Unigrams only: no n-gram may reach across the gap.
  prepare({{"model", {{"wide", "fitted"}}},
           {"text", {{"ngrams", {{"word_max", 1}, {"min_count", 1}}}}}},
          "A\talpha sun hill\nB\tbeta sun tree\nA\talpha hill\nB\tbeta tree\n");
  const auto gone = task_->without_units(*data_, 0, {{true, false, true}}, Removal::kDelete);
  EXPECT_TRUE(torch::allclose(scores(*gone, {0}), scores(*data_, {2}), 1e-5, 1e-6));
  const auto nothing = task_->without_units(*data_, 0, {{false, false, false}}, Removal::kDelete);
  EXPECT_TRUE(torch::isfinite(scores(*nothing, {0})).all().item<bool>());
}

// What is left of the n-grams is what the text has of them away from the removed units.
TEST_F(TextClass, NgramsThatTouchARemovedUnitGoWithIt) {
  prepare({{"model", {{"wide", "fitted"}}},
           {"text",
            {{"ngrams", {{"char_min", 1}, {"char_max", 3}, {"word_max", 2}, {"min_count", 1}}}}}},
          "A\talpha sun hill 我爱音乐\nB\tbeta sun tree 我爱\n");
  const auto& whole = dynamic_cast<const TextDataset&>(*data_).example(0);
  const size_t units = whole.encoding.ids.size();
  Random random(2);
  for (int trial = 0; trial < 30; ++trial) {
    std::vector<bool> keep(units);
    for (size_t i = 0; i < units; ++i) keep[i] = random.uniform() < 0.6;
    const auto masked = task_->without_units(*data_, 0, {keep}, Removal::kMask);
    // By hand: blank the removed units out with a character that no n-gram of the vocabulary holds.
    std::string text = whole.text;
    for (size_t i = 0; i < units; ++i) {
      const Span& span = whole.encoding.spans[i];
      for (int64_t at = span.begin; !keep[i] && at < span.end; ++at) {
        text[static_cast<size_t>(at)] = '#';
      }
    }
    const auto blanked = task_->from_inputs({text});
    const auto features = [&](const Dataset& data) {
      std::vector<int32_t> found;
      for (const NgramHit& hit : dynamic_cast<const TextDataset&>(data).example(0).ngrams) {
        found.push_back(hit.feature);
      }
      std::sort(found.begin(), found.end());
      return found;
    };
    EXPECT_EQ(features(*masked), features(*blanked)) << text;
  }
}

TEST_F(TextClass, TheMeanTakesAUnitsPlace) {
  prepare(kWide);
  torch::NoGradGuard no_grad;
  std::vector<bool> keep(task_->units(*data_, 0).size(), true);
  keep[1] = false;
  const auto variants = task_->without_units(*data_, 0, {keep}, Removal::kMean);
  const std::vector<int64_t> first = {0};
  const torch::Tensor embeddings = task_->embed(task_->collate(*variants, first))[0];
  const torch::Tensor table = task_->model()->named_parameters()["embedding.weight"];
  EXPECT_TRUE(torch::allclose(embeddings[1], table.slice(0, kSpecialCount).mean(0), 1e-5, 1e-6));
  EXPECT_TRUE(torch::equal(embeddings[0], task_->embed(task_->collate(*data_, first))[0][0]));
  const auto masked = task_->without_units(*data_, 0, {keep}, Removal::kMask);
  EXPECT_FALSE(torch::equal(scores(*variants, {0}), scores(*masked, {0})));
}

TEST_F(TextClass, PoolingIsPulledTowardsTheEvidence) {
  torch::manual_seed(1);
  const std::string path =
      folder_.write("marked.jsonl", R"({"label": "A", "text": "one alpha day", "spans": [[1, 2]]})"
                                    "\n"
                                    R"({"label": "B", "text": "sun beta", "spans": []})"
                                    "\n");
  const json settings = {{"data",
                          {{"format", "jsonl"},
                           {"label_column", "label"},
                           {"text_column", "text"},
                           {"rationale_column", "spans"}}},
                         {"train", {{"rationale_weight", 2.0}}}};
  config_ = merge_config(testing::small_config(*task_), settings, "test");
  data_ = task_->prepare(config_, {path});
  task_->model()->eval();
  const std::vector<int64_t> rows = {0, 1};
  const Batch batch = task_->collate(*data_, rows);
  EXPECT_TRUE(torch::equal(batch.inputs.at("evidence"),
                           torch::tensor({{0.0F, 1.0F, 0.0F}, {0.0F, 0.0F, 0.0F}})));
  const TaskOutput output = task_->forward(batch, {});
  Batch unmarked = batch;
  unmarked.inputs.erase("evidence");
  // Weight 2 times -log of the weight on the marked unit; the row without marks adds nothing.
  EXPECT_NEAR(task_->loss(output, batch, {}).item<double>() -
                  task_->loss(output, unmarked, {}).item<double>(),
              -2 * std::log(output.readout[0][1].item<double>()) / 2, 1e-5);

  const auto refused = [&](const json& change) {
    return error_of([&] { task_->prepare(merge_config(config_, change, "test"), {path}); },
                    ExitCode::kUsage);
  };
  EXPECT_NE(refused({{"model", {{"pooling", "mean"}}}}).find("model.pooling"), std::string::npos);
  EXPECT_NE(refused({{"data", {{"rationale_column", ""}}}}).find("data.rationale_column"),
            std::string::npos);
  EXPECT_NE(refused({{"train", {{"rationale_weight", -1.0}}}}).find("from 0"), std::string::npos);
}

TEST(NgramValues, CharactersAndWordsAreHalfOfTheLengthEach) {
  // Three n-grams of characters, one of them twice, and one of words.
  const auto values =
      ngram_values({{4, 0, false}, {9, 0, false}, {4, 1, false}, {2, 1, false}, {7, 0, true}});
  const double share = std::sqrt(1.0 / 6);
  const std::vector<double> expected = {share / 2, share, share / 2, share, std::sqrt(0.5)};
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-6) << i;
  // A kind that is missing leaves everything to the other.
  EXPECT_NEAR(ngram_values({{4, 0, false}, {9, 0, false}})[0], std::sqrt(0.5), 1e-6);
  EXPECT_TRUE(ngram_values({}).empty());
}

TEST_F(TextClass, AnEmptyTextStillHasAnAnswer) {
  prepare(kWide);
  for (const char* text : {"", " ", "\t", "unheard-of", "😀"}) {
    const auto data = task_->from_inputs({text});
    EXPECT_TRUE(torch::isfinite(scores(*data, {0})).all().item<bool>()) << text;
  }
}

TEST_F(TextClass, TruncationIsAnnounced) {
  prepare({{"text", {{"max_length", 3}}}});
  const auto data = task_->from_inputs({"one day the sun went", "one day"});
  EXPECT_NE(data->notice(0).find("first 3 units"), std::string::npos) << data->notice(0);
  EXPECT_EQ(data->notice(1), "");
}

TEST_F(TextClass, LabelNumbersGetTheirNamesAlsoInAMovedRun) {
  const std::string names = folder_.write("labels.txt", "bad\ngood\n");
  prepare({{"data", {{"label_names", names}}}}, "0\talpha\n1\tbeta\n0\talpha x\n1\tbeta y\n");
  EXPECT_EQ(data_->gold(1), "good");
  const auto run_folder = folder_ / "run";
  write_run(run_folder, config_, json::object(), *task_);
  save_tensors(run_folder / "model.safetensors", named_tensors(*task_->model()));
  std::filesystem::remove(names);
  const attend::Run run = load_run(run_folder);
  EXPECT_EQ(run.task->read((folder_ / "train.tsv").string(), true)->gold(1), "good");
}

// A file of one row gives no hint which column is the label; what training found must hold.
TEST_F(TextClass, ASmallFileIsReadLikeTheTrainingFile) {
  prepare({{"data", {{"format", "auto"}, {"label_column", ""}, {"text_column", ""}}}});
  const auto run_folder = folder_ / "run";
  write_run(run_folder, config_, json::object(), *task_);
  save_tensors(run_folder / "model.safetensors", named_tensors(*task_->model()));
  const attend::Run run = load_run(run_folder);
  const auto one = folder_.write("one.tsv", "A sunny day over the hills\tB\n");
  EXPECT_EQ(run.task->read(one, /*with_gold=*/false)->input(0), "B");
  const auto lines = folder_.write("some.jsonl", "{\"text\": \"one day\", \"label\": \"A\"}\n");
  EXPECT_EQ(run.task->read(lines, true)->input(0), "one day");
}

TEST_F(TextClass, SaysWhatIsWrongWithLabels) {
  EXPECT_NE(error_of([&] { prepare(json::object(), "A\tone\nA\ttwo\n"); }, ExitCode::kData)
                .find("at least two classes"),
            std::string::npos);
  task_ = make_task("text-class");
  prepare();
  const std::string dev = folder_.write("dev.tsv", "A\tone day\nD\ttwo days\n");
  const std::string error = error_of([&] { task_->read(dev, true); }, ExitCode::kData);
  EXPECT_NE(error.find("dev.tsv:2"), std::string::npos) << error;
  EXPECT_NE(error.find("\"D\""), std::string::npos) << error;
}

TEST_F(TextClass, UnknownTargetListsTheOutputs) {
  prepare();
  const TaskOutput output{scores(*data_, {0}), {}, {}};
  const std::string error =
      error_of([&] { task_->find_target(*data_, 0, output, "Z"); }, ExitCode::kUsage);
  EXPECT_NE(error.find("A, B, C"), std::string::npos) << error;
}

TEST_F(TextClass, LossIsCrossEntropy) {
  prepare();
  const std::vector<int64_t> rows = {0, 1, 2};
  const Batch batch = task_->collate(*data_, rows);
  const auto output = task_->forward(batch, {});
  const auto log_p = torch::log_softmax(output.scores.to(torch::kFloat64), 1);
  const double expected = -log_p.gather(1, batch.targets.unsqueeze(1)).mean().item<double>();
  EXPECT_NEAR(task_->loss(output, batch, {}).item<double>(), expected, 1e-5);
  // Smoothing by s: (1 - s) of the loss above and s of the mean over all classes.
  const double spread = -log_p.mean().item<double>();
  EXPECT_NEAR(task_->loss(output, batch, {0.3, {}}).item<double>(), 0.7 * expected + 0.3 * spread,
              1e-5);
}

TEST(RunFolder, RefusesWhatIsNotItsOwn) {
  TemporaryFolder folder;
  EXPECT_NE(
      error_of([&] { load_run(folder / "none"); }, ExitCode::kModel).find("no such run folder"),
      std::string::npos);
  EXPECT_NE(error_of([&] { load_run(folder.path()); }, ExitCode::kModel).find("not a run folder"),
            std::string::npos);
  const auto attend_json = [&](const std::string& text) {
    folder.write("attend.json", text);
    return error_of([&] { load_run(folder.path()); }, ExitCode::kModel);
  };
  EXPECT_NE(attend_json("{").find("not a JSON object"), std::string::npos);
  EXPECT_NE(attend_json("{}").find("\"format\" is missing"), std::string::npos);
  EXPECT_NE(attend_json(R"({"format": 99, "task": "text-class"})").find("newer than this program"),
            std::string::npos);
  EXPECT_NE(attend_json(R"({"format": 1, "task": "paint"})").find("unknown task \"paint\""),
            std::string::npos);
  EXPECT_NE(attend_json(R"({"format": 1, "task": "text-class"})").find("config.json: missing"),
            std::string::npos);
}

}  // namespace
}  // namespace attend
