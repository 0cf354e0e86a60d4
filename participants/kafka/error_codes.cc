#include "participants/kafka/error_codes.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace assent::kafka {
namespace {

constexpr std::string_view kNotOurs = "no answer to what this client asks";

constexpr ErrorCode kTable[] = {
    {-1, "UNKNOWN_SERVER_ERROR", ErrorMeaning::kUnknown, Refresh::kNothing,
     "the broker failed in a way that it has no code for; its log says more"},
    {0, "NONE", ErrorMeaning::kDone, Refresh::kNothing, "no error"},
    {1, "OFFSET_OUT_OF_RANGE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {2, "CORRUPT_MESSAGE", ErrorMeaning::kRetry, Refresh::kNothing, "the records were damaged on their way"},
    {3, "UNKNOWN_TOPIC_OR_PARTITION", ErrorMeaning::kRetry, Refresh::kLeader,
     "the broker does not know the topic or partition, or does not know it yet"},
    {4, "INVALID_FETCH_SIZE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {5, "LEADER_NOT_AVAILABLE", ErrorMeaning::kRetry, Refresh::kLeader, "the partition has no leader now"},
    {6, "NOT_LEADER_OR_FOLLOWER", ErrorMeaning::kRetry, Refresh::kLeader, "another broker leads the partition now"},
    {7, "REQUEST_TIMED_OUT", ErrorMeaning::kUnknown, Refresh::kNothing, "the replicas did not acknowledge in time"},
    {8, "BROKER_NOT_AVAILABLE", ErrorMeaning::kRetry, Refresh::kLeader, "the broker is not available"},
    {9, "REPLICA_NOT_AVAILABLE", ErrorMeaning::kRetry, Refresh::kLeader, "the replica is not available"},
    {10, "MESSAGE_TOO_LARGE", ErrorMeaning::kNo, Refresh::kNothing,
     "the batch is larger than the topic's max.message.bytes (the broker's message.max.bytes)"},
    {11, "STALE_CONTROLLER_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {12, "OFFSET_METADATA_TOO_LARGE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {13, "NETWORK_EXCEPTION", ErrorMeaning::kUnknown, Refresh::kNothing,
     "the broker lost its connection to another one"},
    {14, "COORDINATOR_LOAD_IN_PROGRESS", ErrorMeaning::kRetry, Refresh::kNothing,
     "the coordinator is still reading its state"},
    {15, "COORDINATOR_NOT_AVAILABLE", ErrorMeaning::kRetry, Refresh::kCoordinator, "the coordinator is not available"},
    {16, "NOT_COORDINATOR", ErrorMeaning::kRetry, Refresh::kCoordinator, "another broker is the coordinator now"},
    {17, "INVALID_TOPIC_EXCEPTION", ErrorMeaning::kNo, Refresh::kNothing,
     "the topic's name is invalid, or the topic is an internal one"},
    {18, "RECORD_LIST_TOO_LARGE", ErrorMeaning::kNo, Refresh::kNothing,
     "the batch is larger than a segment of the topic (segment.bytes)"},
    {19, "NOT_ENOUGH_REPLICAS", ErrorMeaning::kRetry, Refresh::kNothing,
     "too few replicas are in sync (min.insync.replicas)"},
    {20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", ErrorMeaning::kUnknown, Refresh::kNothing,
     "the records were written, and then too few replicas were in sync"},
    {21, "INVALID_REQUIRED_ACKS", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {22, "ILLEGAL_GENERATION", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {23, "INCONSISTENT_GROUP_PROTOCOL", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {24, "INVALID_GROUP_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {25, "UNKNOWN_MEMBER_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {26, "INVALID_SESSION_TIMEOUT", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {27, "REBALANCE_IN_PROGRESS", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {28, "INVALID_COMMIT_OFFSET_SIZE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {29, "TOPIC_AUTHORIZATION_FAILED", ErrorMeaning::kNo, Refresh::kNothing,
     "this client may not write to the topic: it needs Write and Describe on it"},
    {30, "GROUP_AUTHORIZATION_FAILED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {31, "CLUSTER_AUTHORIZATION_FAILED", ErrorMeaning::kNo, Refresh::kNothing,
     "this client may not do this in the cluster"},
    {32, "INVALID_TIMESTAMP", ErrorMeaning::kNo, Refresh::kNothing,
     "the timestamp of a record is outside what the topic takes"},
    {33, "UNSUPPORTED_SASL_MECHANISM", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {34, "ILLEGAL_SASL_STATE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {35, "UNSUPPORTED_VERSION", ErrorMeaning::kNo, Refresh::kNothing,
     "the broker does not know this version of the request"},
    {36, "TOPIC_ALREADY_EXISTS", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {37, "INVALID_PARTITIONS", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {38, "INVALID_REPLICATION_FACTOR", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {39, "INVALID_REPLICA_ASSIGNMENT", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {40, "INVALID_CONFIG", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {41, "NOT_CONTROLLER", ErrorMeaning::kRetry, Refresh::kNothing, "another broker is the controller now"},
    {42, "INVALID_REQUEST", ErrorMeaning::kNo, Refresh::kNothing,
     "the broker takes the request for malformed; its log says more"},
    {43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {44, "POLICY_VIOLATION", ErrorMeaning::kNo, Refresh::kNothing, "a policy of the broker refuses the request"},
    {45, "OUT_OF_ORDER_SEQUENCE_NUMBER", ErrorMeaning::kFatal, Refresh::kNothing,
     "the partition has seen other batches of this producer than were sent"},
    {46, "DUPLICATE_SEQUENCE_NUMBER", ErrorMeaning::kDone, Refresh::kNothing, "the partition has this batch already"},
    {47, "INVALID_PRODUCER_EPOCH", ErrorMeaning::kFatal, Refresh::kNothing,
     "the epoch of the producer is no longer its current one"},
    {48, "INVALID_TXN_STATE", ErrorMeaning::kFatal, Refresh::kNothing,
     "the transaction is not in a state that allows this"},
    {49, "INVALID_PRODUCER_ID_MAPPING", ErrorMeaning::kFatal, Refresh::kNothing,
     "the transactional id has another producer id now, or has expired"},
    {50, "INVALID_TRANSACTION_TIMEOUT", ErrorMeaning::kNo, Refresh::kNothing,
     "the transaction timeout asked for is above the broker's transaction.max.timeout.ms"},
    {51, "CONCURRENT_TRANSACTIONS", ErrorMeaning::kRetry, Refresh::kNothing,
     "the previous transaction of the id is still being finished"},
    {52, "TRANSACTION_COORDINATOR_FENCED", ErrorMeaning::kRetry, Refresh::kCoordinator, "the coordinator was replaced"},
    {53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", ErrorMeaning::kNo, Refresh::kNothing,
     "this client may not use the transactional id: it needs Write and Describe on the transactional ids that begin "
     "with assent-"},
    {54, "SECURITY_DISABLED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {55, "OPERATION_NOT_ATTEMPTED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {56, "KAFKA_STORAGE_ERROR", ErrorMeaning::kRetry, Refresh::kLeader, "the broker cannot write to its disk"},
    {57, "LOG_DIR_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {58, "SASL_AUTHENTICATION_FAILED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {59, "UNKNOWN_PRODUCER_ID", ErrorMeaning::kFatal, Refresh::kNothing, "the partition no longer knows the producer"},
    {60, "REASSIGNMENT_IN_PROGRESS", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {61, "DELEGATION_TOKEN_AUTH_DISABLED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {62, "DELEGATION_TOKEN_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {63, "DELEGATION_TOKEN_OWNER_MISMATCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {66, "DELEGATION_TOKEN_EXPIRED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {67, "INVALID_PRINCIPAL_TYPE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {68, "NON_EMPTY_GROUP", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {69, "GROUP_ID_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {70, "FETCH_SESSION_ID_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {71, "INVALID_FETCH_SESSION_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {72, "LISTENER_NOT_FOUND", ErrorMeaning::kRetry, Refresh::kLeader, "the leader has no listener of this kind"},
    {73, "TOPIC_DELETION_DISABLED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {74, "FENCED_LEADER_EPOCH", ErrorMeaning::kRetry, Refresh::kLeader, "the leader's epoch is old"},
    {75, "UNKNOWN_LEADER_EPOCH", ErrorMeaning::kRetry, Refresh::kLeader, "the leader's epoch is not known yet"},
    {76, "UNSUPPORTED_COMPRESSION_TYPE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {77, "STALE_BROKER_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {78, "OFFSET_NOT_AVAILABLE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {79, "MEMBER_ID_REQUIRED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {80, "PREFERRED_LEADER_NOT_AVAILABLE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {81, "GROUP_MAX_SIZE_REACHED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {82, "FENCED_INSTANCE_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {84, "ELECTION_NOT_NEEDED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {85, "NO_REASSIGNMENT_IN_PROGRESS", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {86, "GROUP_SUBSCRIBED_TO_TOPIC", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {87, "INVALID_RECORD", ErrorMeaning::kNo, Refresh::kNothing,
     "the broker refuses a record, as a compacted topic does with one that has no key"},
    {88, "UNSTABLE_OFFSET_COMMIT", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {89, "THROTTLING_QUOTA_EXCEEDED", ErrorMeaning::kRetry, Refresh::kNothing, "a quota is exceeded"},
    {90, "PRODUCER_FENCED", ErrorMeaning::kFatal, Refresh::kNothing,
     "a newer producer has taken over the transactional id"},
    {91, "RESOURCE_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {92, "DUPLICATE_RESOURCE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {93, "UNACCEPTABLE_CREDENTIAL", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {94, "INCONSISTENT_VOTER_SET", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {95, "INVALID_UPDATE_VERSION", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {96, "FEATURE_UPDATE_FAILED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {97, "PRINCIPAL_DESERIALIZATION_FAILURE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {98, "SNAPSHOT_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {99, "POSITION_OUT_OF_RANGE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {100, "UNKNOWN_TOPIC_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {101, "DUPLICATE_BROKER_REGISTRATION", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {102, "BROKER_ID_NOT_REGISTERED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {103, "INCONSISTENT_TOPIC_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {104, "INCONSISTENT_CLUSTER_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {105, "TRANSACTIONAL_ID_NOT_FOUND", ErrorMeaning::kFatal, Refresh::kNothing,
     "the coordinator does not know the transactional id, or forgot it"},
    {106, "FETCH_SESSION_TOPIC_ID_ERROR", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {107, "INELIGIBLE_REPLICA", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {108, "NEW_LEADER_ELECTED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {109, "OFFSET_MOVED_TO_TIERED_STORAGE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {110, "FENCED_MEMBER_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {111, "UNRELEASED_INSTANCE_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {112, "UNSUPPORTED_ASSIGNOR", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {113, "STALE_MEMBER_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {114, "MISMATCHED_ENDPOINT_TYPE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {115, "UNSUPPORTED_ENDPOINT_TYPE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {116, "UNKNOWN_CONTROLLER_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {117, "UNKNOWN_SUBSCRIPTION_ID", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {118, "TELEMETRY_TOO_LARGE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {119, "INVALID_REGISTRATION", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {120, "TRANSACTION_ABORTABLE", ErrorMeaning::kFatal, Refresh::kNothing, "the broker wants the transaction aborted"},
    {121, "INVALID_RECORD_STATE", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {122, "SHARE_SESSION_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {123, "INVALID_SHARE_SESSION_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {124, "FENCED_STATE_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {125, "INVALID_VOTER_KEY", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {126, "DUPLICATE_VOTER", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {127, "VOTER_NOT_FOUND", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {128, "INVALID_REGULAR_EXPRESSION", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {129, "REBOOTSTRAP_REQUIRED", ErrorMeaning::kRetry, Refresh::kLeader,
     "the cluster asks its clients to start from their bootstrap servers again"},
    {130, "STREAMS_INVALID_TOPOLOGY", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {131, "STREAMS_INVALID_TOPOLOGY_EPOCH", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {132, "STREAMS_TOPOLOGY_FENCED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
    {133, "SHARE_SESSION_LIMIT_REACHED", ErrorMeaning::kNo, Refresh::kNothing, kNotOurs},
};

constexpr ErrorCode kNotInTable = {-2, "UNKNOWN_CODE", ErrorMeaning::kUnknown, Refresh::kNothing,
                                   "this client does not know the code"};

absl::StatusCode StatusCodeOf(const ErrorCode& entry) {
  switch (entry.meaning) {
    case ErrorMeaning::kDone:
      return absl::StatusCode::kOk;
    case ErrorMeaning::kRetry:
    case ErrorMeaning::kUnknown:
      return absl::StatusCode::kUnavailable;
    case ErrorMeaning::kFatal:
      return absl::StatusCode::kAborted;
    case ErrorMeaning::kNo:
      break;
  }
  if (entry.code == error::kMessageTooLarge || entry.code == error::kRecordListTooLarge ||
      entry.code == error::kInvalidTopic || entry.code == error::kInvalidTimestamp) {
    return absl::StatusCode::kInvalidArgument;
  }
  return absl::StatusCode::kFailedPrecondition;
}

}  // namespace

std::span<const ErrorCode> AllErrorCodes() { return kTable; }

const ErrorCode& FindErrorCode(std::int16_t code) {
  const auto found = std::lower_bound(std::begin(kTable), std::end(kTable), code,
                                      [](const ErrorCode& entry, std::int16_t wanted) { return entry.code < wanted; });
  return found != std::end(kTable) && found->code == code ? *found : kNotInTable;
}

BranchError ErrorOfCode(std::int16_t code, std::string_view what, std::string_view detail) {
  const ErrorCode& entry = FindErrorCode(code);
  BranchError error;
  error.code = StatusCodeOf(entry);
  error.message = absl::StrCat(std::string(what), ": ", std::string(entry.why), " (Kafka error ", code, ", ",
                               std::string(entry.name), ")");
  if (!detail.empty()) absl::StrAppend(&error.message, ": ", std::string(detail));
  error.kafka_error = code;
  error.kafka_error_name = std::string(entry.name);
  error.retryable = entry.meaning != ErrorMeaning::kNo;
  return error;
}

}  // namespace assent::kafka
