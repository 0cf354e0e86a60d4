#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <unordered_map>

#include "base/clock.h"
#include "coordinator/engine/engine.h"
#include "coordinator/engine/finish_turns.h"
#include "coordinator/engine/scheduler.h"
#include "coordinator/engine/take_overs.h"
#include "coordinator/engine/transaction.h"
#include "coordinator/log/decision_log.h"

namespace assent {

// Carries transactions through the protocol: feeds events to Transition(), does the actions it answers with, and feeds
// what comes of them back. It decides nothing.
//
// Owned by a shard, used on its thread only; the log, the scheduler and the participants outlive it.
class Runner {
 public:
  // `retired` runs when nothing is left to do for a transaction. `max_recovering` is the shard's share of the option.
  Runner(const EngineOptions& options, std::uint32_t max_recovering, DecisionLog& log, const Clock& clock,
         Scheduler& scheduler, const TakeOvers& take_overs, std::function<void(const TransactionPtr&)> retired);

  // An event happened. May be called from within an action.
  void Feed(const TransactionPtr& transaction, protocol::Event event);

  // As Feed(), for an event that may abort: `failure` becomes the reason if it does.
  void FeedFailure(const TransactionPtr& transaction, protocol::Event event, v1::TransactionFailure failure);

  // Does an operation in a branch; `done` gets its answer. The transaction is active.
  void Execute(const TransactionPtr& transaction, std::uint32_t branch, std::uint64_t fingerprint,
               v1::Operation operation, absl::AnyInvocable<void(const ExecuteOutcome&)> done);

  // Runs `then` as soon as the transaction has reached `milestone` or is aborted; at once if it has.
  void WhenReached(const TransactionPtr& transaction, Milestone milestone, absl::AnyInvocable<void()> then);

  // Finishes what has waited for `participant` to be taken over, turn by turn.
  void FinishAt(const TransactionPtr& transaction, const Participant* participant);

  // What waits for its next attempt at `participant`, which has come back, waits for nothing but its turn any more;
  // null: at any. How many.
  int RetryNow(const TransactionPtr& transaction, const Participant* participant);

  // Tries at once to end a branch as decided, unless that is under way; `then` runs when the attempt has ended, or
  // could not be made.
  void TryNow(const TransactionPtr& transaction, std::uint32_t branch, absl::AnyInvocable<void()> then);

  // Ends a branch that is to be finished as step.forced() says, against the decision: the step is made durable, then
  // the participant is called, once, and then what came of it is made durable. Where the participant has not done it,
  // the branch goes on as decided.
  void Force(const TransactionPtr& transaction, std::uint32_t branch, v1::HeuristicRecord step,
             absl::AnyInvocable<void(const Finish&)> done);

 private:
  void Do(const TransactionPtr& transaction, const protocol::Action& action);
  void HandleOutcome(const TransactionPtr& transaction, std::uint32_t branch, std::size_t number,
                     ExecuteOutcome outcome);
  // Counts the slot's result. Whether the reply that carries it is one that callers take.
  bool CountReply(Transaction& transaction, OperationSlot& slot) const;
  // Keeps the slot's outcome for repeats; the oldest results give way to the bound.
  void KeepReply(Transaction& transaction, OperationSlot& slot);
  void PrepareBranch(const TransactionPtr& transaction, std::uint32_t branch);
  void HandleVote(const TransactionPtr& transaction, std::uint32_t branch, Vote vote);
  void StartFinishing(const TransactionPtr& transaction, std::uint32_t branch);
  FinishTurns& TurnsAt(const Participant* participant);
  void FinishInTurn(const TransactionPtr& transaction, std::uint32_t branch);
  void TakeTurn(const TransactionPtr& transaction, std::uint32_t branch, FinishTurns::Turn turn);
  void FinishBranch(const TransactionPtr& transaction, std::uint32_t branch);
  void HandleFinish(const TransactionPtr& transaction, std::uint32_t branch, Finish finish);
  void EndAttempt(const TransactionPtr& transaction, std::uint32_t branch);
  void CallForced(const TransactionPtr& transaction, std::uint32_t branch, const v1::HeuristicRecord& step,
                  absl::AnyInvocable<void(const Finish&)> done);
  void HandleForced(const TransactionPtr& transaction, std::uint32_t branch, const v1::HeuristicRecord& step,
                    const Finish& finish, absl::AnyInvocable<void(const Finish&)> done);
  void RetryLater(const TransactionPtr& transaction, std::uint32_t branch);
  void RecordHeuristic(const TransactionPtr& transaction, std::uint32_t branch, std::string what);
  void WriteDecision(const TransactionPtr& transaction, v1::Outcome outcome);
  void Reach(const TransactionPtr& transaction, Milestone milestone);
  void RunWaiters(const TransactionPtr& transaction);
  absl::Duration RetryDelay(int failures);

  const EngineOptions& options_;
  const std::uint32_t max_recovering_;
  DecisionLog& log_;
  const Clock& clock_;
  Scheduler& scheduler_;
  const TakeOvers& take_overs_;  // no branch is finished where nothing is taken over
  std::function<void(const TransactionPtr&)> retired_;
  std::unordered_map<const Participant*, FinishTurns> turns_;
  std::minstd_rand jitter_;  // spreads retries; nothing depends on its values
};

// The reason that an error of a branch gives, for callers.
v1::TransactionFailure FailureOfBranch(const TxnId& txn, const BranchRun& branch, const BranchError& error);

}  // namespace assent
