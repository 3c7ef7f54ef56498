// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The settings of translation: their defaults, and what the layers below take of them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "attend/data/parallel.h"
#include "attend/data/tokenizer.h"
#include "attend/nn/encoder_decoder.h"
#include "attend/nn/recurrent_encoder_decoder.h"
#include "attend/tasks/config.h"
#include "attend/tasks/search.h"

namespace attend {

/// All settings with their defaults, in sections "data", "text", "model", "decode" and "train".
/// Each function below takes a configuration with all of them, and throws Error(kUsage) for a value
/// that cannot be.
nlohmann::json translate_defaults();

ParallelOptions parallel_options(const nlohmann::json& config, bool require_targets);

/// Without the size of the vocabulary.
EncoderDecoderOptions encoder_decoder_options(const nlohmann::json& config);

/// Of the peer without attention; without the size of the vocabulary.
RecurrentOptions recurrent_options(const nlohmann::json& config);

/// Without lengths.
SearchOptions decode_options(const nlohmann::json& config);

}  // namespace attend
