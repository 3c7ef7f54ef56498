// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Which method is the most faithful for one model: settled on dev data, kept in the run folder.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "attend/explain/score.h"

namespace attend {

/// The criterion: the highest mean `faithfulness` of InputFaithfulness (insertion minus deletion on
/// the scale of what any order of the units reaches). It needs no threshold on the number of units,
/// cannot be raised by a model whose probabilities move more, and random orders have 0.
struct MethodChoice {
  std::string method;     ///< the best one, even where it does not beat random
  Estimate faithfulness;  ///< of it
  Estimate over_random;   ///< its faithfulness minus that of the random row, paired by example
  std::string removal;    ///< how units were taken out
  int64_t examples = 0;   ///< measured
  std::string data;       ///< what they were drawn from, as the data set describes itself
  std::map<std::string, Estimate> methods;  ///< faithfulness of every method, random among them

  /// The interval of over_random lies above 0.
  bool beats_random() const { return over_random.low > 0; }
};

/// The choice that a table supports. It must hold the metric "faithfulness" and a method beside
/// random.
MethodChoice choose_method(const ScoreTable& table, Removal removal, const std::string& data);

/// One line for a person.
std::string describe(const MethodChoice& choice);

/// The section "explanation" of attend.json, and back. Nothing where there is none; Error(kModel)
/// where it is damaged. A section of a newer version is passed over: it can be made again.
nlohmann::json to_json(const MethodChoice& choice);
std::optional<MethodChoice> choice_of_run(const nlohmann::json& run_info);

/// Puts the choice into the attend.json of a run folder, atomically.
void store_choice(const std::filesystem::path& run, const MethodChoice& choice);

/// How many of `data`'s examples a choice can be made on with about `positions` positions of the
/// model, at most 100; 0 where that would be fewer than 20. A function of lengths alone, so that
/// the same training ends with the same choice.
int64_t affordable_examples(const Dataset& data, int64_t positions);

}  // namespace attend
