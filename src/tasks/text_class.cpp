// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "text_class.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/data/rationales.h"
#include "attend/data/unicode.h"
#include "attend/nn/weights.h"
#include "factored_linear.h"
#include "masked_units.h"
#include "naive_bayes_svm.h"
#include "skip_gram.h"
#include "text_class_config.h"
#include "tokenizer_options.h"

namespace attend {
namespace {

using nlohmann::json;

constexpr const char* kNgramFile = "ngrams.safetensors";
constexpr const char* kLabelFile = "labels.txt";

const TextDataset& texts(const Dataset& data) { return dynamic_cast<const TextDataset&>(data); }

TaskOutput task_output(TextClassifierOutput output) {
  return {std::move(output.logits), std::move(output.readout), std::move(output.trace),
          std::move(output.pooling_weights)};
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
    append_ngrams(data.example(row).ngrams, rows);
    rows.weights.push_back(data.example(row).weight);
  }
  return rows;
}

// `[rows, classes]`.
torch::Tensor all_scores(const LinearScorer& scorer, const SparseRows& rows) {
  std::vector<float> scores;
  for (int64_t row = 0; row < rows.size(); ++row) {
    const auto one = scorer.score(rows, row);
    scores.insert(scores.end(), one.begin(), one.end());
  }
  return torch::tensor(scores).view({rows.size(), scorer.classes});
}

LinearScorer weighted_sum(const LinearScorer& first, double first_factor,
                          const LinearScorer& second, double second_factor) {
  const auto sum = [&](const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<float> result(a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      result[i] = static_cast<float>(first_factor * a[i] + second_factor * b[i]);
    }
    return result;
  };
  return {first.classes, sum(first.weights, second.weights), sum(first.biases, second.biases)};
}

}  // namespace

json TextClassTask::default_config() const { return text_class_defaults(); }

int64_t TextClassTask::class_of(const std::string& path, const Row& row) const {
  const int64_t index = labels_.find(row.label);
  if (index >= 0) return index;
  const std::string near = nearest_name(row.label, labels_.names());
  throw data_error(
      path + ":" + std::to_string(row.line) + ": label \"" + row.label +
      "\" does not occur in the training data; " +
      (near.empty() ? "mend the row or train with it" : "did you mean \"" + near + "\"?"));
}

std::vector<TextExample> TextClassTask::encode(const std::string& path,
                                               const std::vector<Row>& rows, bool with_gold) const {
  std::vector<TextExample> examples;
  examples.reserve(rows.size());
  for (const Row& row : rows) {
    TextExample example = encoder_.encode(row.text);
    if (with_gold) {
      example.label = row.label;
      example.label_index = class_of(path, row);
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

std::shared_ptr<Dataset> TextClassTask::prepare(const json& config,
                                                const std::vector<std::string>& paths) {
  config_ = config;
  const std::vector<RowSource> extra =
      row_sources(setting<json>(config_, "data", "extra"), "data.extra", /*labelled=*/true);
  std::vector<RowSource> plain =
      row_sources(setting<json>(config_, "train", "pretrain").at("texts"), "train.pretrain.texts",
                  /*labelled=*/false);
  if (pretrain_options(config_).epochs == 0 && masked_options(config_).epochs == 0) plain.clear();
  const std::vector<Row> rows = read_training_rows(paths);
  std::vector<Row> dev_rows;
  if (!extra.empty() || !plain.empty()) {
    dev_rows = read_dev_rows(extra.empty() ? "train.pretrain.texts" : "data.extra");
  }
  std::unordered_set<std::string> dev_keys;
  for (const Row& row : dev_rows) dev_keys.insert(comparison_key(row.text));
  std::vector<SourceRows> extra_rows, plain_rows;
  for (const RowSource& source : extra) extra_rows.push_back(read_source(source, dev_keys));
  judge_sources(extra, paths, rows, dev_rows, extra_rows);
  note_sources(extra, extra_rows, "data.extra");
  for (const RowSource& source : plain) plain_rows.push_back(read_source(source, dev_keys));
  note_sources(plain, plain_rows, "train.pretrain.texts");

  std::vector<std::string> all_texts;
  all_texts.reserve(rows.size());
  for (const Row& row : rows) all_texts.push_back(row.text);
  for (const SourceRows& source : extra_rows) {
    for (const Row& row : source.rows) all_texts.push_back(row.text);
  }
  encoder_.ngrams = wants_ngrams(config_)
                        ? NgramVocabulary::build(ngram_options(config_), all_texts)
                        : NgramVocabulary();
  // Units of the plain texts belong to the vocabulary: their vectors are what they are read for.
  const size_t labelled = all_texts.size();
  for (const SourceRows& source : plain_rows) {
    for (const Row& row : source.rows) all_texts.push_back(row.text);
  }
  encoder_.tokenizer = train_tokenizer(tokenizer_options(config_), all_texts);
  encoder_.max_length = setting<int64_t>(config_, "text", "max_length");
  if (encoder_.max_length < 1) throw usage_error("text.max_length must be 1 or more");
  plain_texts_.assign(all_texts.begin() + static_cast<int64_t>(labelled), all_texts.end());
  build_model();

  std::vector<TextExample> examples = encode(paths[0], rows, /*with_gold=*/true);
  for (size_t i = 0; rationale_weight(config_) > 0 && i < rows.size(); ++i) {
    const std::string origin = paths[0] + ":" + std::to_string(rows[i].line);
    const RationaleCell cell{rows[i].text, rows[i].label, rows[i].extra.at(0), origin};
    encoder_.mark_evidence(evidence_spans(cell), examples[i]);
  }
  for (size_t i = 0; i < extra.size(); ++i) {
    for (TextExample& example : encode(extra[i].file, extra_rows[i].rows, /*with_gold=*/true)) {
      example.weight = static_cast<float>(extra[i].weight);
      examples.push_back(std::move(example));
    }
  }
  return std::make_shared<TextDataset>(description_, std::move(examples));
}

void TextClassTask::build_model() {
  TextClassifierOptions options = classifier_options(config_);
  options.vocab_size = encoder_.tokenizer->vocab_size();
  options.output_size = labels_.size();
  options.ngram_features = encoder_.ngrams.size();
  model_ = TextClassifierWithAttention(options);
}

bool TextClassTask::has_fitted_wide() const {
  return encoder_.ngrams.size() > 0 && setting<std::string>(config_, "model", "wide") == "fitted";
}

void TextClassTask::before_training(const Dataset& train, const Dataset& dev) {
  pretrain(train);
  if (!has_fitted_wide()) return;
  const int64_t classes = labels_.size();
  const int64_t features = encoder_.ngrams.size();
  const SparseRows rows = sparse_rows(texts(train));
  const std::vector<int64_t> labels = gold_indices(train);
  LinearScorer scorer = fit_naive_bayes_svm(rows, labels, features, classes, wide_options(config_));
  const SparseRows dev_rows = sparse_rows(texts(dev));
  const std::vector<int64_t> dev_labels = gold_indices(dev);
  const FactoredLinearOptions factored = factored_options(config_);
  double scale = 1;
  if (factored.dim > 0) {
    const LinearScorer second = fit_factored_linear(rows, labels, features, classes, factored);
    const auto [a, b] = best_mix(all_scores(scorer, dev_rows), all_scores(second, dev_rows),
                                 torch::tensor(dev_labels));
    scorer = weighted_sum(scorer, a, second, b);
  } else {
    const torch::Tensor scores = all_scores(scorer, dev_rows);
    scale = calibrated_scale({scores.data_ptr<float>(), static_cast<size_t>(scores.numel())},
                             dev_labels, classes);
  }
  model_->set_wide(torch::tensor(scorer.weights).view({features, classes}),
                   torch::tensor(scorer.biases), scale);
}

void TextClassTask::pretrain(const Dataset& train) {
  const SkipGramOptions options = pretrain_options(config_);
  if (options.epochs == 0) return;
  std::vector<std::vector<int64_t>> ids;
  for (const std::string& text : plain_texts_) ids.push_back(encoder_.tokenizer->encode(text).ids);
  for (int64_t row = 0; row < train.size(); ++row) {
    ids.push_back(texts(train).example(row).encoding.ids);
  }
  const int64_t vocabulary = encoder_.tokenizer->vocab_size();
  torch::Tensor vectors = torch::tensor(train_skip_gram(ids, vocabulary, kSpecialCount, options))
                              .view({vocabulary, -1});
  torch::NoGradGuard no_grad;
  torch::Tensor table = model_->named_parameters()["embedding.weight"];
  // Units that no text holds keep their random start; the others get its scale.
  const torch::Tensor known = vectors.abs().sum(1, /*keepdim=*/true) > 0;
  const torch::Tensor scale =
      table.square().mean().sqrt() / vectors.masked_select(known).square().mean().sqrt();
  table.copy_(torch::where(known, vectors * scale, table));
}

std::unique_ptr<Pretraining> TextClassTask::pretraining(const Dataset& train) {
  const MaskedUnitsOptions options = masked_options(config_);
  if (options.epochs == 0) return nullptr;
  std::vector<TextExample> examples;
  for (const std::string& text : plain_texts_) examples.push_back(encoder_.encode(text));
  for (int64_t row = 0; row < train.size(); ++row) examples.push_back(texts(train).example(row));
  return std::make_unique<MaskedUnits>(options, model_, encoder_, std::move(examples));
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
  json state = {{"labels", labels_.names()},
                {"format", data.at("format")},
                {"text_column", data.at("text_column")},
                {"label_column", data.at("label_column")}};
  if (!sources_.empty()) state["sources"] = sources_;
  return state;
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
  if (wants_ngrams(config_)) {
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
        NgramVocabulary(ngram_options(config_), {first, first + found->second.numel()});
  }
  build_model();
}

std::shared_ptr<Dataset> TextClassTask::read(const std::string& path, bool with_gold) const {
  const ReadResult result = read_rows(path, reader_options(config_, path, label_file_, with_gold));
  return std::make_shared<TextDataset>(path + ": " + result.description,
                                       encode(path, result.rows, with_gold));
}

std::shared_ptr<Dataset> TextClassTask::from_inputs(const std::vector<std::string>& inputs) const {
  std::vector<TextExample> examples;
  examples.reserve(inputs.size());
  for (const std::string& input : inputs) examples.push_back(encoder_.encode(input));
  return std::make_shared<TextDataset>(std::to_string(inputs.size()) + " typed inputs",
                                       std::move(examples));
}

Batch TextClassTask::collate(const Dataset& data, std::span<const int64_t> rows) const {
  return encoder_.collate(texts(data), rows);
}

TaskOutput TextClassTask::forward(const Batch& batch, const ForwardRequest& request) {
  return forward_from_embeddings(embed(batch), batch, request);
}

torch::Tensor TextClassTask::loss(const TaskOutput& output, const Batch& batch,
                                  const LossOptions& options) const {
  const auto weights = batch.inputs.find("row_weights");
  torch::Tensor loss =
      classification_loss(output.scores, batch.targets, options,
                          weights == batch.inputs.end() ? torch::Tensor() : weights->second);
  const auto evidence = batch.inputs.find("evidence");
  if (evidence == batch.inputs.end()) return loss;
  // Cross-entropy of the pooling weights with equal shares of the evidence (Mathew et al. 2021).
  const torch::Tensor log_weights = torch::log(output.readout.clamp_min(1e-9));
  return loss - rationale_weight(config_) * (evidence->second * log_weights).sum() /
                    static_cast<double>(batch.size);
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
  return std::make_shared<TextDataset>(
      "variants of one text", encoder_.without_units(texts(data).example(row), keep, removal));
}

Target TextClassTask::find_target(const Dataset&, int64_t, const TaskOutput& output,
                                  const std::string& name) const {
  if (name.empty()) return {predict(output, 1)[0].at(0).label};
  class_index(labels_, name);
  return {name};
}

torch::Tensor TextClassTask::target_scores(const TaskOutput& output, const Target& target) const {
  return class_scores(output.scores, class_index(labels_, target.label));
}

torch::Tensor TextClassTask::target_log_probabilities(const TaskOutput& output,
                                                      const Target& target) const {
  return output.scores.to(torch::kFloat64)
      .log_softmax(1)
      .select(1, class_index(labels_, target.label));
}

torch::Tensor TextClassTask::embed(const Batch& batch) {
  torch::Tensor embeddings = model_->embed(text_input(batch));
  const auto replaced = batch.inputs.find("replaced");
  if (replaced == batch.inputs.end()) return embeddings;
  const torch::Tensor known =
      model_->named_parameters()["embedding.weight"].slice(0, kSpecialCount);
  return torch::where(replaced->second.unsqueeze(2), known.mean(0), embeddings);
}

TaskOutput TextClassTask::forward_from_embeddings(const torch::Tensor& embeddings,
                                                  const Batch& batch,
                                                  const ForwardRequest& request) {
  TextInput input = text_input(batch);
  // The fitted wide term knows the training examples by heart: with it in the loss there would be
  // nothing left to learn.
  const bool deep_only = model_->is_training() && has_fitted_wide();
  if (deep_only) input.ngram_ids = torch::Tensor();
  TextClassifierOutput output =
      model_->forward_from_embeddings(embeddings, input, {request, false});
  if (deep_only) output.logits = output.deep_logits;
  return task_output(std::move(output));
}

torch::Tensor TextClassTask::additive_contributions(const Batch& batch) {
  return model_->forward(text_input(batch), {{}, true}).wide_contribution;
}

}  // namespace attend
