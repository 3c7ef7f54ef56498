// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/interrupt.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace attend {
namespace {

TEST(Interrupt, FirstSignalOnlyRaisesTheFlag) {
  for (const int signal : {SIGINT, SIGTERM}) {
    {
      InterruptGuard guard;
      EXPECT_FALSE(interrupted());
      std::raise(signal);
      EXPECT_TRUE(interrupted());
    }
    EXPECT_TRUE(interrupted()) << "the caller of the loop wants to know as well";
  }
  InterruptGuard guard;
  EXPECT_FALSE(interrupted());
}

TEST(Interrupt, InnerGuardDoesNotForget) {
  InterruptGuard outer;
  std::raise(SIGINT);
  {
    InterruptGuard inner;
    EXPECT_TRUE(interrupted());
  }
  EXPECT_TRUE(interrupted());
}

TEST(Interrupt, SecondSignalEndsAtOnce) {
  const auto twice = [](int first, int second) {
    InterruptGuard guard;
    std::raise(first);
    std::raise(second);
    std::_Exit(0);
  };
  EXPECT_EXIT(twice(SIGINT, SIGINT), ::testing::ExitedWithCode(130), "");
  EXPECT_EXIT(twice(SIGINT, SIGTERM), ::testing::ExitedWithCode(130), "");
}

TEST(Interrupt, GuardPutsTheOldHandlersBack) {
  EXPECT_EXIT(({
                { InterruptGuard guard; }
                std::raise(SIGINT);
              }),
              ::testing::KilledBySignal(SIGINT), "");
}

TEST(Interrupt, IgnoredSignalStaysIgnored) {
  auto* const old = std::signal(SIGINT, SIG_IGN);
  {
    InterruptGuard guard;
    std::raise(SIGINT);
    EXPECT_FALSE(interrupted());
  }
  std::signal(SIGINT, old);
}

}  // namespace
}  // namespace attend
