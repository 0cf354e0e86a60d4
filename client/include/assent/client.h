#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "assent/operation.h"
#include "assent/options.h"
#include "assent/outcome.h"
#include "assent/result.h"
#include "assent/submission.h"
#include "assent/transaction.h"

namespace assent {
inline namespace client {

class Connection;

struct BranchInfo {
  std::string branch;
  std::string participant;
  std::string state;       // "open", "prepared", "committed", …
  bool heuristic = false;  // ended other than decided, or its end is not known
};

// What the coordinator knows of a transaction.
struct TransactionInfo {
  std::string txn_id;
  std::string request_id;
  Outcome outcome = Outcome::kUnknown;  // unknown: not decided yet, or forgotten
  std::string state;                    // "ACTIVE", "PREPARING", …, "COMMITTED", "ABORTED", "FORGOTTEN"
  absl::Time began;
  absl::Time deadline;
  std::vector<BranchInfo> branches;
  std::string failure_reason;  // why it aborted, as far as that is still known
};

// A service's way to a coordinator. One for a process is enough: all its calls share one connection, made at the first
// call and made again whenever it was lost.
//
// Thread-safe. The blocking calls must not be made from a callback.
//
// Every call is repeated until an answer comes, at the longest until the transaction's deadline and
// RetryOptions::grace after it; then it reports UNAVAILABLE with what to ask for in FailureOf(). Nothing is ever
// carried out twice: the coordinator knows a repeated call by its transaction and number, or by its request_id.
class Client {
 public:
  explicit Client(ClientOptions options = {});
  ~Client();  // waits a moment for the aborts that dropped transactions have sent
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Opens a transaction.
  absl::StatusOr<Transaction> Begin(BeginOptions options = {});

  // A whole transaction in one round trip. OK only if it is committed; ABORTED, with FailureOf(), if it was rolled
  // back.
  absl::StatusOr<SubmitResult> Submit(const Submission& submission);

  // What became of a transaction. NOT_FOUND where the coordinator has never heard of it.
  absl::StatusOr<TransactionInfo> GetTransaction(const std::string& txn_id);
  absl::StatusOr<TransactionInfo> GetRequest(const std::string& request_id);

  // Bars a request_id, durably: OK if it was aborted, or if it had not come yet and never will be carried out.
  // `first_attempt`: when it was first submitted; from before what the coordinator remembers it is NOT_FOUND. Whoever
  // may ask so late says it: else a request that was committed and is forgotten is taken for one that never came.
  absl::Status AbortRequest(const std::string& request_id, const std::string& reason = "",
                            absl::Time first_attempt = absl::InfinitePast());

  // The same without waiting: `done` runs once, on one of gRPC's threads, and must not block.
  void BeginAsync(BeginOptions options, absl::AnyInvocable<void(absl::StatusOr<Transaction>)> done);
  void SubmitAsync(const Submission& submission, absl::AnyInvocable<void(absl::StatusOr<SubmitResult>)> done);
  void GetTransactionAsync(const std::string& txn_id, absl::AnyInvocable<void(absl::StatusOr<TransactionInfo>)> done);

 private:
  const std::shared_ptr<Connection> connection_;
};

}  // namespace client
}  // namespace assent
