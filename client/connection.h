#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "assent/options.h"
#include "assent/v1/coordinator.grpc.pb.h"
#include "client/callback_scope.h"

namespace assent {
inline namespace client {

// What the calls of one client share: the channel, the options, randomness. Owned by the client, its transactions and
// its calls in progress together. Thread-safe.
class Connection {
 public:
  // Where the last owner lets go of it inside a callback, a thread of its own destroys it: see CallbackScope.
  static std::shared_ptr<Connection> Make(ClientOptions options);

  const ClientOptions& options() const { return options_; }
  v1::Coordinator::StubInterface::async_interface* stub() const { return stub_->async(); }
  RetryTimer& timer() const { return *timer_; }
  // Why no call can be made, where options name a TLS file that cannot be read; else OK.
  const absl::Status& unusable() const { return unusable_; }

  // Before the attempt after `attempts` failed ones.
  absl::Duration RetryDelay(int attempts);
  // 32 hex digits.
  std::string RandomRequestId();

  // Counts a call that begins a transaction for as long as the place is held; null at options().max_waiting.
  std::shared_ptr<void> TakePlace();

  // Aborts on their way that nobody waits for, except the client's destructor, for a moment.
  void BackgroundAbortStarted();
  void BackgroundAbortEnded();
  void WaitForBackgroundAborts();

  // Outlives the connection by those who hold it.
  const std::shared_ptr<RunningCallbacks>& callbacks() const { return callbacks_; }

 private:
  explicit Connection(ClientOptions options);

  const std::shared_ptr<RunningCallbacks> callbacks_ = std::make_shared<RunningCallbacks>();
  const ClientOptions options_;
  const std::shared_ptr<RetryTimer> timer_;
  absl::Status unusable_;
  std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::mutex mutex_;
  std::condition_variable no_abort_;
  absl::BitGen random_;
  std::size_t background_aborts_ = 0;
  const std::shared_ptr<std::atomic<std::size_t>> places_taken_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace client
}  // namespace assent
