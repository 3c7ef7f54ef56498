// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generate_config.h"

#include "attend/base/error.h"
#include "attend/tasks/config.h"

namespace attend {
namespace {

using nlohmann::json;

double share(const json& config, const char* section, const char* key) {
  const auto value = setting<double>(config, section, key);
  if (!(value >= 0 && value <= 1)) {
    throw usage_error(std::string(section) + "." + key + " is " + std::to_string(value) +
                      "; it must be a share from 0 to 1");
  }
  return value;
}

}  // namespace

json generate_defaults() {
  return {{"data",
           {{"format", "auto"},       // as DataFormat; a .txt file is plain: one text per line
            {"text_column", ""},      // name or number from 1; empty: found
            {"prompt_column", ""},    // title or theme that a text is written for; empty: none
            {"keep_corpus", true}}},  // the run keeps the training texts, to tell what is copied
          {"text",
           {{"units", "char"},     // as TokenizerKind; white space is kept by "subword" only
            {"normalise", false},  // a text is to come out as it went in
            {"fold_case", false},
            {"min_count", 1},  // rarer units become unknown
            {"max_vocabulary", 30000},
            {"max_length", 512}}},  // the context, in tokens; longer texts are cut into pieces
          {"model",
           {{"hidden_size", 256},
            {"layers", 4},
            {"shared_layers", 0},  // layers with weights of their own; 0: all
            {"heads", 4},
            {"kv_heads", 0},      // 0: as heads
            {"feed_forward", 0},  // 0: 4 * hidden_size
            {"activation", "gelu"},
            {"positions", "rotary"},
            {"window", -1},  // keys to the left that a query sees; -1: all
            {"qk_norm", false},
            {"sink", false},
            {"output_gate", false},
            {"embedding_dropout", 0.1},
            {"attention_dropout", 0.0},
            {"dropout", 0.1},
            {"mixed_precision", false}}},
          {"train",
           {{"seed", 1},
            {"prompt_dropout", 0.5},  // examples whose prompt is left out, each time anew
            {"infill_share", 0.0},    // examples that are learnt as gaps, each time anew
            {"pretrain",              // of the embeddings, as SkipGramOptions
             {{"epochs", 0},
              {"window", 5},
              {"negatives", 5},
              {"learning_rate", 0.05},
              {"subsample", 1e-4}}}}}};
}

ReaderOptions generate_reader_options(const json& config, const std::string& path) {
  ReaderOptions options;
  options.require_labels = false;
  options.format = parse_data_format(setting<std::string>(config, "data", "format"));
  const bool plain_name = path.ends_with(".txt") || path.ends_with(".txt.gz");
  if (options.format == DataFormat::kAuto && plain_name) options.format = DataFormat::kPlain;
  if (options.format == DataFormat::kPlain) return options;
  options.text_column = setting<std::string>(config, "data", "text_column");
  const auto prompt = setting<std::string>(config, "data", "prompt_column");
  if (!prompt.empty()) options.extra_columns = {prompt};
  return options;
}

SequenceLayout sequence_layout(const json& config) {
  SequenceLayout layout;
  layout.prompts = !setting<std::string>(config, "data", "prompt_column").empty();
  layout.prompt_dropout = share(config, "train", "prompt_dropout");
  layout.infill_share = share(config, "train", "infill_share");
  layout.context = setting<int64_t>(config, "text", "max_length");
  if (layout.context < 8) throw usage_error("text.max_length must be 8 or more");
  return layout;
}

LanguageModelOptions language_model_options(const json& config) {
  const auto whole = [&](const char* key) { return setting<int64_t>(config, "model", key); };
  const auto number = [&](const char* key) { return setting<double>(config, "model", key); };
  const auto flag = [&](const char* key) { return setting<bool>(config, "model", key); };
  LanguageModelOptions options;
  options.dropout = number("embedding_dropout");
  EncoderOptions& block = options.decoder.block;
  block.hidden = whole("hidden_size");
  block.layers = whole("layers");
  block.heads = whole("heads");
  block.kv_heads = whole("kv_heads");
  block.feed_forward = whole("feed_forward");
  block.activation = parse_activation(setting<std::string>(config, "model", "activation"));
  block.positions = parse_position_kind(setting<std::string>(config, "model", "positions"));
  block.max_length = setting<int64_t>(config, "text", "max_length");
  block.dropout = number("dropout");
  block.mixed_precision = flag("mixed_precision");
  block.attention.window_left = whole("window");
  block.attention.qk_norm = flag("qk_norm");
  block.attention.sink = flag("sink");
  block.attention.output_gate = flag("output_gate");
  block.attention.dropout = number("attention_dropout");
  options.decoder.distinct_blocks = whole("shared_layers");
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    throw usage_error("model.embedding_dropout must be from 0 to below 1");
  }
  return options;
}

SkipGramOptions generate_pretrain_options(const json& config) {
  const json section = setting<json>(config, "train", "pretrain");
  const std::string origin = "generate configuration (train.pretrain)";
  SkipGramOptions options;
  options.dim = setting<int64_t>(config, "model", "hidden_size");
  options.epochs = config_value<int64_t>(section, "epochs", origin);
  options.window = config_value<int64_t>(section, "window", origin);
  options.negatives = config_value<int64_t>(section, "negatives", origin);
  options.learning_rate = config_value<double>(section, "learning_rate", origin);
  options.subsample = config_value<double>(section, "subsample", origin);
  options.seed = static_cast<uint64_t>(setting<int64_t>(config, "train", "seed"));
  if (options.epochs < 0 || options.window < 1 || options.negatives < 1 ||
      !(options.learning_rate > 0) || options.subsample < 0) {
    throw usage_error("train.pretrain is " + section.dump() +
                      "; epochs and subsample must be 0 or more, window and negatives 1 or more, "
                      "learning_rate above 0");
  }
  return options;
}

}  // namespace attend
