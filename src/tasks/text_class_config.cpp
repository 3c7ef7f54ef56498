// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "text_class_config.h"

#include "attend/base/error.h"

namespace attend {
namespace {

using nlohmann::json;

// The format that the ending of a file name stands for; kAuto for any other.
DataFormat format_of_name(const std::string& path) {
  std::string name = path;
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with(".tsv")) return DataFormat::kTsv;
  if (name.ends_with(".csv")) return DataFormat::kCsv;
  if (name.ends_with(".jsonl")) return DataFormat::kJsonl;
  return DataFormat::kAuto;
}

// A group of settings inside a section, such as train.masked.
class SettingGroup {
 public:
  SettingGroup(const json& config, const char* section, const char* group)
      : values_(setting<json>(config, section, group)), name_(std::string(section) + "." + group) {}

  // Throws Error(kUsage) stating the rule unless the setting `holds`.
  template <typename Value, typename Holds>
  void read(const char* key, Value& value, Holds holds, const char* rule) const {
    value = config_value<Value>(values_, key, "configuration (" + name_ + ")");
    if (holds(value)) return;
    throw usage_error(name_ + "." + key + " is " + values_.at(key).dump() + "; it must be " + rule);
  }

 private:
  json values_;
  std::string name_;
};

bool not_negative(int64_t value) { return value >= 0; }
bool positive(int64_t value) { return value >= 1; }

}  // namespace

json text_class_defaults() {
  return {{"data",
           {{"dev", json::array()},      // only to drop extra rows that stand in it
            {"format", "auto"},          // as DataFormat
            {"text_column", ""},         // name or number from 1; empty: found
            {"label_column", ""},        //
            {"separator", ""},           // between columns; empty: by format
            {"label_names", ""},         // file with one label name per line, for numeric labels
            {"rationale_column", ""},    // of the training files: evidence, see RationaleCell
            {"extra", json::array()}}},  // further training rows, as RowSource
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
            {"final_norm", true},    // layer normalisation behind the last layer
            {"activation", "gelu"},  // or "swiglu"
            {"positions", "sinusoidal"},
            {"window", -1},            // keys to either side that a query sees; -1: all
            {"stem_width", 0},         // odd; 0: no convolution before attention
            {"stem_depthwise", true},  // it convolves each dimension alone
            {"recurrent_layers", 0},   // bidirectional LSTM before attention; 0: none
            {"qk_norm", false},
            {"sink", false},
            {"output_gate", false},
            {"pooling", "attention"},
            {"pooling_heads", 1},
            {"pooling_hops", 1},  // of attention pooling; the query of each but the first is moved
                                  // by what was pooled
            {"embedding_dropout", 0.1},
            {"word_dropout", 0.0},
            {"attention_dropout", 0.0},
            {"dropout", 0.1},
            {"wide", "fitted"},  // how n-grams add to the logits: "fitted" before training, "joint"
                                 // with the rest, or "none"
            {"wide_cost", 1.0},  // of the fitted one: C of its SVM
            {"wide_idf", false},  // of the fitted one: average with a tf-idf SVM
            {"wide_factored",     // and a second linear model, as FactoredLinearOptions
             {{"dim", 0},         // 0: none
              {"epochs", 8},
              {"dropout", 0.7},
              {"learning_rate", 0.3}}},
            {"mixed_precision", false},  // training in bfloat16 where it does no harm
            {"ngram_deep", false},       // each n-gram adds to the embedding of its unit
            {"ngram_deep_rows", 0},      // vectors that they share; 0: one each
            {"ngram_dropout", 0.0}}},
          {"train",
           {{"pretrain",  // of the embeddings, as SkipGramOptions
             {{"epochs", 0},
              {"window", 5},
              {"negatives", 5},
              {"learning_rate", 0.05},
              {"subsample", 1e-4},
              {"texts", json::array()}}},  // beside the training texts, as RowSource
            {"masked",                     // of embeddings and encoder, as MaskedUnitsOptions
             {{"epochs", 0}, {"batch_size", 128}, {"learning_rate", 1e-3}, {"share", 0.3}}},
            {"rationale_weight", 0.0},  // of the loss that pulls pooling towards the evidence
            {"seed", 1}}}};
}

ReaderOptions reader_options(const json& config, const std::string& path,
                             const std::filesystem::path& label_file, bool with_gold) {
  ReaderOptions options;
  options.format = parse_data_format(setting<std::string>(config, "data", "format"));
  const DataFormat named = format_of_name(path);
  if (named == DataFormat::kAuto || named == options.format ||
      options.format == DataFormat::kAuto) {
    options.text_column = setting<std::string>(config, "data", "text_column");
    options.label_column = setting<std::string>(config, "data", "label_column");
  } else {
    options.format = named;  // the user has this file in another format, with columns of its own
  }
  const auto separator = setting<std::string>(config, "data", "separator");
  if (separator.size() > 1) {
    throw usage_error("data.separator is \"" + separator + "\"; it must be a single character");
  }
  options.separator = separator.empty() ? '\0' : separator[0];
  options.label_names = label_file;
  options.require_labels = with_gold;
  return options;
}

NgramOptions ngram_options(const json& config) {
  const json section = setting<json>(config, "text", "ngrams");
  const std::string origin = "configuration (text.ngrams)";
  NgramOptions options;
  options.char_min = config_value<int>(section, "char_min", origin);
  options.char_max = config_value<int>(section, "char_max", origin);
  options.word_min = config_value<int>(section, "word_min", origin);
  options.word_max = config_value<int>(section, "word_max", origin);
  options.min_count = config_value<int64_t>(section, "min_count", origin);
  options.max_features = config_value<int64_t>(section, "max_features", origin);
  return options;
}

bool wants_ngrams(const json& config) {
  const NgramOptions options = ngram_options(config);
  return options.char_max > 0 || options.word_max > 0;
}

TextClassifierOptions classifier_options(const json& config) {
  const auto text = [&](const char* key) { return setting<std::string>(config, "model", key); };
  const auto whole = [&](const char* key) { return setting<int64_t>(config, "model", key); };
  const auto number = [&](const char* key) { return setting<double>(config, "model", key); };
  const auto flag = [&](const char* key) { return setting<bool>(config, "model", key); };

  TextClassifierOptions options;
  options.embedding_dim = whole("embedding_dim");
  options.hidden_size = whole("hidden_size");
  options.padding_index = kPaddingId;
  options.embedding_dropout = number("embedding_dropout");
  options.word_dropout = number("word_dropout");
  options.dropout = number("dropout");
  options.encoder.layers = whole("layers");
  options.encoder.heads = whole("heads");
  options.encoder.kv_heads = whole("kv_heads");
  options.encoder.feed_forward = whole("feed_forward");
  options.encoder.final_norm = flag("final_norm");
  options.encoder.activation = parse_activation(text("activation"));
  options.encoder.dropout = number("dropout");
  options.encoder.positions = parse_position_kind(text("positions"));
  // A [CLS] may come before the text.
  options.encoder.max_length = setting<int64_t>(config, "text", "max_length") + 1;
  options.encoder.stem_width = whole("stem_width");
  options.encoder.stem_depthwise = flag("stem_depthwise");
  options.encoder.recurrent_layers = whole("recurrent_layers");
  options.encoder.attention.window_left = whole("window");
  options.encoder.attention.window_right = whole("window");
  options.encoder.attention.qk_norm = flag("qk_norm");
  options.encoder.attention.sink = flag("sink");
  options.encoder.attention.output_gate = flag("output_gate");
  options.encoder.attention.dropout = number("attention_dropout");
  options.pooling.kind = parse_pooling_kind(text("pooling"));
  options.pooling.heads = whole("pooling_heads");
  options.pooling.hops = whole("pooling_hops");
  const std::string wide = text("wide");
  if (wide != "fitted" && wide != "joint" && wide != "none") {
    throw usage_error("model.wide is \"" + wide +
                      "\"; it must be \"fitted\", \"joint\" or \"none\"");
  }
  options.ngram_wide = wide != "none";
  options.encoder.mixed_precision = flag("mixed_precision");
  options.ngram_deep = flag("ngram_deep");
  options.ngram_deep_rows = whole("ngram_deep_rows");
  options.ngram_dropout = number("ngram_dropout");
  return options;
}

NaiveBayesSvmOptions wide_options(const json& config) {
  NaiveBayesSvmOptions options;
  options.cost = setting<double>(config, "model", "wide_cost");
  options.with_idf = setting<bool>(config, "model", "wide_idf");
  if (!(options.cost > 0)) throw usage_error("model.wide_cost must be above 0");
  return options;
}

double rationale_weight(const json& config) {
  const auto weight = setting<double>(config, "train", "rationale_weight");
  if (!(weight >= 0 && weight <= 1000)) {
    throw usage_error("train.rationale_weight must be from 0 (off) to 1000");
  }
  if (weight == 0) return 0;
  if (setting<std::string>(config, "data", "rationale_column").empty()) {
    throw usage_error("train.rationale_weight needs data.rationale_column, where the evidence is");
  }
  if (setting<std::string>(config, "model", "pooling") != "attention") {
    throw usage_error(
        "train.rationale_weight needs model.pooling \"attention\": it is what learns "
        "from the evidence");
  }
  return weight;
}

FactoredLinearOptions factored_options(const json& config) {
  const SettingGroup group(config, "model", "wide_factored");
  FactoredLinearOptions options;
  group.read("dim", options.dim, not_negative, "0 (none) or more");
  group.read("epochs", options.epochs, positive, "1 or more");
  group.read(
      "dropout", options.dropout, [](double p) { return p >= 0 && p < 1; },
      "at least 0 and below 1");
  group.read(
      "learning_rate", options.learning_rate, [](double rate) { return rate > 0 && rate <= 10; },
      "above 0 and at most 10");
  options.seed = static_cast<uint64_t>(setting<int64_t>(config, "train", "seed"));
  return options;
}

MaskedUnitsOptions masked_options(const json& config) {
  const SettingGroup group(config, "train", "masked");
  MaskedUnitsOptions options;
  group.read("epochs", options.epochs, not_negative, "0 (none) or more");
  group.read("batch_size", options.batch_size, positive, "1 or more");
  group.read(
      "learning_rate", options.learning_rate, [](double rate) { return rate > 0 && rate <= 1; },
      "above 0 and at most 1");
  group.read(
      "share", options.share, [](double share) { return share > 0 && share < 1; },
      "above 0 and below 1");
  options.seed = static_cast<uint64_t>(setting<int64_t>(config, "train", "seed"));
  return options;
}

SkipGramOptions pretrain_options(const json& config) {
  const SettingGroup group(config, "train", "pretrain");
  SkipGramOptions options;
  options.dim = setting<int64_t>(config, "model", "embedding_dim");
  group.read("epochs", options.epochs, not_negative, "0 (no pre-training) or more");
  group.read("window", options.window, positive, "1 or more");
  group.read("negatives", options.negatives, positive, "1 or more");
  group.read(
      "learning_rate", options.learning_rate, [](double rate) { return rate > 0 && rate <= 1; },
      "above 0 and at most 1");
  group.read(
      "subsample", options.subsample, [](double share) { return share >= 0 && share <= 1; },
      "from 0 (off) to 1");
  options.seed = static_cast<uint64_t>(setting<int64_t>(config, "train", "seed"));
  return options;
}

}  // namespace attend
