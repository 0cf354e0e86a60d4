#pragma once

#include <map>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "coordinator/engine/scheduler.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/random.h"

namespace assent::simulation {

// The machine's wall clock: outlives processes, and may jump.
struct WallClock {
  absl::Duration jumped = absl::ZeroDuration();
};

// The life of one coordinator process, and its clocks. What a dead process still tries to do has no effect: that is how
// it dies in the middle of a step. Kept by all that may run after its death.
class Process final : public Clock {
 public:
  Process(const EventQueue& queue, const WallClock& wall, Random& random, const Faults& faults)
      : queue_(queue), wall_(wall), random_(random), faults_(faults), born_(queue.now()) {}

  bool is_alive() const { return is_alive_; }
  void Die() { is_alive_ = false; }
  bool died_at_a_step() const { return died_at_a_step_; }

  // Asked before each effect on the world outside: no answer "yes" any more once it has died.
  bool MayAct() {
    if (is_alive_ && random_.OneIn(faults_.dies_at_a_step)) {
      Die();
      died_at_a_step_ = true;
    }
    return is_alive_;
  }

  absl::Time Now() const override { return absl::FromUnixSeconds(1'000'000'000) + queue_.now() + wall_.jumped; }
  absl::Duration Monotonic() const override { return queue_.now() - born_; }

 private:
  const EventQueue& queue_;
  const WallClock& wall_;
  Random& random_;
  const Faults& faults_;
  const absl::Duration born_;
  bool is_alive_ = true;
  bool died_at_a_step_ = false;
};

using ProcessPtr = std::shared_ptr<Process>;

// The event loop of one shard, in virtual time: what is posted runs a little later, in order.
class Loop final : public Scheduler {
 public:
  Loop(EventQueue& queue, Random& random, ProcessPtr process)
      : queue_(queue), random_(random), process_(std::move(process)), timers_(std::make_shared<Timers>()) {}

  void Post(Task task) override {
    last_posted_ = std::max(last_posted_, queue_.now() + random_.Between(absl::ZeroDuration(), absl::Microseconds(50)));
    queue_.At(last_posted_, [process = process_, task = std::move(task)]() mutable {
      if (process->is_alive()) task();
    });
  }

  TimerId After(absl::Duration delay, Task task) override {
    const TimerId id = ++last_timer_;
    timers_->emplace(id, std::move(task));
    queue_.After(delay, [process = process_, timers = timers_, id] {
      auto due = timers->extract(id);
      if (!due.empty() && process->is_alive()) due.mapped()();
    });
    return id;
  }

  void Cancel(TimerId timer) override { timers_->erase(timer); }

 private:
  using Timers = std::map<TimerId, Task>;

  EventQueue& queue_;
  Random& random_;
  const ProcessPtr process_;
  absl::Duration last_posted_ = absl::ZeroDuration();
  TimerId last_timer_ = 0;
  std::shared_ptr<Timers> timers_;
};

}  // namespace assent::simulation
