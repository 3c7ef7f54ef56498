// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// `attend run RUN --interactive`.
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/report/text.h"
#include "generate.h"

namespace attend {
namespace {

constexpr const char* kHelp =
    "a line: a prompt (or the text's next words, for a model without prompts)\n"
    "/why    what each token of the last answer drew on\n"
    "/new    forget everything said so far\n"
    "/more   positions used and left\n"
    "/quit   end\n";

}  // namespace

void converse(const GenerateJob& job) {
  const auto session = job.generator.session(job.request);
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) write_output({}, "A line in, a text out; /help says what else there is.\n");
  GeneratedText last;
  for (std::string line;;) {
    if (terminal) write_output({}, "> ");
    if (!std::getline(std::cin, line) || line == "/quit") break;
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted");
    if (line == "/help") {
      write_output({}, kHelp);
    } else if (line == "/new") {
      session->clear();
      last = {};
      write_output({}, "forgotten\n");
    } else if (line == "/more") {
      write_output(
          {}, fmt::format("{} of {} positions used\n", session->length(), session->capacity()));
    } else if (line == "/why") {
      write_output({}, last.sources.empty() ? "nothing was written yet\n" : sources_text(last));
    } else if (line.starts_with("/")) {
      write_output({}, "no such command; /help lists them\n");
    } else {
      // A word that the vocabulary lacks is no reason to lose the conversation.
      try {
        last = session->turn(
            line, [](const std::string& piece) { write_output({}, visible_text(piece, true)); });
        write_output({}, last.finished ? "\n" : " …\n");
        if (!last.notice.empty()) write_output({}, "(" + last.notice + ")\n");
      } catch (const Error& error) {
        if (error.code() != ExitCode::kUsage) throw;
        write_output({}, std::string("! ") + error.what() + "\n");
      }
    }
  }
}

}  // namespace attend
