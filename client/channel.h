#pragma once

#include <grpcpp/channel.h>

#include <memory>

#include "absl/status/statusor.h"
#include "assent/options.h"

namespace assent {
inline namespace client {

// A channel to a coordinator as every program of this project opens it: gRPC's own retries off, answers of any size,
// and TLS where options.tls says so. It connects when it is first used. INVALID_ARGUMENT where a TLS file cannot be
// read.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ClientOptions& options);

}  // namespace client
}  // namespace assent
