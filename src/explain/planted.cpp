// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/planted.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/random.h"
#include "attend/tasks/config.h"
#include "attend/tasks/planted.h"
#include "attend/train/evaluate.h"
#include "attend/train/trainer.h"
#include "subject.h"

namespace attend {
namespace {

using nlohmann::json;

// Training writes files; these are of no use afterwards.
class ScratchFolder {
 public:
  ScratchFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("attend_planted_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A text of filler words with one marker word, which alone decides the label, or with none.
struct PlantedTexts {
  std::string rows;  // "label<TAB>text" lines
  std::vector<int64_t> deciding;
};

PlantedTexts planted_texts(int64_t rows, uint64_t seed) {
  static const std::vector<std::string> kFillers = {
      "one",  "day",   "the",  "sun",  "went", "over", "some",  "hill", "and",   "tree",
      "near", "river", "with", "bird", "that", "sang", "while", "rain", "stone", "road"};
  static const std::vector<std::string> kMarkers = {"alpha", "beta", "gamma"};
  static const std::vector<std::string> kLabels = {"A", "B", "C", "none"};
  Random random(seed);
  PlantedTexts texts;
  for (int64_t row = 0; row < rows; ++row) {
    const auto label = random.below(kLabels.size());
    const auto length = 6 + random.below(9);
    const bool marked = label < kMarkers.size();
    const auto place = marked ? random.below(length) : length;
    texts.rows += kLabels[label] + "\t";
    for (uint64_t i = 0; i < length; ++i) {
      const std::string& filler = kFillers[random.below(kFillers.size())];
      if (i > 0) texts.rows += ' ';
      texts.rows += i == place ? kMarkers[label] : filler;
    }
    texts.rows += "\n";
    texts.deciding.push_back(marked ? static_cast<int64_t>(place) : -1);
  }
  return texts;
}

// The size and form of make_planted_task()'s models.
json text_config(const Task& task) {
  return merge_config(task.default_config(),
                      {{"data", {{"format", "tsv"}, {"label_column", "1"}, {"text_column", "2"}}},
                       {"text", {{"units", "word"}}},
                       {"model",
                        {{"embedding_dim", 32},
                         {"hidden_size", 32},
                         {"layers", 1},
                         {"final_norm", false},
                         {"heads", 2},
                         {"wide", "none"}}}},
                      "planted");
}

}  // namespace

std::vector<std::string> planted_kinds() { return {"text", "items", "entities", "patches"}; }

PlantedModelAndData train_planted(const std::string& kind, int64_t test_examples, uint64_t seed) {
  const ScratchFolder folder;
  torch::manual_seed(seed);
  PlantedModelAndData result;
  std::shared_ptr<Dataset> train_data;
  if (kind == "text") {
    result.task = make_task("text-class");
    const auto test = planted_texts(test_examples, seed + 1);
    const auto train_path = (folder.path() / "train.tsv").string();
    const auto test_path = (folder.path() / "test.tsv").string();
    write_file_atomically(train_path, planted_texts(1000, seed).rows);
    write_file_atomically(test_path, test.rows);
    train_data = result.task->prepare(text_config(*result.task), {train_path});
    result.test = result.task->read(test_path, /*with_gold=*/true);
    result.deciding = test.deciding;
  } else {
    const std::vector<PlantedKind> kinds = {PlantedKind::kItems, PlantedKind::kEntities,
                                            PlantedKind::kPatches};
    const auto found = std::find_if(kinds.begin(), kinds.end(),
                                    [&](PlantedKind one) { return to_string(one) == kind; });
    if (found == kinds.end()) {
      throw usage_error("--planted " + kind + ": known are text, items, entities, patches");
    }
    result.task = make_planted_task(*found);
    train_data = result.task->prepare({{"seed", seed}}, {});
    PlantedExamples test = planted_examples(*found, test_examples, seed + 1);
    result.test = test.data;
    result.deciding = std::move(test.deciding);
  }
  TrainOptions options;
  options.seed = static_cast<int64_t>(seed);
  options.batch_size = 32;
  options.epochs = 6;
  options.learning_rate = 3e-3;
  result.task->before_training(*train_data, *result.test);
  train({*result.task, *train_data, *result.test, options, folder.path(), false, {}});
  result.task->model()->eval();
  result.accuracy = metric_values(*evaluate(*result.task, *result.test)).at("accuracy");
  return result;
}

PlantedTable planted_hits(const std::string& kind, std::vector<std::string> methods,
                          int64_t test_examples, uint64_t seed) {
  const auto start = std::chrono::steady_clock::now();
  const PlantedModelAndData planted = train_planted(kind, test_examples, seed);
  std::string left_out;
  methods = methods_for(*planted.task, *planted.test, drawn_rows(planted.test->size(), 0, 0),
                        methods, left_out);
  ExplainOptions options;
  options.removal = planted.task->removals().front();
  options.seed = seed;
  PlantedTable table;
  table.kind = kind;
  table.unit_kind = planted.task->unit_kind();
  table.removal = to_string(options.removal);
  table.accuracy = planted.accuracy;
  std::vector<std::vector<double>> hits(methods.size());
  for (int64_t row = 0; row < planted.test->size(); ++row) {
    const int64_t deciding = planted.deciding[static_cast<size_t>(row)];
    if (deciding < 0) continue;
    const Subject subject = make_subject(*planted.task, *planted.test, row, "");
    if (subject.target.label != planted.test->gold(row)) continue;
    ++table.examples;
    table.chance += 1 / static_cast<double>(subject.groups.size());
    for (size_t m = 0; m < methods.size(); ++m) {
      const auto scores = subject.attribute(methods[m], options).scores;
      const auto top = std::max_element(scores.begin(), scores.end()) - scores.begin();
      hits[m].push_back(top == deciding ? 1 : 0);
    }
  }
  table.chance /= static_cast<double>(std::max<int64_t>(1, table.examples));
  for (size_t m = 0; m < methods.size(); ++m) {
    table.hits.emplace_back(methods[m], estimate(hits[m], 1000, seed));
  }
  table.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return table;
}

}  // namespace attend
