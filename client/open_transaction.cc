#include "client/open_transaction.h"

#include "absl/strings/str_cat.h"
#include "client/messages.h"
#include "client/retrying_call.h"

namespace assent {
inline namespace client {
namespace {

using Stub = v1::Coordinator::StubInterface::async_interface;

// ABORTED, as a coordinator says it, with why the operation had failed.
absl::Status AbortedBecauseOf(const absl::Status& failed, const std::string& txn_id) {
  TransactionFailure failure = FailureOf(failed).value_or(TransactionFailure{});
  failure.txn_id = txn_id;
  failure.outcome = Outcome::kAborted;
  if (failure.reason.empty()) failure.reason = std::string(failed.message());
  absl::Status status = absl::AbortedError(absl::StrCat("aborted, as an operation had failed: ", failure.reason));
  AttachFailure(failure, status);
  return status;
}

}  // namespace

TransactionFailure OpenTransaction::About() const {
  TransactionFailure about;
  about.txn_id = txn_id_;
  return about;
}

void OpenTransaction::NoteFailure(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  if (!ended_ && failure_.ok()) failure_ = status;
}

void OpenTransaction::Enlist(v1::EnlistRequest request, absl::AnyInvocable<void(absl::Status)> done) {
  request.set_txn_id(txn_id_);
  const std::string branch = request.branch();
  bool goes_first = false;
  {
    const std::lock_guard lock(mutex_);
    ++unanswered_;
    goes_first = !std::exchange(branches_[branch].busy, true);
  }
  RetryingCall<v1::EnlistRequest, v1::EnlistResponse>::Start(
      connection_, &Stub::Enlist, std::move(request), give_up_, About(),
      [self = shared_from_this(), branch, goes_first,
       done = std::move(done)](const absl::StatusOr<v1::EnlistResponse>& answer) mutable {
        self->Enlisted(branch, goes_first, answer.status(), std::move(done));
      });
}

void OpenTransaction::Enlisted(const std::string& branch, bool went_first, const absl::Status& status,
                               absl::AnyInvocable<void(absl::Status)> done) {
  if (!status.ok()) NoteFailure(status);
  Waiting refused;
  Waiting next;
  absl::Status failure;
  {
    const std::lock_guard lock(mutex_);
    --unanswered_;
    failure = status.ok() ? failure_ : status;
    if (went_first) TakeWaiting(branches_[branch], failure.ok(), next, refused);
  }
  for (auto& [operation, send_done] : next) Send(branch, std::move(operation), std::move(send_done));
  done(status);
  for (auto& [operation, refused_done] : refused) refused_done(failure);
}

// ---- Operations -----------------------------------------------------------------------------------------------------

void OpenTransaction::Execute(const std::string& branch_name, v1::Operation operation, ExecuteDone done) {
  absl::Status refused;
  {
    const std::lock_guard lock(mutex_);
    Branch& branch = branches_[branch_name];
    if (!failure_.ok()) {
      refused = failure_;
    } else if (branch.waiting.size() >= connection_->options().max_queued_operations) {
      refused = absl::ResourceExhaustedError(
          absl::StrCat("branch \"", branch_name, "\" has ClientOptions::max_queued_operations = ",
                       connection_->options().max_queued_operations, " operations waiting"));
    } else {
      ++unanswered_;
      if (branch.busy) {
        branch.waiting.emplace_back(std::move(operation), std::move(done));
        return;
      }
      branch.busy = true;
    }
  }
  if (!refused.ok()) {
    NoteFailure(refused);
    return done(refused);
  }
  Send(branch_name, std::move(operation), std::move(done));
}

void OpenTransaction::Send(const std::string& branch, v1::Operation operation, ExecuteDone done) {
  v1::ExecuteRequest request;
  request.set_txn_id(txn_id_);
  request.set_branch(branch);
  *request.mutable_operation() = std::move(operation);
  {
    const std::lock_guard lock(mutex_);
    request.set_operation_number(branches_[branch].executed + 1);
  }
  RetryingCall<v1::ExecuteRequest, v1::ExecuteResponse>::Start(
      connection_, &Stub::Execute, std::move(request), give_up_, About(),
      [self = shared_from_this(), branch, done = std::move(done)](absl::StatusOr<v1::ExecuteResponse> answer) mutable {
        if (!answer.ok()) return self->Executed(branch, answer.status(), std::move(done));
        self->Executed(branch, std::move(*answer->mutable_result()), std::move(done));
      });
}

void OpenTransaction::Executed(const std::string& branch_name, absl::StatusOr<v1::OperationResult> result,
                               ExecuteDone done) {
  if (!result.ok()) NoteFailure(result.status());
  Waiting refused;
  Waiting next;
  absl::Status failure;
  {
    const std::lock_guard lock(mutex_);
    Branch& branch = branches_[branch_name];
    failure = failure_;
    --unanswered_;
    if (result.ok()) ++branch.executed;
    TakeWaiting(branch, result.ok() && failure_.ok(), next, refused);
  }
  for (auto& [operation, send_done] : next) Send(branch_name, std::move(operation), std::move(send_done));
  const absl::Status why = failure.ok() ? result.status() : failure;
  done(std::move(result));
  for (auto& [operation, refused_done] : refused) refused_done(why);
}

void OpenTransaction::TakeWaiting(Branch& branch, bool go_on, Waiting& next, Waiting& refused) {
  if (!go_on) {
    unanswered_ -= static_cast<int>(branch.waiting.size());
    refused.swap(branch.waiting);
  }
  branch.busy = !branch.waiting.empty();
  if (!branch.busy) return;
  next.push_back(std::move(branch.waiting.front()));
  branch.waiting.pop_front();
}

// ---- The end --------------------------------------------------------------------------------------------------------

void OpenTransaction::Commit(Wait wait, absl::AnyInvocable<void(absl::StatusOr<CommitResult>)> done) {
  v1::CommitRequest request;
  request.set_txn_id(txn_id_);
  request.set_wait(ToProto(wait));
  absl::Status failure;
  int unanswered = 0;
  {
    const std::lock_guard lock(mutex_);
    failure = failure_;
    unanswered = unanswered_;
    for (const auto& [name, branch] : branches_) (*request.mutable_operations())[name] = branch.executed;
    if (unanswered == 0) ended_ = true;
  }
  if (unanswered != 0) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("transaction ", txn_id_, " cannot commit while ", unanswered,
                     " of its operations are unanswered: commit from the callback of the last one")));
  }
  if (!failure.ok()) return AbortFailed(failure, std::move(done));
  RetryingCall<v1::CommitRequest, v1::CommitResponse>::Start(
      connection_, &Stub::Commit, std::move(request), give_up_, About(),
      [self = shared_from_this(), done = std::move(done)](const absl::StatusOr<v1::CommitResponse>& answer) mutable {
        if (answer.ok()) return done(FromProto(*answer));
        // A refused Commit (operations were lost on the way) leaves the transaction open.
        const bool refused =
            OutcomeOf(answer.status()) == Outcome::kUnknown && answer.status().code() != absl::StatusCode::kUnavailable;
        if (refused) {
          const std::lock_guard lock(self->mutex_);
          self->ended_ = false;
        }
        done(answer.status());
      });
}

void OpenTransaction::AbortFailed(absl::Status failure, absl::AnyInvocable<void(absl::StatusOr<CommitResult>)> done) {
  SendAbort("an operation had failed", [txn_id = txn_id_, failure = std::move(failure),
                                        done = std::move(done)](const absl::Status& aborted) mutable {
    done(aborted.ok() ? AbortedBecauseOf(failure, txn_id) : aborted);
  });
}

void OpenTransaction::Abort(const std::string& reason, absl::AnyInvocable<void(absl::Status)> done) {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  SendAbort(reason, std::move(done));
}

void OpenTransaction::SendAbort(const std::string& reason, absl::AnyInvocable<void(absl::Status)> done) {
  v1::AbortRequest request;
  request.set_txn_id(txn_id_);
  request.set_reason(reason);
  RetryingCall<v1::AbortRequest, v1::AbortResponse>::Start(
      connection_, &Stub::Abort, std::move(request), give_up_, About(),
      [done = std::move(done)](const absl::StatusOr<v1::AbortResponse>& answer) mutable { done(answer.status()); });
}

void OpenTransaction::Drop() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
  }
  connection_->BackgroundAbortStarted();
  SendAbort("the caller dropped it without Commit",
            [connection = connection_](const absl::Status&) { connection->BackgroundAbortEnded(); });
}

}  // namespace client
}  // namespace assent
