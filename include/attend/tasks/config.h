// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attend/base/error.h"

namespace attend {

/// `defaults` with `overrides` laid over it, section by section. A key that `defaults` does not
/// have, or a value of another kind (a text for a number), is an Error(kUsage) that names `origin`,
/// the dotted key, what was expected, and the nearest known key.
nlohmann::json merge_config(const nlohmann::json& defaults, const nlohmann::json& overrides,
                            const std::string& origin);

/// `defaults` with the values that `config` has for its keys, at any depth; everything else of
/// `config` is left out. How a part takes its settings out of a larger configuration.
nlohmann::json settings_of(const nlohmann::json& defaults, const nlohmann::json& config);

/// Turns "train.learning_rate=1e-3" into {"train": {"learning_rate": 0.001}}. A value that is not
/// JSON is taken as text. Throws Error(kUsage) if there is no '='.
nlohmann::json parse_setting(const std::string& setting);

/// The value at `key` of a complete section, with a clear Error(kModel) naming `origin` if it is
/// missing or of the wrong kind: for files that a program wrote and somebody may have edited.
template <typename T>
T config_value(const nlohmann::json& section, const std::string& key, const std::string& origin) {
  if (!section.is_object() || !section.contains(key)) {
    throw model_error(origin + ": \"" + key + "\" is missing; restore the file or train again");
  }
  try {
    return section.at(key).template get<T>();
  } catch (const nlohmann::json::exception&) {
    throw model_error(origin + ": \"" + key + "\" has the wrong type (" +
                      section.at(key).type_name() + "); restore the file or train again");
  }
}

/// config[section][key] of a run's or a recipe's complete configuration; Error(kModel) as above.
template <typename T>
T setting(const nlohmann::json& config, const char* section, const char* key) {
  return config_value<T>(config.at(section), key, std::string("configuration (") + section + ")");
}

/// The one of `known` that is closest to `name` by edit distance, or empty if none is near.
std::string nearest_name(const std::string& name, const std::vector<std::string>& known);

}  // namespace attend
