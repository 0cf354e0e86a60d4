#include "client/status_details.h"

#include <string>

#include "absl/strings/cord.h"

namespace assent {
inline namespace client {
namespace {

constexpr char kFailureUrl[] = "type.googleapis.com/assent.v1.TransactionFailure";
constexpr char kRequestIdUrl[] = "assent.client.request_id";  // never on the wire

v1::Outcome ToProto(Outcome outcome) {
  switch (outcome) {
    case Outcome::kUnknown:
      return v1::UNDECIDED;
    case Outcome::kCommitted:
      return v1::COMMITTED;
    case Outcome::kAborted:
      return v1::ABORTED;
  }
  return v1::OUTCOME_UNSPECIFIED;
}

}  // namespace

const char* Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kUnknown:
      return "unknown";
    case Outcome::kCommitted:
      return "committed";
    case Outcome::kAborted:
      return "aborted";
  }
  return "no outcome";
}

Outcome FromProto(v1::Outcome outcome) {
  if (outcome == v1::COMMITTED) return Outcome::kCommitted;
  return outcome == v1::ABORTED || outcome == v1::REFUSED ? Outcome::kAborted : Outcome::kUnknown;
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status converted(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  v1::StatusDetails details;
  if (!details.ParseFromString(status.error_details())) return converted;
  for (const v1::AnyDetail& detail : details.details()) {
    if (detail.type_url() == kFailureUrl) converted.SetPayload(kFailureUrl, absl::Cord(detail.value()));
  }
  return converted;
}

bool IsUnanswered(const absl::Status& status) {
  if (status.GetPayload(kFailureUrl)) return false;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kAborted:  // only a proxy or gRPC itself says so without our details
      return true;
    default:
      return false;
  }
}

bool IsRefusedForNow(const absl::Status& status) {
  const auto payload = status.GetPayload(kFailureUrl);
  v1::TransactionFailure failure;
  return payload && failure.ParseFromString(std::string(*payload)) && failure.outcome() == v1::REFUSED &&
         failure.retryable();
}

void AttachFailure(const TransactionFailure& failure, absl::Status& status) {
  v1::TransactionFailure message;
  message.set_txn_id(failure.txn_id);
  message.set_outcome(ToProto(failure.outcome));
  message.set_branch(failure.branch);
  message.set_sqlstate(failure.sqlstate);
  message.set_kafka_error(failure.kafka_error);
  message.set_kafka_error_name(failure.kafka_error_name);
  message.set_retryable(failure.retryable);
  message.set_reason(failure.reason);
  status.SetPayload(kFailureUrl, absl::Cord(message.SerializeAsString()));
  if (!failure.request_id.empty()) status.SetPayload(kRequestIdUrl, absl::Cord(failure.request_id));
}

std::optional<TransactionFailure> FailureOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kFailureUrl);
  v1::TransactionFailure message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  TransactionFailure failure;
  failure.txn_id = message.txn_id();
  if (const auto request_id = status.GetPayload(kRequestIdUrl)) failure.request_id = std::string(*request_id);
  failure.outcome = FromProto(message.outcome());
  failure.branch = message.branch();
  failure.sqlstate = message.sqlstate();
  failure.kafka_error = message.kafka_error();
  failure.kafka_error_name = message.kafka_error_name();
  failure.retryable = message.retryable();
  failure.reason = message.reason();
  return failure;
}

Outcome OutcomeOf(const absl::Status& status) {
  if (status.ok()) return Outcome::kCommitted;
  const auto failure = FailureOf(status);
  return failure ? failure->outcome : Outcome::kUnknown;
}

}  // namespace client
}  // namespace assent
