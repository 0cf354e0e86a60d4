#include "coordinator/engine/asio_scheduler.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace assent {

AsioScheduler::AsioScheduler(boost::asio::io_context& loop) : loop_(loop), timer_(loop) {}

void AsioScheduler::Post(Task task) {
  boost::asio::post(loop_, [task = std::move(task)]() mutable { task(); });
}

Scheduler::TimerId AsioScheduler::After(absl::Duration delay, Task task) {
  const TimerId id = next_id_++;
  // Asio's clock counts nanoseconds in 64 bits: a longer wait than a year is not meant seriously.
  const absl::Duration bounded = std::clamp(delay, absl::ZeroDuration(), absl::Hours(24 * 365));
  const TimePoint when = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(bounded);
  due_.emplace(std::pair(when, id), std::move(task));
  when_.emplace(id, when);
  Arm();
  return id;
}

void AsioScheduler::Cancel(TimerId timer) {
  const auto found = when_.find(timer);
  if (found == when_.end()) return;
  due_.erase({found->second, timer});
  when_.erase(found);
  // A wake-up for nothing is cheaper than arming again.
}

void AsioScheduler::Arm() {
  if (due_.empty()) return;
  const TimePoint earliest = due_.begin()->first.first;
  if (earliest >= armed_for_) return;
  armed_for_ = earliest;
  timer_.expires_at(earliest);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;  // armed again for an earlier time
    RunDueTimers();
  });
}

void AsioScheduler::RunDueTimers() {
  armed_for_ = TimePoint::max();
  const TimePoint now = std::chrono::steady_clock::now();
  while (!due_.empty() && due_.begin()->first.first <= now) {
    auto entry = due_.extract(due_.begin());
    when_.erase(entry.key().second);
    entry.mapped()();
  }
  Arm();
}

}  // namespace assent
