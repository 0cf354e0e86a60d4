#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace assent {

// The thread of the decision log that may read from disk. It runs look-ups in order, and the pruning between them.
// Owned by the log; Run() is thread-safe.
class LookupThread {
 public:
  using Task = absl::AnyInvocable<void()>;
  // A bounded step of the pruning; how long to wait for the next, zero while there is more to do.
  using PruneStep = absl::AnyInvocable<absl::Duration()>;

  LookupThread(std::size_t max_queued, PruneStep prune_step);
  // Runs the tasks that are queued.
  ~LookupThread();

  // False, and nothing is done, where as many tasks as the bound wait already.
  bool Run(Task& task);

  // Waits until every task so far has run.
  void Drain();

 private:
  void Loop();

  const std::size_t max_queued_;
  PruneStep prune_step_;  // the thread only

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> queue_;
  bool stopping_ = false;

  std::thread thread_;  // the last member: it uses the others
};

}  // namespace assent
