// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// attend-kernel-bench: `attend bench` where only the kernels are built.
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include "bench.h"

namespace {

using namespace attend::bench;

void print_help() {
  std::printf("attend-kernel-bench [--flag value]...\n");
  for (const auto& flag : flags()) std::printf("  %-12s %s\n", flag.name, flag.help);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--help") {
    print_help();
    return 0;
  }
  try {
    const Options options = parse_flags(argc, argv);
    for (const What what : options.what) {
      if (needs_modules(what)) {
        throw std::invalid_argument(
            "encoder, linear and generate need the full program: attend bench");
      }
    }
    Printer printer(options);
    const int wrong = run_kernel_cases(options, printer);
    printer.finish();
    return wrong > 0 ? 4 : 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "attend-kernel-bench: %s; see --help\n", error.what());
    return 1;
  }
}
