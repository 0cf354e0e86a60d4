#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace assent {
inline namespace client {

// What is known about the fate of a transaction. Unknown is not aborted: it may have been committed. Ask
// (Client::GetTransaction), or repeat a Submit under the same request_id. Aborted: nothing of it exists. A Submit that
// was refused before it began is aborted, too; made again under the same request_id it may be carried out.
enum class Outcome { kUnknown, kCommitted, kAborted };

// Why a transaction was not committed, or why it is not known whether it was.
struct TransactionFailure {
  std::string txn_id;      // empty where none was given out
  std::string request_id;  // of a Submit or Begin whose outcome is unknown: ask by it where txn_id is empty
  Outcome outcome = Outcome::kUnknown;
  std::string branch;            // that failed, if one did
  std::string sqlstate;          // of a SQL branch: PostgreSQL's five characters, "23505"
  int kafka_error = 0;           // of a Kafka branch: the protocol's error code
  std::string kafka_error_name;  // "UNKNOWN_TOPIC_OR_PARTITION"
  bool retryable = false;        // a new transaction with the same work may succeed
  std::string reason;
};

// What a status of this library tells about its transaction; nothing where it tells nothing, such as for a request that
// was refused as it stood.
std::optional<TransactionFailure> FailureOf(const absl::Status& status);

// The fate of the transaction, by the status that Commit or Submit answered with. OK is committed. Aborted is said only
// by a coordinator that has decided so; a status that merely failed on the way is unknown.
Outcome OutcomeOf(const absl::Status& status);

const char* Name(Outcome outcome);  // "committed"

}  // namespace client
}  // namespace assent
