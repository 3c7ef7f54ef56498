// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Examples of which it is known what decides: one unit carries the class, the others carry nothing.
// Where no unit carries one, the class is "none". Without that class a model could take one class
// for the absence of the others, and no unit would decide it. For testing explanations; not a task
// that data can be read for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "attend/tasks/task.h"

namespace attend {

/// What the units of a planted example are.
enum class PlantedKind {
  kItems,     ///< a history of ids; three of 40 ids decide
  kEntities,  ///< a set of feature vectors without an order; three directions decide
  kPatches    ///< a 4 x 4 grid of grey patches of 4 x 4 pixels with noise; three bars decide
};

/// "items", "entities", "patches".
std::string to_string(PlantedKind kind);

/// Examples with what decides each.
struct PlantedExamples {
  std::shared_ptr<Dataset> data;
  std::vector<int64_t> deciding;  ///< the unit that carries the class, one per example; -1: none
};

/// `rows` examples of 6 to 14 units (patches: 16). The same seed gives the same examples.
PlantedExamples planted_examples(PlantedKind kind, int64_t rows, uint64_t seed);

/// A small model over such examples: embedding, an encoder layer, attention pooling. prepare()
/// takes no file and returns 1,000 training examples, drawn with the setting "seed". read(),
/// from_inputs() and load() throw Error(kUsage).
std::unique_ptr<Task> make_planted_task(PlantedKind kind);

}  // namespace attend
