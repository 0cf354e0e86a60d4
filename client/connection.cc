#include "client/connection.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace assent {
inline namespace client {
namespace {

// The trailers of a reply; the coordinator stays below gRPC's default of 8 KiB, proxies may add to them.
constexpr int kMaxMetadataBytes = 64 << 10;
constexpr int kFirstReconnectMs = 100;  // the least that gRPC takes
constexpr int kMaxReconnectMs = 1000;   // its default of two minutes would outlast every transaction

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

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || !text) {
    return absl::InvalidArgumentError(absl::StrCat("the client's TLS file ", path, " cannot be read"));
  }
  return text.str();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ClientTls* tls) {
  if (tls == nullptr) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  for (const auto& [path, pem] :
       {std::pair{&tls->server_ca, &options.pem_root_certs}, std::pair{&tls->certificate, &options.pem_cert_chain},
        std::pair{&tls->key, &options.pem_private_key}}) {
    auto text = ReadPem(*path);
    if (!text.ok()) return text.status();
    *pem = *std::move(text);
  }
  return grpc::SslCredentials(options);
}

grpc::ChannelArguments ArgumentsOf(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  // A result that the client refused for its size would hide that the transaction is committed. The coordinator bounds
  // what it sends.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // the retries are ours
  if (options.tls != nullptr && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  return arguments;
}

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
  auto credentials = Credentials(options_.tls.get());
  unusable_ = credentials.status();
  if (!credentials.ok()) return;
  stub_ = v1::Coordinator::NewStub(grpc::CreateCustomChannel(options_.address, *credentials, ArgumentsOf(options_)));
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
