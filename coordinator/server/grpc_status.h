#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace assent {

// Longer messages are cut: gRPC's default bound for all trailers together is 8 KiB, and a reply over it would reach
// the caller as RESOURCE_EXHAUSTED, which hides what became of the transaction.
inline constexpr std::size_t kMaxStatusMessageBytes = 1024;

// The status as a caller gets it: the codes are the same, one to one, and a TransactionFailure in the payload
// kFailureUrl goes into the trailer grpc-status-details-bin, as a google.rpc.Status (v1::StatusDetails).
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace assent
