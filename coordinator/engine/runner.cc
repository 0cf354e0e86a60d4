#include "coordinator/engine/runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "base/mutant.h"
#include "base/shortened.h"

namespace assent {

using protocol::Action;
using protocol::ActionKind;
using protocol::BranchPhase;
using protocol::Phase;

v1::TransactionFailure FailureOfBranch(const TxnId& txn, const BranchRun& branch, const BranchError& error) {
  v1::TransactionFailure failure;
  failure.set_txn_id(txn.ToString());
  failure.set_outcome(v1::UNDECIDED);
  failure.set_branch(branch.name);
  failure.set_sqlstate(error.sqlstate);
  failure.set_kafka_error(error.kafka_error);
  failure.set_kafka_error_name(error.kafka_error_name);
  failure.set_retryable(error.retryable);
  failure.set_reason(
      absl::StrCat("branch \"", branch.name, "\" (participant \"", branch.participant_name, "\"): ", error.message));
  return failure;
}

namespace {

// Of the reason of a failure, which is kept, in memory and in the log. A server may say megabytes.
constexpr std::size_t kMaxReasonBytes = 1024;

// Of a reply, beside its results' own bytes: what wraps each, and ids and the names of all branches.
constexpr std::uint64_t kFramingBytes = 16;
constexpr std::uint64_t kReplyRestBytes = 8 << 10;

// Said before the decision: a caller that cannot take the reply would not learn that its transaction committed.
ExecuteOutcome TooLargeReply(std::uint64_t max_reply_bytes) {
  ExecuteOutcome outcome;
  outcome.error.code = absl::StatusCode::kResourceExhausted;
  outcome.error.message = absl::StrCat(
      "its results make the reply larger than transactions.max_reply_bytes = ", max_reply_bytes,
      "; ask for fewer rows, or raise that option of assentd and the largest message that the callers take");
  return outcome;
}

}  // namespace

Runner::Runner(const EngineOptions& options, std::uint32_t max_recovering, DecisionLog& log, const Clock& clock,
               Scheduler& scheduler, const TakeOvers& take_overs, std::function<void(const TransactionPtr&)> retired)
    : options_(options),
      max_recovering_(max_recovering),
      log_(log),
      clock_(clock),
      scheduler_(scheduler),
      take_overs_(take_overs),
      retired_(std::move(retired)) {}

void Runner::Feed(const TransactionPtr& transaction, protocol::Event event) {
  transaction->pending_events.push_back(event);
  if (transaction->handling_events) return;
  transaction->handling_events = true;
  for (std::size_t i = 0; i < transaction->pending_events.size(); ++i) {
    protocol::Step step = Transition(transaction->state, transaction->pending_events[i]);
    transaction->state = std::move(step.next);
    for (const Action& action : step.actions) Do(transaction, action);
  }
  transaction->pending_events.clear();
  transaction->handling_events = false;
}

void Runner::FeedFailure(const TransactionPtr& transaction, protocol::Event event, v1::TransactionFailure failure) {
  // The first failure is the cause; what follows are its effects.
  if (transaction->IsUndecided()) {
    failure.set_reason(Shortened(std::move(*failure.mutable_reason()), kMaxReasonBytes));
    transaction->failure = std::move(failure);
  }
  Feed(transaction, event);
}

void Runner::Do(const TransactionPtr& transaction, const Action& action) {
  switch (action.kind) {
    case ActionKind::kPrepareBranch:
      return PrepareBranch(transaction, action.branch);
    case ActionKind::kWriteDecision:
      scheduler_.Cancel(transaction->deadline_timer);
      if (ASSENT_MUTANT(committed_before_durable)) Feed(transaction, protocol::DecisionDurable{});
      if (ASSENT_MUTANT(told_before_durable)) Reach(transaction, Milestone::kDatabasesCommitted);
      return WriteDecision(transaction, v1::COMMITTED);
    case ActionKind::kWriteAbort:
      return WriteDecision(transaction, v1::ABORTED);
    case ActionKind::kCommitBranch:
    case ActionKind::kAbortBranch:
      return StartFinishing(transaction, action.branch);
    case ActionKind::kWriteEnd:
      HitFailpoint(Failpoint::kEndUnwritten);
      return log_.End(transaction->id, [this, transaction] {
        HitFailpoint(Failpoint::kEndDurable);
        scheduler_.Post([this, transaction] { Feed(transaction, protocol::EndDurable{}); });
      });
    case ActionKind::kForgetBranch: {
      const BranchRun& branch = transaction->branches[action.branch];
      if (branch.participant != nullptr) branch.participant->Forget(transaction->Branch(action.branch), branch.token);
      return;
    }
    case ActionKind::kAnnounceDecided:
      return Reach(transaction, Milestone::kDecided);
    case ActionKind::kAnnounceDatabasesCommitted:
      return Reach(transaction, Milestone::kDatabasesCommitted);
    case ActionKind::kAnnounceCompleted:
      return Reach(transaction, Milestone::kCompleted);
    case ActionKind::kAnnounceAborted:
      scheduler_.Cancel(transaction->deadline_timer);
      transaction->aborted = true;
      transaction->failure.set_outcome(v1::ABORTED);
      return RunWaiters(transaction);
    case ActionKind::kRetire:
      scheduler_.Cancel(transaction->deadline_timer);
      return retired_(transaction);
  }
}

// ---- Work and votes -------------------------------------------------------------------------------------------------

void Runner::Execute(const TransactionPtr& transaction, std::uint32_t branch, std::uint64_t fingerprint,
                     v1::Operation operation, absl::AnyInvocable<void(const ExecuteOutcome&)> done) {
  BranchRun& run = transaction->branches[branch];
  const std::size_t number = run.operations.size();
  run.operations.emplace_back().fingerprint = fingerprint;
  run.operations.back().waiters.push_back(std::move(done));
  Feed(transaction, protocol::WorkStarted{branch});
  HitFailpoint(Failpoint::kWorkUnsent);
  run.participant->Execute(transaction->Branch(branch), std::move(operation),
                           [this, transaction, branch, number](ExecuteOutcome outcome) {
                             HandleOutcome(transaction, branch, number, std::move(outcome));
                           });
  HitFailpoint(Failpoint::kWorkSent);
}

void Runner::HandleOutcome(const TransactionPtr& transaction, std::uint32_t branch, std::size_t number,
                           ExecuteOutcome outcome) {
  HitFailpoint(Failpoint::kWorkReturned);
  const BranchRun& run = transaction->branches[branch];
  OperationSlot& slot = transaction->branches[branch].operations[number];
  slot.outcome = std::move(outcome);
  const bool fits = !slot.outcome.ok || CountReply(*transaction, slot);
  if (!fits) {
    slot.outcome = TooLargeReply(options_.max_reply_bytes);
    slot.result_bytes = 0;
  }
  slot.outcome.error.message = Shortened(std::move(slot.outcome.error.message), kMaxReasonBytes);
  const bool ok = slot.outcome.ok;
  v1::TransactionFailure failure;
  if (!ok) failure = FailureOfBranch(transaction->id, run, slot.outcome.error);
  KeepReply(*transaction, slot);
  auto waiters = std::exchange(slot.waiters, {});
  for (auto& waiter : waiters) waiter(slot.outcome);
  // The branch takes the work for done, and would vote yes.
  if (!fits) FeedFailure(transaction, protocol::AbortAsked{}, failure);
  if (ok || transaction->state.phase != Phase::kPreparing) return Feed(transaction, protocol::WorkReturned{branch, ok});
  FeedFailure(transaction, protocol::WorkReturned{branch, ok}, std::move(failure));
}

bool Runner::CountReply(Transaction& transaction, OperationSlot& slot) const {
  slot.result_bytes = slot.outcome.result.ByteSizeLong();
  const std::uint64_t framed = slot.result_bytes + kFramingBytes;
  transaction.submit_reply_bytes += framed;
  const std::uint64_t of_reply = transaction.is_submit ? transaction.submit_reply_bytes : framed;
  return of_reply + kReplyRestBytes <= options_.max_reply_bytes;
}

void Runner::KeepReply(Transaction& transaction, OperationSlot& slot) {
  slot.completed = true;
  transaction.stored_reply_bytes += slot.result_bytes;
  for (BranchRun& branch : transaction.branches) {
    for (OperationSlot& old : branch.operations) {
      if (transaction.stored_reply_bytes <= options_.max_stored_reply_bytes) return;
      if (&old == &slot || !old.completed || old.dropped) continue;
      transaction.stored_reply_bytes -= old.result_bytes;
      old.outcome.result.Clear();
      old.dropped = true;
    }
  }
}

void Runner::PrepareBranch(const TransactionPtr& transaction, std::uint32_t branch) {
  BranchRun& run = transaction->branches[branch];
  run.waits_for = "its vote";
  HitFailpoint(Failpoint::kPrepareUnsent);
  run.since = clock_.Now();
  run.participant->Prepare(transaction->Branch(branch), [this, transaction, branch](Vote vote) {
    HandleVote(transaction, branch, std::move(vote));
  });
  HitFailpoint(Failpoint::kPrepareSent);
}

void Runner::HandleVote(const TransactionPtr& transaction, std::uint32_t branch, Vote vote) {
  HitFailpoint(Failpoint::kVoteReturned);
  BranchRun& run = transaction->branches[branch];
  run.token = std::move(vote.token);
  run.waits_for.clear();
  run.since = clock_.Now();
  switch (vote.kind) {
    case Vote::Kind::kYes:
      return Feed(transaction, protocol::Voted{branch, protocol::VoteKind::kYes});
    case Vote::Kind::kReadOnly:
      return Feed(transaction, protocol::Voted{branch, protocol::VoteKind::kReadOnly});
    case Vote::Kind::kNo:
      return FeedFailure(transaction, protocol::Voted{branch, protocol::VoteKind::kNo},
                         FailureOfBranch(transaction->id, run, vote.error));
    case Vote::Kind::kUnknown:
      return FeedFailure(transaction,
                         protocol::Voted{branch, ASSENT_MUTANT(unknown_vote_is_no) ? protocol::VoteKind::kNo
                                                                                   : protocol::VoteKind::kUnknown},
                         FailureOfBranch(transaction->id, run, vote.error));
  }
}

// ---- Decisions ------------------------------------------------------------------------------------------------------

void Runner::WriteDecision(const TransactionPtr& transaction, v1::Outcome outcome) {
  v1::DecisionRecord record;
  record.set_txn_id(transaction->id.ToString());
  record.set_outcome(outcome);
  record.set_request_id(transaction->request_id);
  record.set_request_hash(transaction->request_hash);
  transaction->decided_at = clock_.Now();
  record.set_decided_at_us(absl::ToUnixMicros(transaction->decided_at));
  if (outcome == v1::COMMITTED) {
    for (std::uint32_t i = 0; i < transaction->branches.size(); ++i) {
      if (transaction->state.branches[i].phase != BranchPhase::kPrepared) continue;
      v1::BranchRecord& branch = *record.add_branches();
      branch.set_branch(transaction->branches[i].name);
      branch.set_participant(transaction->branches[i].participant_name);
      branch.set_token(transaction->branches[i].token);
    }
    HitFailpoint(Failpoint::kDecisionUnwritten);
    log_.Decide(record, [this, transaction] {
      HitFailpoint(Failpoint::kDecisionDurable);
      scheduler_.Post([this, transaction] { Feed(transaction, protocol::DecisionDurable{}); });
    });
  } else {
    *record.mutable_failure() = transaction->failure;
    record.mutable_failure()->set_outcome(v1::ABORTED);
    log_.Decide(record, [this, transaction] {
      scheduler_.Post([this, transaction] { Feed(transaction, protocol::AbortDurable{}); });
    });
  }
}

// ---- Waiters --------------------------------------------------------------------------------------------------------

void Runner::WhenReached(const TransactionPtr& transaction, Milestone milestone, absl::AnyInvocable<void()> then) {
  if (transaction->aborted || transaction->reached >= milestone) return then();
  transaction->waiters.emplace_back(milestone, std::move(then));
}

void Runner::Reach(const TransactionPtr& transaction, Milestone milestone) {
  ASSENT_CHECK(!transaction->aborted, "an aborted transaction is announced as committed");
  transaction->reached = std::max(transaction->reached, milestone);
  RunWaiters(transaction);
}

void Runner::RunWaiters(const TransactionPtr& transaction) {
  auto waiters = std::exchange(transaction->waiters, {});
  for (auto& [milestone, then] : waiters) {
    if (transaction->aborted || transaction->reached >= milestone) {
      HitFailpoint(Failpoint::kReplyUnsent);
      then();
      HitFailpoint(Failpoint::kReplySent);
    } else {
      transaction->waiters.emplace_back(milestone, std::move(then));
    }
  }
}

}  // namespace assent
