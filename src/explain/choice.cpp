// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/explain/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/tasks/config.h"
#include "attend/tasks/run_folder.h"

namespace attend {
namespace {

using nlohmann::json;

constexpr const char* kSection = "explanation";
constexpr int64_t kVersion = 1;

json to_json(const Estimate& estimate) {
  return {{"mean", estimate.mean},
          {"low", estimate.low},
          {"high", estimate.high},
          {"examples", estimate.examples}};
}

Estimate estimate_of(const json& section, const std::string& origin) {
  return {config_value<double>(section, "mean", origin),
          config_value<double>(section, "low", origin),
          config_value<double>(section, "high", origin),
          config_value<int64_t>(section, "examples", origin)};
}

}  // namespace

MethodChoice choose_method(const ScoreTable& table, Removal removal, const std::string& data) {
  const MethodScore* best = table.best();
  if (best == nullptr) {
    throw usage_error("there is no method to choose: ask for one beside random");
  }
  MethodChoice choice;
  choice.method = best->method;
  choice.faithfulness = best->metrics.at("faithfulness");
  choice.over_random = best->over_random;
  choice.removal = to_string(removal);
  choice.examples = table.examples;
  choice.data = data;
  for (const MethodScore& method : table.methods) {
    choice.methods[method.method] = method.metrics.at("faithfulness");
  }
  return choice;
}

std::string describe(const MethodChoice& choice) {
  std::string text = fmt::format("{}: faithfulness {:.3f} ({:.3f} to {:.3f}) on {} examples",
                                 choice.method, choice.faithfulness.mean, choice.faithfulness.low,
                                 choice.faithfulness.high, choice.examples);
  if (!choice.beats_random()) text += "; not better than random";
  return text;
}

json to_json(const MethodChoice& choice) {
  json methods = json::object();
  for (const auto& [name, estimate] : choice.methods) methods[name] = to_json(estimate);
  return {{"version", kVersion},
          {"best_method", choice.method},
          {"criterion",
           "mean of (insertion area - deletion area) / (highest - lowest area of any order)"},
          {"beats_random", choice.beats_random()},
          {"faithfulness", to_json(choice.faithfulness)},
          {"over_random", to_json(choice.over_random)},
          {"removal", choice.removal},
          {"examples", choice.examples},
          {"data", choice.data},
          {"methods", methods}};
}

std::optional<MethodChoice> choice_of_run(const json& run_info) {
  if (!run_info.is_object() || !run_info.contains(kSection)) return std::nullopt;
  const json& section = run_info.at(kSection);
  const std::string origin = "attend.json (explanation)";
  if (config_value<int64_t>(section, "version", origin) != kVersion) return std::nullopt;
  MethodChoice choice;
  choice.method = config_value<std::string>(section, "best_method", origin);
  choice.faithfulness = estimate_of(config_value<json>(section, "faithfulness", origin), origin);
  choice.over_random = estimate_of(config_value<json>(section, "over_random", origin), origin);
  choice.removal = config_value<std::string>(section, "removal", origin);
  choice.examples = config_value<int64_t>(section, "examples", origin);
  choice.data = config_value<std::string>(section, "data", origin);
  const json methods = config_value<json>(section, "methods", origin);
  for (const auto& [name, estimate] : methods.items()) {
    choice.methods[name] = estimate_of(estimate, origin);
  }
  return choice;
}

void store_choice(const std::filesystem::path& run, const MethodChoice& choice) {
  update_run_info(run, kSection, to_json(choice));
}

int64_t affordable_examples(const Dataset& data, int64_t positions) {
  if (data.size() == 0) return 0;
  double total = 0;
  for (int64_t row = 0; row < data.size(); ++row) {
    const auto length = static_cast<double>(data.length(row));
    // Leaving each unit out; paths and backward passes; curves of some ten methods and the random
    // band, 20 steps each way at half the length; the search for bounds.
    total += length * length + 300 * length + 30 * 20 * length / 2 +
             std::min(40'000.0, length * length * length * 2 / 3);
  }
  const double each = total / static_cast<double>(data.size());
  const auto count = static_cast<int64_t>(static_cast<double>(positions) / each);
  return count < 20 ? 0 : std::min<int64_t>(100, count);
}

}  // namespace attend
