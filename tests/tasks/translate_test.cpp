// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "translate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "attend/base/random.h"
#include "attend/nn/weights.h"
#include "attend/tasks/run_folder.h"
#include "attend/train/evaluate.h"
#include "attend/train/trainer.h"
#include "small_task.h"

namespace attend {
namespace {

using nlohmann::json;
using testing::TemporaryFolder;

// Words of one letter, and the same words in `order`.
std::string letters(int64_t pairs, uint64_t seed, bool reversed) {
  Random random(seed);
  std::string text;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    std::vector<std::string> words;
    const auto length = 1 + random.below(6);
    for (uint64_t i = 0; i < length; ++i) {
      words.push_back(std::string(1, static_cast<char>('a' + random.below(8))));
    }
    std::string source, target;
    for (const std::string& word : words) source += (source.empty() ? "" : " ") + word;
    if (reversed) std::reverse(words.begin(), words.end());
    for (const std::string& word : words) target += (target.empty() ? "" : " ") + word;
    text += source + "\t" + target + "\n";
  }
  return text;
}

json small_config(const json& changes = json::object()) {
  json config = make_task("translate")->default_config();
  const json own = {{"text", {{"units", "word"}}},
                    {"model",
                     {{"hidden_size", 32},
                      {"layers", 1},
                      {"heads", 2},
                      {"feed_forward", 64},
                      {"embedding_dropout", 0.0},
                      {"positions", "sinusoidal"},
                      {"dropout", 0.0}}},
                    {"decode", {{"beam", 3}, {"look_sentences", 0}}}};
  return merge_config(merge_config(config, own, "test"), changes, "test");
}

TrainOptions small_training(int64_t epochs) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch_size = 32;
  options.learning_rate = 0.01;
  options.warmup = 0.1;
  options.weight_decay = 0;
  options.threads = 1;
  return options;
}

struct Trained {
  std::unique_ptr<Task> task;
  std::shared_ptr<Dataset> train;
  std::shared_ptr<Dataset> dev;

  SequenceTask& sequences() const { return dynamic_cast<SequenceTask&>(*task); }
};

Trained trained(const TemporaryFolder& folder, bool reversed, int64_t epochs,
                const json& changes = json::object()) {
  torch::set_num_threads(1);
  torch::manual_seed(1);
  Trained result;
  result.task = make_task("translate");
  result.train = result.task->prepare(small_config(changes),
                                      {folder.write("train.tsv", letters(4000, 1, reversed))});
  result.dev = result.task->read(folder.write("dev.tsv", letters(60, 2, reversed)), true);
  train({*result.task, *result.train, *result.dev, small_training(epochs), folder.path(), false,
         nullptr});
  return result;
}

double exact_share(const Trained& trained, int64_t beam) {
  ProduceOptions options;
  options.search.beam = beam;
  const auto texts = trained.sequences().produce(*trained.dev, options);
  double right = 0;
  for (int64_t row = 0; row < trained.dev->size(); ++row) {
    right += texts[static_cast<size_t>(row)].at(0).text == trained.dev->gold(row);
  }
  return right / static_cast<double>(trained.dev->size());
}

TEST(Translate, LearnsToCopyAndToReverse) {
  for (const bool reversed : {false, true}) {
    const TemporaryFolder folder;
    // Reversal has to find its place from the other end: it takes a second layer.
    const Trained model = reversed ? trained(folder, true, 30, {{"model", {{"layers", 2}}}})
                                   : trained(folder, false, 20);
    EXPECT_EQ(exact_share(model, 1), 1) << (reversed ? "reversal" : "copy");
    EXPECT_EQ(exact_share(model, 4), 1) << (reversed ? "reversal" : "copy");
    const auto values = metric_values(*evaluate(*model.task, *model.dev));
    EXPECT_NEAR(values.at("bleu"), 1, 1e-9);
    EXPECT_NEAR(values.at("chrf"), 1, 1e-9);
    EXPECT_LT(values.at("loss"), 0.05);
  }
}

TEST(Translate, TheMeanAloneCannotReverse) {
  const TemporaryFolder folder;
  const Trained model = trained(folder, true, 6, {{"model", {{"cross", "mean"}}}});
  EXPECT_LT(exact_share(model, 1), 0.9);
}

// Reversal with its links beside it: attention that is drawn to them finds the words.
TEST(Translate, GuidedAttentionAligns) {
  const auto with_links = [](const std::string& pairs) {
    std::string text;
    for (size_t at = 0; at < pairs.size();) {
      const size_t end = pairs.find('\n', at);
      const std::string line = pairs.substr(at, end - at);
      const auto words = static_cast<int64_t>(line.find('\t') + 1) / 2;
      std::string links;
      for (int64_t i = 0; i < words; ++i) {
        if (i > 0) links += ' ';
        links += std::to_string(i) + "-";
        links += std::to_string(words - 1 - i);
      }
      text += line + "\t" + links + "\n";
      at = end + 1;
    }
    return text;
  };
  const auto error_of = [&](double weight) {
    const TemporaryFolder folder;
    torch::set_num_threads(1);
    torch::manual_seed(1);
    const auto task = make_task("translate");
    const auto config = small_config(
        {{"data", {{"links_column", "3"}}}, {"model", {{"guided_alignment", weight}}}});
    const auto data =
        task->prepare(config, {folder.write("train.tsv", with_links(letters(1500, 1, true)))});
    const auto dev = task->read(folder.write("dev.tsv", with_links(letters(60, 2, true))), true);
    train({*task, *data, *dev, small_training(10), folder.path(), false, nullptr});
    const std::vector<WordPair> pairs{{{"a", "b", "c", "d"}, {"d", "c", "b", "a"}},
                                      {{"e", "f", "g"}, {"g", "f", "e"}}};
    const auto links = dynamic_cast<SequenceTask&>(*task).align(pairs, {});
    const std::vector<GoldLinks> gold{{{{3, 0}, {2, 1}, {1, 2}, {0, 3}}, {}},
                                      {{{2, 0}, {1, 1}, {0, 2}}, {}}};
    return metric_values(*new_alignment_metrics(links, gold)).at("aer");
  };
  const double guided = error_of(0.5);
  EXPECT_EQ(guided, 0);
  EXPECT_LT(guided, error_of(0));
}

class SmallTranslate : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    torch::manual_seed(3);
    task_ = make_task("translate");
    data_ = task_->prepare(small_config({{"train", {{"label_smoothing", 0.1}}}}),
                           {folder_.write("train.tsv", letters(50, 1, true))});
    task_->model()->eval();
  }

  SequenceTask& sequences() { return dynamic_cast<SequenceTask&>(*task_); }

  TemporaryFolder folder_;
  std::unique_ptr<Task> task_;
  std::shared_ptr<Dataset> data_;
};

TEST_F(SmallTranslate, BatchAndBeamAgreeWithOneByOne) {
  ProduceOptions options;
  options.search.beam = 3;
  options.search.best = 2;
  const auto together = sequences().produce(*data_, options);
  options.batch_size = 1;
  const auto alone = sequences().produce(*data_, options);
  for (size_t row = 0; row < together.size(); ++row) {
    ASSERT_EQ(together[row].size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(together[row][i].text, alone[row][i].text);
      EXPECT_NEAR(together[row][i].score, alone[row][i].score, 1e-5);
    }
    EXPECT_GE(together[row][0].score, together[row][1].score);
  }
}

// The cache of decoding against one forward pass over the whole output.
TEST_F(SmallTranslate, ScoresAreTheLogProbabilitiesOfTheText) {
  ProduceOptions options;
  options.search.beam = 2;
  for (int64_t row = 0; row < 10; ++row) {
    const auto forced = sequences().with_output(*data_->subset(std::span(&row, 1)), 0, "");
    const int64_t first = 0;
    const Batch batch = task_->collate(*forced, std::span(&first, 1));
    const TaskOutput output = task_->forward(batch, {});
    const auto gold = output.scores.log_softmax(2).gather(2, batch.targets.unsqueeze(2)).sum();
    options.search = sequences().default_search();
    const auto produced = sequences().produce(*data_->subset(std::span(&row, 1)), options)[0][0];
    if (!produced.finished) continue;
    const auto tokens = static_cast<double>(batch.targets.size(1));
    EXPECT_NEAR(gold.item<double>() / tokens, produced.log_probability / tokens, 1e-5);
  }
}

TEST_F(SmallTranslate, FrozenWeightsTranslateAlike) {
  ProduceOptions options;
  options.search = sequences().default_search();
  options.search.beam = options.search.best = 3;
  const auto plain = sequences().produce(*data_, options);
  auto& decoding = dynamic_cast<DecodingTask&>(*task_);
  decoding.freeze(Precision::kFloat32);
  const auto frozen = sequences().produce(*data_, options);
  for (size_t row = 0; row < plain.size(); ++row) {
    EXPECT_EQ(frozen[row][0].text, plain[row][0].text);
    EXPECT_NEAR(frozen[row][0].log_probability, plain[row][0].log_probability, 1e-4);
  }
  decoding.freeze(Precision::kInt8);
  const auto rounded = sequences().produce(*data_, options);
  size_t same = 0;
  for (size_t row = 0; row < plain.size(); ++row)
    same += rounded[row][0].text == plain[row][0].text;
  EXPECT_GE(same, plain.size() * 8 / 10);
  task_->model()->train();  // the task is shared: thaw
  task_->model()->eval();
}

TEST_F(SmallTranslate, LossIsTheSmoothedCrossEntropyOfTheScores) {
  std::vector<int64_t> rows(20);
  std::iota(rows.begin(), rows.end(), 0);
  const Batch batch = task_->collate(*data_, rows);
  const TaskOutput output = task_->forward(batch, {});
  LossOptions options;
  options.label_smoothing = 0.1;
  namespace F = torch::nn::functional;
  const torch::Tensor expected =
      F::cross_entropy(output.scores.flatten(0, 1), batch.targets.flatten(),
                       F::CrossEntropyFuncOptions().label_smoothing(0.1).ignore_index(-100));
  EXPECT_NEAR(task_->loss(output, batch, options).item<double>(), expected.item<double>(), 1e-5);
}

TEST_F(SmallTranslate, TargetsArePlacesAndWordsOfTheOutput) {
  const int64_t row = 0;
  const auto data = sequences().with_output(*data_, row, "c a b");
  const Batch batch = task_->collate(*data, std::span(&row, 1));
  const TaskOutput output = task_->forward(batch, TraceRequest::all_weights());
  const auto units = task_->output_units(*data, 0);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[1].text, "a");
  const Target by_word = task_->find_target(*data, 0, output, "b");
  EXPECT_EQ(by_word.position, 2);
  EXPECT_EQ(task_->find_target(*data, 0, output, "2").label, by_word.label);
  EXPECT_EQ(task_->find_target(*data, 0, output, "").position, 0);
  EXPECT_THROW(task_->find_target(*data, 0, output, "zebra"), Error);
  const double gold =
      output.scores.log_softmax(2)[0][2][batch.targets[0][2].item<int64_t>()].item<double>();
  EXPECT_NEAR(task_->target_log_probabilities(output, by_word).item<double>(), gold, 1e-5);
  const torch::Tensor readout = task_->target_readout(output, by_word);
  EXPECT_EQ(readout.argmax(1).item<int64_t>(), 2);
  // Encoder, decoder, cross; the start stands before the units.
  ASSERT_EQ(output.trace.layers.size(), 3u);
  EXPECT_EQ(output.trace.layers[2].weights.size(3),
            task_->leading_positions() + static_cast<int64_t>(task_->units(*data, 0).size()));
  // Removing units leaves the output alone.
  const auto fewer = task_->without_units(
      *data, 0, {std::vector<bool>(task_->units(*data, 0).size(), false)}, Removal::kMask);
  EXPECT_EQ(task_->output_units(*fewer, 0).size(), 3u);
  EXPECT_EQ(task_->units(*fewer, 0).size(), task_->units(*data, 0).size());
}

TEST_F(SmallTranslate, ARunFolderTranslatesTheSame) {
  const auto config = small_config();
  write_run(folder_ / "run", config, json::object(), *task_);
  save_tensors(folder_ / "run" / "model.safetensors", named_tensors(*task_->model()));
  const attend::Run run = load_run(folder_ / "run");
  ProduceOptions options;
  options.search = sequences().default_search();
  const auto before = sequences().produce(*data_, options);
  const auto after = dynamic_cast<SequenceTask&>(*run.task).produce(*data_, options);
  for (size_t row = 0; row < before.size(); ++row) {
    EXPECT_EQ(before[row][0].text, after[row][0].text);
  }
}

TEST(Translate, RowsWithTheSameSourceAreReferencesOfOne) {
  const TemporaryFolder folder;
  const auto task = make_task("translate");
  task->prepare(small_config(), {folder.write("train.tsv", letters(50, 1, false))});
  const auto data = task->read(folder.write("dev.tsv", "a b\ta b\nc\tc\na b\tb a\n"), true);
  EXPECT_EQ(data->size(), 2);
  task->model()->eval();
  const auto metrics = evaluate(*task, *data);
  EXPECT_EQ(metrics->details().at("signatures").at("sacrebleu").get<std::string>().substr(0, 9),
            "nrefs:var");
}

TEST(Translate, SaysWhatTheModelDoesNotSee) {
  const TemporaryFolder folder;
  const auto task = make_task("translate");
  task->prepare(small_config({{"text", {{"max_length", 8}}}}),
                {folder.write("train.tsv", letters(50, 1, false))});
  const auto data = task->from_inputs({"a b c d a b c d a b", "a zebra"});
  EXPECT_NE(data->notice(0).find("2 after them are left out"), std::string::npos);
  EXPECT_NE(data->notice(1).find("1 unit of the source is not in the vocabulary"),
            std::string::npos);
}

}  // namespace
}  // namespace attend
