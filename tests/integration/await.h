#pragma once

#include <chrono>
#include <thread>

namespace assent::integration {

// Waits until a condition holds; false where it does not within a minute.
template <typename Condition>
bool Await(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace assent::integration
