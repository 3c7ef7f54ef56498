// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/interrupt.h"

#include <unistd.h>

#include <atomic>

#include "attend/base/error.h"

namespace attend {
namespace {

std::atomic<int> signals_seen = 0;
std::atomic<int> guards = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

void on_signal(int) {
  // _exit, not exit: destructors and atexit handlers are not safe inside a signal handler.
  if (signals_seen.fetch_add(1) > 0) _exit(static_cast<int>(ExitCode::kInterrupted));
}

void install(int signal, struct sigaction& old) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  // Libraries beneath us (BLAS, Gloo, iostreams) do not all retry on EINTR.
  action.sa_flags = SA_RESTART;
  sigaction(signal, nullptr, &old);
  if (old.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
}

}  // namespace

bool interrupted() { return signals_seen.load(std::memory_order_relaxed) > 0; }

InterruptGuard::InterruptGuard() {
  if (guards.fetch_add(1) == 0) signals_seen = 0;
  install(SIGINT, old_interrupt_);
  install(SIGTERM, old_terminate_);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGTERM, &old_terminate_, nullptr);
  sigaction(SIGINT, &old_interrupt_, nullptr);
  guards.fetch_sub(1);
}

}  // namespace attend
