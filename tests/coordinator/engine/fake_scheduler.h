#pragma once

#include <deque>
#include <map>
#include <utility>

#include "base/clock.h"
#include "coordinator/engine/scheduler.h"

namespace assent {

// A loop with virtual time: nothing runs until a test says so, and a second passes only when it says so.
class FakeScheduler final : public Scheduler, public Clock {
 public:
  void Post(Task task) override { ready_.push_back(std::move(task)); }

  TimerId After(absl::Duration delay, Task task) override {
    const TimerId id = next_id_++;
    timers_.emplace(std::pair(elapsed_ + delay, id), std::move(task));
    return id;
  }

  void Cancel(TimerId timer) override {
    std::erase_if(timers_, [timer](const auto& entry) { return entry.first.second == timer; });
  }

  absl::Time Now() const override { return absl::FromUnixSeconds(1'000'000'000) + elapsed_; }
  absl::Duration Monotonic() const override { return elapsed_; }

  // Runs everything that is ready, and what becomes ready by it.
  void RunReady() {
    while (!ready_.empty()) {
      Task task = std::move(ready_.front());
      ready_.pop_front();
      task();
    }
  }

  // Lets time pass, running timers when they are due.
  void Advance(absl::Duration duration) {
    const absl::Duration end = elapsed_ + duration;
    RunReady();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto due = timers_.extract(timers_.begin());
      elapsed_ = due.key().first;
      due.mapped()();
      RunReady();
    }
    elapsed_ = end;
  }

 private:
  absl::Duration elapsed_ = absl::ZeroDuration();
  TimerId next_id_ = 1;
  std::deque<Task> ready_;
  std::map<std::pair<absl::Duration, TimerId>, Task> timers_;
};

}  // namespace assent
