// Work in a transaction: Enlist and Execute.

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "coordinator/engine/shard.h"
#include "coordinator/engine/work_size.h"

namespace assent {

absl::Status Shard::CheckBranch(const std::string& participant, const std::string& branch) const {
  if (!IsBranchName(branch)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", branch.substr(0, 80), "\" is no branch name: 1 to 63 of A-Z a-z 0-9 _ - are"));
  }
  const Participant* const found = FindParticipant(participant);
  if (found == nullptr) {
    return absl::NotFoundError(absl::StrCat("no participant is named \"", participant.substr(0, 80),
                                            "\"; the configuration names ", ParticipantNames()));
  }
  return take_overs_.CheckNewBranch(found);
}

absl::Status Shard::AddBranch(const TransactionPtr& transaction, const std::string& participant_name,
                              const std::string& name, const v1::BranchOptions& options) {
  if (transaction->branches.size() >= options_.max_branches) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a transaction has at most transactions.max_branches = ", options_.max_branches, " branches"));
  }
  if (!v1::CommitPath_IsValid(options.commit_path())) {
    return absl::InvalidArgumentError(
        absl::StrCat("commit_path ", options.commit_path(), " is none that this coordinator knows"));
  }
  Participant* const participant = FindParticipant(participant_name);
  absl::Status opened = participant->Open({transaction->id, name}, options, transaction->deadline);
  if (!opened.ok()) return opened;
  const bool broker = participant->kind() == ParticipantKind::kBroker;
  transaction->branches.push_back(BranchRun{.name = name,
                                            .participant_name = participant_name,
                                            .participant = participant,
                                            .options = options.SerializeAsString()});
  runner_.Feed(transaction,
               protocol::Enlisted{.kind = broker ? protocol::BranchKind::kBroker : protocol::BranchKind::kDatabase,
                                  .after_databases = broker && options.kafka().order() != v1::UNORDERED});
  return absl::OkStatus();
}

void Shard::Enlist(v1::EnlistRequest request, Answer<v1::EnlistResponse> answer) {
  const std::string txn_id = request.txn_id();
  WithTransaction(
      txn_id, std::move(answer),
      [this, &request](const TransactionPtr& transaction, Answer<v1::EnlistResponse> reply) {
        if (transaction->aborted) return reply(WithFailure(absl::StatusCode::kAborted, transaction->failure));
        if (transaction->state.phase != protocol::Phase::kActive) return reply(TooLateForWork(*transaction));
        for (const BranchRun& branch : transaction->branches) {
          if (branch.name != request.branch()) continue;
          if (branch.participant_name == request.participant()) {
            if (branch.options == request.options().SerializeAsString())
              return reply(v1::EnlistResponse());  // a repeat
            return reply(absl::InvalidArgumentError(
                absl::StrCat("branch \"", branch.name, "\" is already enlisted, with other options")));
          }
          return reply(absl::InvalidArgumentError(absl::StrCat(
              "branch \"", branch.name, "\" is already enlisted, with participant \"", branch.participant_name, "\"")));
        }
        if (const absl::Status valid = CheckBranch(request.participant(), request.branch()); !valid.ok()) {
          return reply(valid);
        }
        const absl::Status added = AddBranch(transaction, request.participant(), request.branch(), request.options());
        if (!added.ok()) return reply(added);
        reply(v1::EnlistResponse());
      },
      [](EndedTransaction ended, Answer<v1::EnlistResponse> reply) { reply(StatusOfEnded(ended)); });
}

absl::Status Shard::TooLateForWork(const Transaction& transaction) const {
  return WithFailure(absl::StatusCode::kFailedPrecondition,
                     Failure(transaction, Describe(transaction).outcome(),
                             absl::StrCat("transaction ", transaction.id.ToString(), " is ",
                                          std::string(protocol::Name(transaction.state.phase)),
                                          ": it takes work only before Commit or Abort")));
}

// ---- Execute --------------------------------------------------------------------------------------------------------

void Shard::Execute(v1::ExecuteRequest request, Answer<v1::ExecuteResponse> answer) {
  const std::string txn_id = request.txn_id();
  WithTransaction(
      txn_id, std::move(answer),
      [this, &request](const TransactionPtr& transaction, Answer<v1::ExecuteResponse> reply) {
        ExecuteIn(transaction, std::move(request), std::move(reply));
      },
      [](EndedTransaction ended, Answer<v1::ExecuteResponse> reply) { reply(StatusOfEnded(ended)); });
}

void Shard::ExecuteIn(const TransactionPtr& transaction, v1::ExecuteRequest request,
                      Answer<v1::ExecuteResponse> answer) {
  if (transaction->aborted) return answer(WithFailure(absl::StatusCode::kAborted, transaction->failure));
  const auto refuse = [&](absl::StatusCode code, std::string reason) {
    v1::TransactionFailure failure = Failure(*transaction, Describe(*transaction).outcome(), std::move(reason));
    failure.set_branch(request.branch().substr(0, 80));
    answer(WithFailure(code, failure));
  };
  const auto found = std::find_if(transaction->branches.begin(), transaction->branches.end(),
                                  [&](const BranchRun& run) { return run.name == request.branch(); });
  if (found == transaction->branches.end()) {
    return refuse(absl::StatusCode::kNotFound, absl::StrCat("transaction ", request.txn_id(), " has no branch \"",
                                                            request.branch().substr(0, 80), "\"; Enlist it first"));
  }
  const auto index = static_cast<std::uint32_t>(found - transaction->branches.begin());
  std::vector<OperationSlot>& operations = found->operations;
  const std::int64_t number = request.operation_number();
  const auto next = static_cast<std::int64_t>(operations.size()) + 1;
  if (number < 1 || number > next) {
    return refuse(
        number < 1 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kFailedPrecondition,
        absl::StrCat("operation_number is ", number, ", but the next of branch \"", found->name, "\" is ", next));
  }
  const std::uint64_t fingerprint = absl::HashOf(request.operation().SerializeAsString());
  if (number < next && operations[number - 1].fingerprint != fingerprint) {
    return refuse(absl::StatusCode::kInvalidArgument,
                  absl::StrCat("operation_number ", number, " of branch \"", found->name,
                               "\" was another operation before; the next number is ", next));
  }
  if (number < next && operations[number - 1].dropped) {
    return refuse(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("operation_number ", number, " of branch \"", found->name,
                     "\" was executed, but its reply is no longer kept: the replies of a transaction are kept "
                     "up to transactions.max_stored_reply_bytes = ",
                     options_.max_stored_reply_bytes));
  }
  if (number == next && transaction->state.phase != protocol::Phase::kActive) {
    return answer(TooLateForWork(*transaction));
  }
  const std::uint64_t bytes = number == next ? request.operation().ByteSizeLong() : 0;
  if (transaction->request_bytes + bytes > options_.max_request_bytes) {
    return refuse(absl::StatusCode::kResourceExhausted,
                  absl::StrCat("with these ", bytes, " bytes the work of transaction ", request.txn_id(),
                               " exceeds transactions.max_request_bytes = ", options_.max_request_bytes));
  }
  const std::uint64_t asked = number == next ? OperationsIn(request.operation()) : 0;
  if (transaction->operations + asked > options_.max_operations) {
    return refuse(absl::StatusCode::kResourceExhausted,
                  absl::StrCat("with these ", asked, " operations transaction ", request.txn_id(),
                               " exceeds transactions.max_operations = ", options_.max_operations));
  }
  transaction->request_bytes += bytes;
  transaction->operations += asked;
  // Kept by the transaction, and run while it lives: held in turn, it would outlive a shard that ends before its
  // answer.
  auto done = [transaction = transaction.get(), index,
               reply = std::move(answer)](const ExecuteOutcome& outcome) mutable {
    if (outcome.ok) {
      v1::ExecuteResponse response;
      *response.mutable_result() = outcome.result;
      return reply(std::move(response));
    }
    v1::TransactionFailure failure = FailureOfBranch(transaction->id, transaction->branches[index], outcome.error);
    // Work that fails because its transaction was aborted, such as at the deadline, is answered with that.
    if (transaction->aborted) return reply(WithFailure(absl::StatusCode::kAborted, transaction->failure));
    reply(WithFailure(outcome.error.code, failure));
  };
  if (number == next) {
    return runner_.Execute(transaction, index, fingerprint, std::move(*request.mutable_operation()), std::move(done));
  }
  OperationSlot& repeated = operations[number - 1];
  if (repeated.completed) return done(repeated.outcome);
  repeated.waiters.push_back(std::move(done));
}

}  // namespace assent
