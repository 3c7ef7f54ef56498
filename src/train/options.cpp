// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/options.h"

#include <nlohmann/json.hpp>

#include "attend/base/error.h"

namespace attend {
namespace {

// One list of fields serves both directions, so that they cannot drift apart.
template <typename Options, typename Visitor>
void visit_fields(Options& options, Visitor&& visit) {
  visit("seed", options.seed);
  visit("epochs", options.epochs);
  visit("max_steps", options.max_steps);
  visit("batch_size", options.batch_size);
  visit("batch_positions", options.batch_positions);
  visit("bucket_batches", options.bucket_batches);
  visit("learning_rate", options.learning_rate);
  visit("warmup", options.warmup);
  visit("decay", options.decay);
  visit("weight_decay", options.weight_decay);
  visit("beta1", options.beta1);
  visit("beta2", options.beta2);
  visit("clip", options.clip);
  visit("label_smoothing", options.label_smoothing);
  visit("class_weights", options.class_weights);
  visit("adversarial", options.adversarial);
  visit("ema", options.ema);
  visit("evaluate_every", options.evaluate_every);
  visit("checkpoint_every", options.checkpoint_every);
  visit("patience", options.patience);
  visit("threads", options.threads);
}

void require(bool holds, const std::string& key, const nlohmann::json& value,
             const std::string& rule) {
  if (!holds) throw usage_error("train." + key + " is " + value.dump() + "; it must be " + rule);
}

}  // namespace

nlohmann::json to_json(const TrainOptions& options) {
  nlohmann::json section = nlohmann::json::object();
  visit_fields(options, [&](const char* key, const auto& value) { section[key] = value; });
  return section;
}

TrainOptions train_options_from_json(const nlohmann::json& section) {
  TrainOptions options;
  visit_fields(options, [&](const char* key, auto& value) { section.at(key).get_to(value); });
  const auto at = [&](const char* key) { return section.at(key); };
  for (const char* key : {"epochs", "batch_size", "bucket_batches"}) {
    require(at(key).get<int64_t>() >= 1, key, at(key), "1 or more");
  }
  for (const char* key : {"seed", "max_steps", "batch_positions", "evaluate_every",
                          "checkpoint_every", "patience", "threads"}) {
    require(at(key).get<int64_t>() >= 0, key, at(key), "0 or more");
  }
  require(options.learning_rate > 0, "learning_rate", at("learning_rate"), "above 0");
  require(options.weight_decay >= 0, "weight_decay", at("weight_decay"), "0 or more");
  for (const char* key : {"clip", "adversarial"}) {
    require(at(key).get<double>() >= 0, key, at(key), "0 (off) or more");
  }
  for (const char* key : {"warmup", "beta1", "beta2", "label_smoothing", "ema"}) {
    const double value = at(key).get<double>();
    require(value >= 0 && value < 1, key, at(key), "at least 0 and below 1");
  }
  require(options.decay == "cosine" || options.decay == "linear" || options.decay == "constant",
          "decay", at("decay"), "\"cosine\", \"linear\" or \"constant\"");
  require(options.class_weights == "none" || options.class_weights == "balanced", "class_weights",
          at("class_weights"), "\"none\" or \"balanced\"");
  return options;
}

}  // namespace attend
