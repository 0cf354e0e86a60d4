#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace assent::postgres {

// What an instance wants to be done later on its shard's loop: at the end of the turn, or at a time. Tasks end with
// their LoopTasks: none runs after its destruction. One thread.
class LoopTasks {
 public:
  using Task = absl::AnyInvocable<void()>;
  using AlarmId = std::uint64_t;  // 0: none

  explicit LoopTasks(boost::asio::io_context& loop);
  ~LoopTasks();
  LoopTasks(const LoopTasks&) = delete;
  LoopTasks& operator=(const LoopTasks&) = delete;

  // Runs the task after what runs now has returned to the loop, in order of the calls. What a caller does in one turn
  // comes together that way, and no completion runs inside a call.
  void Soon(Task task);

  // Runs the task after `delay`, unless it is cancelled.
  AlarmId After(absl::Duration delay, Task task);
  void Cancel(AlarmId& alarm);  // and sets it to 0

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  void RunSoon();
  void Arm();
  void RunDue();

  boost::asio::io_context& loop_;
  boost::asio::steady_timer timer_;
  std::vector<Task> soon_;
  bool soon_posted_ = false;
  // Alarms are mostly cancelled long before their time. The timer is set only when an earlier one comes: cancelling
  // costs no system call, and the timer now and then fires for nothing.
  std::map<std::pair<TimePoint, AlarmId>, Task> alarms_;
  std::map<AlarmId, TimePoint> times_;
  TimePoint armed_for_ = TimePoint::max();
  AlarmId last_id_ = 0;
  std::shared_ptr<LoopTasks*> self_;  // what handlers hold of this: emptied by the destructor
};

}  // namespace assent::postgres
