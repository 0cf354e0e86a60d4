#include "participants/postgres/loop_tasks.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace assent::postgres {

LoopTasks::LoopTasks(boost::asio::io_context& loop)
    : loop_(loop), timer_(loop), self_(std::make_shared<LoopTasks*>(this)) {}

LoopTasks::~LoopTasks() { *self_ = nullptr; }

void LoopTasks::Soon(Task task) {
  soon_.push_back(std::move(task));
  if (std::exchange(soon_posted_, true)) return;
  boost::asio::post(loop_, [self = self_] {
    if (*self != nullptr) (*self)->RunSoon();
  });
}

void LoopTasks::RunSoon() {
  soon_posted_ = false;
  std::vector<Task> tasks = std::exchange(soon_, {});
  const std::shared_ptr<LoopTasks*> self = self_;
  for (Task& task : tasks) {
    task();
    if (*self == nullptr) return;  // a task ended the instance
  }
}

LoopTasks::AlarmId LoopTasks::After(absl::Duration delay, Task task) {
  const TimePoint when = std::chrono::steady_clock::now() +
                         absl::ToChronoNanoseconds(std::clamp(delay, absl::ZeroDuration(), absl::Hours(24 * 365)));
  const AlarmId id = ++last_id_;
  alarms_.emplace(std::pair(when, id), std::move(task));
  times_.emplace(id, when);
  if (when < armed_for_) Arm();
  return id;
}

void LoopTasks::Cancel(AlarmId& alarm) {
  const auto found = times_.find(std::exchange(alarm, 0));
  if (found == times_.end()) return;
  alarms_.erase({found->second, found->first});
  times_.erase(found);
}

void LoopTasks::Arm() {
  armed_for_ = alarms_.begin()->first.first;
  timer_.expires_at(armed_for_);
  timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (!error && *self != nullptr) (*self)->RunDue();
  });
}

void LoopTasks::RunDue() {
  armed_for_ = TimePoint::max();
  const std::shared_ptr<LoopTasks*> self = self_;
  const TimePoint now = std::chrono::steady_clock::now();
  while (!alarms_.empty() && alarms_.begin()->first.first <= now) {
    auto due = alarms_.extract(alarms_.begin());
    times_.erase(due.key().second);
    due.mapped()();
    if (*self == nullptr) return;
  }
  if (!alarms_.empty() && alarms_.begin()->first.first < armed_for_) Arm();
}

}  // namespace assent::postgres
