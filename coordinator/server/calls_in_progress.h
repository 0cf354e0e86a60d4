#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace assent {

// The calls that wait for an answer, counted against a bound. Outlives them. Thread-safe.
class CallsInProgress {
 public:
  explicit CallsInProgress(std::uint64_t most) : most_(most) {}

  // UNAVAILABLE, and not counted, at the bound or after Drain(). Not RESOURCE_EXHAUSTED, which would end a repeated
  // Commit: nothing is said about any transaction, and the caller should repeat the call.
  absl::Status Add();
  void Remove();

  // Takes no more, and waits until none is in progress, for at most `patience`.
  void Drain(absl::Duration patience);

 private:
  const std::uint64_t most_;
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<bool> draining_ = false;
  std::mutex mutex_;
  std::condition_variable none_;
};

}  // namespace assent
