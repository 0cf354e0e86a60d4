#pragma once

#include <cstdint>
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

namespace assent {
inline namespace client {

class OpenTransaction;

// What a committed transaction gave.
struct CommitResult {
  std::string txn_id;
  // Branches that may not have followed the decision. An operator has to look.
  std::vector<std::string> heuristic_branches;
};

// An open transaction, made by Client::Begin. Work is done in branches, one for each participant that takes part:
//
//   auto order = client.Begin();
//   order->Enlist("orders-db");
//   order->Execute("orders-db", Sql("INSERT INTO orders VALUES ($1, $2)", 42, "tea"));
//   order->Enlist("events");
//   order->Execute("events", Record("orders", "42", "placed"));
//   absl::Status committed = order->Commit().status();
//
// Owner: the caller; it can be moved and not copied. A transaction that is destroyed without Commit is aborted, in the
// background. One whose process dies is aborted at its deadline. It may outlive its client.
//
// Thread: every call is safe from every thread; operations of one branch run in the order of the calls. The blocking
// calls must not be made from a callback.
//
// Errors: after an operation has failed, the transaction can only be aborted. Later calls answer with that failure, and
// so does Commit, after having aborted. FailureOf() has the details, OutcomeOf() what became of the transaction.
class Transaction {
 public:
  template <typename Result>
  using Callback = absl::AnyInvocable<void(Result)>;

  Transaction(Transaction&&) noexcept = default;
  Transaction& operator=(Transaction&&) noexcept;
  ~Transaction();

  const std::string& id() const;
  absl::Time deadline() const;  // by the coordinator's clock; after it an undecided transaction is aborted

  // Adds a branch: work at one participant of the coordinator's configuration. Its name is the participant's, where it
  // is given none.
  absl::Status Enlist(const std::string& participant, BranchOptions options = {});
  absl::Status Enlist(const std::string& participant, const std::string& branch, BranchOptions options);

  // Does work in a branch. Several statements run in order in one round trip; the first that fails ends the operation.
  absl::StatusOr<SqlResult> Execute(const std::string& branch, Sql statement);
  absl::StatusOr<SqlResult> Execute(const std::string& branch, std::vector<Sql> statements);
  // Gives the number of records that were taken. They are produced when the transaction commits.
  absl::StatusOr<std::int64_t> Execute(const std::string& branch, Record record);
  absl::StatusOr<std::int64_t> Execute(const std::string& branch, std::vector<Record> records);

  // Asks for the decision. OK only if the transaction is committed. FAILED_PRECONDITION while operations are
  // unanswered.
  absl::StatusOr<CommitResult> Commit(Wait wait = Wait::kDatabases);

  // Rolls back. OK only if the transaction is aborted; FAILED_PRECONDITION where it is committed already.
  absl::Status Abort(const std::string& reason = "");

  // The same without waiting: `done` runs once, on one of gRPC's threads, and must not block.
  void EnlistAsync(const std::string& participant, const std::string& branch, BranchOptions options,
                   Callback<absl::Status> done);
  void ExecuteAsync(const std::string& branch, std::vector<Sql> statements, Callback<absl::StatusOr<SqlResult>> done);
  void ExecuteAsync(const std::string& branch, std::vector<Record> records,
                    Callback<absl::StatusOr<std::int64_t>> done);
  void CommitAsync(Wait wait, Callback<absl::StatusOr<CommitResult>> done);
  void AbortAsync(const std::string& reason, Callback<absl::Status> done);

 private:
  friend class Client;
  explicit Transaction(std::shared_ptr<OpenTransaction> open);

  std::shared_ptr<OpenTransaction> open_;
};

}  // namespace client
}  // namespace assent
