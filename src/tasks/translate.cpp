// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/text.h"
#include "attend/data/unicode.h"
#include "attend/nn/linear_cross_entropy.h"
#include "tokenizer_options.h"
#include "translate_config.h"
#include "translate_metrics.h"
#include "word_alignment.h"

namespace attend {
namespace {

using nlohmann::json;

// The model and the memory of a batch, as search drives them.
class TranslationModel : public NextTokenModel {
 public:
  TranslationModel(SequenceModelImpl& model, const Batch& batch,
                   const std::vector<AttentionEdit>& edits, bool branching)
      : model_(model), state_(branching) {
    call_.request.edits = edits;
    call_.memory_lengths = batch.inputs.at("source_lengths");
    call_.memory = model
                       .encode(model.embed_source(batch.inputs.at("source")), call_.memory_lengths,
                               call_.request)
                       .hidden;
    call_.state = &state_;
  }

  torch::Tensor next(const torch::Tensor& tokens) override {
    return model_.output_scores(read(tokens));
  }

  std::vector<std::vector<RankedOutput>> next_ranked(
      const torch::Tensor& tokens, int64_t count, const std::vector<int64_t>& excluded) override {
    return model_.ranked_outputs(read(tokens), count, excluded);
  }

  void keep(const torch::Tensor& rows, const torch::Tensor& groups) override {
    state_.reorder(rows);
    if (groups.size(0) == call_.memory.size(0)) return;
    state_.reorder_memory(groups);
    call_.memory = call_.memory.index_select(0, groups);
    call_.memory_lengths = call_.memory_lengths.index_select(0, groups);
  }

 private:
  torch::Tensor read(const torch::Tensor& tokens) {
    return model_.decode(tokens.unsqueeze(1), call_).hidden.squeeze(1);
  }

  SequenceModelImpl& model_;
  DecoderState state_;
  DecoderCall call_;
};

// `settings` with what a caller may choose.
SearchOptions search_of(SearchOptions settings, const SearchOptions& asked) {
  settings.beam = asked.beam;
  settings.best = asked.best;
  settings.length_penalty = asked.length_penalty;
  settings.exact = asked.exact;
  settings.sample = asked.sample;
  settings.temperature = asked.temperature;
  settings.top_k = asked.top_k;
  settings.top_p = asked.top_p;
  settings.min_p = asked.min_p;
  settings.seed = asked.seed;
  settings.repetition_penalty = asked.repetition_penalty;
  settings.no_repeat_ngram = asked.no_repeat_ngram;
  settings.min_length = asked.min_length;
  return settings;
}

// "zh" if most letters of the targets are Han characters.
std::string tokenizer_for(const std::vector<SentencePair>& pairs) {
  int64_t wide = 0, narrow = 0;
  for (size_t i = 0; i < std::min<size_t>(pairs.size(), 1000); ++i) {
    for (const char c : pairs[i].target) {
      const auto byte = static_cast<unsigned char>(c);
      // First bytes of U+2E80 to U+9FFF and beyond, against ASCII letters.
      if (byte >= 0xE2 && byte <= 0xE9) ++wide;
      if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ++narrow;
    }
  }
  return wide > narrow ? "zh" : "13a";
}

}  // namespace

json TranslateTask::default_config() const { return translate_defaults(); }

std::shared_ptr<Dataset> TranslateTask::prepare(const json& config,
                                                const std::vector<std::string>& paths) {
  config_ = config;
  decode_options(config_);  // wrong settings are better found before training
  std::vector<SentencePair> all;
  std::string description;
  for (const std::string& path : paths) {
    ParallelText text = read_parallel(path, parallel_options(config_, true));
    description += (description.empty() ? "" : "; ") + path + ": " + text.description;
    std::move(text.pairs.begin(), text.pairs.end(), std::back_inserter(all));
  }
  bleu_tokenizer_ = setting<std::string>(config_, "text", "tokenize");
  if (bleu_tokenizer_ == "auto") bleu_tokenizer_ = tokenizer_for(all);
  parse_bleu_tokenizer(bleu_tokenizer_);
  std::vector<std::string> texts;
  texts.reserve(2 * all.size());
  for (const SentencePair& pair : all) {
    texts.push_back(pair.source);
    texts.push_back(pair.target);
  }
  encoder_.tokenizer = train_tokenizer(tokenizer_options(config_), texts);
  encoder_.max_length = setting<int64_t>(config_, "text", "max_length");
  if (encoder_.max_length < 1) throw usage_error("text.max_length must be 1 or more");
  build_model();

  std::vector<ParallelExample> examples;
  examples.reserve(all.size());
  int64_t too_long = 0;
  for (const SentencePair& pair : all) {
    ParallelExample example = encoder_.encode(pair);
    const bool whole = example.left_out == 0 &&
                       static_cast<int64_t>(example.target_units.ids.size()) < encoder_.max_length;
    // A translation of half a sentence would be learnt as that of the whole.
    if (whole) {
      examples.push_back(std::move(example));
    } else {
      ++too_long;
    }
  }
  if (too_long > 0) {
    description += fmt::format("; {} pairs of {} units or more left out (text.max_length)",
                               too_long, encoder_.max_length);
  }
  if (examples.empty()) {
    throw data_error(description + ": nothing is left to train on; raise text.max_length");
  }
  return std::make_shared<ParallelDataset>(description, std::move(examples));
}

void TranslateTask::build_model() {
  const auto kind = setting<std::string>(config_, "model", "kind");
  if (kind == "recurrent") {
    RecurrentOptions options = recurrent_options(config_);
    options.vocab_size = encoder_.tokenizer->vocab_size();
    model_ = std::make_shared<RecurrentEncoderDecoderImpl>(options);
    return;
  }
  if (kind != "transformer") {
    throw usage_error("model.kind is \"" + kind +
                      "\"; it must be \"transformer\" or \"recurrent\"");
  }
  EncoderDecoderOptions options = encoder_decoder_options(config_);
  options.vocab_size = encoder_.tokenizer->vocab_size();
  model_ = std::make_shared<EncoderDecoderImpl>(options);
  // A layer that does not exist is better found before training.
  if (setting<double>(config_, "model", "guided_alignment") > 0) {
    cross_layer(setting<int64_t>(config_, "model", "guided_layer"));
  }
}

json TranslateTask::state() const { return {{"tokenize", bleu_tokenizer_}}; }

void TranslateTask::save_files(const std::filesystem::path& folder) const {
  encoder_.tokenizer->save(folder);
}

void TranslateTask::load(const json& config, const json& state,
                         const std::filesystem::path& folder) {
  config_ = config;
  bleu_tokenizer_ = config_value<std::string>(state, "tokenize", (folder / "attend.json").string());
  parse_bleu_tokenizer(bleu_tokenizer_);
  encoder_.tokenizer = Tokenizer::load(folder);
  encoder_.max_length = setting<int64_t>(config_, "text", "max_length");
  build_model();
}

std::shared_ptr<Dataset> TranslateTask::read(const std::string& path, bool with_gold) const {
  const ParallelText text = read_parallel(path, parallel_options(config_, with_gold));
  std::vector<ParallelExample> examples;
  for (const SentencePair& pair : text.pairs) {
    examples.push_back(with_gold ? encoder_.encode(pair.source, pair.target)
                                 : encoder_.encode(pair.source));
  }
  if (with_gold) examples = join_references(std::move(examples));
  return std::make_shared<ParallelDataset>(path + ": " + text.description, std::move(examples));
}

std::shared_ptr<Dataset> TranslateTask::from_inputs(const std::vector<std::string>& inputs) const {
  std::vector<ParallelExample> examples;
  examples.reserve(inputs.size());
  for (const std::string& input : inputs) examples.push_back(encoder_.encode(input));
  return std::make_shared<ParallelDataset>(std::to_string(inputs.size()) + " typed inputs",
                                           std::move(examples));
}

// What is explained must stand still: an example without a target gets the model's own translation
// once and keeps it. The data set belongs to the task that made it.
void TranslateTask::translate_missing(const ParallelDataset& data,
                                      std::span<const int64_t> rows) const {
  std::vector<int64_t> missing;
  for (const int64_t row : rows) {
    if (!data.example(row).has_target) missing.push_back(row);
  }
  if (missing.empty()) return;
  const auto hypotheses = translate(encoder_.collate(data, missing), default_search());
  for (size_t i = 0; i < missing.size(); ++i) {
    auto& example = const_cast<ParallelDataset&>(data).example(missing[i]);
    example.has_target = true;
    if (hypotheses[i].empty()) continue;  // interrupted
    example.target = text_of(hypotheses[i][0]);
    example.target_units = encoding_of(hypotheses[i][0].tokens, example.target);
  }
}

// The pieces of a produced text stand one behind the other in what they spell; cutting the text
// anew might give others.
Encoding TranslateTask::encoding_of(const std::vector<int64_t>& ids,
                                    const std::string& text) const {
  Encoding encoding;
  encoding.ids = ids;
  int64_t at = 0;
  for (size_t n = 1; n <= ids.size(); ++n) {
    const std::string first = encoder_.tokenizer->decode(std::span(ids.data(), n));
    const auto end =
        std::min(static_cast<int64_t>(first.size()), static_cast<int64_t>(text.size()));
    int64_t begin = std::min(at, end);
    while (begin < end && text[static_cast<size_t>(begin)] == ' ') ++begin;
    encoding.spans.push_back({begin, end});
    at = end;
  }
  return encoding;
}

Batch TranslateTask::collate(const Dataset& data, std::span<const int64_t> rows) const {
  translate_missing(pairs(data), rows);
  return encoder_.collate(pairs(data), rows);
}

TaskOutput TranslateTask::forward(const Batch& batch, const ForwardRequest& request) {
  return forward_from_embeddings(embed(batch), batch, request);
}

torch::Tensor TranslateTask::embed(const Batch& batch) {
  return model_->embed_source(batch.inputs.at("source"));
}

TaskOutput TranslateTask::forward_from_embeddings(const torch::Tensor& embeddings,
                                                  const Batch& batch,
                                                  const ForwardRequest& request) {
  DecoderCall call;
  call.memory_lengths = batch.inputs.at("source_lengths");
  EncoderOutput encoded = model_->encode(embeddings, call.memory_lengths, request);
  call.memory = encoded.hidden;
  call.lengths = batch.inputs.at("target_lengths");
  call.request = request;
  const auto guided = setting<double>(config_, "model", "guided_alignment");
  if (guided > 0 && model_->is_training() && batch.inputs.count("guide") > 0) {
    call.request.trace = {};
    call.request.trace.layers = {cross_layer(setting<int64_t>(config_, "model", "guided_layer"))};
    call.request.trace.statistics.weights = true;
  }
  DecoderOutput decoded = model_->decode(batch.inputs.at("target"), call);
  TaskOutput output;
  output.hidden = decoded.hidden;
  output.trace = std::move(encoded.trace);
  std::move(decoded.trace.layers.begin(), decoded.trace.layers.end(),
            std::back_inserter(output.trace.layers));
  // [batch, length, vocabulary] is by far the largest tensor; training never holds it.
  if (!model_->is_training()) output.scores = model_->output_scores(output.hidden);
  output.readout = torch::zeros({batch.size, output.hidden.size(1)}, output.hidden.options());
  output.readout.select(1, 0).fill_(1);
  return output;
}

torch::Tensor TranslateTask::loss(const TaskOutput& output, const Batch& batch,
                                  const LossOptions& options) const {
  LinearCrossEntropyOptions loss_options;
  loss_options.label_smoothing = options.label_smoothing;
  loss_options.ignored_target = kNoTarget;
  torch::Tensor hidden = output.hidden.flatten(0, 1);
  if (model_->is_training() && setting<bool>(config_, "model", "mixed_precision")) {
    hidden = hidden.to(torch::kBFloat16);
  }
  torch::Tensor loss = linear_cross_entropy(hidden, model_->output_weight(), model_->output_bias(),
                                            batch.targets.flatten(), loss_options);
  const auto guide = batch.inputs.find("guide");
  const auto weight = setting<double>(config_, "model", "guided_alignment");
  if (!model_->is_training() || weight == 0 || guide == batch.inputs.end()) return loss;
  // Cross-entropy of the heads' mean and the links (Chen et al. 2016; Garg et al. 2019).
  const LayerTrace* trace =
      output.trace.find(cross_layer(setting<int64_t>(config_, "model", "guided_layer")));
  const torch::Tensor attention = trace->weights.mean(1).to(torch::kFloat);
  const torch::Tensor linked = guide->second.sum().clamp_min(1);
  return loss - weight * (guide->second * (attention + 1e-6).log()).sum() / linked;
}

torch::Tensor TranslateTask::gold_log_probabilities(const TaskOutput& output,
                                                    const Batch& batch) const {
  return model_->log_probabilities(output.hidden.flatten(0, 1), batch.targets.flatten())
      .view_as(batch.targets);
}

std::unique_ptr<Metrics> TranslateTask::new_metrics() const {
  const SearchOptions options = default_search();
  TranslationScoring scoring;
  scoring.tokenizer = parse_bleu_tokenizer(bleu_tokenizer_);
  scoring.translate = [this, options](const Batch& batch) {
    std::vector<std::string> texts;
    for (const auto& hypotheses : translate(batch, options)) {
      texts.push_back(hypotheses.empty() ? std::string() : text_of(hypotheses[0]));
    }
    return texts;
  };
  scoring.gold_log_probabilities = [this](const TaskOutput& output, const Batch& batch) {
    return gold_log_probabilities(output, batch);
  };
  scoring.search =
      fmt::format("beam {}, length penalty {:g}", options.beam, options.length_penalty);
  return new_translation_metrics(std::move(scoring));
}

std::unique_ptr<Metrics> TranslateTask::new_look_metrics() const {
  SearchOptions options = default_search();
  options.beam = 1;
  TranslationScoring scoring;
  scoring.tokenizer = parse_bleu_tokenizer(bleu_tokenizer_);
  scoring.sentences = setting<int64_t>(config_, "decode", "look_sentences");
  scoring.translate = [this, options](const Batch& batch) {
    std::vector<std::string> texts;
    for (const auto& hypotheses : translate(batch, options)) {
      texts.push_back(hypotheses.empty() ? std::string() : text_of(hypotheses[0]));
    }
    return texts;
  };
  scoring.gold_log_probabilities = [this](const TaskOutput& output, const Batch& batch) {
    return gold_log_probabilities(output, batch);
  };
  return new_translation_metrics(std::move(scoring));
}

PrimaryMetric TranslateTask::primary_metric() const {
  if (setting<int64_t>(config_, "decode", "look_sentences") == 0) return {"loss", false};
  return {"bleu", true};
}

// One answer per example: the most probable token at every place, each after the target's own.
std::vector<Prediction> TranslateTask::predict(const TaskOutput& output, int64_t) const {
  const torch::NoGradGuard no_grad;
  const auto [best, tokens] = output.scores.to(torch::kDouble).log_softmax(2).max(2);
  std::vector<Prediction> predictions;
  for (int64_t b = 0; b < tokens.size(0); ++b) {
    Hypothesis hypothesis;
    double log_probability = 0;
    for (int64_t t = 0; t < tokens.size(1); ++t) {
      const auto token = tokens[b][t].item<int64_t>();
      log_probability += best[b][t].item<double>();
      if (token == kSeparatorId) break;
      hypothesis.tokens.push_back(token);
    }
    predictions.push_back({{text_of(hypothesis), std::exp(log_probability), log_probability}});
  }
  return predictions;
}

void TranslateTask::freeze(Precision precision) {
  model_->eval();
  if (model_->freeze(precision) || precision == Precision::kFloat32) return;
  throw usage_error("this model has no form in " + to_string(precision) +
                    ": only a transformer with attention to its source has; use precision f32");
}

SearchOptions TranslateTask::default_search() const { return decode_options(config_); }

std::string TranslateTask::text_of(const Hypothesis& hypothesis) const {
  return encoder_.tokenizer->decode(hypothesis.tokens);
}

std::vector<std::vector<Hypothesis>> TranslateTask::translate(
    const Batch& batch, SearchOptions options, const std::vector<AttentionEdit>& edits) const {
  const torch::NoGradGuard no_grad;
  const bool was_training = model_->is_training();
  model_->eval();
  const auto ratio = setting<double>(config_, "decode", "max_ratio");
  const auto extra = setting<int64_t>(config_, "decode", "max_extra");
  const torch::Tensor lengths = batch.inputs.at("source_lengths").contiguous();
  options.max_length.clear();
  for (int64_t i = 0; i < batch.size; ++i) {
    const auto source = static_cast<double>(lengths.data_ptr<int64_t>()[i] - 1);
    options.max_length.push_back(
        std::max<int64_t>(1, static_cast<int64_t>(ratio * source) + extra));
  }
  check_options(options, encoder_.tokenizer->vocab_size());
  TranslationModel model(*model_, batch, edits, options.beam > 1);
  auto results = search(model, batch.size, options);
  model_->train(was_training);
  return results;
}

ProducedText TranslateTask::produced_text(const Hypothesis& hypothesis) const {
  ProducedText produced;
  produced.text = text_of(hypothesis);
  produced.log_probability = hypothesis.log_probability;
  produced.score = hypothesis.score;
  produced.finished = hypothesis.finished;
  return produced;
}

std::vector<ProducedText> TranslateTask::produce_under(const Dataset& data, int64_t row,
                                                       const ProduceOptions& options,
                                                       const std::vector<AttentionEdit>& edits) {
  const auto results = translate(encoder_.collate(pairs(data), {&row, 1}),
                                 search_of(default_search(), options.search), edits);
  if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
  std::vector<ProducedText> texts;
  for (const Hypothesis& hypothesis : results[0]) texts.push_back(produced_text(hypothesis));
  return texts;
}

std::vector<std::vector<ProducedText>> TranslateTask::produce(const Dataset& data,
                                                              const ProduceOptions& options) {
  std::vector<std::vector<ProducedText>> texts(static_cast<size_t>(data.size()));
  std::vector<int64_t> order(static_cast<size_t>(data.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t left, int64_t right) {
    return data.length(left) < data.length(right);
  });
  SearchOptions search_options = search_of(default_search(), options.search);
  for (size_t begin = 0; begin < order.size();) {
    const size_t end = std::min(order.size(), begin + static_cast<size_t>(options.batch_size));
    const std::span<const int64_t> rows(order.data() + begin, end - begin);
    search_options.first_group = begin;
    const auto results = translate(encoder_.collate(pairs(data), rows), search_options);
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
    for (size_t i = 0; i < rows.size(); ++i) {
      for (const Hypothesis& hypothesis : results[i]) {
        texts[static_cast<size_t>(rows[i])].push_back(produced_text(hypothesis));
      }
    }
    if (options.align) {
      std::vector<ParallelExample> examples;
      for (size_t i = 0; i < rows.size(); ++i) {
        for (size_t n = 0; n < results[i].size(); ++n) {
          ParallelExample example = pairs(data).example(rows[i]);
          example.has_target = true;
          example.target = texts[static_cast<size_t>(rows[i])][n].text;
          example.target_units = encoding_of(results[i][n].tokens, example.target);
          examples.push_back(std::move(example));
        }
      }
      const ParallelDataset produced("produced", std::move(examples));
      std::vector<int64_t> all(static_cast<size_t>(produced.size()));
      std::iota(all.begin(), all.end(), int64_t{0});
      const auto scores = unit_alignments(produced, all, options.alignment);
      size_t at = 0;
      for (size_t i = 0; i < rows.size(); ++i) {
        for (ProducedText& text : texts[static_cast<size_t>(rows[i])]) {
          const ParallelExample& example = produced.example(static_cast<int64_t>(at));
          text.alignment =
              word_links(scores[at++], example.source_units.spans, example.target_units.spans,
                         alignment_words(example.source), alignment_words(example.target));
        }
      }
    }
    begin = end;
  }
  return texts;
}

}  // namespace attend
