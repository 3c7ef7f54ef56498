// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>
#include <string>

#include "attend/base/error.h"
#include "common.h"
#include "verbs.h"

namespace {

// One line, whatever happened: the user sees where and what, not a stack.
int report(const std::string& message, attend::ExitCode code) {
  std::fprintf(stderr, "attend: %s\n", message.substr(0, message.find('\n')).c_str());
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  attend::set_command_line(argc, argv);
  CLI::App app{"Attention models: train them, run them, see what they look at.", "attend"};
  app.set_version_flag("--version", "attend " ATTEND_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return "attend: " + std::string(error.what()) + "; see `" + failed->get_name() + " --help`\n";
  });
  attend::add_data_verb(app);
  attend::add_train_verb(app);
  attend::add_eval_verb(app);
  attend::add_run_verb(app);
  attend::add_weights_verb(app);
  attend::add_explain_verb(app);
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
