#pragma once

#include <atomic>
#include <functional>

#include "absl/status/status.h"

namespace assent {

// The end of a decision log's work: a write or a read of it failed, and nobody knows any more what a later process will
// find. The process has to end; where a test's handler returns instead, the log's threads see happened() and run no
// completion any more. Owned by the log; safe from every thread.
class LogFailure {
 public:
  explicit LogFailure(std::function<void(const absl::Status&)> handler) : handler_(std::move(handler)) {}

  // Calls the handler, the first time.
  void Report(const absl::Status& status) {
    if (!happened_.exchange(true)) handler_(status);
  }

  bool happened() const { return happened_; }

 private:
  const std::function<void(const absl::Status&)> handler_;
  std::atomic<bool> happened_ = false;
};

}  // namespace assent
