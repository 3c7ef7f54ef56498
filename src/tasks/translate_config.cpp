// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "translate_config.h"

#include "attend/base/error.h"

namespace attend {
using nlohmann::json;

json translate_defaults() {
  return {{"data",
           {{"format", "auto"},      // "tsv", "jsonl"; a path "SOURCE,TARGET" is two files
            {"source_column", ""},   // number from 1 in TSV, key in JSONL; empty: found
            {"target_column", ""},   //
            {"links_column", ""}}},  // word links i-j from 0, for model.guided_alignment
          {"text",
           {{"units", "subword"},      // as TokenizerKind; one vocabulary for both languages
            {"normalise", false},      // NFKC; would change the marks of Chinese
            {"fold_case", false},      //
            {"min_count", 1},          // of units other than subwords
            {"max_vocabulary", 6000},  //
            {"max_length", 256},       // units of either side; longer training pairs are left out
            {"tokenize", "auto"}}},    // for BLEU: "13a", "zh" or "char"; auto: by the targets
          {"model",
           {{"kind", "transformer"},  // or "recurrent": a GRU without attention, for comparison
            {"hidden_size", 128},
            {"layers", 4},          // of the encoder
            {"decoder_layers", 0},  // 0: as many
            {"heads", 4},
            {"kv_heads", 0},        // 0: as heads
            {"feed_forward", 256},  // 0: 4 * hidden_size; -1: none
            {"activation", "gelu"},
            {"positions", "relative"},
            {"relative_distance", 32},  // from which on all are one
            {"cross", "attention"},     // or "mean": the decoder sees the mean of the encoder only
            {"qk_norm", false},
            {"sink", false},
            {"distinct_blocks", 0},  // decoder blocks with parameters of their own; 0: all
            {"shared_embeddings", true},
            {"tied_output", true},
            {"guided_alignment", 0.0},  // weight of a loss that draws cross-attention to the links
            {"guided_layer", -1},       // in this decoder layer, from 0; -1: the last but one
            {"embedding_dropout", 0.3},
            {"attention_dropout", 0.0},
            {"dropout", 0.3},
            {"mixed_precision", false}}},  // training in bfloat16 where it does no harm
          {"decode",
           {{"beam", 5},
            {"length_penalty", 1.0},
            {"max_ratio", 2.0},         // an output has at most max_ratio * source + max_extra
            {"max_extra", 10},          // units
            {"look_sentences", 500}}},  // dev sentences translated at each look; 0: none, by loss
          {"train",
           {{"epochs", 40},
            {"batch_size", 1024},
            {"batch_positions", 4096},
            {"bucket_batches", 20},
            {"learning_rate", 0.005},
            {"warmup", 0.1},
            {"weight_decay", 0.0},
            {"label_smoothing", 0.1},
            {"ema", 0.999}}}};
}

ParallelOptions parallel_options(const json& config, bool require_targets) {
  ParallelOptions options;
  const auto format = setting<std::string>(config, "data", "format");
  if (format == "tsv") {
    options.format = ParallelFormat::kTsv;
  } else if (format == "jsonl") {
    options.format = ParallelFormat::kJsonl;
  } else if (format != "auto") {
    throw usage_error("data.format is \"" + format +
                      "\"; for translation it must be \"auto\", \"tsv\" or \"jsonl\"");
  }
  options.source_column = setting<std::string>(config, "data", "source_column");
  options.target_column = setting<std::string>(config, "data", "target_column");
  if (require_targets) options.links_column = setting<std::string>(config, "data", "links_column");
  options.require_targets = require_targets;
  return options;
}

EncoderDecoderOptions encoder_decoder_options(const json& config) {
  const auto text = [&](const char* key) { return setting<std::string>(config, "model", key); };
  const auto whole = [&](const char* key) { return setting<int64_t>(config, "model", key); };
  const auto number = [&](const char* key) { return setting<double>(config, "model", key); };
  const auto flag = [&](const char* key) { return setting<bool>(config, "model", key); };

  EncoderDecoderOptions options;
  options.padding_index = kPaddingId;
  EncoderOptions& encoder = options.encoder;
  encoder.hidden = whole("hidden_size");
  encoder.layers = whole("layers");
  encoder.heads = whole("heads");
  encoder.kv_heads = whole("kv_heads");
  encoder.feed_forward = whole("feed_forward");
  encoder.activation = parse_activation(text("activation"));
  encoder.positions = parse_position_kind(text("positions"));
  // A start comes before the units, on either side; an output may be longer than max_length.
  encoder.max_length = 4 * setting<int64_t>(config, "text", "max_length") + 64;
  encoder.dropout = number("dropout");
  encoder.mixed_precision = flag("mixed_precision");
  encoder.attention.dropout = number("attention_dropout");
  encoder.attention.qk_norm = flag("qk_norm");
  encoder.attention.sink = flag("sink");
  encoder.attention.relative_max_distance = whole("relative_distance");
  options.decoder_layers = whole("decoder_layers");
  options.cross = parse_cross_kind(text("cross"));
  options.distinct_blocks = whole("distinct_blocks");
  options.shared_embeddings = flag("shared_embeddings");
  options.tied_output = flag("tied_output");
  options.embedding_dropout = number("embedding_dropout");
  return options;
}

RecurrentOptions recurrent_options(const json& config) {
  RecurrentOptions options;
  options.padding_index = kPaddingId;
  options.hidden = setting<int64_t>(config, "model", "hidden_size");
  options.layers = setting<int64_t>(config, "model", "layers");
  options.dropout = setting<double>(config, "model", "dropout");
  options.embedding_dropout = setting<double>(config, "model", "embedding_dropout");
  return options;
}

SearchOptions decode_options(const json& config) {
  SearchOptions options;
  options.beam = setting<int64_t>(config, "decode", "beam");
  options.length_penalty = setting<double>(config, "decode", "length_penalty");
  options.start = kClassifyId;
  options.end = kSeparatorId;
  options.forbidden = {kPaddingId, kUnknownId, kMaskId, kClassifyId};
  return options;
}

}  // namespace attend
