#include "coordinator/server/grpc_status.h"

#include <string>

#include "assent/v1/types.pb.h"
#include "base/shortened.h"
#include "coordinator/engine/engine.h"

namespace assent {
namespace {

std::string ShortenedFailure(const std::string& serialized) {
  v1::TransactionFailure failure;
  if (!failure.ParseFromString(serialized)) return serialized;
  failure.set_reason(Shortened(failure.reason(), kMaxStatusMessageBytes));
  return failure.SerializeAsString();
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  std::string message = Shortened(std::string(status.message()), kMaxStatusMessageBytes);
  const auto failure = status.GetPayload(kFailureUrl);
  if (!failure) return grpc::Status(code, message);
  v1::StatusDetails details;
  details.set_code(static_cast<int>(code));
  details.set_message(message);
  v1::AnyDetail& detail = *details.add_details();
  detail.set_type_url(kFailureUrl);
  detail.set_value(ShortenedFailure(std::string(*failure)));
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace assent
