#pragma once

#include <cstdlib>

namespace assent::integration {

// How often each crash is played: once, or as often as ASSENT_CRASH_ROUNDS says.
inline int Rounds() {
  const char* const rounds = std::getenv("ASSENT_CRASH_ROUNDS");
  return rounds == nullptr ? 1 : std::atoi(rounds);
}

}  // namespace assent::integration
