#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "absl/time/time.h"

namespace assent {
inline namespace client {

// Counts the callbacks that are running, until they have let go of what they own. Thread-safe.
class RunningCallbacks {
 public:
  void Enter();
  void Leave();
  // Until none is running, at most for so long.
  void WaitForNone(absl::Duration patience);

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  std::size_t count_ = 0;
};

// Marks this thread as one of gRPC's that runs a callback of ours.
//
// gRPC ends the threads of its callback API when the process's last channel goes, and waits for them: on one of those
// threads it would wait for itself, and then crash (1.51, "prior > 0"). So a Connection is never destroyed inside a
// scope (Connection::Make), and whoever would destroy it elsewhere waits for the scopes first (Client's destructor).
class CallbackScope {
 public:
  explicit CallbackScope(RunningCallbacks& running);
  ~CallbackScope();
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

  // Whether this thread is inside of one.
  static bool IsActive();

 private:
  RunningCallbacks& running_;
};

}  // namespace client
}  // namespace assent
