#include "coordinator/protocol/transition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace assent::protocol {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kDatabase = 0;
constexpr std::uint32_t kBroker = 1;

// A transaction under test: feeds events, keeps the last actions.
class Driver {
 public:
  explicit Driver(State state = {}) : state_(std::move(state)) {}

  Driver& Feed(const Event& event) {
    Step step = Transition(state_, event);
    state_ = std::move(step.next);
    actions_.assign(step.actions.begin(), step.actions.end());
    return *this;
  }

  const State& state() const { return state_; }
  const std::vector<Action>& actions() const { return actions_; }
  Phase phase() const { return state_.phase; }
  BranchPhase branch(std::uint32_t i) const { return state_.branches[i].phase; }

 private:
  State state_;
  std::vector<Action> actions_;
};

Driver DatabaseAndBroker(bool record_abort = false) {
  Driver driver(State{.abort_is_recorded = record_abort});
  driver.Feed(Enlisted{BranchKind::kDatabase, false}).Feed(Enlisted{BranchKind::kBroker, true});
  return driver;
}

Action Prepare(std::uint32_t branch) { return {ActionKind::kPrepareBranch, branch}; }
Action Commit(std::uint32_t branch) { return {ActionKind::kCommitBranch, branch}; }
Action Abort(std::uint32_t branch) { return {ActionKind::kAbortBranch, branch}; }
Action Forget(std::uint32_t branch) { return {ActionKind::kForgetBranch, branch}; }
const Action kWriteDecision{ActionKind::kWriteDecision};
const Action kWriteAbort{ActionKind::kWriteAbort};
const Action kWriteEnd{ActionKind::kWriteEnd};
const Action kDecided{ActionKind::kAnnounceDecided};
const Action kDatabases{ActionKind::kAnnounceDatabasesCommitted};
const Action kCompleted{ActionKind::kAnnounceCompleted};
const Action kAborted{ActionKind::kAnnounceAborted};
const Action kRetire{ActionKind::kRetire};

TEST(TransitionTest, AllYesVotesCommitEverywhereAndThenEnd) {
  Driver t = DatabaseAndBroker();
  EXPECT_THAT(t.Feed(CommitAsked{}).actions(), ElementsAre(Prepare(kDatabase), Prepare(kBroker)));
  EXPECT_THAT(t.Feed(Voted{kDatabase, VoteKind::kYes}).actions(), IsEmpty());
  EXPECT_THAT(t.Feed(Voted{kBroker, VoteKind::kYes}).actions(), ElementsAre(kWriteDecision));
  EXPECT_THAT(t.Feed(DecisionDurable{}).actions(), ElementsAre(Commit(kDatabase), Commit(kBroker), kDecided));
  EXPECT_THAT(t.Feed(BranchEnded{kDatabase, Ending::kAsTold}).actions(), ElementsAre(kDatabases));
  EXPECT_THAT(t.Feed(BranchEnded{kBroker, Ending::kAsTold}).actions(), ElementsAre(kCompleted, kWriteEnd));
  EXPECT_EQ(t.phase(), Phase::kCommitted);
  EXPECT_THAT(t.Feed(EndDurable{}).actions(), ElementsAre(Forget(kDatabase), Forget(kBroker), kRetire));
  EXPECT_EQ(t.phase(), Phase::kEnded);
}

TEST(TransitionTest, OneNoVoteAborts) {
  Driver t = DatabaseAndBroker();
  t.Feed(CommitAsked{}).Feed(Voted{kDatabase, VoteKind::kYes});
  EXPECT_THAT(t.Feed(Voted{kBroker, VoteKind::kNo}).actions(), ElementsAre(Abort(kDatabase), kAborted));
  EXPECT_THAT(t.Feed(BranchEnded{kDatabase, Ending::kAsTold}).actions(),
              ElementsAre(Forget(kDatabase), Forget(kBroker), kRetire));
}

TEST(TransitionTest, AnUnknownVoteAbortsAndItsBranchIsToldTo) {
  Driver t = DatabaseAndBroker();
  t.Feed(CommitAsked{}).Feed(Voted{kBroker, VoteKind::kYes});
  EXPECT_THAT(t.Feed(Voted{kDatabase, VoteKind::kUnknown}).actions(),
              ElementsAre(Abort(kDatabase), Abort(kBroker), kAborted));
}

TEST(TransitionTest, ABranchThatIsPreparingIsAbortedOnlyAfterItsVote) {
  Driver t = DatabaseAndBroker();
  t.Feed(CommitAsked{});
  EXPECT_THAT(t.Feed(DeadlinePassed{}).actions(), ElementsAre(kAborted));
  EXPECT_THAT(t.Feed(Voted{kDatabase, VoteKind::kYes}).actions(), ElementsAre(Abort(kDatabase)));
  EXPECT_THAT(t.Feed(Voted{kBroker, VoteKind::kNo}).actions(), IsEmpty());
  EXPECT_THAT(t.Feed(BranchEnded{kDatabase, Ending::kAsTold}).actions(),
              ElementsAre(Forget(kDatabase), Forget(kBroker), kRetire));
}

TEST(TransitionTest, ABrokerIsPreparedOnlyAfterTheSqlHasReturned) {
  Driver t = DatabaseAndBroker();
  t.Feed(WorkStarted{kDatabase}).Feed(WorkStarted{kBroker});
  EXPECT_THAT(t.Feed(CommitAsked{}).actions(), ElementsAre(Prepare(kDatabase)));
  EXPECT_EQ(t.branch(kBroker), BranchPhase::kHeld);
  EXPECT_THAT(t.Feed(WorkReturned{kBroker, true}).actions(), IsEmpty());
  EXPECT_THAT(t.Feed(WorkReturned{kDatabase, true}).actions(), ElementsAre(Prepare(kBroker)));
}

TEST(TransitionTest, AnUnorderedBrokerIsPreparedAtOnce) {
  Driver t;
  t.Feed(Enlisted{BranchKind::kDatabase, false}).Feed(Enlisted{BranchKind::kBroker, false});
  t.Feed(WorkStarted{kDatabase});
  EXPECT_THAT(t.Feed(CommitAsked{}).actions(), ElementsAre(Prepare(kDatabase), Prepare(kBroker)));
}

TEST(TransitionTest, WorkThatFailsAfterCommitWasAskedForAbortsWithoutProducing) {
  Driver t = DatabaseAndBroker();
  t.Feed(WorkStarted{kDatabase}).Feed(CommitAsked{});
  EXPECT_THAT(t.Feed(WorkReturned{kDatabase, false}).actions(), ElementsAre(Abort(kBroker), kAborted));
}

TEST(TransitionTest, WorkThatFailsBeforeCommitIsTheCallersToJudge) {
  Driver t = DatabaseAndBroker();
  t.Feed(WorkStarted{kDatabase});
  EXPECT_THAT(t.Feed(WorkReturned{kDatabase, false}).actions(), IsEmpty());
  EXPECT_EQ(t.phase(), Phase::kActive);
}

TEST(TransitionTest, AnAbortThatMustBeRecordedIsAnnouncedOnlyWhenDurable) {
  Driver t = DatabaseAndBroker(true);
  EXPECT_THAT(t.Feed(AbortAsked{}).actions(), ElementsAre(Abort(kDatabase), Abort(kBroker), kWriteAbort));
  t.Feed(BranchEnded{kDatabase, Ending::kAsTold});
  EXPECT_THAT(t.Feed(BranchEnded{kBroker, Ending::kAsTold}).actions(), IsEmpty());
  EXPECT_THAT(t.Feed(AbortDurable{}).actions(), ElementsAre(kAborted, Forget(kDatabase), Forget(kBroker), kRetire));
}

TEST(TransitionTest, NothingAbortsFromDecidingOn) {
  Driver t = DatabaseAndBroker();
  t.Feed(CommitAsked{}).Feed(Voted{kDatabase, VoteKind::kYes}).Feed(Voted{kBroker, VoteKind::kYes});
  for (const Event& event : {Event(AbortAsked{}), Event(DeadlinePassed{})}) {
    EXPECT_THAT(t.Feed(event).actions(), IsEmpty());
    EXPECT_EQ(t.phase(), Phase::kDeciding);
  }
}

TEST(TransitionTest, ReadOnlyBranchesTakeNoPartInPhaseTwo) {
  Driver t = DatabaseAndBroker();
  t.Feed(CommitAsked{}).Feed(Voted{kDatabase, VoteKind::kReadOnly}).Feed(Voted{kBroker, VoteKind::kYes});
  EXPECT_THAT(t.Feed(DecisionDurable{}).actions(), ElementsAre(Commit(kBroker), kDecided, kDatabases));
}

TEST(TransitionTest, AnEmptyTransactionCommitsWithATrace) {
  Driver t;
  EXPECT_THAT(t.Feed(CommitAsked{}).actions(), ElementsAre(kWriteDecision));
  EXPECT_THAT(t.Feed(DecisionDurable{}).actions(), ElementsAre(kDecided, kDatabases, kCompleted, kWriteEnd));
}

TEST(TransitionTest, AHeuristicBranchEndsTheTransactionAndIsNotForgottenBeforeTheEnd) {
  Driver t(DecidedInTheLog({BranchKind::kDatabase}));
  EXPECT_THAT(t.Feed(DecisionDurable{}).actions(), ElementsAre(Commit(0), kDecided));
  EXPECT_THAT(t.Feed(BranchEnded{0, Ending::kHeuristic}).actions(), ElementsAre(kDatabases, kCompleted, kWriteEnd));
  EXPECT_EQ(t.branch(0), BranchPhase::kHeuristic);
}

TEST(TransitionTest, RecoveryCommitsWhatTheLogDecidedAndAbortsWhatItDidNot) {
  Driver decided(DecidedInTheLog({BranchKind::kDatabase, BranchKind::kBroker}));
  EXPECT_THAT(decided.Feed(DecisionDurable{}).actions(), ElementsAre(Commit(0), Commit(1), kDecided));
  Driver orphan(PreparedWithoutDecision(BranchKind::kDatabase));
  EXPECT_THAT(orphan.Feed(AbortAsked{}).actions(), ElementsAre(Abort(0), kAborted));
}

// ---- Every state x event --------------------------------------------------------------------------------------------

std::string Text(const State& state) {
  std::ostringstream text;
  text << Name(state.phase) << state.abort_is_recorded << state.abort_is_durable;
  for (const Branch& branch : state.branches) {
    text << " " << int(branch.kind) << branch.after_databases << Name(branch.phase) << branch.operations_outstanding;
  }
  return text.str();
}

// All events that can name the branches there are.
std::vector<Event> EveryEvent(const State& state) {
  std::vector<Event> events{CommitAsked{},     AbortAsked{},   DeadlinePassed{},
                            DecisionDurable{}, AbortDurable{}, EndDurable{}};
  for (std::uint32_t i = 0; i < state.branches.size(); ++i) {
    if (state.branches[i].operations_outstanding == 0) events.push_back(WorkStarted{i});
    for (const bool ok : {true, false}) events.push_back(WorkReturned{i, ok});
    for (const VoteKind vote : {VoteKind::kYes, VoteKind::kReadOnly, VoteKind::kNo, VoteKind::kUnknown}) {
      events.push_back(Voted{i, vote});
    }
    for (const Ending ending : {Ending::kAsTold, Ending::kHeuristic}) events.push_back(BranchEnded{i, ending});
  }
  return events;
}

bool Has(const Actions& actions, ActionKind kind) {
  return std::any_of(actions.begin(), actions.end(), [kind](const Action& action) { return action.kind == kind; });
}

bool IsCommitSide(Phase phase) {
  return phase == Phase::kDeciding || phase == Phase::kCommitting || phase == Phase::kCommitted;
}

// The invariants of docs/protocol.md that one step can show.
void CheckStep(const State& before, const Event& event, const Step& step) {
  const bool decision_durable = std::holds_alternative<DecisionDurable>(event) && before.phase == Phase::kDeciding;
  // 1. Commit is sent, and "committed" is said first, by nothing but a durable decision.
  if (Has(step.actions, ActionKind::kCommitBranch) || Has(step.actions, ActionKind::kAnnounceDecided)) {
    EXPECT_TRUE(decision_durable);
  }
  if (Has(step.actions, ActionKind::kAnnounceDatabasesCommitted) || Has(step.actions, ActionKind::kAnnounceCompleted)) {
    EXPECT_TRUE(decision_durable || before.phase == Phase::kCommitting);
  }
  // 2. A decision never changes: the commit side is never left for the abort side, nor the other way round.
  if (IsCommitSide(before.phase)) {
    EXPECT_TRUE(IsCommitSide(step.next.phase) || step.next.phase == Phase::kEnded);
    EXPECT_FALSE(Has(step.actions, ActionKind::kAbortBranch) || Has(step.actions, ActionKind::kAnnounceAborted) ||
                 Has(step.actions, ActionKind::kWriteAbort));
  }
  if (before.phase == Phase::kAborting) {
    EXPECT_FALSE(IsCommitSide(step.next.phase));
  }
  // A decision is written only where every branch has voted to commit.
  if (Has(step.actions, ActionKind::kWriteDecision)) {
    for (const Branch& branch : step.next.branches) {
      EXPECT_TRUE(branch.phase == BranchPhase::kPrepared || branch.phase == BranchPhase::kReadOnly);
    }
  }
  // An abort that must be durable is said only then.
  if (Has(step.actions, ActionKind::kAnnounceAborted) && before.abort_is_recorded) {
    EXPECT_TRUE(std::holds_alternative<AbortDurable>(event));
  }
  // 9. A held broker is prepared only when no SQL is under way.
  for (const Action& action : step.actions) {
    if (action.kind != ActionKind::kPrepareBranch || !step.next.branches[action.branch].after_databases) continue;
    for (const Branch& branch : step.next.branches) {
      EXPECT_TRUE(branch.kind == BranchKind::kBroker || branch.operations_outstanding == 0);
    }
  }
  // 7. What a branch pins is let go when everything has ended, and durably so.
  if (Has(step.actions, ActionKind::kForgetBranch)) {
    EXPECT_TRUE(before.phase == Phase::kCommitted ? std::holds_alternative<EndDurable>(event)
                                                  : step.next.phase == Phase::kEnded);
  }
  // What has ended says nothing and does nothing any more.
  if (before.phase == Phase::kEnded) {
    EXPECT_THAT(step.actions, IsEmpty());
  }
}

// Explores everything that can be reached from `start`, any event in any state, and gives the number of states.
std::size_t Explore(const State& start) {
  std::set<std::string> seen{Text(start)};
  std::deque<State> open{start};
  while (!open.empty()) {
    const State state = open.front();
    open.pop_front();
    for (const Event& event : EveryEvent(state)) {
      SCOPED_TRACE(Text(state) + " x event " + std::to_string(event.index()));
      const Step step = Transition(state, event);
      CheckStep(state, event, step);
      if (testing::Test::HasFailure()) return seen.size();
      if (seen.insert(Text(step.next)).second) open.push_back(step.next);
    }
  }
  return seen.size();
}

TEST(TransitionTest, EveryEventInEveryReachableStateKeepsTheInvariants) {
  for (const bool record_abort : {false, true}) {
    State two{.abort_is_recorded = record_abort};
    two.branches = {Branch{.kind = BranchKind::kDatabase},
                    Branch{.kind = BranchKind::kBroker, .after_databases = true}};
    EXPECT_GE(Explore(two), 150u);
    State three = two;
    three.branches.push_back(Branch{.kind = BranchKind::kDatabase});
    EXPECT_GE(Explore(three), 900u);
  }
  Explore(DecidedInTheLog({BranchKind::kDatabase, BranchKind::kBroker}));
  Explore(PreparedWithoutDecision(BranchKind::kDatabase));
}

// From every reachable state, answering what was asked must lead to the end: nothing hangs.
TEST(TransitionTest, EveryTransactionEndsWhenItsActionsAreAnswered) {
  State start{.abort_is_recorded = true};
  start.branches = {Branch{.kind = BranchKind::kDatabase},
                    Branch{.kind = BranchKind::kBroker, .after_databases = true}};
  std::set<std::string> seen{Text(start)};
  std::deque<State> open{start};
  while (!open.empty()) {
    State state = open.front();
    open.pop_front();
    for (const Event& event : EveryEvent(state)) {
      const State next = Transition(state, event).next;
      if (seen.insert(Text(next)).second) open.push_back(next);
    }
    // Finish: deadline, then an answer for every phase that waits for one.
    State t = Transition(state, DeadlinePassed{}).next;
    for (int round = 0; round < 4; ++round) {
      for (std::uint32_t i = 0; i < t.branches.size(); ++i) {
        t = Transition(t, WorkReturned{i, true}).next;
        t = Transition(t, Voted{i, VoteKind::kYes}).next;
        t = Transition(t, BranchEnded{i, Ending::kAsTold}).next;
      }
      for (const Event& event : {Event(DecisionDurable{}), Event(AbortDurable{}), Event(EndDurable{})}) {
        t = Transition(t, event).next;
      }
    }
    EXPECT_EQ(t.phase, Phase::kEnded) << "from " << Text(state) << " to " << Text(t);
  }
}

}  // namespace
}  // namespace assent::protocol
