#pragma once

#include <cstdint>
#include <functional>
#include <list>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "participants/postgres/loop_tasks.h"

namespace assent::postgres {

// Counts the branches that this instance holds prepared, against its share of the server's max_prepared_transactions:
// at that limit PREPARE TRANSACTION fails and the branch is lost, so branches wait here before they ask. Best effort:
// others prepare on the same server too.
//
// Owned by the instance; one thread.
class PrepareSlots {
 public:
  using Granted = absl::AnyInvocable<void(bool granted)>;
  using WaiterId = std::uint64_t;  // 0: none

  // `limit` says how many may be prepared at once now; negative: not known, no limit.
  PrepareSlots(LoopTasks& tasks, std::function<std::int64_t()> limit) : tasks_(tasks), limit_(std::move(limit)) {}

  // Takes a slot where one is free.
  bool TryTake();
  // Waits for one: `granted` runs once, true with a slot taken, false after `patience`.
  WaiterId Wait(absl::Duration patience, Granted granted);
  void CancelWaiter(WaiterId& waiter);
  void GiveBack();

  std::int64_t taken() const { return taken_; }

 private:
  struct Waiter {
    WaiterId id = 0;
    Granted granted;
    LoopTasks::AlarmId alarm = 0;
  };

  bool IsFree() const { return limit_() < 0 || taken_ < limit_(); }

  LoopTasks& tasks_;
  std::function<std::int64_t()> limit_;
  std::int64_t taken_ = 0;
  std::list<Waiter> waiters_;
  WaiterId last_waiter_ = 0;
};

}  // namespace assent::postgres
