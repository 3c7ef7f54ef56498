// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "tokenizer_options.h"

#include <string>

#include "attend/tasks/config.h"

namespace attend {

TokenizerOptions tokenizer_options(const nlohmann::json& config) {
  TokenizerOptions options;
  options.kind = parse_tokenizer_kind(setting<std::string>(config, "text", "units"));
  options.normalise = setting<bool>(config, "text", "normalise");
  options.fold_case = setting<bool>(config, "text", "fold_case");
  options.min_count = setting<int64_t>(config, "text", "min_count");
  options.max_vocabulary = setting<int64_t>(config, "text", "max_vocabulary");
  return options;
}

}  // namespace attend
