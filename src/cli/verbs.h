// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

namespace attend {

// Each adds its verb to the program; the verb's callback does the work and throws Error.
void add_data_verb(CLI::App& app);
void add_train_verb(CLI::App& app);
void add_eval_verb(CLI::App& app);
void add_run_verb(CLI::App& app);
void add_weights_verb(CLI::App& app);
void add_explain_verb(CLI::App& app);
void add_score_verb(CLI::App& app);
void add_render_verb(CLI::App& app);
void add_bench_verb(CLI::App& app);
void add_doctor_verb(CLI::App& app);

}  // namespace attend
