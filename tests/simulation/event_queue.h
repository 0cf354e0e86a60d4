#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace assent::simulation {

// Virtual time, and all that is still to happen. Time passes only from one event to the next; those of one moment run
// in the order in which they were added.
class EventQueue {
 public:
  using Task = absl::AnyInvocable<void()>;

  absl::Duration now() const { return now_; }

  void After(absl::Duration delay, Task task) { At(now_ + delay, std::move(task)); }

  void At(absl::Duration moment, Task task) {
    events_.push_back({std::max(moment, now_), next_number_++, std::move(task)});
    std::push_heap(events_.begin(), events_.end(), IsLater);
  }

  // Runs the next event. False where there is none.
  bool RunNext() {
    if (events_.empty()) return false;
    std::pop_heap(events_.begin(), events_.end(), IsLater);
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.moment;
    event.task();
    return true;
  }

 private:
  struct Event {
    absl::Duration moment;
    std::uint64_t number;
    Task task;
  };
  static bool IsLater(const Event& a, const Event& b) {
    return a.moment != b.moment ? a.moment > b.moment : a.number > b.number;
  }

  absl::Duration now_ = absl::ZeroDuration();
  std::uint64_t next_number_ = 0;
  std::vector<Event> events_;  // a heap
};

}  // namespace assent::simulation
