#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace assent::kafka {

bool IsSaslMechanism(std::string_view name);  // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512

// The client's side of one authentication, by Cyrus SASL: what to send, and whether the server has proven itself.
// Bytes only, no network. Not thread-safe.
class SaslClient {
 public:
  // INTERNAL where the library does not have the mechanism (Debian: libsasl2-modules).
  static absl::StatusOr<std::unique_ptr<SaslClient>> Make(const std::string& mechanism, const std::string& host,
                                                          std::string user, std::string password);
  virtual ~SaslClient() = default;

  // The first message to the server.
  virtual absl::StatusOr<std::string> Start() = 0;
  // The next message, after one of the server's. UNAUTHENTICATED where the server does not know the password either.
  virtual absl::StatusOr<std::string> Step(std::string_view from_server) = 0;
  // Nothing is left to send, and the server is who it has to be.
  virtual bool done() const = 0;
};

}  // namespace assent::kafka
