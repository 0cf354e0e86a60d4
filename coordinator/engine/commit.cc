// The end of a transaction: Commit, Abort, Submit, and asking what became of it.

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "coordinator/engine/request_hash.h"
#include "coordinator/engine/shard.h"

namespace assent {
namespace {

Milestone MilestoneOf(v1::Wait wait) {
  switch (wait) {
    case v1::DECIDED:
      return Milestone::kDecided;
    case v1::COMPLETED:
      return Milestone::kCompleted;
    default:
      return Milestone::kDatabasesCommitted;
  }
}

template <typename Response>
Response CommittedResponse(const Transaction& transaction) {
  Response response;
  response.set_txn_id(transaction.id.ToString());
  response.set_outcome(v1::COMMITTED);
  for (std::size_t i = 0; i < transaction.branches.size(); ++i) {
    if (transaction.state.branches[i].phase != protocol::BranchPhase::kHeuristic) continue;
    response.add_heuristic_branches(transaction.branches[i].name);
  }
  return response;
}

template <typename Response>
Response CommittedResponse(const EndedTransaction& ended) {
  Response response;
  response.set_txn_id(ended.id.ToString());
  response.set_outcome(v1::COMMITTED);
  for (const EndedBranch& branch : ended.branches) {
    if (branch.is_heuristic) response.add_heuristic_branches(branch.name);
  }
  return response;
}

v1::AbortResponse AbortedResponse(const TxnId& id) {
  v1::AbortResponse response;
  response.set_txn_id(id.ToString());
  response.set_outcome(v1::ABORTED);
  return response;
}

absl::Status TooLateToAbort(const TxnId& id) {
  v1::TransactionFailure failure;
  failure.set_txn_id(id.ToString());
  failure.set_outcome(v1::COMMITTED);
  failure.set_reason(absl::StrCat("transaction ", id.ToString(), " is committed, and can no longer be aborted"));
  return WithFailure(absl::StatusCode::kFailedPrecondition, failure);
}

absl::Status CheckWait(v1::Wait wait) {
  if (v1::Wait_IsValid(wait)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("wait ", wait, " is none that this coordinator knows"));
}

}  // namespace

// ---- Commit ---------------------------------------------------------------------------------------------------------

void Shard::Commit(v1::CommitRequest request, Answer<v1::CommitResponse> answer) {
  if (const absl::Status known = CheckWait(request.wait()); !known.ok()) return answer(known);
  const std::string txn_id = request.txn_id();
  WithTransaction(
      txn_id, std::move(answer),
      [this, &request](const TransactionPtr& transaction, Answer<v1::CommitResponse> reply) {
        if (transaction->state.phase == protocol::Phase::kActive) {
          if (const absl::Status same = CheckOperationsSeen(*transaction, request); !same.ok()) return reply(same);
        }
        runner_.Feed(transaction, protocol::CommitAsked{});
        runner_.WhenReached(transaction, MilestoneOf(request.wait()),
                            [transaction, reply = std::move(reply)]() mutable {
                              if (transaction->aborted)
                                return reply(WithFailure(absl::StatusCode::kAborted, transaction->failure));
                              reply(CommittedResponse<v1::CommitResponse>(*transaction));
                            });
      },
      [](EndedTransaction ended, Answer<v1::CommitResponse> reply) {
        if (ended.outcome != v1::COMMITTED) return reply(StatusOfEnded(ended));
        reply(CommittedResponse<v1::CommitResponse>(ended));
      });
}

absl::Status Shard::CheckOperationsSeen(const Transaction& transaction, const v1::CommitRequest& request) const {
  for (const auto& [name, seen] : request.operations()) {
    const auto branch = std::find_if(transaction.branches.begin(), transaction.branches.end(),
                                     [&name = name](const BranchRun& run) { return run.name == name; });
    const std::size_t executed = branch == transaction.branches.end() ? 0 : branch->operations.size();
    if (branch != transaction.branches.end() && static_cast<std::int64_t>(executed) == seen) continue;
    return WithFailure(absl::StatusCode::kFailedPrecondition,
                       Failure(transaction, v1::UNDECIDED,
                               absl::StrCat("the caller counts ", seen, " operations in branch \"", name.substr(0, 80),
                                            "\", the coordinator ", executed,
                                            branch == transaction.branches.end() ? " (not enlisted)" : "",
                                            ": repeat the missing ones, or Abort")));
  }
  return absl::OkStatus();
}

// ---- Abort ----------------------------------------------------------------------------------------------------------

void Shard::Abort(v1::AbortRequest request, Answer<v1::AbortResponse> answer) {
  const auto if_running = [this, reason = request.reason()](const TransactionPtr& transaction,
                                                            Answer<v1::AbortResponse> reply) {
    runner_.FeedFailure(
        transaction, protocol::AbortAsked{},
        Failure(*transaction, v1::ABORTED,
                reason.empty() ? "the caller asked for it" : absl::StrCat("the caller asked for it: ", reason)));
    runner_.WhenReached(transaction, Milestone::kDecided, [transaction, reply = std::move(reply)]() mutable {
      if (transaction->aborted) return reply(AbortedResponse(transaction->id));
      reply(TooLateToAbort(transaction->id));
    });
  };
  const auto if_ended = [](EndedTransaction ended, Answer<v1::AbortResponse> reply) {
    if (ended.outcome == v1::ABORTED) return reply(AbortedResponse(ended.id));
    if (ended.outcome == v1::COMMITTED) return reply(TooLateToAbort(ended.id));
    reply(StatusOfEnded(ended));
  };
  if (request.id_case() == v1::AbortRequest::kTxnId) {
    return WithTransaction(request.txn_id(), std::move(answer), if_running, if_ended);
  }
  const std::string request_id = request.request_id();
  if (const absl::Status named = CheckRequestId(request_id); !named.ok()) return answer(named);
  ResolveRequest(request_id, [this, request = std::move(request), if_running, if_ended,
                              answer = std::move(answer)](auto known) mutable {
    if (!known.ok()) return answer(known.status());
    auto& [running, ended] = *known;
    if (running) return if_running(running, std::move(answer));
    if (ended) return if_ended(std::move(*ended), std::move(answer));
    // It may have been committed. Nobody runs it again: a Submit of that time is refused as forgotten, too.
    if (const absl::Status remembered = CheckRemembered(request); !remembered.ok()) return answer(remembered);
    // A transaction without branches bears the request_id, so that the durable abort bars whatever comes under it.
    if_running(Create(request.request_id(), "", {}, {}), std::move(answer));
  });
}

// ---- Submit ---------------------------------------------------------------------------------------------------------

absl::Status Shard::CheckSubmit(v1::SubmitRequest& request) const {
  if (static_cast<std::uint32_t>(request.branches_size()) > options_.max_branches) {
    return absl::ResourceExhaustedError(absl::StrCat(
        request.branches_size(), " branches are more than transactions.max_branches = ", options_.max_branches));
  }
  if (absl::Status known = CheckWait(request.wait()); !known.ok()) return known;
  absl::flat_hash_set<std::string> names;
  for (v1::SubmitBranch& branch : *request.mutable_branches()) {
    if (branch.branch().empty()) branch.set_branch(branch.participant());
    if (absl::Status valid = CheckBranch(branch.participant(), branch.branch()); !valid.ok()) return valid;
    if (!names.insert(branch.branch()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two branches are named \"", branch.branch(), "\"; give each its own name"));
    }
  }
  return absl::OkStatus();
}

void Shard::Submit(v1::SubmitRequest request, Answer<v1::SubmitResponse> answer) {
  if (request.request_id().empty()) return RunSubmit(std::move(request), "", std::move(answer));
  if (const absl::Status named = CheckRequestId(request.request_id()); !named.ok()) return answer(NothingDone(named));
  std::string hash = HashOfRequest(request);
  const std::string request_id = request.request_id();
  ResolveRequest(request_id, [this, request = std::move(request), hash = std::move(hash),
                              answer = std::move(answer)](auto known) mutable {
    if (!known.ok()) return answer(known.status());
    auto& [running, ended] = *known;
    if (!running && !ended) return RunSubmit(std::move(request), hash, std::move(answer));
    const absl::Status same = CheckSameRequest(request.request_id(), hash, running.get(), ended);
    // Not NothingDone(): the first request under the id may have committed, and this caller may have meant that one.
    if (!same.ok()) return answer(same);
    if (running) return AnswerSubmit(running, request.wait(), std::move(answer));
    if (ended->outcome != v1::COMMITTED) return answer(StatusOfEnded(*ended));
    auto response = CommittedResponse<v1::SubmitResponse>(*ended);
    response.set_results_omitted(true);
    answer(std::move(response));
  });
}

void Shard::RefuseSubmit(const v1::SubmitRequest& name, const absl::Status& why, Answer<v1::SubmitResponse> answer) {
  const std::string& request_id = name.request_id();
  if (request_id.empty() || !CheckRequestId(request_id).ok()) return answer(NothingDone(why));
  ResolveRequest(request_id, [this, name, why, answer = std::move(answer)](auto known) mutable {
    if (!known.ok()) return answer(known.status());
    if (known->running || known->ended) {
      return answer(absl::Status(
          why.code(),
          absl::StrCat(std::string(why.message()), "; a request is known under request_id \"", name.request_id(),
                       "\": if it is the same, GetTransaction tells what became of it")));
    }
    if (const absl::Status remembered = CheckRemembered(name); !remembered.ok()) return answer(remembered);
    // One that does not say when it was first made may have been carried out, and be forgotten.
    const bool may_be_forgotten = !name.has_first_attempt() && log_.requests_forgotten_before() != absl::InfinitePast();
    answer(may_be_forgotten ? why : NothingDone(why));
  });
}

// Only a request that nothing is known of is checked, and told that nothing was done: bounds may have been wider when
// the same one was carried out.
void Shard::RunSubmit(v1::SubmitRequest request, const std::string& request_hash, Answer<v1::SubmitResponse> answer) {
  absl::Status taken = CheckNew(request);
  if (taken.ok()) taken = CheckSubmit(request);
  if (!taken.ok()) return answer(NothingDone(taken));
  if (const absl::Status room = CheckRoom(); !room.ok()) return answer(NothingDone(room, /*retryable=*/true));
  const TransactionPtr transaction = Create(request.request_id(), request_hash, request.timeout(), request.labels());
  transaction->is_submit = true;
  for (const v1::SubmitBranch& branch : request.branches()) {
    const absl::Status added = AddBranch(transaction, branch.participant(), branch.branch(), branch.options());
    if (added.ok()) continue;
    // Nothing was done yet, and a corrected request may come under the same id: this one leaves no trace.
    transaction->state.abort_is_recorded = false;
    requests_.erase(transaction->request_id);
    transaction->request_id.clear();
    v1::TransactionFailure failure = Failure(*transaction, v1::REFUSED, std::string(added.message()));
    failure.set_branch(branch.branch());
    failure.set_retryable(absl::IsResourceExhausted(added));
    runner_.FeedFailure(transaction, protocol::AbortAsked{}, failure);
    return answer(WithFailure(added.code(), failure));
  }
  for (int i = 0; i < request.branches_size(); ++i) {
    for (v1::Operation& operation : *request.mutable_branches(i)->mutable_operations()) {
      // A failure is fed to the protocol by the runner, and answered when the transaction has aborted.
      runner_.Execute(transaction, static_cast<std::uint32_t>(i), 0, std::move(operation),
                      [](const ExecuteOutcome&) {});
    }
  }
  // Asked for before the work has returned: each branch prepares in the same round trip as its work, where it can.
  runner_.Feed(transaction, protocol::CommitAsked{});
  AnswerSubmit(transaction, request.wait(), std::move(answer));
}

void Shard::AnswerSubmit(const TransactionPtr& transaction, v1::Wait wait, Answer<v1::SubmitResponse> answer) {
  runner_.WhenReached(transaction, MilestoneOf(wait), [transaction, answer = std::move(answer)]() mutable {
    if (transaction->aborted) return answer(WithFailure(absl::StatusCode::kAborted, transaction->failure));
    auto response = CommittedResponse<v1::SubmitResponse>(*transaction);
    response.set_results_omitted(transaction->in_log);
    for (const BranchRun& run : transaction->branches) {
      if (transaction->in_log) break;
      v1::BranchResult& branch = *response.add_branches();
      branch.set_branch(run.name);
      for (const OperationSlot& operation : run.operations) {
        *branch.add_results() = operation.outcome.result;
        if (operation.dropped) response.set_results_omitted(true);
      }
    }
    answer(std::move(response));
  });
}

// ---- Asking ---------------------------------------------------------------------------------------------------------

void Shard::GetTransaction(v1::GetTransactionRequest request, Answer<v1::TransactionDescription> answer) {
  const auto if_running = [this](const TransactionPtr& transaction, Answer<v1::TransactionDescription> reply) {
    // An abort that must be durable before anybody hears of it is waited for.
    if (transaction->state.phase == protocol::Phase::kAborting && !transaction->aborted) {
      return runner_.WhenReached(transaction, Milestone::kDecided,
                                 [transaction, reply = std::move(reply)]() mutable { reply(Describe(*transaction)); });
    }
    reply(Describe(*transaction));
  };
  const auto if_ended = [](EndedTransaction ended, Answer<v1::TransactionDescription> reply) {
    if (ended.outcome == v1::NEVER_EXISTED) return reply(StatusOfEnded(ended));
    reply(Describe(ended));
  };
  if (request.id_case() == v1::GetTransactionRequest::kTxnId) {
    return WithTransaction(request.txn_id(), std::move(answer), if_running, if_ended);
  }
  const std::string& request_id = request.request_id();
  if (const absl::Status named = CheckRequestId(request_id); !named.ok()) return answer(named);
  ResolveRequest(request_id, [this, request_id, if_running, if_ended, answer = std::move(answer)](auto known) mutable {
    if (!known.ok()) return answer(known.status());
    auto& [running, ended] = *known;
    if (running) return if_running(running, std::move(answer));
    if (ended) return if_ended(std::move(*ended), std::move(answer));
    // Which of the three it is nobody knows any more, unless nothing was ever forgotten.
    v1::TransactionFailure failure;
    const bool nothing_was_forgotten = log_.requests_forgotten_before() == absl::InfinitePast();
    failure.set_outcome(nothing_was_forgotten ? v1::NEVER_EXISTED : v1::OUTCOME_UNSPECIFIED);
    failure.set_reason(absl::StrCat("no transaction is known under request_id \"", request_id,
                                    "\": it never came, left no decision before a crash, or is older than "
                                    "transactions.outcome_retention"));
    answer(WithFailure(absl::StatusCode::kNotFound, failure));
  });
}

}  // namespace assent
