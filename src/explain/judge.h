// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/explain/explain.h"
#include "attend/explain/faithfulness.h"

namespace attend {

/// Fills in Attribution::faithfulness, `test`, `best_method`, `verdict` and, where something was
/// left out to bound the cost, a notice.
void add_faithfulness(const ExplainedInput& input, const ExplainOptions& options,
                      Explanation& explanation);

}  // namespace attend
