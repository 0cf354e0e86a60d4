#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"

namespace assent {

// For how long processes have had the log open, in all: a count that no wall clock can change and no restart resets.
// What a process adds counts for the next one from its last group on. Thread-safe.
class Uptime {
 public:
  Uptime(const Clock& clock, std::uint64_t before_us)
      : clock_(clock), before_us_(before_us), opened_(clock.Monotonic()) {}

  std::uint64_t now_us() const {
    return before_us_ + static_cast<std::uint64_t>(absl::ToInt64Microseconds(clock_.Monotonic() - opened_));
  }

 private:
  const Clock& clock_;
  const std::uint64_t before_us_;
  const absl::Duration opened_;
};

}  // namespace assent
