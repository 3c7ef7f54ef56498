// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "common.h"
#include "verbs.h"

namespace {

// One line, whatever happened: the user sees where and what, not a stack.
int report(const std::string& message, attend::ExitCode code) {
  // What a message quotes from a file must not reach the terminal as a command.
  const std::string line = attend::printable(message.substr(0, message.find('\n')), 4000);
  std::fprintf(stderr, "attend: %s\n", line.c_str());
  return static_cast<int>(code);
}

// The verb that was being parsed is the one whose help is wanted.
std::string usage_message(const CLI::App* app, const CLI::Error& error) {
  std::string verb = app->get_name();
  for (auto inner = app->get_subcommands(); !inner.empty(); inner = app->get_subcommands()) {
    app = inner.front();
    verb += " " + app->get_name();
  }
  std::string what = error.what();
  const auto unknown = app->remaining();
  if (!unknown.empty() && app->get_require_subcommand_min() > 0 && !unknown[0].starts_with('-')) {
    what = "unknown verb \"" + unknown[0] + "\"";
  }
  return "attend: " + attend::printable(what, 1000) + "; see `" + verb + " --help`\n";
}

// Every step frees and asks again for the same tensors of some MB. By default glibc returns each to
// the system and gets it back as pages that must be cleared one by one: a tenth of the time of
// training. 32 MB is the most that glibc lets this limit be.
void keep_memory_between_steps() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  keep_memory_between_steps();
  attend::set_command_line(argc, argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is an error to report, not a crash
  CLI::App app{"Attention models: train them, run them, see what they look at.", "attend"};
  app.set_version_flag("--version", "attend " ATTEND_VERSION);
  app.require_subcommand(1);
  app.failure_message(usage_message);
  attend::add_data_verb(app);
  attend::add_train_verb(app);
  attend::add_eval_verb(app);
  attend::add_run_verb(app);
  attend::add_weights_verb(app);
  attend::add_explain_verb(app);
  attend::add_score_verb(app);
  attend::add_render_verb(app);
  attend::add_bench_verb(app);
  attend::add_doctor_verb(app);
  try {
    app.parse(argc, argv);
    return static_cast<int>(attend::ExitCode::kOk);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);  // prints help, version or the failure message
    return static_cast<int>(code == 0 ? attend::ExitCode::kOk : attend::ExitCode::kUsage);
  } catch (const attend::Error& error) {
    return report(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report("out of memory; lower train.batch_size or text.max_length",
                  attend::ExitCode::kData);
  } catch (const std::exception& error) {
    return report(std::string("internal error, please report it: ") + error.what(),
                  attend::ExitCode::kModel);
  }
}
