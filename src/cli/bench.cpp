// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

#include "attend/base/error.h"
#include "bench/encoder.h"
#include "bench/generate.h"
#include "bench/linear.h"
#include "verbs.h"

namespace attend {
namespace {

void run_bench(const bench::Options& options) {
  using bench::What;
  bench::Printer printer(options);
  const auto asked = [&](What what) {
    return std::count(options.what.begin(), options.what.end(), what) > 0;
  };
  const bool models_alone =
      !options.what.empty() &&
      std::all_of(options.what.begin(), options.what.end(), bench::needs_modules);
  int wrong = 0;
  try {
    if (!models_alone) wrong += bench::run_kernel_cases(options, printer);
  } catch (const std::invalid_argument& error) {
    throw usage_error(error.what());
  }
  if (asked(What::kEncoder)) wrong += bench::run_encoder_cases(options, printer);
  if (asked(What::kLinear)) wrong += bench::run_linear_cases(options, printer);
  if (asked(What::kGenerate)) wrong += bench::run_generate_cases(options, printer);
  printer.finish();
  if (wrong > 0) {
    throw Error(ExitCode::kCheck, std::to_string(wrong) +
                                      " case(s) differ from the double reference by more than "
                                      "their bound, see above; they were not timed");
  }
}

}  // namespace

void add_bench_verb(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("bench", "This machine's limits, and how close the kernels come");
  auto options = std::make_shared<bench::Options>();
  for (const bench::Flag& flag : bench::flags()) {
    const auto set = [options, flag](const std::string& value) {
      try {
        flag.set(*options, value);
      } catch (const std::invalid_argument& error) {
        throw CLI::ValidationError(flag.name, error.what());
      }
    };
    if (flag.takes_value) {
      verb->add_option_function<std::string>(flag.name, set, flag.help);
    } else {
      verb->add_flag_callback(
          flag.name, [set] { set(""); }, flag.help);
    }
  }
  verb->callback([options] { run_bench(*options); });
}

}  // namespace attend
