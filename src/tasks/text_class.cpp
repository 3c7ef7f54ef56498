// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "text_class.h"

#include <numeric>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/nn/weights.h"
#include "attend/tasks/config.h"
#include "naive_bayes_svm.h"

namespace attend {
namespace {

using nlohmann::json;

constexpr const char* kOrigin = "text-class configuration";
constexpr const char* kNgramFile = "ngrams.safetensors";
constexpr const char* kLabelFile = "labels.txt";

template <typename T>
T setting(const json& config, const char* section, const char* key) {
  return config_value<T>(config.at(section), key, std::string(kOrigin) + " (" + section + ")");
}

const TextDataset& texts(const Dataset& data) { return dynamic_cast<const TextDataset&>(data); }

// The format that the ending of a file name stands for; kAuto for any other.
DataFormat format_of_name(const std::string& path) {
  std::string name = path;
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with(".tsv")) return DataFormat::kTsv;
  if (name.ends_with(".csv")) return DataFormat::kCsv;
  if (name.ends_with(".jsonl")) return DataFormat::kJsonl;
  return DataFormat::kAuto;
}

TextInput text_input(const Batch& batch) {
  const auto optional = [&](const char* name) {
    const auto found = batch.inputs.find(name);
    return found == batch.inputs.end() ? torch::Tensor() : found->second;
  };
  TextInput input;
  input.tokens = batch.inputs.at("tokens");
  input.lengths = batch.inputs.at("lengths");
  input.ngram_ids = optional("ngram_ids");
  input.ngram_positions = optional("ngram_positions");
  input.ngram_values = optional("ngram_values");
  return input;
}

TaskOutput task_output(TextClassifierOutput output) {
  return {std::move(output.logits), std::move(output.readout), std::move(output.trace)};
}

std::vector<int64_t> gold_indices(const Dataset& data) {
  std::vector<int64_t> indices;
  for (int64_t row = 0; row < data.size(); ++row) {
    indices.push_back(texts(data).example(row).label_index);
  }
  return indices;
}

// The examples as the wide term sees them: distinct n-grams with their values.
SparseRows sparse_rows(const TextDataset& data) {
  SparseRows rows;
  for (int64_t row = 0; row < data.size(); ++row) {
    const auto& hits = data.example(row).ngrams;
    const auto values = ngram_values(hits);
    std::map<int32_t, float> sums;
    for (size_t i = 0; i < hits.size(); ++i) sums[hits[i].feature] += values[i];
    for (const auto& [feature, value] : sums) {
      rows.features.push_back(feature);
      rows.values.push_back(value);
    }
    rows.offsets.push_back(static_cast<int64_t>(rows.features.size()));
  }
  return rows;
}

NgramOptions ngram_options(const json& section) {
  NgramOptions options;
  options.char_min = config_value<int>(section, "char_min", kOrigin);
  options.char_max = config_value<int>(section, "char_max", kOrigin);
  options.word_min = config_value<int>(section, "word_min", kOrigin);
  options.word_max = config_value<int>(section, "word_max", kOrigin);
  options.min_count = config_value<int64_t>(section, "min_count", kOrigin);
  options.max_features = config_value<int64_t>(section, "max_features", kOrigin);
  return options;
}

bool wants_ngrams(const json& section) {
  return config_value<int>(section, "char_max", kOrigin) > 0 ||
         config_value<int>(section, "word_max", kOrigin) > 0;
}

}  // namespace

json TextClassTask::default_config() const {
  return {{"data",
           {{"format", "auto"},     // as DataFormat
            {"text_column", ""},    // name or number from 1; empty: found
            {"label_column", ""},   //
            {"separator", ""},      // between columns; empty: by format
            {"label_names", ""}}},  // file with one label name per line, for numeric labels
          {"text",
           {{"units", "mixed"},   // as TokenizerKind
            {"normalise", true},  //
            {"fold_case", true},  //
            {"min_count", 1},     // rarer units become unknown
            {"max_vocabulary", 30000},
            {"max_length", 512},  // units of a text that the model reads
            {"ngrams",            // wide and deep n-gram terms; both maxima 0: none
             {{"char_min", 1},
              {"char_max", 0},
              {"word_min", 1},
              {"word_max", 0},
              {"min_count", 2},
              {"max_features", 0}}}}},
          {"model",
           {{"embedding_dim", 64},
            {"hidden_size", 64},
            {"layers", 1},
            {"heads", 4},
            {"kv_heads", 0},         // 0: as heads
            {"feed_forward", 0},     // 0: 4 * hidden_size; -1: none
            {"activation", "gelu"},  // or "swiglu"
            {"positions", "sinusoidal"},
            {"window", -1},     // keys to either side that a query sees; -1: all
            {"stem_width", 0},  // odd; 0: no convolution before attention
            {"qk_norm", false},
            {"sink", false},
            {"output_gate", false},
            {"pooling", "attention"},
            {"pooling_heads", 1},
            {"embedding_dropout", 0.1},
            {"word_dropout", 0.0},
            {"attention_dropout", 0.0},
            {"dropout", 0.1},
            {"wide", "fitted"},  // how n-grams add to the logits: "fitted" before training, "joint"
                                 // with the rest, or "none"
            {"wide_cost", 1.0},  // of the fitted one: C of its SVM
            {"wide_idf", false},    // of the fitted one: average with a tf-idf SVM
            {"ngram_deep", false},  // each n-gram adds to the embedding of its unit
            {"ngram_dropout", 0.0}}}};
}

// What was found in the training file holds for every later file: guessed anew, a small file might
// be read with text and label swapped.
void TextClassTask::settle_format(const ReadResult& read) {
  json& data = config_["data"];
  if (data["format"] == "auto") data["format"] = to_string(read.format);
  if (data["text_column"] == "") data["text_column"] = read.text_column;
  if (data["label_column"] == "") data["label_column"] = read.label_column;
}

ReaderOptions TextClassTask::reader_options(const std::string& path, bool with_gold) const {
  ReaderOptions options;
  options.format = parse_data_format(setting<std::string>(config_, "data", "format"));
  const DataFormat named = format_of_name(path);
  if (named == DataFormat::kAuto || named == options.format ||
      options.format == DataFormat::kAuto) {
    options.text_column = setting<std::string>(config_, "data", "text_column");
    options.label_column = setting<std::string>(config_, "data", "label_column");
  } else {
    options.format = named;  // the user has this file in another format, with columns of its own
  }
  const auto separator = setting<std::string>(config_, "data", "separator");
  if (separator.size() > 1) {
    throw usage_error("data.separator is \"" + separator + "\"; it must be a single character");
  }
  options.separator = separator.empty() ? '\0' : separator[0];
  options.label_names = label_file_;
  options.require_labels = with_gold;
  return options;
}

std::shared_ptr<TextDataset> TextClassTask::encode(const std::string& path,
                                                   const std::string& description,
                                                   const std::vector<Row>& rows,
                                                   bool with_gold) const {
  std::vector<TextExample> examples;
  examples.reserve(rows.size());
  for (const Row& row : rows) {
    TextExample example = encoder_.encode(row.text);
    if (with_gold) {
      example.label = row.label;
      example.label_index = labels_.find(row.label);
      if (example.label_index < 0) {
        const std::string near = nearest_name(row.label, labels_.names());
        throw data_error(
            path + ":" + std::to_string(row.line) + ": label \"" + row.label +
            "\" does not occur in the training data; " +
            (near.empty() ? "mend the row or train with it" : "did you mean \"" + near + "\"?"));
      }
    }
    examples.push_back(std::move(example));
  }
  return std::make_shared<TextDataset>(path + ": " + description, std::move(examples));
}

std::shared_ptr<Dataset> TextClassTask::prepare(const json& config,
                                                const std::vector<std::string>& paths) {
  config_ = config;
  std::vector<Row> rows;
  std::string description;
  label_file_ = setting<std::string>(config_, "data", "label_names");
  for (const std::string& path : paths) {
    ReadResult read = read_rows(path, reader_options(path, /*with_gold=*/true));
    settle_format(read);
    description += (description.empty() ? "" : "; ") + read.description;
    if (label_names_.empty()) label_names_ = read.label_names;
    rows.insert(rows.end(), std::make_move_iterator(read.rows.begin()),
                std::make_move_iterator(read.rows.end()));
  }
  labels_ = LabelSet(distinct_labels(rows, label_names_));
  const std::string origin = paths.size() == 1 ? paths[0] : paths[0] + " and others";
  if (labels_.size() < 2) {
    throw data_error(origin + ": every row has the label \"" + labels_.names().at(0) +
                     "\"; a classifier needs at least two classes (is data.label_column right?)");
  }
  std::vector<std::string> all_texts;
  all_texts.reserve(rows.size());
  for (const Row& row : rows) all_texts.push_back(row.text);

  TokenizerOptions options;
  options.kind = parse_tokenizer_kind(setting<std::string>(config_, "text", "units"));
  options.normalise = setting<bool>(config_, "text", "normalise");
  options.fold_case = setting<bool>(config_, "text", "fold_case");
  options.min_count = setting<int64_t>(config_, "text", "min_count");
  options.max_vocabulary = setting<int64_t>(config_, "text", "max_vocabulary");
  encoder_.tokenizer = train_tokenizer(options, all_texts);
  encoder_.max_length = setting<int64_t>(config_, "text", "max_length");
  if (encoder_.max_length < 1) throw usage_error("text.max_length must be 1 or more");
  const json ngrams = setting<json>(config_, "text", "ngrams");
  encoder_.ngrams = wants_ngrams(ngrams) ? NgramVocabulary::build(ngram_options(ngrams), all_texts)
                                         : NgramVocabulary();
  build_model();
  return encode(origin, description, rows, /*with_gold=*/true);
}

void TextClassTask::build_model() {
  const auto text = [&](const char* key) { return setting<std::string>(config_, "model", key); };
  const auto whole = [&](const char* key) { return setting<int64_t>(config_, "model", key); };
  const auto number = [&](const char* key) { return setting<double>(config_, "model", key); };
  const auto flag = [&](const char* key) { return setting<bool>(config_, "model", key); };

  TextClassifierOptions options;
  options.vocab_size = encoder_.tokenizer->vocab_size();
  options.embedding_dim = whole("embedding_dim");
  options.hidden_size = whole("hidden_size");
  options.output_size = labels_.size();
  options.padding_index = kPaddingId;
  options.embedding_dropout = number("embedding_dropout");
  options.word_dropout = number("word_dropout");
  options.dropout = number("dropout");
  options.encoder.layers = whole("layers");
  options.encoder.heads = whole("heads");
  options.encoder.kv_heads = whole("kv_heads");
  options.encoder.feed_forward = whole("feed_forward");
  options.encoder.activation = parse_activation(text("activation"));
  options.encoder.dropout = number("dropout");
  options.encoder.positions = parse_position_kind(text("positions"));
  options.encoder.max_length = encoder_.max_length + 1;  // a [CLS] may come before the text
  options.encoder.stem_width = whole("stem_width");
  options.encoder.attention.window_left = whole("window");
  options.encoder.attention.window_right = whole("window");
  options.encoder.attention.qk_norm = flag("qk_norm");
  options.encoder.attention.sink = flag("sink");
  options.encoder.attention.output_gate = flag("output_gate");
  options.encoder.attention.dropout = number("attention_dropout");
  options.pooling.kind = parse_pooling_kind(text("pooling"));
  options.pooling.heads = whole("pooling_heads");
  options.ngram_features = encoder_.ngrams.size();
  const std::string wide = text("wide");
  if (wide != "fitted" && wide != "joint" && wide != "none") {
    throw usage_error("model.wide is \"" + wide +
                      "\"; it must be \"fitted\", \"joint\" or \"none\"");
  }
  options.ngram_wide = wide != "none";
  options.ngram_deep = flag("ngram_deep");
  options.ngram_dropout = number("ngram_dropout");
  model_ = TextClassifierWithAttention(options);
}

bool TextClassTask::has_fitted_wide() const {
  return encoder_.ngrams.size() > 0 && setting<std::string>(config_, "model", "wide") == "fitted";
}

void TextClassTask::before_training(const Dataset& train, const Dataset& dev) {
  if (!has_fitted_wide()) return;
  NaiveBayesSvmOptions options;
  options.cost = setting<double>(config_, "model", "wide_cost");
  options.with_idf = setting<bool>(config_, "model", "wide_idf");
  if (!(options.cost > 0)) throw usage_error("model.wide_cost must be above 0");
  const int64_t classes = labels_.size();
  const int64_t features = encoder_.ngrams.size();
  const LinearScorer scorer = fit_naive_bayes_svm(sparse_rows(texts(train)), gold_indices(train),
                                                  features, classes, options);
  const SparseRows dev_rows = sparse_rows(texts(dev));
  std::vector<float> scores;
  for (int64_t row = 0; row < dev.size(); ++row) {
    const auto one = scorer.score(dev_rows, row);
    scores.insert(scores.end(), one.begin(), one.end());
  }
  model_->set_wide(torch::tensor(scorer.weights).view({features, classes}),
                   torch::tensor(scorer.biases),
                   calibrated_scale(scores, gold_indices(dev), classes));
}

void TextClassTask::after_training(const Dataset& dev) {
  if (!has_fitted_wide()) return;
  torch::NoGradGuard no_grad;
  model_->eval();
  std::vector<torch::Tensor> deep;
  std::vector<torch::Tensor> wide;
  constexpr int64_t kBatch = 64;
  for (int64_t begin = 0; begin < dev.size(); begin += kBatch) {
    std::vector<int64_t> rows(static_cast<size_t>(std::min(kBatch, dev.size() - begin)));
    std::iota(rows.begin(), rows.end(), begin);
    const auto output = model_->forward(text_input(collate(dev, rows)));
    deep.push_back(output.deep_logits);
    wide.push_back(output.logits - output.deep_logits);
  }
  const auto [deep_factor, wide_factor] =
      best_mix(torch::cat(deep), torch::cat(wide), torch::tensor(gold_indices(dev)));
  model_->scale_parts(deep_factor, wide_factor);
}

json TextClassTask::state() const {
  const json& data = config_.at("data");
  return {{"labels", labels_.names()},
          {"format", data.at("format")},
          {"text_column", data.at("text_column")},
          {"label_column", data.at("label_column")}};
}

void TextClassTask::save_files(const std::filesystem::path& folder) const {
  encoder_.tokenizer->save(folder);
  if (!label_names_.empty()) {
    // The run must be able to read files of label numbers wherever it is taken.
    std::string lines;
    for (const auto& name : label_names_) lines += name + "\n";
    write_file_atomically(folder / kLabelFile, lines);
  }
  if (encoder_.ngrams.size() == 0) return;
  const auto& hashes = encoder_.ngrams.hashes();
  const auto count = static_cast<int64_t>(hashes.size());
  torch::Tensor hash_tensor = torch::empty({count}, torch::kInt64);
  std::copy(hashes.begin(), hashes.end(),
            reinterpret_cast<uint64_t*>(hash_tensor.data_ptr<int64_t>()));
  save_tensors(folder / kNgramFile, {{"hashes", hash_tensor}});
}

void TextClassTask::load(const json& config, const json& state,
                         const std::filesystem::path& folder) {
  config_ = config;
  const std::string origin = (folder / "attend.json").string();
  labels_ = LabelSet(config_value<std::vector<std::string>>(state, "labels", origin));
  if (labels_.size() < 2) {
    throw model_error(origin + ": fewer than two labels; restore the file or train again");
  }
  for (const char* key : {"format", "text_column", "label_column"}) {
    config_["data"][key] = config_value<std::string>(state, key, origin);
  }
  if (!setting<std::string>(config_, "data", "label_names").empty()) {
    label_file_ = folder / kLabelFile;
  }
  encoder_.tokenizer = Tokenizer::load(folder);
  encoder_.max_length = setting<int64_t>(config_, "text", "max_length");
  const json section = setting<json>(config_, "text", "ngrams");
  if (wants_ngrams(section)) {
    const auto path = folder / kNgramFile;
    const TensorMap tensors = load_tensors(path);
    const auto found = tensors.find("hashes");
    if (found == tensors.end() || found->second.scalar_type() != torch::kInt64 ||
        found->second.dim() != 1) {
      throw model_error(path.string() +
                        ": \"hashes\" is missing or of the wrong type; restore the file or train "
                        "again");
    }
    const auto* first = reinterpret_cast<const uint64_t*>(found->second.data_ptr<int64_t>());
    encoder_.ngrams =
        NgramVocabulary(ngram_options(section), {first, first + found->second.numel()});
  }
  build_model();
}

std::shared_ptr<Dataset> TextClassTask::read(const std::string& path, bool with_gold) const {
  const ReadResult result = read_rows(path, reader_options(path, with_gold));
  return encode(path, result.description, result.rows, with_gold);
}

std::shared_ptr<Dataset> TextClassTask::from_inputs(const std::vector<std::string>& inputs) const {
  std::vector<TextExample> examples;
  for (const std::string& input : inputs) examples.push_back(encoder_.encode(input));
  return std::make_shared<TextDataset>(std::to_string(inputs.size()) + " typed inputs",
                                       std::move(examples));
}

Batch TextClassTask::collate(const Dataset& data, std::span<const int64_t> rows) const {
  return encoder_.collate(texts(data), rows);
}

TaskOutput TextClassTask::forward(const Batch& batch, const TraceRequest& trace) {
  TextClassifierOutput output = model_->forward(text_input(batch), {trace, false});
  // The fitted wide term knows the training examples by heart: with it in the loss there would be
  // nothing left to learn.
  if (model_->is_training() && has_fitted_wide()) output.logits = output.deep_logits;
  return task_output(std::move(output));
}

torch::Tensor TextClassTask::loss(const TaskOutput& output, const Batch& batch,
                                  const LossOptions& options) const {
  return classification_loss(output.scores, batch.targets, options);
}

std::vector<double> TextClassTask::balanced_class_weights(const Dataset& data) const {
  std::vector<int64_t> counts(static_cast<size_t>(labels_.size()), 0);
  for (const int64_t index : gold_indices(data)) ++counts[static_cast<size_t>(index)];
  return balanced_weights(counts);
}

std::unique_ptr<Metrics> TextClassTask::new_metrics() const {
  return new_classification_metrics(labels_);
}

std::vector<Prediction> TextClassTask::predict(const TaskOutput& output, int64_t top) const {
  return classification_predictions(output.scores, labels_, top);
}

std::vector<Unit> TextClassTask::units(const Dataset& data, int64_t row) const {
  const TextExample& example = texts(data).example(row);
  return units_of(*encoder_.tokenizer, example.text, example.encoding);
}

std::string TextClassTask::unit_kind() const {
  switch (encoder_.tokenizer->kind()) {
    case TokenizerKind::kCharacter:
      return "character";
    case TokenizerKind::kWord:
      return "word";
    default:
      return "token";
  }
}

int64_t TextClassTask::leading_positions() const {
  return model_->options().pooling.kind == PoolingKind::kCls ? 1 : 0;
}

std::shared_ptr<Dataset> TextClassTask::without_units(const Dataset& data, int64_t row,
                                                      const std::vector<std::vector<bool>>& keep,
                                                      Removal removal) const {
  const TextExample& example = texts(data).example(row);
  std::vector<TextExample> variants;
  variants.reserve(keep.size());
  for (const auto& kept : keep) variants.push_back(encoder_.without_units(example, kept, removal));
  return std::make_shared<TextDataset>("variants of one text", std::move(variants));
}

torch::Tensor TextClassTask::target_scores(const TaskOutput& output,
                                           const std::string& label) const {
  return class_scores(output.scores, labels_, label);
}

torch::Tensor TextClassTask::embed(const Batch& batch) { return model_->embed(text_input(batch)); }

TaskOutput TextClassTask::forward_from_embeddings(const torch::Tensor& embeddings,
                                                  const Batch& batch, const TraceRequest& trace) {
  return task_output(
      model_->forward_from_embeddings(embeddings, text_input(batch), {trace, false}));
}

torch::Tensor TextClassTask::additive_contributions(const Batch& batch) {
  return model_->forward(text_input(batch), {{}, true}).wide_contribution;
}

}  // namespace attend
