// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The settings of text generation: their defaults, and what the layers below take of them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "attend/data/reader.h"
#include "generate_dataset.h"
#include "language_model.h"
#include "skip_gram.h"

namespace attend {

/// All settings with their defaults, in sections "data", "text", "model" and "train". Each function
/// below takes a configuration with all of them, and throws Error(kUsage) for a value that cannot
/// be.
nlohmann::json generate_defaults();

ReaderOptions generate_reader_options(const nlohmann::json& config, const std::string& path);

SequenceLayout sequence_layout(const nlohmann::json& config);

/// Without the size of the vocabulary.
LanguageModelOptions language_model_options(const nlohmann::json& config);

/// `epochs` 0: no pre-training.
SkipGramOptions generate_pretrain_options(const nlohmann::json& config);

}  // namespace attend
