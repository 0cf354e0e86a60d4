#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace assent {

// One thread's loop as the engine sees it: what simulation replaces by virtual time.
class Scheduler {
 public:
  using TimerId = std::uint64_t;  // never 0
  using Task = absl::AnyInvocable<void()>;

  virtual ~Scheduler() = default;

  // Runs `task` on the loop's thread, after the calls before it. Thread-safe.
  virtual void Post(Task task) = 0;

  // Runs `task` after `delay`, unless cancelled before. On the loop's thread only.
  virtual TimerId After(absl::Duration delay, Task task) = 0;

  // Forgets a timer. One that has run, or never was, is no error.
  virtual void Cancel(TimerId timer) = 0;
};

}  // namespace assent
