#pragma once

#include "absl/time/time.h"

namespace assent {

// The two clocks of a machine, injected so that tests and simulation can decide what time it is.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock: for people and for durable records. It may jump.
  virtual absl::Time Now() const = 0;
  // Since an arbitrary start of this process's choosing. It never goes back: for deadlines and ages.
  virtual absl::Duration Monotonic() const = 0;
};

// The machine's own clocks. Lives for ever; safe from every thread.
const Clock& SystemClock();

}  // namespace assent
