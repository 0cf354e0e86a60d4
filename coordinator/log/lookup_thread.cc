#include "coordinator/log/lookup_thread.h"

#include <chrono>
#include <future>
#include <utility>

namespace assent {

LookupThread::LookupThread(std::size_t max_queued, PruneStep prune_step)
    : max_queued_(max_queued), prune_step_(std::move(prune_step)), thread_([this] { Loop(); }) {}

LookupThread::~LookupThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

bool LookupThread::Run(Task& task) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= max_queued_) return false;
  queue_.push_back(std::move(task));
  changed_.notify_one();
  return true;
}

void LookupThread::Drain() {
  std::promise<void> promise;
  const std::future<void> reached = promise.get_future();
  {
    const std::lock_guard lock(mutex_);
    queue_.emplace_back([promise = std::move(promise)]() mutable { promise.set_value(); });
    changed_.notify_one();
  }
  reached.wait();
}

void LookupThread::Loop() {
  auto next_prune = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!queue_.empty()) {
      Task task = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      task();
      lock.lock();
      // A stream of look-ups must not starve the pruning, which keeps the log within its bound.
      if (std::chrono::steady_clock::now() < next_prune) continue;
    } else if (stopping_) {
      return;
    }
    if (!stopping_ && std::chrono::steady_clock::now() >= next_prune) {
      lock.unlock();
      const absl::Duration pause = prune_step_();
      next_prune = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(pause);
      lock.lock();
    }
    if (queue_.empty() && !stopping_) changed_.wait_until(lock, next_prune);
  }
}

}  // namespace assent
