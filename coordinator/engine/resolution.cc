// Branches that an operator ends by hand, and recovery that one asks for.

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/engine/forced_step.h"
#include "coordinator/engine/shard.h"
#include "coordinator/engine/sweep.h"

namespace assent {
namespace {

using protocol::BranchPhase;
using protocol::Phase;

constexpr std::size_t kMaxReasonBytes = 1024;  // of what an operator says: it is kept in the log for ever

std::string Word(v1::Outcome outcome) { return outcome == v1::COMMITTED ? "commit" : "rollback"; }

bool HasEndedAs(BranchPhase phase, v1::Outcome outcome) {
  return phase == (outcome == v1::COMMITTED ? BranchPhase::kCommitted : BranchPhase::kAborted);
}

bool HasEnded(BranchPhase phase) {
  return phase == BranchPhase::kCommitted || phase == BranchPhase::kAborted || phase == BranchPhase::kReadOnly ||
         phase == BranchPhase::kHeuristic;
}

std::string NameOf(const v1::ResolveBranchRequest& request) {
  return absl::StrCat("branch \"", request.branch(), "\" of transaction ", request.txn_id());
}

// Why a step that takes force was refused without it.
absl::Status TakesForce(const v1::ResolveBranchRequest& request, v1::Outcome decided) {
  const std::string what = NameOf(request);
  const std::string asked = Word(request.outcome());
  switch (decided) {
    case v1::COMMITTED:
    case v1::ABORTED:
      return absl::FailedPreconditionError(absl::StrCat(
          what, " is decided ", decided == v1::COMMITTED ? "committed" : "aborted", ", durably, and a ", asked,
          " would tear the transaction. It ends as decided when its participant answers; force only "
          "where that can never be, and say why"));
    case v1::FORGOTTEN:
      return absl::FailedPreconditionError(absl::StrCat(
          what,
          " is prepared, and older than transactions.outcome_retention: what was decided is forgotten. Find out "
          "from the transaction's other stores what became of it, and force the same here"));
    default:
      return absl::FailedPreconditionError(
          absl::StrCat(what,
                       " is prepared, and of another decision log, or of a start that this one does not know. If "
                       "that log is lost, find out from the transaction's other stores what became of it, and "
                       "force the same here"));
  }
}

v1::HeuristicRecord ForcedRecord(const v1::ResolveBranchRequest& request, const std::string& participant,
                                 const std::string& token, v1::Outcome decided, absl::Time now) {
  v1::HeuristicRecord record;
  record.set_txn_id(request.txn_id());
  record.set_branch(request.branch());
  record.set_participant(participant);
  record.set_token(token);
  record.set_decided(decided);
  record.set_what(request.reason());
  record.set_found_at_us(absl::ToUnixMicros(now));
  record.set_forced(request.outcome());
  record.set_forced_by(request.requested_by());
  return record;
}

}  // namespace

void Shard::ResolveBranch(v1::ResolveBranchRequest request, Answer<v1::ResolveBranchResponse> answer) {
  if (request.outcome() != v1::COMMITTED && request.outcome() != v1::ABORTED) {
    return answer(absl::InvalidArgumentError("outcome must be COMMITTED or ABORTED: what the branch shall come to"));
  }
  if (request.reason().size() > kMaxReasonBytes || request.requested_by().size() > kMaxReasonBytes) {
    return answer(absl::InvalidArgumentError(
        absl::StrCat("reason and requested_by have at most ", kMaxReasonBytes, " bytes each: they stand in the log")));
  }
  const TxnId id = *ParseTxnId(request.txn_id());
  if (const TransactionPtr running = FindRunning(id)) return ResolveRunning(running, request, std::move(answer));
  const auto orphan = orphans_.find(BranchId{id, request.branch()}.ToGid());
  if (orphan != orphans_.end()) return ResolveRunning(orphan->second, request, std::move(answer));
  ResolveEnded(id, [this, request = std::move(request), answer = std::move(answer)](auto ended) mutable {
    if (!ended.ok()) return answer(ended.status());
    ResolveLeft(*std::move(ended), std::move(request), std::move(answer));
  });
}

// ---- Of a transaction that runs here --------------------------------------------------------------------------------

void Shard::ResolveRunning(const TransactionPtr& transaction, const v1::ResolveBranchRequest& request,
                           Answer<v1::ResolveBranchResponse> answer) {
  const auto found = std::find_if(transaction->branches.begin(), transaction->branches.end(),
                                  [&](const BranchRun& run) { return run.name == request.branch(); });
  if (found == transaction->branches.end()) {
    return answer(absl::NotFoundError(absl::StrCat(
        "transaction ", request.txn_id(), " has no branch \"", request.branch().substr(0, 80), "\"; it has ",
        absl::StrJoin(transaction->branches, ", ",
                      [](std::string* out, const BranchRun& run) { absl::StrAppend(out, run.name); }))));
  }
  const auto branch = static_cast<std::uint32_t>(found - transaction->branches.begin());
  switch (transaction->state.phase) {
    case Phase::kActive:
    case Phase::kPreparing:
      return ResolveUndecided(transaction, request, std::move(answer));
    case Phase::kDeciding:
      return answer(absl::UnavailableError(
          absl::StrCat("the decision about transaction ", request.txn_id(), " is being made durable: ask again")));
    case Phase::kCommitting:
    case Phase::kCommitted:
      return ResolveDecided(transaction, branch, v1::COMMITTED, request, std::move(answer));
    case Phase::kAborting:
    case Phase::kEnded:
      return ResolveDecided(transaction, branch, v1::ABORTED, request, std::move(answer));
  }
}

void Shard::ResolveUndecided(const TransactionPtr& transaction, const v1::ResolveBranchRequest& request,
                             Answer<v1::ResolveBranchResponse> answer) {
  if (request.outcome() == v1::COMMITTED) {
    return answer(absl::FailedPreconditionError(
        absl::StrCat("transaction ", request.txn_id(),
                     " is undecided: a branch of it can be aborted, with the whole "
                     "transaction, but not committed, forced or not. Its caller may still Commit it")));
  }
  runner_.FeedFailure(
      transaction, protocol::AbortAsked{},
      Failure(*transaction, v1::ABORTED,
              absl::StrCat("an operator asked for it", request.requested_by().empty() ? "" : ", ",
                           request.requested_by(), request.reason().empty() ? "" : ": ", request.reason())));
  runner_.WhenReached(transaction, Milestone::kDecided, [this, transaction, reply = std::move(answer)]() mutable {
    reply(Resolved(*transaction, false, "the whole transaction is aborted"));
  });
}

void Shard::ResolveDecided(const TransactionPtr& transaction, std::uint32_t branch, v1::Outcome decided,
                           const v1::ResolveBranchRequest& request, Answer<v1::ResolveBranchResponse> answer) {
  const BranchPhase phase = transaction->state.branches[branch].phase;
  const BranchRun& run = transaction->branches[branch];
  if (HasEndedAs(phase, request.outcome())) {
    return answer(Resolved(*transaction, false, "it has ended so already"));
  }
  if (HasEnded(phase)) {
    return answer(
        absl::FailedPreconditionError(absl::StrCat(NameOf(request), " has ended, ", std::string(protocol::Name(phase)),
                                                   ": nothing can be done about it any more")));
  }
  if (phase != BranchPhase::kCommitting && phase != BranchPhase::kAborting) {
    return answer(absl::UnavailableError(absl::StrCat(NameOf(request), " is ", std::string(protocol::Name(phase)),
                                                      ": it is rolled back when its vote has come; ask again")));
  }
  if (request.outcome() == decided) {
    return runner_.TryNow(
        transaction, branch, [this, transaction, branch, request, answer = std::move(answer)]() mutable {
          const BranchPhase now = transaction->state.branches[branch].phase;
          if (HasEndedAs(now, request.outcome()))
            return answer(Resolved(*transaction, false, "it is done, as decided"));
          answer(absl::UnavailableError(
              absl::StrCat(NameOf(request), " has not ended: ", transaction->branches[branch].waits_for,
                           now == BranchPhase::kHeuristic ? "" : "; it is tried again and again")));
        });
  }
  if (!request.force()) return answer(TakesForce(request, decided));
  runner_.Force(transaction, branch, ForcedRecord(request, run.participant_name, run.token, decided, clock_.Now()),
                [this, transaction, request, answer = std::move(answer)](const Finish& finish) mutable {
                  if (finish.kind == Finish::Kind::kDone) return answer(Resolved(*transaction, true, finish.message));
                  answer(absl::UnavailableError(
                      absl::StrCat(NameOf(request), " is not known to have been forced: ", finish.message)));
                });
}

v1::ResolveBranchResponse Shard::Resolved(const Transaction& transaction, bool forced, std::string message) const {
  v1::ResolveBranchResponse response;
  *response.mutable_transaction() = DescribeForOperators(transaction);
  response.set_forced(forced);
  response.set_message(std::move(message));
  return response;
}

// ---- Of one that does not: what a participant still holds of it -----------------------------------------------------

// The answers of all participants, one of which may hold a branch.
struct Shard::HeldBranch {
  v1::ResolveBranchRequest request;
  EndedTransaction ended;
  Answer<v1::ResolveBranchResponse> answer;
  std::size_t outstanding = 0;
  Participant* participant = nullptr;  // that holds it
  InDoubtBranch found = {};
  std::vector<std::string> silent = {};  // that could not be asked
};

void Shard::ResolveLeft(EndedTransaction ended, v1::ResolveBranchRequest request,
                        Answer<v1::ResolveBranchResponse> answer) {
  auto held = std::make_shared<HeldBranch>(
      HeldBranch{.request = std::move(request), .ended = std::move(ended), .answer = std::move(answer)});
  held->outstanding = participants_.size();
  const BranchId wanted{held->ended.id, held->request.branch()};
  for (const auto& participant : participants_) {
    participant->ListOwn([this, held, wanted, p = participant.get()](absl::StatusOr<OwnWork> work) {
      if (!work.ok()) held->silent.emplace_back(p->name());
      if (work.ok()) {
        for (const InDoubtBranch& branch : work->branches) {
          if (branch.branch != wanted) continue;
          held->participant = p;
          held->found = branch;
        }
      }
      if (--held->outstanding == 0) ResolveHeld(held);
    });
  }
}

void Shard::ResolveHeld(const std::shared_ptr<HeldBranch>& held) {
  const v1::Outcome decided = held->ended.outcome;
  const v1::ResolveBranchRequest& request = held->request;
  if (held->participant == nullptr) {
    return held->answer(absl::NotFoundError(
        absl::StrCat(NameOf(request), " is not prepared at any participant",
                     held->silent.empty()
                         ? ""
                         : absl::StrCat(", but for ", absl::StrJoin(held->silent, ", "), ", which cannot be asked now"),
                     ": the transaction is ",
                     decided == v1::COMMITTED ? "committed"
                     : decided == v1::ABORTED ? "aborted"
                                              : "unknown here")));
  }
  if (!take_overs_.Has(held->participant)) {
    return held->answer(absl::UnavailableError(take_overs_.WhyNot(held->participant)));
  }
  if (decided == v1::COMMITTED || decided == v1::ABORTED) {
    // As the sweep does with what it finds; by now it may have.
    sweep_->Own(held->participant, held->found, held->ended);
    const auto orphan = orphans_.find(held->found.branch.ToGid());
    if (orphan != orphans_.end()) return ResolveRunning(orphan->second, request, std::move(held->answer));
    return held->answer(absl::UnavailableError(absl::StrCat(NameOf(request), " has just ended: look at it again")));
  }
  if (!request.force()) return held->answer(TakesForce(request, decided));
  ForceHeld(held);
}

// No decision is known, so there is no protocol to follow: the operator decides, and the audit trail says so first.
void Shard::ForceHeld(const std::shared_ptr<HeldBranch>& held) {
  const std::string participant(held->participant->name());
  const v1::HeuristicRecord record =
      ForcedRecord(held->request, participant, held->found.token, held->ended.outcome, clock_.Now());
  LogForced(record);
  const auto finished = [this, held, record](Finish finish) {
    log_.RecordHeuristic(ForcedResult(record, finish, clock_.Now()), [this, held, finish] {
      scheduler_.Post([held, finish] {
        if (finish.kind != Finish::Kind::kDone) {
          return held->answer(absl::UnavailableError(
              absl::StrCat(NameOf(held->request), " is not known to have been forced: ", finish.message)));
        }
        v1::ResolveBranchResponse response;
        *response.mutable_transaction() = Describe(held->ended);
        response.set_forced(true);
        response.set_message(absl::StrCat("forced to ", Word(held->request.outcome())));
        held->answer(std::move(response));
      });
    });
  };
  log_.RecordHeuristic(record, [this, held, finished] {
    scheduler_.Post([held, finished] {
      const InDoubtBranch& found = held->found;
      if (held->request.outcome() == v1::COMMITTED) {
        held->participant->Commit(found.branch, found.token, finished);
      } else {
        held->participant->Abort(found.branch, found.token, finished);
      }
    });
  });
}

// ---- Recovery now ---------------------------------------------------------------------------------------------------

v1::RecoverResponse Shard::Recover() {
  v1::RecoverResponse response;
  for (const TransactionPtr& transaction : AllRunning()) {
    response.set_retried(response.retried() + runner_.RetryNow(transaction, nullptr));
  }
  response.set_swept(sweep_->RunNow());
  return response;
}

}  // namespace assent
