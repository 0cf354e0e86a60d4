#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace assent::integration {

// What one run of the real `assent` gave.
struct Ran {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Runs it and waits for its end. Where it has not ended after `kill_after`, it is killed by SIGKILL: exit code -1.
Ran RunAssent(const std::vector<std::string>& arguments, std::chrono::milliseconds kill_after = {});

}  // namespace assent::integration
