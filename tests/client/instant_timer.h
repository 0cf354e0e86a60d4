#pragma once

#include <mutex>
#include <utility>

#include "assent/options.h"

namespace assent {

// Pauses that take no time: the clock jumps by them instead. Thread-safe.
class InstantTimer final : public RetryTimer {
 public:
  absl::Duration Now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> then) override {
    {
      const std::lock_guard lock(mutex_);
      now_ += delay;
      ++pauses_;
    }
    std::move(then)();
  }
  int pauses() const {
    const std::lock_guard lock(mutex_);
    return pauses_;
  }

 private:
  mutable std::mutex mutex_;
  absl::Duration now_;
  int pauses_ = 0;
};

}  // namespace assent
