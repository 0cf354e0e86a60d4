#include "participants/postgres/prepare_slots.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace assent::postgres {

bool PrepareSlots::TryTake() {
  if (!waiters_.empty() || !IsFree()) return false;
  ++taken_;
  return true;
}

PrepareSlots::WaiterId PrepareSlots::Wait(absl::Duration patience, Granted granted) {
  Waiter& waiter = waiters_.emplace_back();
  waiter.id = ++last_waiter_;
  waiter.granted = std::move(granted);
  waiter.alarm = tasks_.After(patience, [this, id = waiter.id] {
    const auto found = std::find_if(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.id == id; });
    Granted refused = std::move(found->granted);
    waiters_.erase(found);
    refused(false);
  });
  return waiter.id;
}

void PrepareSlots::CancelWaiter(WaiterId& waiter) {
  const WaiterId id = std::exchange(waiter, 0);
  const auto found = std::find_if(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.id == id; });
  if (id == 0 || found == waiters_.end()) return;
  tasks_.Cancel(found->alarm);
  waiters_.erase(found);
}

void PrepareSlots::GiveBack() {
  ASSENT_CHECK(taken_ > 0, "a prepare slot is given back twice");
  --taken_;
  while (!waiters_.empty() && IsFree()) {
    Waiter waiter = std::move(waiters_.front());
    waiters_.pop_front();
    tasks_.Cancel(waiter.alarm);
    ++taken_;
    waiter.granted(true);
  }
}

}  // namespace assent::postgres
