#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace assent {
inline namespace client {

// Time as the retries of a client see it. Tests bring their own; thread-safe.
class RetryTimer {
 public:
  virtual ~RetryTimer() = default;
  virtual absl::Duration Now() const = 0;  // since any fixed moment; never goes back
  // Runs `then` after `delay`, on any thread, and returns at once.
  virtual void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> then) = 0;
};

// How a client repeats a call whose answer did not come. Repeating is always safe: the coordinator knows a repeated
// call and answers it like the first.
struct RetryOptions {
  absl::Duration first_delay = absl::Milliseconds(20);  // doubles with each attempt …
  absl::Duration max_delay = absl::Seconds(1);          // … up to this; each is shortened by up to half, at random
  absl::Duration attempt_timeout = absl::Seconds(15);   // of one attempt: a lost connection is noticed after it at last
  // After the transaction's deadline, until its outcome is reported as unknown: time for a coordinator to come back.
  absl::Duration grace = absl::Seconds(30);
  std::shared_ptr<RetryTimer> timer = nullptr;  // null: the machine's clock, on gRPC's threads
};

// PEM files. The server's certificate is always verified.
struct ClientTls {
  std::string server_ca = {};    // that signed the server's certificate; empty: the system's authorities
  std::string certificate = {};  // of this client, with its key, where the server asks for one
  std::string key = {};
  std::string server_name = {};  // that the certificate must bear; empty: the host of the address
};

struct ClientOptions {
  std::string address = "127.0.0.1:7411";  // host:port, or unix:/path
  std::shared_ptr<const ClientTls> tls =
      nullptr;  // null: none; the coordinator must listen on loopback or be `insecure`
  absl::Duration default_timeout = absl::Seconds(30);  // of transactions that name none
  RetryOptions retry = {};
  // How long the client's destructor waits for the aborts that its dropped transactions have sent.
  absl::Duration abort_patience = absl::Seconds(1);
  // Begins and submits that wait for their answer; one more is RESOURCE_EXHAUSTED, and was not sent.
  std::size_t max_waiting = 100'000;
  // Of one branch, waiting for the ones before; one more is RESOURCE_EXHAUSTED, and its transaction can only be
  // aborted.
  std::size_t max_queued_operations = 1000;
};

// When Commit and Submit answer.
enum class Wait {
  kDatabases,  // every database branch is committed: the caller reads its own writes. Brokers follow
  kDecided,    // sooner: it will be committed whatever happens, and is not visible everywhere yet
  kCompleted,  // every branch is committed, brokers too
};

struct BeginOptions {
  absl::Duration timeout = {};  // what is undecided by then is aborted; zero: ClientOptions::default_timeout
  // Names the transaction, at most 128 bytes: beginning another one under it gives the same. After a crash of the
  // coordinator it gives a new one where the first was undecided, and so aborted.
  std::string request_id = {};
  std::map<std::string, std::string> labels = {};  // shown to operators
};

}  // namespace client
}  // namespace assent
