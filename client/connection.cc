#include "client/connection.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/channel.h"

namespace assent {
inline namespace client {
namespace {

// Time from the machine, pauses from gRPC's alarms: no thread of our own.
class AlarmTimer final : public RetryTimer {
 public:
  absl::Duration Now() const override { return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()); }

  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> then) override {
    auto alarm = std::make_shared<grpc::Alarm>();
    auto work = std::make_shared<absl::AnyInvocable<void()>>(std::move(then));
    grpc::Alarm& set = *alarm;
    // The callback owns its alarm until it runs, and lets go of it then: the alarm would keep the callback otherwise.
    set.Set(absl::ToChronoTime(absl::Now() + delay), [alarm = std::move(alarm), work = std::move(work)](bool) mutable {
      const auto ended = std::move(alarm);
      std::move (*work)();
    });
  }
};

}  // namespace

std::shared_ptr<Connection> Connection::Make(ClientOptions options) {
  return std::shared_ptr<Connection>(new Connection(std::move(options)), [](Connection* connection) {
    if (CallbackScope::IsActive()) {
      std::thread([connection] { delete connection; }).detach();
    } else {
      delete connection;
    }
  });
}

Connection::Connection(ClientOptions options)
    : options_(std::move(options)),
      timer_(options_.retry.timer != nullptr ? options_.retry.timer : std::make_shared<AlarmTimer>()) {
  const auto channel = MakeChannel(options_);
  unusable_ = channel.status();
  if (channel.ok()) stub_ = v1::Coordinator::NewStub(*channel);
}

absl::Duration Connection::RetryDelay(int attempts) {
  const RetryOptions& retry = options_.retry;
  absl::Duration delay = retry.first_delay;
  for (int i = 1; i < attempts && delay < retry.max_delay; ++i) delay *= 2;
  const std::lock_guard lock(mutex_);
  return std::min(delay, retry.max_delay) * absl::Uniform(random_, 0.5, 1.0);
}

std::string Connection::RandomRequestId() {
  const std::lock_guard lock(mutex_);
  return absl::StrFormat("%016x%016x", absl::Uniform<std::uint64_t>(random_), absl::Uniform<std::uint64_t>(random_));
}

std::shared_ptr<void> Connection::TakePlace() {
  if (places_taken_->fetch_add(1) >= options_.max_waiting) {
    --*places_taken_;
    return nullptr;
  }
  return {this, [taken = places_taken_](void*) { --*taken; }};
}

void Connection::BackgroundAbortStarted() {
  const std::lock_guard lock(mutex_);
  ++background_aborts_;
}

void Connection::BackgroundAbortEnded() {
  const std::lock_guard lock(mutex_);
  if (--background_aborts_ == 0) no_abort_.notify_all();
}

void Connection::WaitForBackgroundAborts() {
  std::unique_lock lock(mutex_);
  no_abort_.wait_for(lock, absl::ToChronoNanoseconds(options_.abort_patience), [&] { return background_aborts_ == 0; });
}

}  // namespace client
}  // namespace assent
