#pragma once

#include <chrono>
#include <map>
#include <string>

namespace assent::bench_recovery {

using Clock = std::chrono::steady_clock;

inline double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// What run.py tells a program of this suite: `name=value` arguments.
class Arguments {
 public:
  Arguments(int argc, char** argv);

  // One that is missing ends the process.
  const std::string& Text(const std::string& name) const;
  int Number(const std::string& name) const;

 private:
  std::map<std::string, std::string> given_;
};

// Ends the process: the figure would be none.
[[noreturn]] void GiveUp(const std::string& why);

}  // namespace assent::bench_recovery
