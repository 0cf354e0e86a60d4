#pragma once

#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/engine/engine.h"
#include "coordinator/server/config.h"
#include "coordinator/server/services.h"
#include "coordinator/server/tls_files.h"

namespace assent {

// What a server needs of the configuration.
struct ServerOptions {
  std::vector<std::string> listen;  // checked: see Config
  TlsFiles tls;                     // of every host:port; Unix sockets speak without
  std::uint64_t max_request_bytes = 16ull << 20;
  std::uint32_t max_operations = 100'000;
  std::uint64_t max_calls = 200'000;  // in progress; one more is UNAVAILABLE
};

// The network side of a coordinator: the services, gRPC health and reflection, on every address asked for.
//
// Thread-safe. It serves from Start() to Stop(), on gRPC's threads: a small number that depends on the machine's cores
// and not on the calls in progress. The engine outlives it.
class Server {
 public:
  // INVALID_ARGUMENT where a TLS file cannot be used, UNAVAILABLE where an address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, Engine& engine);

  ~Server();

  // What it listens on, with the ports that were bound, in the order of the options.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Takes no more calls, lets those in progress finish for at most `patience`, and ends the rest as cancelled: their
  // callers have to ask what became of them. Idempotent.
  void Stop(absl::Duration patience);

 private:
  Server(const ServerOptions& options, Engine& engine);
  absl::Status Listen(const ServerOptions& options);

  CallsInProgress calls_;
  CoordinatorService coordinator_;
  AdminService admin_;
  std::vector<std::string> addresses_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace assent
