// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "attend/base/error.h"
#include "attend/tasks/config.h"
#include "attend/tasks/run_folder.h"
#include "attend/train/evaluate.h"
#include "attend/train/trainer.h"
#include "small_task.h"

namespace attend {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::TemporaryFolder;

// The title decides the poem, word for word.
const std::map<std::string, std::string> kPoems = {{"春风", "花开鸟鸣，水绿山青。"},
                                                   {"夏雨", "荷香蛙声，云黑电明。"},
                                                   {"秋月", "叶落雁行，夜白露凉。"},
                                                   {"冬雪", "梅开酒温，炉红门深。"}};

std::string corpus() {
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    for (const auto& [title, text] : kPoems) {
      lines += json{{"title", title}, {"text", text}}.dump() + "\n";
    }
  }
  return lines;
}

struct GenerateSetup {
  explicit GenerateSetup(const json& settings = json::object()) {
    torch::manual_seed(3);
    torch::set_num_threads(1);
    config = merge_config(
        task.default_config(),
        {{"data", {{"format", "jsonl"}, {"text_column", "text"}, {"prompt_column", "title"}}},
         {"text", {{"max_length", 64}}},
         {"model",
          {{"hidden_size", 32},
           {"layers", 2},
           {"heads", 2},
           {"dropout", 0.0},
           {"embedding_dropout", 0.0}}},
         {"train", {{"prompt_dropout", 0.0}}}},
        "test");
    config = merge_config(config, settings, "test");
    data = task.prepare(config, {folder.write("train.jsonl", corpus())});
  }

  void train(int64_t steps) {
    std::filesystem::create_directories(folder / "run");
    TrainOptions options;
    options.epochs = 1000;
    options.max_steps = steps;
    options.batch_size = 16;
    options.learning_rate = 5e-3;
    attend::train({task, *data, *data, options, folder / "run", false, {}});
  }

  Batch batch(std::vector<int64_t> rows) { return task.collate(*data, rows); }

  TemporaryFolder folder;
  GenerateTask task;
  json config;
  std::shared_ptr<Dataset> data;
};

std::vector<int64_t> row_of(const torch::Tensor& matrix, int64_t row, int64_t length) {
  const torch::Tensor one = matrix[row].slice(0, 0, length).contiguous();
  return {one.data_ptr<int64_t>(), one.data_ptr<int64_t>() + length};
}

TEST(Generate, LearnsWhichTextBelongsToWhichTitle) {
  GenerateSetup setup;
  setup.train(120);
  for (const auto& [title, text] : kPoems) {
    GenerateRequest request;
    request.prompt = title;
    const auto written = setup.task.generate(request);
    ASSERT_EQ(written.size(), 1u);
    EXPECT_EQ(written[0].text, text);
    EXPECT_TRUE(written[0].finished);
    EXPECT_EQ(written[0].tokens, 11);
  }
  const auto metrics = metric_values(*evaluate(setup.task, *setup.data));
  EXPECT_LT(metrics.at("perplexity_with_prompt"), 1.1);
  // Without the title nothing tells which of the four comes: 2 bits, over 11 tokens, at best.
  EXPECT_GT(metrics.at("perplexity"), std::exp(std::log(4.0) / 11));
  EXPECT_FALSE(metrics.contains("peer_perplexity"));

  // Steering, on a model that has learnt to look at the title.
  GenerateRequest request;
  request.prompt = "春风";
  request.sources = true;
  const auto plain = setup.task.generate(request)[0];
  request.emphasis = {{"风", 8}};
  const auto steered = setup.task.generate(request)[0];
  ASSERT_EQ(plain.sources.size(), 10u);
  EXPECT_EQ(plain.sources[0].token, "花");
  EXPECT_THAT(plain.context, ::testing::ElementsAre("春", "风", "[SEP]", "花", "开", "鸟", "鸣",
                                                    "，", "水", "绿", "山", "青", "。"));
  for (size_t t = 0; t < plain.sources.size(); ++t) {
    const auto& weights = plain.sources[t].weights;
    ASSERT_EQ(weights.size(), t + 3);  // the title, its end, and what was written before
    EXPECT_LE(std::accumulate(weights.begin(), weights.end(), 0.0), 1 + 1e-5);
  }
  EXPECT_GT(steered.sources[0].weights[1], plain.sources[0].weights[1]);
}

TEST(Generate, CachedDecodingScoresAsAFullForwardPass) {
  GenerateSetup setup;
  GenerateRequest request;
  request.prompt = "秋月";
  request.search.sample = true;
  request.search.max_length = {20};
  request.search.min_length = 3;
  request.count = 5;
  for (const GeneratedText& one : setup.task.generate(request)) {
    const std::string line = json{{"title", "秋月"}, {"text", one.text}}.dump() + "\n";
    const auto data = setup.task.read(setup.folder.write("one.jsonl", line), true);
    ASSERT_EQ(data->size(), 1);
    const Batch batch = setup.task.collate(*data, std::vector<int64_t>{0});
    torch::NoGradGuard no_grad;
    const TaskOutput output = setup.task.forward(batch, {});
    // Special tokens were forbidden while writing, and the end before three tokens, so their
    // probability is shared out. The text begins behind [CLS], the title's two tokens and [SEP].
    LanguageModel model = std::dynamic_pointer_cast<LanguageModelImpl>(setup.task.model());
    torch::Tensor logits = model->logits(output.hidden).to(torch::kFloat64);
    logits.slice(2, 0, kSeparatorId) = -1e30;
    logits.slice(1, 3, 6).select(2, kSeparatorId).fill_(-1e30);
    const torch::Tensor scores = logits.log_softmax(2)[0];
    double sum = 0;
    int64_t counted = 0;
    for (int64_t i = 0; i < batch.targets.size(1); ++i) {
      const int64_t target = batch.targets[0][i].item<int64_t>();
      if (target == kNoTarget) continue;
      if (++counted > one.tokens) break;  // a text that was cut has no end to count
      sum += scores[i][target].item<double>();
    }
    // Per token: the sum of twenty rounds off at 1e-5 by itself.
    const auto tokens = static_cast<double>(one.tokens);
    EXPECT_NEAR(sum / tokens, one.log_probability / tokens, 1e-5) << one.text;
  }
}

// Frozen and plain decoding draw the same texts; rounded weights stay near them.
TEST(Generate, FrozenWeightsWriteTheSame) {
  GenerateSetup setup;
  GenerateRequest request;
  request.prompt = "秋月";
  request.search.max_length = {20};
  request.search.min_length = 3;
  request.count = 4;
  request.search.sample = true;
  const auto plain = setup.task.generate(request);
  const std::string line = json{{"title", "秋月"}, {"text", plain[0].text}}.dump() + "\n";
  const auto data = setup.task.read(setup.folder.write("one.jsonl", line), true);
  const auto perplexity = [&] {
    return metric_values(*evaluate(setup.task, *data)).at("perplexity");
  };
  const double exact = perplexity();
  setup.task.freeze(Precision::kFloat32);
  const auto frozen = setup.task.generate(request);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(frozen[i].text, plain[i].text);
    EXPECT_NEAR(frozen[i].log_probability, plain[i].log_probability, 1e-4);
  }
  EXPECT_NEAR(perplexity(), exact, 1e-4 * exact);
  for (const Precision precision : {Precision::kBFloat16, Precision::kInt8}) {
    setup.task.freeze(precision);
    EXPECT_NEAR(perplexity(), exact, 0.02 * exact) << to_string(precision);
    EXPECT_NE(perplexity(), exact) << to_string(precision);
    EXPECT_EQ(setup.task.generate(request).size(), 4u);
  }
  request.sources = true;
  EXPECT_THROW(setup.task.generate(request), Error);
}

// A precision that the model has no form for is refused, not quietly left out.
TEST(Generate, HeadsTooLargeToFreezeAreSaid) {
  GenerateSetup setup(json{{"model", {{"hidden_size", 264}, {"layers", 1}, {"heads", 1}}}});
  EXPECT_NO_THROW(setup.task.freeze(Precision::kFloat32));
  EXPECT_THROW(setup.task.freeze(Precision::kInt8), Error);
}

TEST(Generate, SequencesAreLaidOutAsDocumented) {
  GenerateSetup setup;
  setup.task.model()->eval();
  const Batch batch = setup.batch({0});
  const auto length = batch.inputs.at("lengths")[0].item<int64_t>();
  EXPECT_EQ(length, 1 + 2 + 1 + 10);
  const auto tokens = row_of(batch.inputs.at("tokens"), 0, length);
  const auto targets = row_of(batch.targets, 0, length);
  EXPECT_EQ(tokens[0], kClassifyId);
  EXPECT_EQ(tokens[3], kSeparatorId);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(targets[i], kNoTarget);
  for (size_t i = 3; i + 1 < tokens.size(); ++i) EXPECT_EQ(targets[i], tokens[i + 1]);
  EXPECT_EQ(targets.back(), kSeparatorId);
}

TEST(Generate, GapsPutTogetherAreTheText) {
  GenerateSetup setup(json{{"train", {{"infill_share", 1.0}, {"prompt_dropout", 0.5}}}});
  setup.task.model()->eval();
  const Batch plain = setup.batch({0});
  const auto whole_length = plain.inputs.at("lengths")[0].item<int64_t>();
  auto whole = row_of(plain.inputs.at("tokens"), 0, whole_length);
  whole.erase(whole.begin(), whole.begin() + 4);
  setup.task.model()->train();
  std::set<size_t> gap_lengths;
  int prompts = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const Batch batch = setup.batch({0});
    const auto length = batch.inputs.at("lengths")[0].item<int64_t>();
    auto tokens = row_of(batch.inputs.at("tokens"), 0, length);
    tokens.push_back(batch.targets[0][length - 1].item<int64_t>());
    EXPECT_EQ(tokens.back(), kSeparatorId);
    tokens.pop_back();
    const auto text = std::find(tokens.begin(), tokens.end(), kSeparatorId) + 1;
    prompts += text - tokens.begin() > 2 ? 1 : 0;
    const auto first = std::find(text, tokens.end(), kMaskId);
    const auto second = std::find(first + 1, tokens.end(), kMaskId);
    ASSERT_NE(second, tokens.end());
    std::vector<int64_t> joined(text, first);
    joined.insert(joined.end(), second + 1, tokens.end());
    joined.insert(joined.end(), first + 1, second);
    EXPECT_EQ(joined, whole);
    gap_lengths.insert(static_cast<size_t>(tokens.end() - second - 1));
    const auto counted = batch.targets.ne(kNoTarget).sum().item<int64_t>();
    EXPECT_EQ(counted, tokens.end() - second);  // the gap and its end
  }
  EXPECT_GT(gap_lengths.size(), 3u);
  EXPECT_GT(prompts, 5);
  EXPECT_LT(prompts, 35);
}

TEST(Generate, TextsKeepToTheirConstraintsAndSeeds) {
  GenerateSetup setup;  // untrained: nothing but the constraints shapes the text
  GenerateRequest request;
  request.search.sample = true;
  request.count = 6;
  request.constraints.form = parse_form("2x5");
  request.constraints.acrostic = "春雪";
  request.constraints.contain = {"秋月"};
  const auto texts = setup.task.generate(request);
  std::set<std::string> different;
  for (const GeneratedText& one : texts) {
    EXPECT_EQ(form_of(one.text), request.constraints.form) << one.text;
    EXPECT_TRUE(one.text.starts_with("春"));
    EXPECT_NE(one.text.find("秋月"), std::string::npos);
    EXPECT_TRUE(one.finished);
    different.insert(one.text);
  }
  EXPECT_EQ(different.size(), 6u);
  // Text i depends on the seed and i alone.
  request.count = 3;
  const auto fewer = setup.task.generate(request);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(fewer[i].text, texts[i].text);
  request.search.seed = 2;
  EXPECT_NE(setup.task.generate(request)[0].text, texts[0].text);

  GenerateRequest gap;
  gap.search.sample = true;
  gap.infill = true;
  gap.begin = "花开";
  gap.end = "，水绿山青。";
  gap.constraints.form = {4, 4};
  const auto filled = setup.task.generate(gap)[0];
  EXPECT_TRUE(filled.text.starts_with("花开") && filled.text.ends_with("，水绿山青。"));
  EXPECT_EQ(form_of(filled.text), (std::vector<int64_t>{4, 4})) << filled.text;
}

std::string refusal(GenerateTask& task, const GenerateRequest& request) {
  try {
    task.generate(request);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "accepted";
}

TEST(Generate, WhatCannotBeDoneIsSaid) {
  GenerateSetup setup;
  GenerateRequest request;
  request.prompt = "春龘";
  EXPECT_THAT(refusal(setup.task, request), AllOf(HasSubstr("--prompt"), HasSubstr("\"龘\"")));
  request.prompt = "春风";
  request.emphasis = {{"月", 2}};
  EXPECT_THAT(refusal(setup.task, request), HasSubstr("--emphasize 月"));
  request.emphasis = {{"风", 0}};
  EXPECT_THAT(refusal(setup.task, request), HasSubstr("above 0"));
  request.emphasis.clear();
  request.attention_temperature = 0;
  EXPECT_THAT(refusal(setup.task, request), HasSubstr("--attention-temperature"));
  request.attention_temperature = 1;
  request.constraints.form = parse_form("20x7");
  EXPECT_THAT(refusal(setup.task, request), HasSubstr("--form needs 161 tokens"));
  request.constraints.form.clear();
  for (int i = 0; i < 40; ++i) request.prompt += "花";
  const auto cut = setup.task.generate(request)[0];
  EXPECT_THAT(cut.notice, HasSubstr("42 tokens, of which the context holds the last 30"));
}

TEST(Generate, EarlierTokensExplainATargetAndLaterOnesDoNot) {
  GenerateSetup setup;
  setup.task.model()->eval();
  torch::NoGradGuard no_grad;
  const auto data = setup.task.from_inputs({"春风\t花开鸟鸣，水"});
  const auto units = setup.task.units(*data, 0);
  ASSERT_EQ(units.size(), 9u);
  EXPECT_EQ(units[0].text, "春");
  EXPECT_EQ(data->input(0).substr(static_cast<size_t>(units[3].span.begin), 3), "花");
  const TaskOutput output =
      setup.task.forward(setup.task.collate(*data, std::vector<int64_t>{0}), {});
  const Target next = setup.task.find_target(*data, 0, output, "");
  EXPECT_EQ(next.position, 9);
  EXPECT_EQ(next.label, setup.task.predict(output, 1)[0][0].label);
  EXPECT_NEAR(std::exp(setup.task.target_log_probabilities(output, next)[0].item<double>()),
              setup.task.predict(output, 1)[0][0].probability, 1e-6);
  const Target fifth = setup.task.find_target(*data, 0, output, "#5");
  EXPECT_EQ(fifth.label, "鸟");
  EXPECT_EQ(setup.task.find_target(*data, 0, output, "鸣").position, 6);
  EXPECT_EQ(setup.task.find_target(*data, 0, output, "雪").position, 9);
  EXPECT_THROW(setup.task.find_target(*data, 0, output, "#9"), Error);
  EXPECT_THROW(setup.task.find_target(*data, 0, output, "龘"), Error);
  EXPECT_EQ(setup.task.target_readout(output, fifth)[0].argmax().item<int64_t>(), 5);

  // Without each unit in turn: only those before the target matter.
  std::vector<std::vector<bool>> keep(units.size(), std::vector<bool>(units.size(), true));
  for (size_t i = 0; i < units.size(); ++i) keep[i][i] = false;
  const auto variants = setup.task.without_units(*data, 0, keep, Removal::kMask);
  std::vector<int64_t> rows(units.size());
  std::iota(rows.begin(), rows.end(), 0);
  const TaskOutput varied = setup.task.forward(setup.task.collate(*variants, rows), {});
  const torch::Tensor scores = setup.task.target_log_probabilities(varied, fifth);
  const double before = setup.task.target_log_probabilities(output, fifth)[0].item<double>();
  for (size_t i = 0; i < units.size(); ++i) {
    const double change = std::abs(scores[static_cast<int64_t>(i)].item<double>() - before);
    if (i < 5) {
      EXPECT_GT(change, 1e-4) << i;
    } else {
      EXPECT_LT(change, 1e-5) << i;
    }
  }
}

TEST(Generate, AConversationKeepsItsContextInTheCache) {
  GenerateSetup setup;
  GenerateRequest request;
  request.search.sample = true;
  request.search.max_length = {6};
  request.search.min_length = 3;
  const auto session = setup.task.session(request);
  std::string streamed;
  const auto first = session->turn("春风", [&](const std::string& piece) { streamed += piece; });
  EXPECT_EQ(streamed, first.text);
  const int64_t after_first = session->length();
  EXPECT_GT(after_first, 4);
  const auto second = session->turn("秋月", {});
  EXPECT_GT(session->length(), after_first + 4);
  ASSERT_FALSE(second.sources.empty());
  // The second answer can look at all that was said before.
  EXPECT_GT(second.sources[0].weights.size(), first.context.size());
  EXPECT_EQ(second.context.front(), "春");
  session->clear();
  EXPECT_EQ(session->length(), 0);
  // A full context is announced, not silently cut.
  std::string notice;
  for (int turn = 0; turn < 12 && notice.empty(); ++turn) {
    notice = session->turn("夏雨", {}).notice;
    EXPECT_LE(session->length(), session->capacity());
  }
  EXPECT_THAT(notice, HasSubstr("forgotten"));
  EXPECT_THROW(session->turn("龘", {}), Error);
}

TEST(Generate, ARunFolderIsReadBackWithItsPeer) {
  GenerateSetup setup;
  setup.train(3);
  json config = setup.config;
  config["task"] = "generate";
  write_run(setup.folder / "run", config, json::object(), setup.task);
  const attend::Run run = load_run(setup.folder / "run");
  auto& generator = dynamic_cast<TextGenerator&>(*run.task);
  EXPECT_EQ(generator.training_texts().size(), 32u);
  EXPECT_TRUE(generator.takes_prompts());
  const auto data = run.task->read((setup.folder / "train.jsonl").string(), true);
  const auto metrics = metric_values(*evaluate(*run.task, *data));
  const auto before = metric_values(*evaluate(setup.task, *setup.data));
  EXPECT_NEAR(metrics.at("perplexity"), before.at("perplexity"), 1e-3);
  std::vector<std::string> texts;
  for (const auto& [title, text] : kPoems) texts.push_back(text);
  // All texts are equally frequent, so four of them are as likely as the whole corpus.
  EXPECT_NEAR(metrics.at("peer_perplexity"), generator.peer_perplexity(texts), 1e-6);
  EXPECT_LT(metrics.at("peer_perplexity"), 2);
  GenerateRequest request;
  request.prompt = "春风";
  EXPECT_EQ(generator.generate(request)[0].text, setup.task.generate(request)[0].text);
  EXPECT_EQ(generator.peer_samples(3, 4, 1).size(), 4u);
  EXPECT_EQ(generator.peer_samples(3, 4, 1), generator.peer_samples(3, 4, 1));
}

TEST(Generate, LongTextsBecomePiecesAndNothingIsLost) {
  GenerateSetup setup(json{{"text", {{"max_length", 16}}}});
  std::string text;
  for (int i = 0; i < 30; ++i) text += "花";
  const std::string path =
      setup.folder.write("long.jsonl", json{{"title", "春风"}, {"text", text}}.dump() + "\n");
  const auto data = setup.task.read(path, true);
  EXPECT_EQ(data->size(), 3);  // 10 tokens each
  setup.task.model()->eval();
  int64_t targets = 0;
  int64_t ends = 0;
  for (int64_t row = 0; row < data->size(); ++row) {
    const Batch batch = setup.task.collate(*data, std::vector<int64_t>{row});
    targets += batch.targets.ne(kNoTarget).sum().item<int64_t>();
    ends += batch.targets.eq(kSeparatorId).sum().item<int64_t>();
    EXPECT_LE(batch.inputs.at("tokens").size(1), 16);
  }
  EXPECT_EQ(targets, 31);
  EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace attend
