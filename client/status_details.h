#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "assent/outcome.h"
#include "assent/v1/types.pb.h"

namespace assent {
inline namespace client {

// The status of a call, with the TransactionFailure that stands in its details.
absl::Status FromGrpcStatus(const grpc::Status& status);

// Whether another attempt may still bring an answer: true for what says nothing of the transaction.
bool IsUnanswered(const absl::Status& status);

// Whether the coordinator has refused a request for now: with nothing done, and perhaps otherwise if it comes again.
bool IsRefusedForNow(const absl::Status& status);

Outcome FromProto(v1::Outcome outcome);

// Puts into the status what FailureOf() takes out.
void AttachFailure(const TransactionFailure& failure, absl::Status& status);

}  // namespace client
}  // namespace assent
