#include "coordinator/protocol/transition.h"

#include <algorithm>

#include "base/check.h"
#include "base/mutant.h"

namespace assent::protocol {
namespace {

bool HasEnded(const Branch& branch) {
  switch (branch.phase) {
    case BranchPhase::kCommitted:
    case BranchPhase::kAborted:
    case BranchPhase::kReadOnly:
    case BranchPhase::kHeuristic:
      return true;
    case BranchPhase::kOpen:
    case BranchPhase::kHeld:
    case BranchPhase::kPreparing:
    case BranchPhase::kPrepared:
    case BranchPhase::kInDoubt:
    case BranchPhase::kCommitting:
    case BranchPhase::kAborting:
      return false;
  }
  return false;
}

bool HasVotedToCommit(const Branch& branch) {
  return branch.phase == BranchPhase::kPrepared || branch.phase == BranchPhase::kReadOnly;
}

// One step under way: the state being built, and the actions collected so far.
class Stepper {
 public:
  explicit Stepper(const State& state) : step_{state, {}} {}

  Step Take() && { return std::move(step_); }

  void operator()(const Enlisted& event) {
    if (state().phase != Phase::kActive) return;
    state().branches.push_back(Branch{.kind = event.kind, .after_databases = event.after_databases});
  }

  void operator()(const WorkStarted& event) {
    if (state().phase == Phase::kActive) ++At(event.branch).operations_outstanding;
  }

  void operator()(const WorkReturned& event) {
    Branch& branch = At(event.branch);
    if (branch.operations_outstanding > 0) --branch.operations_outstanding;
    if (state().phase != Phase::kPreparing) return;
    // Before Commit a failed operation is the caller's to judge (a savepoint may save the branch). Afterwards nobody
    // can.
    if (!event.ok) return StartAborting();
    ReleaseHeldBranches();
  }

  void operator()(const CommitAsked&) {
    if (state().phase != Phase::kActive) return;
    state().phase = Phase::kPreparing;
    for (std::uint32_t i = 0; i < state().branches.size(); ++i) {
      Branch& branch = At(i);
      if (branch.after_databases && !ASSENT_MUTANT(records_before_sql)) {
        branch.phase = BranchPhase::kHeld;
      } else {
        Prepare(i);
      }
    }
    ReleaseHeldBranches();
    DecideIfAllVotedYes();
  }

  void operator()(const AbortAsked&) { AbortIfUndecided(); }
  void operator()(const DeadlinePassed&) { AbortIfUndecided(); }

  void operator()(const Voted& event) {
    Branch& branch = At(event.branch);
    if (branch.phase != BranchPhase::kPreparing) return;
    branch.phase = PhaseAfter(event.vote);
    if (state().phase == Phase::kAborting) {
      if (!HasEnded(branch)) AbortBranch(event.branch);
      RetireIfAborted();
    } else if (!HasVotedToCommit(branch)) {
      StartAborting();
    } else {
      DecideIfAllVotedYes();
    }
  }

  void operator()(const DecisionDurable&) {
    if (state().phase != Phase::kDeciding) return;
    state().phase = Phase::kCommitting;
    for (std::uint32_t i = 0; i < state().branches.size(); ++i) {
      if (At(i).phase != BranchPhase::kPrepared) continue;
      At(i).phase = BranchPhase::kCommitting;
      Do(ActionKind::kCommitBranch, i);
    }
    Do(ActionKind::kAnnounceDecided);
    if (DatabasesHaveEnded()) Do(ActionKind::kAnnounceDatabasesCommitted);
    EndIfCommitted();
  }

  void operator()(const AbortDurable&) {
    if (state().phase != Phase::kAborting || !state().abort_is_recorded || state().abort_is_durable) return;
    state().abort_is_durable = true;
    Do(ActionKind::kAnnounceAborted);
    RetireIfAborted();
  }

  void operator()(const BranchEnded& event) {
    Branch& branch = At(event.branch);
    if (branch.phase == BranchPhase::kCommitting) {
      const bool databases_had_ended = DatabasesHaveEnded();
      branch.phase = event.ending == Ending::kAsTold ? BranchPhase::kCommitted : BranchPhase::kHeuristic;
      if (!databases_had_ended && DatabasesHaveEnded()) Do(ActionKind::kAnnounceDatabasesCommitted);
      EndIfCommitted();
    } else if (branch.phase == BranchPhase::kAborting) {
      branch.phase = event.ending == Ending::kAsTold ? BranchPhase::kAborted : BranchPhase::kHeuristic;
      RetireIfAborted();
    }
  }

  void operator()(const EndDurable&) {
    if (state().phase != Phase::kCommitted) return;
    // Only now: had the END been lost, a later process would commit the branches again by their tokens.
    ForgetBranches();
    state().phase = Phase::kEnded;
    Do(ActionKind::kRetire);
  }

 private:
  State& state() { return step_.next; }

  Branch& At(std::uint32_t branch) {
    ASSENT_CHECK(branch < state().branches.size(), "an event names a branch that does not exist");
    return state().branches[branch];
  }

  void Do(ActionKind kind, std::uint32_t branch = 0) { step_.actions.push_back({kind, branch}); }

  static BranchPhase PhaseAfter(VoteKind vote) {
    switch (vote) {
      case VoteKind::kYes:
        return BranchPhase::kPrepared;
      case VoteKind::kReadOnly:
        return BranchPhase::kReadOnly;
      case VoteKind::kNo:
        return BranchPhase::kAborted;
      case VoteKind::kUnknown:
        return BranchPhase::kInDoubt;
    }
    return BranchPhase::kInDoubt;
  }

  void Prepare(std::uint32_t i) {
    At(i).phase = BranchPhase::kPreparing;
    Do(ActionKind::kPrepareBranch, i);
  }

  void ReleaseHeldBranches() {
    for (const Branch& branch : state().branches) {
      if (branch.kind == BranchKind::kDatabase && branch.operations_outstanding > 0) return;
    }
    for (std::uint32_t i = 0; i < state().branches.size(); ++i) {
      if (At(i).phase == BranchPhase::kHeld) Prepare(i);
    }
  }

  void DecideIfAllVotedYes() {
    if (!std::all_of(state().branches.begin(), state().branches.end(), HasVotedToCommit)) return;
    state().phase = Phase::kDeciding;
    Do(ActionKind::kWriteDecision);
  }

  bool DatabasesHaveEnded() {
    return std::all_of(state().branches.begin(), state().branches.end(),
                       [](const Branch& branch) { return branch.kind != BranchKind::kDatabase || HasEnded(branch); });
  }

  void EndIfCommitted() {
    if (!std::all_of(state().branches.begin(), state().branches.end(), HasEnded)) return;
    state().phase = Phase::kCommitted;
    if (ASSENT_MUTANT(forgotten_before_end_is_durable)) ForgetBranches();
    Do(ActionKind::kAnnounceCompleted);
    Do(ActionKind::kWriteEnd);
  }

  void AbortIfUndecided() {
    if (ASSENT_MUTANT(aborted_while_deciding) && state().phase == Phase::kDeciding) StartAborting();
    if (state().phase == Phase::kActive || state().phase == Phase::kPreparing) StartAborting();
  }

  void StartAborting() {
    state().phase = Phase::kAborting;
    // A branch that is preparing is aborted when its vote has come: nothing can be rolled back while it is being
    // prepared.
    for (std::uint32_t i = 0; i < state().branches.size(); ++i) {
      if (At(i).phase != BranchPhase::kPreparing && !HasEnded(At(i))) AbortBranch(i);
    }
    if (state().abort_is_recorded) {
      Do(ActionKind::kWriteAbort);
    } else {
      Do(ActionKind::kAnnounceAborted);
    }
    RetireIfAborted();
  }

  void AbortBranch(std::uint32_t i) {
    At(i).phase = BranchPhase::kAborting;
    Do(ActionKind::kAbortBranch, i);
  }

  void RetireIfAborted() {
    if (state().abort_is_recorded && !state().abort_is_durable) return;
    if (!std::all_of(state().branches.begin(), state().branches.end(), HasEnded)) return;
    ForgetBranches();
    state().phase = Phase::kEnded;
    Do(ActionKind::kRetire);
  }

  void ForgetBranches() {
    for (std::uint32_t i = 0; i < state().branches.size(); ++i) Do(ActionKind::kForgetBranch, i);
  }

  Step step_;
};

}  // namespace

Step Transition(const State& state, const Event& event) {
  Stepper stepper(state);
  std::visit(stepper, event);
  return std::move(stepper).Take();
}

State DecidedInTheLog(const absl::InlinedVector<BranchKind, 2>& branches) {
  State state{.phase = Phase::kDeciding};
  for (const BranchKind kind : branches) {
    state.branches.push_back(Branch{.kind = kind, .phase = BranchPhase::kPrepared});
  }
  return state;
}

State PreparedWithoutDecision(BranchKind branch) {
  State state{.phase = Phase::kPreparing};
  state.branches.push_back(Branch{.kind = branch, .phase = BranchPhase::kInDoubt});
  return state;
}

std::string_view Name(Phase phase) {
  switch (phase) {
    case Phase::kActive:
      return "active";
    case Phase::kPreparing:
      return "preparing";
    case Phase::kDeciding:
      return "deciding";
    case Phase::kCommitting:
      return "committing";
    case Phase::kCommitted:
      return "committed";
    case Phase::kAborting:
      return "aborting";
    case Phase::kEnded:
      return "ended";
  }
  return "?";
}

std::string_view Name(BranchPhase phase) {
  switch (phase) {
    case BranchPhase::kOpen:
      return "open";
    case BranchPhase::kHeld:
      return "held";
    case BranchPhase::kPreparing:
      return "preparing";
    case BranchPhase::kPrepared:
      return "prepared";
    case BranchPhase::kInDoubt:
      return "in doubt";
    case BranchPhase::kCommitting:
      return "committing";
    case BranchPhase::kAborting:
      return "aborting";
    case BranchPhase::kCommitted:
      return "committed";
    case BranchPhase::kAborted:
      return "aborted";
    case BranchPhase::kReadOnly:
      return "read-only";
    case BranchPhase::kHeuristic:
      return "heuristic";
  }
  return "?";
}

}  // namespace assent::protocol
