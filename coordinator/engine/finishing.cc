// The end of branches: attempts, turns and pauses, and what an operator asks for.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/failpoint.h"
#include "base/jitter.h"
#include "base/mutant.h"
#include "coordinator/engine/forced_step.h"
#include "coordinator/engine/runner.h"

namespace assent {

using protocol::BranchPhase;

namespace {

bool IsToBeFinished(BranchPhase phase) { return phase == BranchPhase::kCommitting || phase == BranchPhase::kAborting; }

}  // namespace

void Runner::StartFinishing(const TransactionPtr& transaction, std::uint32_t branch) {
  // What an earlier process left has waited for longer than this one knows.
  if (transaction->in_log || transaction->found_by_sweep) return FinishInTurn(transaction, branch);
  transaction->branches[branch].since = clock_.Now();
  FinishBranch(transaction, branch);
}

FinishTurns& Runner::TurnsAt(const Participant* participant) {
  return turns_.try_emplace(participant, scheduler_, max_recovering_).first->second;
}

void Runner::FinishInTurn(const TransactionPtr& transaction, std::uint32_t branch) {
  BranchRun& run = transaction->branches[branch];
  // Whom no attempt can be made at now needs no turn: it says what the branch waits for.
  if (run.participant == nullptr || !take_overs_.Has(run.participant)) return FinishBranch(transaction, branch);
  run.retry = 0;
  run.next_attempt = absl::InfinitePast();
  if (std::exchange(run.awaits_turn, true)) return;
  TurnsAt(run.participant).Await([this, transaction, branch](FinishTurns::Turn turn) {
    TakeTurn(transaction, branch, turn);
  });
  if (run.awaits_turn && run.attempts == 0) run.waits_for = "its turn: others are being finished there";
}

void Runner::TakeTurn(const TransactionPtr& transaction, std::uint32_t branch, FinishTurns::Turn turn) {
  BranchRun& run = transaction->branches[branch];
  run.awaits_turn = false;
  // An operator may have tried it meanwhile.
  const bool is_due =
      IsToBeFinished(transaction->state.branches[branch].phase) && !run.attempt_under_way && run.retry == 0;
  if (!is_due) return TurnsAt(run.participant).End(turn);
  run.turn = turn;
  FinishBranch(transaction, branch);
}

void Runner::FinishBranch(const TransactionPtr& transaction, std::uint32_t branch) {
  BranchRun& run = transaction->branches[branch];
  run.retry = 0;
  run.next_attempt = absl::InfinitePast();
  if (run.participant == nullptr) {
    run.waits_for = absl::StrCat("participant \"", run.participant_name,
                                 "\", which the configuration no longer names: name it again to finish this branch");
    return;
  }
  if (!take_overs_.Has(run.participant)) {
    run.waits_for = take_overs_.WhyNot(run.participant);
    return;
  }
  ++run.attempts;
  run.attempt_under_way = true;
  auto done = [this, transaction, branch](Finish finish) { HandleFinish(transaction, branch, std::move(finish)); };
  if (transaction->state.branches[branch].phase == BranchPhase::kCommitting) {
    HitFailpoint(Failpoint::kCommitUnsent);
    run.participant->Commit(transaction->Branch(branch), run.token, std::move(done));
    HitFailpoint(Failpoint::kCommitSent);
  } else {
    HitFailpoint(Failpoint::kAbortUnsent);
    run.participant->Abort(transaction->Branch(branch), run.token, std::move(done));
    HitFailpoint(Failpoint::kAbortSent);
  }
}

void Runner::HandleFinish(const TransactionPtr& transaction, std::uint32_t branch, Finish finish) {
  BranchRun& run = transaction->branches[branch];
  const bool commits = transaction->state.branches[branch].phase == BranchPhase::kCommitting;
  HitFailpoint(commits ? Failpoint::kCommitReturned : Failpoint::kAbortReturned);
  switch (finish.kind) {
    case Finish::Kind::kDone:
      run.waits_for.clear();
      run.is_repaired = finish.repaired;
      if (finish.repaired) {
        spdlog::warn(
            "transaction {}: branch \"{}\" is repaired: participant \"{}\" had lost its work, and was given it again",
            transaction->id.ToString(), run.name, run.participant_name);
      }
      Feed(transaction, protocol::BranchEnded{branch, protocol::Ending::kAsTold});
      return EndAttempt(transaction, branch);
    case Finish::Kind::kRetry:
      if (ASSENT_MUTANT(unknown_end_is_done)) return Feed(transaction, protocol::BranchEnded{branch, {}});
      run.waits_for = std::move(finish.message);
      RetryLater(transaction, branch);
      return EndAttempt(transaction, branch);
    case Finish::Kind::kHeuristic:
      return RecordHeuristic(transaction, branch, std::move(finish.message));
  }
}

void Runner::RetryLater(const TransactionPtr& transaction, std::uint32_t branch) {
  BranchRun& run = transaction->branches[branch];
  const absl::Duration delay = RetryDelay(++run.failures);
  run.next_attempt = clock_.Now() + delay;
  run.retry = scheduler_.After(delay, [this, transaction, branch] { FinishInTurn(transaction, branch); });
}

void Runner::RecordHeuristic(const TransactionPtr& transaction, std::uint32_t branch, std::string what) {
  const BranchRun& run = transaction->branches[branch];
  const bool commits = transaction->state.branches[branch].phase == BranchPhase::kCommitting;
  v1::HeuristicRecord record;
  record.set_txn_id(transaction->id.ToString());
  record.set_branch(run.name);
  record.set_participant(run.participant_name);
  record.set_token(run.token);
  record.set_decided(commits ? v1::COMMITTED : v1::ABORTED);
  record.set_what(std::move(what));
  record.set_found_at_us(absl::ToUnixMicros(clock_.Now()));
  spdlog::error("transaction {}: branch \"{}\" at participant \"{}\" has not followed the decision, {}: {}",
                record.txn_id(), run.name, run.participant_name, v1::Outcome_Name(record.decided()), record.what());
  log_.RecordHeuristic(record, [this, transaction, branch, message = record.what()] {
    scheduler_.Post([this, transaction, branch, message] {
      transaction->branches[branch].waits_for = message;
      Feed(transaction, protocol::BranchEnded{branch, protocol::Ending::kHeuristic});
      EndAttempt(transaction, branch);
    });
  });
}

void Runner::FinishAt(const TransactionPtr& transaction, const Participant* participant) {
  for (std::uint32_t i = 0; i < transaction->branches.size(); ++i) {
    const bool is_there = transaction->branches[i].participant == participant;
    if (is_there && IsToBeFinished(transaction->state.branches[i].phase)) FinishInTurn(transaction, i);
  }
}

int Runner::RetryNow(const TransactionPtr& transaction, const Participant* participant) {
  int retried = 0;
  for (std::uint32_t i = 0; i < transaction->branches.size(); ++i) {
    BranchRun& run = transaction->branches[i];
    if ((participant != nullptr && run.participant != participant) || run.retry == 0) continue;
    scheduler_.Cancel(run.retry);
    run.failures = 0;
    FinishInTurn(transaction, i);
    ++retried;
  }
  return retried;
}

void Runner::EndAttempt(const TransactionPtr& transaction, std::uint32_t branch) {
  BranchRun& run = transaction->branches[branch];
  run.attempt_under_way = false;
  auto waiting = std::exchange(run.after_attempt, {});
  for (auto& then : waiting) then();
  if (const FinishTurns::Turn turn = std::exchange(run.turn, 0); turn != 0) TurnsAt(run.participant).End(turn);
}

absl::Duration Runner::RetryDelay(int failures) {
  const absl::Duration doubled = options_.first_retry * (1 << std::min(failures - 1, 20));
  return Jittered(std::min(doubled, options_.last_retry), jitter_);
}

// ---- By hand --------------------------------------------------------------------------------------------------------

void Runner::TryNow(const TransactionPtr& transaction, std::uint32_t branch, absl::AnyInvocable<void()> then) {
  BranchRun& run = transaction->branches[branch];
  if (!run.attempt_under_way) {
    scheduler_.Cancel(run.retry);
    FinishBranch(transaction, branch);
  }
  if (!run.attempt_under_way) return then();
  run.after_attempt.push_back(std::move(then));
}

void Runner::Force(const TransactionPtr& transaction, std::uint32_t branch, v1::HeuristicRecord step,
                   absl::AnyInvocable<void(const Finish&)> done) {
  BranchRun& run = transaction->branches[branch];
  const auto refuse = [&](std::string why) { done({.kind = Finish::Kind::kRetry, .message = std::move(why)}); };
  if (!IsToBeFinished(transaction->state.branches[branch].phase)) return refuse("it has ended meanwhile");
  if (run.participant == nullptr || !take_overs_.Has(run.participant)) return refuse(run.waits_for);
  if (run.attempt_under_way) {
    run.after_attempt.push_back([this, transaction, branch, step = std::move(step), done = std::move(done)]() mutable {
      Force(transaction, branch, std::move(step), std::move(done));
    });
    return;
  }
  scheduler_.Cancel(std::exchange(run.retry, 0));
  run.next_attempt = absl::InfinitePast();
  run.attempt_under_way = true;
  LogForced(step);
  log_.RecordHeuristic(step, [this, transaction, branch, step, done = std::move(done)]() mutable {
    scheduler_.Post([this, transaction, branch, step, done = std::move(done)]() mutable {
      CallForced(transaction, branch, step, std::move(done));
    });
  });
}

void Runner::CallForced(const TransactionPtr& transaction, std::uint32_t branch, const v1::HeuristicRecord& step,
                        absl::AnyInvocable<void(const Finish&)> done) {
  const BranchRun& run = transaction->branches[branch];
  auto finished = [this, transaction, branch, step, done = std::move(done)](const Finish& finish) mutable {
    log_.RecordHeuristic(ForcedResult(step, finish, clock_.Now()),
                         [this, transaction, branch, step, finish, done = std::move(done)]() mutable {
                           scheduler_.Post([this, transaction, branch, step, finish, done = std::move(done)]() mutable {
                             HandleForced(transaction, branch, step, finish, std::move(done));
                           });
                         });
  };
  if (step.forced() == v1::COMMITTED) {
    run.participant->Commit(transaction->Branch(branch), run.token, std::move(finished));
  } else {
    run.participant->Abort(transaction->Branch(branch), run.token, std::move(finished));
  }
}

void Runner::HandleForced(const TransactionPtr& transaction, std::uint32_t branch, const v1::HeuristicRecord& step,
                          const Finish& finish, absl::AnyInvocable<void(const Finish&)> done) {
  BranchRun& run = transaction->branches[branch];
  if (finish.kind == Finish::Kind::kDone) {
    run.waits_for = ForcedText(step);
    Feed(transaction, protocol::BranchEnded{branch, protocol::Ending::kHeuristic});
  } else {
    // Also where it is found to have ended by itself: whether as decided, the next attempt finds out.
    run.waits_for = finish.message;
    RetryLater(transaction, branch);
  }
  done(finish);
  EndAttempt(transaction, branch);
}

}  // namespace assent
