// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generate.h"

#include <algorithm>
#include <charconv>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/text.h"
#include "attend/data/unicode.h"
#include "attend/nn/linear_cross_entropy.h"
#include "attend/tasks/config.h"
#include "generate_config.h"
#include "generate_metrics.h"
#include "tokenizer_options.h"

namespace attend {
namespace {

using nlohmann::json;

constexpr const char* kCorpusFile = "corpus.jsonl";

const GenerateDataset& generated(const Dataset& data) {
  return dynamic_cast<const GenerateDataset&>(data);
}

// The rows of `hidden` [batch, length, size] at the positions `at` [batch] -> [batch, size].
torch::Tensor rows_at(const torch::Tensor& hidden, const torch::Tensor& at) {
  return hidden.gather(1, at.view({-1, 1, 1}).expand({-1, 1, hidden.size(2)})).squeeze(1);
}

Encoding last_of(const Encoding& all, size_t count) {
  if (all.ids.size() <= count) return all;
  const auto skip = static_cast<std::ptrdiff_t>(all.ids.size() - count);
  return {{all.ids.begin() + skip, all.ids.end()}, {all.spans.begin() + skip, all.spans.end()}};
}

}  // namespace

json GenerateTask::default_config() const { return generate_defaults(); }

// A text beyond the context becomes several examples, one behind the other.
std::vector<GenerateExample> GenerateTask::encode(const Row& row, bool gold) const {
  GenerateExample example;
  example.text = row.text;
  example.gold = gold;
  if (layout_.prompts && !row.extra.empty()) example.prompt = row.extra[0];
  example.prompt_ids = tokenizer_->encode(example.prompt);
  const auto context = static_cast<size_t>(layout_.context);
  // At least half of the context is for the text.
  example.prompt_ids = last_of(example.prompt_ids, context / 2 - 2);
  const size_t room = context - 4 - example.prompt_ids.ids.size();
  const Encoding all = tokenizer_->encode(row.text);
  std::vector<GenerateExample> pieces;
  if (!gold) {
    example.text_ids = last_of(all, room);
    example.left_out = static_cast<int64_t>(all.ids.size() - example.text_ids.ids.size());
    return {example};
  }
  size_t begin = 0;
  do {
    const size_t end = std::min(all.ids.size(), begin + room);
    const auto from = static_cast<std::ptrdiff_t>(begin), to = static_cast<std::ptrdiff_t>(end);
    example.text_ids = {{all.ids.begin() + from, all.ids.begin() + to},
                        {all.spans.begin() + from, all.spans.begin() + to}};
    example.whole = end == all.ids.size();
    const auto& spans = example.text_ids.spans;
    example.characters = spans.empty()
                             ? 0
                             : count_characters(std::string_view(row.text).substr(
                                   static_cast<size_t>(spans.front().begin),
                                   static_cast<size_t>(spans.back().end - spans.front().begin)));
    pieces.push_back(example);
    begin = end;
  } while (begin < all.ids.size());
  return pieces;
}

std::shared_ptr<Dataset> GenerateTask::prepare(const json& config,
                                               const std::vector<std::string>& paths) {
  config_ = config;
  layout_ = sequence_layout(config_);
  std::vector<Row> rows;
  std::string layouts;
  for (const std::string& path : paths) {
    ReadResult read = read_rows(path, generate_reader_options(config_, path));
    // What was found in the training file holds for every later one.
    json& data = config_["data"];
    if (data["format"] == "auto") data["format"] = to_string(read.format);
    if (data.value("text_column", "").empty()) data["text_column"] = read.text_column;
    layouts += (layouts.empty() ? "" : "; ") + read.description;
    rows.insert(rows.end(), std::make_move_iterator(read.rows.begin()),
                std::make_move_iterator(read.rows.end()));
  }
  description_ = (paths.size() == 1 ? paths[0] : paths[0] + " and others") + ": " + layouts;
  std::vector<std::string> all_texts;
  corpus_.clear();
  for (const Row& row : rows) {
    corpus_.push_back(row.text);
    all_texts.push_back(row.text);
    if (layout_.prompts) all_texts.push_back(row.extra[0]);
  }
  tokenizer_ = train_tokenizer(tokenizer_options(config_), all_texts);
  build_model();
  std::vector<GenerateExample> examples;
  for (const Row& row : rows) {
    for (GenerateExample& piece : encode(row, /*gold=*/true)) examples.push_back(std::move(piece));
  }
  return std::make_shared<GenerateDataset>(description_, std::move(examples));
}

void GenerateTask::build_model() {
  LanguageModelOptions options = language_model_options(config_);
  options.vocabulary = tokenizer_->vocab_size();
  model_ = LanguageModel(options);
}

void GenerateTask::before_training(const Dataset& train, const Dataset&) {
  const SkipGramOptions options = generate_pretrain_options(config_);
  if (options.epochs == 0) return;
  std::vector<std::vector<int64_t>> ids;
  for (int64_t row = 0; row < train.size(); ++row) {
    ids.push_back(generated(train).example(row).text_ids.ids);
  }
  const int64_t vocabulary = tokenizer_->vocab_size();
  const torch::Tensor vectors =
      torch::tensor(train_skip_gram(ids, vocabulary, kSpecialCount, options))
          .view({vocabulary, -1});
  torch::NoGradGuard no_grad;
  torch::Tensor table = model_->named_parameters()["embedding.weight"];
  // Units that no text holds keep their random start; the others get its scale.
  const torch::Tensor known = vectors.abs().sum(1, /*keepdim=*/true) > 0;
  const torch::Tensor scale =
      table.square().mean().sqrt() / vectors.masked_select(known).square().mean().sqrt();
  table.copy_(torch::where(known, vectors * scale, table));
}

void GenerateTask::freeze(Precision precision) {
  model_->eval();
  if (model_->freeze(precision) || precision == Precision::kFloat32) return;
  throw usage_error("this model has no form in " + to_string(precision) +
                    ": its heads are larger than 256; use precision f32");
}

json GenerateTask::state() const {
  const json& data = config_.at("data");
  return {{"format", data.at("format")}, {"text_column", data.at("text_column")}};
}

void GenerateTask::save_files(const std::filesystem::path& folder) const {
  tokenizer_->save(folder);
  if (!config_value<bool>(config_.at("data"), "keep_corpus", "generate configuration (data)")) {
    return;
  }
  std::string lines;
  for (const std::string& text : corpus_) {
    lines += json{{"text", text}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  }
  write_file_atomically(folder / kCorpusFile, lines);
}

void GenerateTask::load(const json& config, const json& state,
                        const std::filesystem::path& folder) {
  config_ = config;
  const std::string origin = (folder / "attend.json").string();
  for (const char* key : {"format", "text_column"}) {
    config_["data"][key] = config_value<std::string>(state, key, origin);
  }
  layout_ = sequence_layout(config_);
  tokenizer_ = Tokenizer::load(folder);
  corpus_file_ = folder / kCorpusFile;
  build_model();
}

const std::vector<std::string>& GenerateTask::training_texts() const {
  if (!corpus_.empty()) return corpus_;
  if (!std::filesystem::exists(corpus_file_)) {
    throw model_error(
        corpus_file_.string() +
        ": missing, so that copying cannot be told; train with data.keep_corpus true");
  }
  ReaderOptions options;
  options.format = DataFormat::kJsonl;
  options.text_column = "text";
  options.require_labels = false;
  for (Row& row : read_rows(corpus_file_, options).rows) corpus_.push_back(std::move(row.text));
  return corpus_;
}

std::shared_ptr<Dataset> GenerateTask::read(const std::string& path, bool with_gold) const {
  const ReadResult result = read_rows(path, generate_reader_options(config_, path));
  std::vector<GenerateExample> examples;
  for (const Row& row : result.rows) {
    for (GenerateExample& piece : encode(row, with_gold)) examples.push_back(std::move(piece));
  }
  return std::make_shared<GenerateDataset>(path + ": " + result.description, std::move(examples));
}

std::shared_ptr<Dataset> GenerateTask::from_inputs(const std::vector<std::string>& inputs) const {
  std::vector<GenerateExample> examples;
  for (const std::string& input : inputs) {
    Row row;
    row.text = input;
    const size_t tab = input.find('\t');
    if (layout_.prompts && tab != std::string::npos) {
      row.extra = {input.substr(0, tab)};
      row.text = input.substr(tab + 1);
    }
    examples.push_back(encode(row, /*gold=*/false)[0]);
  }
  return std::make_shared<GenerateDataset>(std::to_string(inputs.size()) + " typed inputs",
                                           std::move(examples));
}

Batch GenerateTask::collate(const Dataset& data, std::span<const int64_t> rows) const {
  return layout_.collate(generated(data), rows, model_->is_training());
}

torch::Tensor GenerateTask::embed(const Batch& batch) {
  return model_->embed(batch.inputs.at("tokens"));
}

TaskOutput GenerateTask::forward(const Batch& batch, const ForwardRequest& request) {
  return forward_from_embeddings(embed(batch), batch, request);
}

TaskOutput GenerateTask::forward_from_embeddings(const torch::Tensor& embeddings,
                                                 const Batch& batch,
                                                 const ForwardRequest& request) {
  DecoderCall call;
  call.lengths = batch.inputs.at("lengths");
  call.request = request;
  DecoderOutput decoded = model_->forward(embeddings, call);
  TaskOutput output;
  output.hidden = decoded.hidden;
  output.trace = std::move(decoded.trace);
  if (model_->is_training()) return output;
  const torch::Tensor last = batch.inputs.at("lengths") - 1;
  output.scores = model_->logits(rows_at(output.hidden, last));
  output.readout = torch::zeros(output.hidden.sizes().slice(0, 2), output.hidden.options())
                       .scatter(1, last.unsqueeze(1), 1.0);
  return output;
}

torch::Tensor GenerateTask::loss(const TaskOutput& output, const Batch& batch,
                                 const LossOptions& options) const {
  const bool rounded = model_->is_training() && model_->options().decoder.block.mixed_precision;
  const torch::Tensor hidden = output.hidden.flatten(0, 1);
  const torch::Tensor targets = batch.targets.flatten();
  // Prompts and padding are not multiplied with the vocabulary for nothing.
  const torch::Tensor counted = targets.ne(kNoTarget).nonzero().squeeze(1);
  LinearCrossEntropyOptions loss_options;
  loss_options.label_smoothing = options.label_smoothing;
  const torch::Tensor rows = hidden.index_select(0, counted);
  return linear_cross_entropy(rounded ? rows.to(torch::kBFloat16) : rows, model_->output_weight(),
                              model_->output_bias(), targets.index_select(0, counted),
                              loss_options);
}

std::unique_ptr<Metrics> GenerateTask::new_metrics() const {
  GenerateMetricsOptions options;
  options.prompts = layout_.prompts;
  // Only a finished run has the file; while training, the peer would cost more than it tells.
  const bool finished = !corpus_file_.empty() && std::filesystem::exists(corpus_file_);
  if (finished) options.peer = [this]() -> const KneserNey& { return peer(5); };
  return std::make_unique<GenerateMetrics>(model_, options);
}

std::vector<Prediction> GenerateTask::predict(const TaskOutput& output, int64_t top) const {
  const torch::Tensor scores = output.scores.detach().to(torch::kFloat64);
  const torch::Tensor probabilities = torch::softmax(scores, 1);
  const int64_t count = std::min(top, scores.size(1));
  const torch::Tensor order =
      std::get<1>(torch::sort(scores, /*stable=*/true, 1, /*descending=*/true))
          .slice(1, 0, count)
          .contiguous();
  std::vector<Prediction> predictions(static_cast<size_t>(scores.size(0)));
  for (int64_t i = 0; i < scores.size(0); ++i) {
    for (int64_t rank = 0; rank < count; ++rank) {
      const int64_t id = order[i][rank].item<int64_t>();
      predictions[static_cast<size_t>(i)].push_back({tokenizer_->token_text(id),
                                                     probabilities[i][id].item<double>(),
                                                     scores[i][id].item<double>()});
    }
  }
  return predictions;
}

std::vector<Unit> GenerateTask::units(const Dataset& data, int64_t row) const {
  const GenerateExample& example = generated(data).example(row);
  std::vector<Unit> units;
  int64_t shift = 0;
  if (layout_.prompts) {
    units = units_of(*tokenizer_, example.prompt, example.prompt_ids);
    const auto end = static_cast<int64_t>(example.prompt.size());
    units.push_back({tokenizer_->token_text(kSeparatorId), {end, end}});
    // As GenerateDataset::input joins them.
    shift = example.prompt.empty() ? 0 : end + 1;
  }
  for (Unit& unit : units_of(*tokenizer_, example.text, example.text_ids)) {
    unit.span = {unit.span.begin + shift, unit.span.end + shift};
    units.push_back(std::move(unit));
  }
  return units;
}

std::string GenerateTask::unit_kind() const {
  return tokenizer_->kind() == TokenizerKind::kCharacter ? "character"
         : tokenizer_->kind() == TokenizerKind::kWord    ? "word"
                                                         : "token";
}

std::shared_ptr<Dataset> GenerateTask::without_units(const Dataset& data, int64_t row,
                                                     const std::vector<std::vector<bool>>& keep,
                                                     Removal) const {
  const GenerateExample& example = generated(data).example(row);
  std::vector<GenerateExample> variants;
  for (const auto& kept : keep) {
    variants.push_back(example);
    variants.back().removed = kept;
    variants.back().removed.flip();
  }
  return std::make_shared<GenerateDataset>("variants of one text", std::move(variants));
}

int64_t GenerateTask::token_of(const std::string& label) const {
  const auto found = tokenizer_->find(label);
  if (!found) {
    throw usage_error("target \"" + printable(label) +
                      "\" is not in the model's vocabulary; give a token of it, or #N for unit N");
  }
  return *found;
}

Target GenerateTask::output_target(const Dataset& data, int64_t row, int64_t unit) const {
  const GenerateExample& example = generated(data).example(row);
  std::vector<int64_t> ids = example.prompt_ids.ids;
  if (layout_.prompts) ids.push_back(kSeparatorId);
  ids.insert(ids.end(), example.text_ids.ids.begin(), example.text_ids.ids.end());
  return {tokenizer_->token_text(ids.at(static_cast<size_t>(unit))), unit};
}

Target GenerateTask::find_target(const Dataset& data, int64_t row, const TaskOutput& output,
                                 const std::string& name) const {
  const std::vector<Unit> all = units(data, row);
  const auto behind = static_cast<int64_t>(all.size());
  if (name.empty()) return {predict(output, 1)[0][0].label, behind};
  if (name.size() > 1 && name[0] == '#') {
    int64_t unit = -1;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + 1, end, unit);
    if (parsed.ec != std::errc() || parsed.ptr != end || unit < 0 || unit >= behind) {
      throw usage_error("target " + printable(name) + ": units are numbered #0 to #" +
                        std::to_string(behind - 1));
    }
    return output_target(data, row, unit);
  }
  for (int64_t unit = behind - 1; unit >= 0; --unit) {
    if (all[static_cast<size_t>(unit)].text == name) return output_target(data, row, unit);
  }
  token_of(name);
  return {name, behind};
}

// The token at unit p is read off the position before it, which [CLS] moves to p.
torch::Tensor GenerateTask::target_logits(const TaskOutput& output, const Target& target) const {
  return model_->logits(output.hidden.select(1, target.position));
}

torch::Tensor GenerateTask::target_scores(const TaskOutput& output, const Target& target) const {
  return target_logits(output, target).select(1, token_of(target.label));
}

torch::Tensor GenerateTask::target_log_probabilities(const TaskOutput& output,
                                                     const Target& target) const {
  return target_logits(output, target)
      .to(torch::kFloat64)
      .log_softmax(1)
      .select(1, token_of(target.label));
}

torch::Tensor GenerateTask::target_readout(const TaskOutput& output, const Target& target) const {
  torch::Tensor readout = torch::zeros(output.hidden.sizes().slice(0, 2), output.hidden.options());
  readout.select(1, target.position).fill_(1);
  return readout;
}

}  // namespace attend
