// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/config.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace attend {
namespace {

using nlohmann::json;

size_t edit_distance(const std::string& left, const std::string& right) {
  std::vector<size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t l = 1; l <= left.size(); ++l) {
    size_t diagonal = row[0];
    row[0] = l;
    for (size_t r = 1; r <= right.size(); ++r) {
      const size_t above = row[r];
      row[r] = std::min({above + 1, row[r - 1] + 1, diagonal + (left[l - 1] != right[r - 1])});
      diagonal = above;
    }
  }
  return row.back();
}

// Numbers of any kind fit a number; null in the defaults means "any kind".
bool same_kind(const json& expected, const json& given) {
  if (expected.is_null() || given.is_null()) return true;
  if (expected.is_number_float()) return given.is_number();
  if (expected.is_number_integer()) {
    return given.is_number_integer() ||
           (given.is_number_float() && given.get<double>() == std::floor(given.get<double>()));
  }
  return expected.type() == given.type();
}

void merge_into(json& target, const json& overrides, const std::string& path,
                const std::string& origin) {
  if (!overrides.is_object()) {
    throw usage_error(origin + ": \"" + path + "\" must be an object {...}, not " +
                      overrides.type_name());
  }
  for (const auto& [key, value] : overrides.items()) {
    const std::string dotted = path.empty() ? key : path + "." + key;
    if (!target.contains(key)) {
      std::vector<std::string> known;
      for (const auto& entry : target.items()) known.push_back(entry.key());
      const std::string near = nearest_name(key, known);
      std::string list;
      for (const auto& name : known) list += (list.empty() ? "" : ", ") + name;
      throw usage_error(origin + ": unknown setting \"" + dotted + "\"; " +
                        (near.empty() ? "known here: " + list : "did you mean \"" + near + "\"?"));
    }
    json& slot = target[key];
    if (slot.is_object()) {
      merge_into(slot, value, dotted, origin);
    } else if (!same_kind(slot, value)) {
      throw usage_error(origin + ": \"" + dotted + "\" must be a " + slot.type_name() +
                        " such as " + slot.dump() + ", not " + value.dump());
    } else if (slot.is_number_integer() && value.is_number_float()) {
      slot = value.get<int64_t>();
    } else if (slot.is_number_float() && value.is_number()) {
      slot = value.get<double>();  // a later 0.5 must not find that an earlier 1 was whole
    } else {
      slot = value;
    }
  }
}

}  // namespace

json merge_config(const json& defaults, const json& overrides, const std::string& origin) {
  json result = defaults;
  merge_into(result, overrides, "", origin);
  return result;
}

json settings_of(const json& defaults, const json& config) {
  if (!defaults.is_object() || !config.is_object()) return config;
  json result = defaults;
  for (auto& [key, value] : result.items()) {
    if (config.contains(key)) value = settings_of(value, config.at(key));
  }
  return result;
}

json parse_setting(const std::string& setting) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw usage_error("--set " + setting + ": expected key=value, such as train.epochs=5");
  }
  const std::string text = setting.substr(equals + 1);
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) value = text;
  std::string key = setting.substr(0, equals);
  while (true) {
    const size_t dot = key.rfind('.');
    value = json{{key.substr(dot == std::string::npos ? 0 : dot + 1), value}};
    if (dot == std::string::npos) return value;
    key.resize(dot);
  }
}

std::string nearest_name(const std::string& name, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const auto& candidate : known) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace attend
