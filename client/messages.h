#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "assent/client.h"
#include "assent/v1/coordinator.pb.h"

namespace assent {
inline namespace client {

// Between the library's own types and the messages of the API.

v1::Operation ToProto(const std::vector<Sql>& statements);
v1::Operation ToProto(const std::vector<Record>& records);
v1::BranchOptions ToProto(const BranchOptions& options);
v1::Wait ToProto(Wait wait);
google::protobuf::Duration ToProto(absl::Duration duration);
google::protobuf::Timestamp ToProto(absl::Time time);
v1::SubmitRequest ToProto(const Submission& submission);

absl::Time FromProto(const google::protobuf::Timestamp& time);
SqlResult FromProto(const v1::OperationResult& result);
SubmitResult FromProto(const v1::SubmitResponse& response);
CommitResult FromProto(const v1::CommitResponse& response);
TransactionInfo FromProto(const v1::TransactionDescription& description);

}  // namespace client
}  // namespace assent
