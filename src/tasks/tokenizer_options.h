// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "attend/data/tokenizer.h"

namespace attend {

/// What the section "text" of a complete configuration, of any task on texts, says of units and
/// vocabulary. Throws Error(kUsage) for a value that cannot be.
TokenizerOptions tokenizer_options(const nlohmann::json& config);

}  // namespace attend
