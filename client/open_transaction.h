#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "assent/transaction.h"
#include "assent/v1/coordinator.pb.h"
#include "client/connection.h"

namespace assent {
inline namespace client {

// What a Transaction stands for: shared by the handle and its calls in progress. Thread-safe; callbacks run without its
// lock.
class OpenTransaction : public std::enable_shared_from_this<OpenTransaction> {
 public:
  using ExecuteDone = absl::AnyInvocable<void(absl::StatusOr<v1::OperationResult>)>;

  // `give_up`: on the connection's timer, when its calls stop repeating.
  OpenTransaction(std::shared_ptr<Connection> connection, std::string txn_id, absl::Time deadline,
                  absl::Duration give_up)
      : connection_(std::move(connection)), txn_id_(std::move(txn_id)), deadline_(deadline), give_up_(give_up) {}

  const std::string& id() const { return txn_id_; }
  absl::Time deadline() const { return deadline_; }

  void Enlist(v1::EnlistRequest request, absl::AnyInvocable<void(absl::Status)> done);
  void Execute(const std::string& branch, v1::Operation operation, ExecuteDone done);
  void Commit(Wait wait, absl::AnyInvocable<void(absl::StatusOr<CommitResult>)> done);
  void Abort(const std::string& reason, absl::AnyInvocable<void(absl::Status)> done);

  // The handle is gone: aborts in the background what was not asked to commit.
  void Drop();

 private:
  using Waiting = std::deque<std::pair<v1::Operation, ExecuteDone>>;

  // Enlisting and the operations of a branch go out one after the other: the coordinator takes them by number, without
  // gaps.
  struct Branch {
    std::int64_t executed = 0;  // answered with OK
    bool busy = false;          // one is on its way
    Waiting waiting;
  };

  TransactionFailure About() const;
  void Enlisted(const std::string& branch, bool went_first, const absl::Status& status,
                absl::AnyInvocable<void(absl::Status)> done);
  void Send(const std::string& branch, v1::Operation operation, ExecuteDone done);
  void Executed(const std::string& branch, absl::StatusOr<v1::OperationResult> result, ExecuteDone done);
  // With the lock held: what goes out next of a branch whose last call was answered, and what no longer may.
  void TakeWaiting(Branch& branch, bool go_on, Waiting& next, Waiting& refused);
  void NoteFailure(const absl::Status& status);
  void AbortFailed(absl::Status failure, absl::AnyInvocable<void(absl::StatusOr<CommitResult>)> done);
  void SendAbort(const std::string& reason, absl::AnyInvocable<void(absl::Status)> done);

  const std::shared_ptr<Connection> connection_;
  const std::string txn_id_;
  const absl::Time deadline_;
  const absl::Duration give_up_;

  std::mutex mutex_;
  std::map<std::string, Branch> branches_;
  int unanswered_ = 0;    // operations, sent or waiting
  absl::Status failure_;  // the first; then only Abort is left
  bool ended_ = false;    // asked to commit or to abort: nothing to do when it is dropped
};

}  // namespace client
}  // namespace assent
