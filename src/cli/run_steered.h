// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// `attend run` of a task whose output is a text, with its attention changed.
#pragma once

#include "attend/tasks/sequence_task.h"
#include "common.h"
#include "run_sequence.h"

namespace attend {

/// What the flags ask of the task's search.
ProduceOptions produce_options(const SequenceTask& task, const SequenceFlags& flags);

/// For each input, the text as it is and under each change that `steering` names, side by side.
/// Returns what to print. Throws Error(kUsage) where a change makes no sense.
std::string run_steered(SequenceTask& task, const InputFlags& input, const SequenceFlags& flags,
                        const Steering& steering, OutputForm form);

}  // namespace attend
