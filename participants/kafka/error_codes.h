#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "participants/participant.h"

namespace assent::kafka {

// What an error code of a broker says about the request that it answers.
enum class ErrorMeaning : std::uint8_t {
  kDone,     // it was done, now or before
  kRetry,    // it was not done; the same request may be done soon
  kUnknown,  // it may have been done; the same request may be repeated, because all of ours are idempotent
  kNo,       // it was not done, and will not be
  kFatal,    // this transaction, or this epoch of its producer, is over; a new transaction may do the same
};

// What has to be looked up again before the request is repeated.
enum class Refresh : std::uint8_t { kNothing, kLeader, kCoordinator };

struct ErrorCode {
  std::int16_t code;
  std::string_view name;
  ErrorMeaning meaning;
  Refresh refresh;
  std::string_view why;  // in words for operators
};

namespace error {
inline constexpr std::int16_t kNone = 0;
inline constexpr std::int16_t kUnknownTopicOrPartition = 3;
inline constexpr std::int16_t kLeaderNotAvailable = 5;
inline constexpr std::int16_t kMessageTooLarge = 10;
inline constexpr std::int16_t kNetworkException = 13;
inline constexpr std::int16_t kInvalidTopic = 17;
inline constexpr std::int16_t kRecordListTooLarge = 18;
inline constexpr std::int16_t kInvalidTimestamp = 32;
inline constexpr std::int16_t kUnsupportedVersion = 35;
inline constexpr std::int16_t kInvalidTransactionTimeout = 50;
inline constexpr std::int16_t kConcurrentTransactions = 51;
inline constexpr std::int16_t kInvalidRecord = 87;
inline constexpr std::int16_t kTransactionalIdNotFound = 105;
}  // namespace error

// Every code of Apache Kafka 4.3, in order. Source of codes and names: org.apache.kafka.common.protocol.Errors; the
// meanings are for the requests that this client sends.
std::span<const ErrorCode> AllErrorCodes();

// The entry of a code. One that is not in the table means kUnknown.
const ErrorCode& FindErrorCode(std::int16_t code);

// For callers: `what` and what the code says of it. `detail` is the broker's own message, often empty.
BranchError ErrorOfCode(std::int16_t code, std::string_view what, std::string_view detail = "");

}  // namespace assent::kafka
