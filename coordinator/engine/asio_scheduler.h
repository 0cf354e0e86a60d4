#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "coordinator/engine/scheduler.h"

namespace assent {

// A Scheduler on a Boost.Asio loop. All timers share one steady_timer, set to the earliest. Owned by a shard; lives as
// long as its loop.
class AsioScheduler final : public Scheduler {
 public:
  explicit AsioScheduler(boost::asio::io_context& loop);

  void Post(Task task) override;
  TimerId After(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  void Arm();
  void RunDueTimers();

  boost::asio::io_context& loop_;
  boost::asio::steady_timer timer_;
  TimePoint armed_for_ = TimePoint::max();
  TimerId next_id_ = 1;
  std::map<std::pair<TimePoint, TimerId>, Task> due_;
  absl::flat_hash_map<TimerId, TimePoint> when_;
};

}  // namespace assent
