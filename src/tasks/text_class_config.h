// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The settings of text classification: their defaults, and what the layers below take of them.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "attend/data/ngrams.h"
#include "attend/data/reader.h"
#include "attend/data/tokenizer.h"
#include "attend/nn/text_classifier.h"
#include "attend/tasks/config.h"
#include "factored_linear.h"
#include "masked_units.h"
#include "naive_bayes_svm.h"
#include "skip_gram.h"

namespace attend {

/// All settings with their defaults, in sections "data", "text", "model" and "train". Each function
/// below takes a configuration with all of them, and throws Error(kUsage) for a value that cannot
/// be.
nlohmann::json text_class_defaults();

/// How to read `path`, a file of the training format or with an ending that says otherwise.
/// `label_file`: names of label numbers, or empty.
ReaderOptions reader_options(const nlohmann::json& config, const std::string& path,
                             const std::filesystem::path& label_file, bool with_gold);

NgramOptions ngram_options(const nlohmann::json& config);
bool wants_ngrams(const nlohmann::json& config);

/// Without what only the data tells: sizes of vocabulary, classes and n-grams.
TextClassifierOptions classifier_options(const nlohmann::json& config);

NaiveBayesSvmOptions wide_options(const nlohmann::json& config);

/// `dim` 0: no second linear model.
FactoredLinearOptions factored_options(const nlohmann::json& config);

/// `epochs` 0: no pre-training.
SkipGramOptions pretrain_options(const nlohmann::json& config);
MaskedUnitsOptions masked_options(const nlohmann::json& config);

/// 0: the evidence that people marked plays no part in training.
double rationale_weight(const nlohmann::json& config);

}  // namespace attend
