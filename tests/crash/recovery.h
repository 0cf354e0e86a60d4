#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

#include "tests/integration/load.h"

namespace assent::integration {

// The load under which everything happens here.
inline constexpr int kClients = 16;
inline constexpr int kRejectedEvery = 8;  // orders

// How often each crash is played: once, or as often as ASSENT_CRASH_ROUNDS says.
inline int Rounds() {
  const char* const rounds = std::getenv("ASSENT_CRASH_ROUNDS");
  return rounds == nullptr ? 1 : std::atoi(rounds);
}

// Pauses the load; fails the test unless everybody agrees within five seconds of `restarted`.
inline void ExpectAgreementSoonAfter(std::chrono::steady_clock::time_point restarted, Load& load,
                                     const Stores& stores) {
  using Seconds = std::chrono::duration<double>;
  constexpr Seconds kMostToRecover{5};
  load.Pause();
  load.ExpectAgreement(stores);
  const Seconds recovery = std::chrono::steady_clock::now() - restarted;
  EXPECT_LT(recovery, kMostToRecover);
  std::cout << "agreed " << recovery.count() << " s after the restart\n";
}

}  // namespace assent::integration
