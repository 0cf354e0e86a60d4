#include "client/callback_scope.h"

namespace assent {
inline namespace client {
namespace {

thread_local int depth = 0;

}  // namespace

void RunningCallbacks::Enter() {
  const std::lock_guard lock(mutex_);
  ++count_;
}

void RunningCallbacks::Leave() {
  const std::lock_guard lock(mutex_);
  if (--count_ == 0) none_.notify_all();
}

void RunningCallbacks::WaitForNone(absl::Duration patience) {
  std::unique_lock lock(mutex_);
  none_.wait_for(lock, absl::ToChronoNanoseconds(patience), [&] { return count_ == 0; });
}

CallbackScope::CallbackScope(RunningCallbacks& running) : running_(running) {
  ++depth;
  running_.Enter();
}

CallbackScope::~CallbackScope() {
  running_.Leave();
  --depth;
}

bool CallbackScope::IsActive() { return depth > 0; }

}  // namespace client
}  // namespace assent
