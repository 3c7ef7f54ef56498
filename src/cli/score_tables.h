// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What `attend score` prints: each result as JSON, as a long table (one value per line), and for a
// person.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attend/explain/planted.h"
#include "attend/explain/rationales.h"
#include "attend/explain/sanity.h"
#include "attend/explain/score.h"

namespace attend {

/// A result in three forms.
struct Printable {
  nlohmann::json json;
  std::string tsv;
  std::string human;
};

/// What stands above a table of faithfulness.
struct ScoreHeading {
  std::string data;
  std::string units;
  std::string removal;
  uint64_t seed = 1;
};

/// `metrics`: which ones a person is shown, in order.
Printable printable(const ScoreTable& table, const ScoreHeading& heading,
                    const std::vector<std::string>& metrics);
Printable printable(const PlantedTable& table);
Printable printable(const PlausibilityTable& table, const std::string& data);
Printable printable(const std::vector<RandomisedStage>& stages, const UniformTest& uniform,
                    const std::string& data);

}  // namespace attend
