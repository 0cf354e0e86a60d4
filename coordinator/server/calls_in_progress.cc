#include "coordinator/server/calls_in_progress.h"

#include "absl/strings/str_cat.h"

namespace assent {

absl::Status CallsInProgress::Add() {
  if (count_.fetch_add(1) < most_ && !draining_.load()) return absl::OkStatus();
  Remove();
  if (draining_.load()) return absl::UnavailableError("the coordinator is stopping; repeat the call");
  return absl::UnavailableError(
      absl::StrCat("max_calls = ", most_, " calls are in progress; repeat this one a little later"));
}

void CallsInProgress::Remove() {
  if (count_.fetch_sub(1) != 1 || !draining_.load()) return;
  const std::lock_guard lock(mutex_);
  none_.notify_all();
}

void CallsInProgress::Drain(absl::Duration patience) {
  std::unique_lock lock(mutex_);
  draining_.store(true);
  none_.wait_for(lock, absl::ToChronoNanoseconds(patience), [&] { return count_.load() == 0; });
}

}  // namespace assent
