// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>

namespace attend {

/// Whether Ctrl-C (SIGINT) or SIGTERM has arrived since the outermost InterruptGuard was made. Long
/// loops ask it between steps, leave a resumable state and throw Error(kInterrupted). Stays true
/// after the guard is gone, so that the caller of the loop can ask as well.
bool interrupted();

/// While one lives, the first SIGINT or SIGTERM only raises the flag of interrupted(), and the
/// second ends the process at once with exit code 130. A signal that was ignored when the guard was
/// made (nohup, a background job of a script) stays ignored. Guards nest; make them on the main
/// thread.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction old_interrupt_ {};
  struct sigaction old_terminate_ {};
};

}  // namespace attend
