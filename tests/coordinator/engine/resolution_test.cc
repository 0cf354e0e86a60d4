// Branches that an operator ends by hand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/engine/shard.h"
#include "tests/coordinator/engine/coordinator_under_test.h"

namespace assent {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

struct ResolutionTest : testing::Test {
  static v1::ResolveBranchRequest Request(const std::string& txn, v1::Outcome outcome, bool force = false) {
    v1::ResolveBranchRequest request;
    request.set_txn_id(txn);
    request.set_branch("db");
    request.set_outcome(outcome);
    request.set_force(force);
    request.set_requested_by("alice");
    request.set_reason("the disk is gone");
    return request;
  }
  static auto Resolve(CoordinatorUnderTest& t, const v1::ResolveBranchRequest& request) {
    return t.Call(&Shard::ResolveBranch, request);
  }
  // The answer, which has come.
  static absl::StatusOr<v1::ResolveBranchResponse> Resolved(CoordinatorUnderTest& t,
                                                            const v1::ResolveBranchRequest& request) {
    const auto box = Resolve(t, request);
    if (!box->has_value()) return absl::InternalError("no answer has come");
    return **box;
  }
  static StatusCode CodeOf(CoordinatorUnderTest& t, const v1::ResolveBranchRequest& request) {
    return Resolved(t, request).status().code();
  }

  // A committed transaction, of which "db" has not heard.
  static std::string CommitWithoutDatabase(CoordinatorUnderTest& t) {
    t.db->finish = {.kind = Finish::Kind::kRetry, .message = "the database is away"};
    const std::string txn = t.BeginAndEnlistBoth();
    EXPECT_TRUE((*t.Commit(txn, v1::DECIDED))->ok());
    return txn;
  }

  static v1::TransactionDescription Describe(CoordinatorUnderTest& t, const std::string& txn) {
    v1::DescribeTransactionRequest request;
    request.set_txn_id(txn);
    return (*t.Call(&Shard::DescribeTransaction, request))->value();
  }

  FakeStore db_store;
  FakeStore events_store;
};

// ---- As decided -----------------------------------------------------------------------------------------------------

TEST_F(ResolutionTest, WhatIsDecidedIsTriedAtOnce) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  const std::string txn = CommitWithoutDatabase(t);
  const auto away = Resolved(t, Request(txn, v1::COMMITTED));
  EXPECT_EQ(away.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(away.status().message(), HasSubstr("the database is away"));

  t.db->finish = {.kind = Finish::Kind::kDone};
  const auto done = Resolved(t, Request(txn, v1::COMMITTED));
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_FALSE(done->forced());
  EXPECT_EQ(db_store.committed.size(), 1u);
  EXPECT_TRUE(t.log.heuristics.empty());
  EXPECT_EQ(Describe(t, txn).state(), v1::STATE_COMMITTED);
}

TEST_F(ResolutionTest, UndecidedWorkIsAbortedAsAWhole) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.events->hold_votes = true;
  const std::string txn = t.BeginAndEnlistBoth();
  const auto commit = t.Commit(txn);
  EXPECT_EQ(db_store.prepared.size(), 1u);
  const auto resolved = Resolved(t, Request(txn, v1::ABORTED));
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_TRUE(db_store.prepared.empty());
  EXPECT_EQ((*commit)->status().code(), StatusCode::kAborted);
  EXPECT_THAT((*commit)->status().message(), HasSubstr("an operator asked for it, alice: the disk is gone"));
  EXPECT_TRUE(t.log.heuristics.empty()) << "nothing was forced";
}

TEST_F(ResolutionTest, UndecidedWorkIsNeverCommittedForcedOrNot) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.events->hold_votes = true;
  const std::string txn = t.BeginAndEnlistBoth();
  t.Commit(txn);
  for (const bool force : {false, true}) {
    EXPECT_EQ(CodeOf(t, Request(txn, v1::COMMITTED, force)), StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(t.db->Count("commit"), 0);
  EXPECT_EQ(db_store.prepared.size(), 1u);
}

TEST_F(ResolutionTest, ADecisionThatIsBeingWrittenIsWaitedFor) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.log.sync_at_once = false;
  const std::string txn = t.BeginAndEnlistBoth();
  t.Commit(txn);
  for (const v1::Outcome outcome : {v1::COMMITTED, v1::ABORTED}) {
    EXPECT_EQ(CodeOf(t, Request(txn, outcome, /*force=*/true)), StatusCode::kUnavailable);
  }
  EXPECT_EQ(t.db->Count("commit") + t.db->Count("abort"), 0);
}

TEST_F(ResolutionTest, AnAttemptThatIsUnderWayIsWaitedForAndWhoWaitsHearsOfTheStop) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.db->hold_finish = true;
  const std::string txn = t.BeginAndEnlistBoth();
  t.Commit(txn, v1::DECIDED);
  const auto first = Resolve(t, Request(txn, v1::COMMITTED));
  EXPECT_FALSE(first->has_value());
  EXPECT_EQ(t.db->Count("commit"), 1) << "no second one beside it";
  t.db->Release();
  t.scheduler.RunReady();
  ASSERT_TRUE(first->has_value());
  EXPECT_TRUE((*first)->ok()) << (*first)->status();

  const std::string other = t.BeginAndEnlistBoth();
  t.Commit(other, v1::DECIDED);
  const auto second = Resolve(t, Request(other, v1::ABORTED, /*force=*/true));
  EXPECT_FALSE(second->has_value());
  t.shard.reset();
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ((*second)->status().code(), StatusCode::kUnavailable);
}

// ---- Against the decision -------------------------------------------------------------------------------------------

TEST_F(ResolutionTest, WhatContradictsADecisionIsRefusedWithoutForce) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  const std::string txn = CommitWithoutDatabase(t);
  const auto refused = Resolved(t, Request(txn, v1::ABORTED));
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.status().message(), HasSubstr("is decided committed, durably"));
  EXPECT_EQ(t.db->Count("abort"), 0);
  EXPECT_TRUE(t.log.heuristics.empty());
}

TEST_F(ResolutionTest, AForcedStepIsDurableBeforeTheParticipantIsCalled) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  const std::string txn = CommitWithoutDatabase(t);
  t.log.sync_at_once = false;
  t.db->finish = {.kind = Finish::Kind::kDone};
  const auto box = Resolve(t, Request(txn, v1::ABORTED, /*force=*/true));
  EXPECT_EQ(t.db->Count("abort"), 0) << "its record is not durable";

  t.log.Sync();
  t.scheduler.RunReady();
  EXPECT_EQ(t.db->Count("abort"), 1);
  ASSERT_EQ(t.log.heuristics.size(), 1u);
  const v1::HeuristicRecord step = t.log.heuristics[0];
  EXPECT_EQ(step.decided(), v1::COMMITTED);
  EXPECT_EQ(step.forced(), v1::ABORTED);
  EXPECT_EQ(step.forced_by(), "alice");
  EXPECT_EQ(step.what(), "the disk is gone");
  EXPECT_FALSE(step.done());
  EXPECT_FALSE(box->has_value()) << "what came of it is not durable";

  t.log.Sync();
  t.scheduler.RunReady();
  t.log.Sync();
  t.scheduler.RunReady();
  ASSERT_TRUE(box->has_value());
  ASSERT_TRUE((*box)->ok()) << (*box)->status();
  EXPECT_TRUE((*box)->value().forced());
  ASSERT_EQ(t.log.heuristics.size(), 2u);
  EXPECT_TRUE(t.log.heuristics[1].done());
  EXPECT_GT(t.log.heuristics[1].found_at_us(), step.found_at_us()) << "a key of its own";
  EXPECT_THAT(Describe(t, txn).branches(0).waits_for(), HasSubstr("forced to rollback by alice"));
  EXPECT_TRUE(Describe(t, txn).branches(0).heuristic());
}

TEST_F(ResolutionTest, AForcedStepThatIsNotDoneLeavesTheBranchToItsDecision) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  const std::string txn = CommitWithoutDatabase(t);
  EXPECT_EQ(CodeOf(t, Request(txn, v1::ABORTED, /*force=*/true)), StatusCode::kUnavailable);
  ASSERT_EQ(t.log.heuristics.size(), 2u);
  EXPECT_FALSE(t.log.heuristics[1].done());
  t.db->finish = {.kind = Finish::Kind::kDone};
  t.scheduler.Advance(absl::Minutes(1));
  EXPECT_EQ(db_store.committed.size(), 1u);
  EXPECT_FALSE(Describe(t, txn).branches(0).heuristic());
}

TEST_F(ResolutionTest, ALaterProcessShowsWhatWasForcedAndNotWhatWasOnlyAskedFor) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  const std::string tried = CommitWithoutDatabase(first);
  EXPECT_EQ(CodeOf(first, Request(tried, v1::ABORTED, /*force=*/true)), StatusCode::kUnavailable);
  const std::string forced = CommitWithoutDatabase(first);
  first.db->finish = {.kind = Finish::Kind::kDone};
  EXPECT_EQ(CodeOf(first, Request(forced, v1::ABORTED, /*force=*/true)), StatusCode::kOk);
  first.scheduler.Advance(absl::Minutes(1));

  CoordinatorUnderTest second(db_store, events_store, first.log.Reopened());
  first.log.CopyDurableTo(second.log);
  second.Start();
  EXPECT_FALSE(Describe(second, tried).branches(0).heuristic());
  EXPECT_TRUE(Describe(second, forced).branches(0).heuristic());
}

TEST_F(ResolutionTest, WhatIsBeingAbortedIsCommittedOnlyByForce) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.events->vote = {.kind = Vote::Kind::kNo, .error = {.message = "no"}};
  t.db->finish = {.kind = Finish::Kind::kRetry};
  const std::string txn = t.BeginAndEnlistBoth();
  t.Commit(txn);
  EXPECT_EQ(CodeOf(t, Request(txn, v1::COMMITTED)), StatusCode::kFailedPrecondition);
  t.db->finish = {.kind = Finish::Kind::kDone};
  EXPECT_EQ(CodeOf(t, Request(txn, v1::COMMITTED, /*force=*/true)), StatusCode::kOk);
  EXPECT_EQ(db_store.committed.size(), 1u);
}

// ---- What does not run here -----------------------------------------------------------------------------------------

TEST_F(ResolutionTest, WorkWhoseOutcomeIsForgottenIsEndedByForceAlone) {
  const BranchId old{{kCoordinator, 1, 0, 5}, "db"};
  db_store.prepared[old.ToGid()] = old;
  CoordinatorUnderTest t(db_store, events_store, {kCoordinator, 2, 1000, {}});
  t.log.forgotten = 10;
  t.Start();
  const std::string txn = old.txn.ToString();
  const auto refused = Resolved(t, Request(txn, v1::COMMITTED));
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.status().message(), HasSubstr("what was decided is forgotten"));

  const auto forced = Resolved(t, Request(txn, v1::COMMITTED, /*force=*/true));
  ASSERT_TRUE(forced.ok()) << forced.status();
  EXPECT_TRUE(forced->forced());
  EXPECT_EQ(db_store.committed.size(), 1u);
  ASSERT_EQ(t.log.heuristics.size(), 2u);
  EXPECT_EQ(t.log.heuristics[0].decided(), v1::FORGOTTEN);
  EXPECT_TRUE(t.log.ended().empty()) << "nothing is said about a decision that is not here";
}

TEST_F(ResolutionTest, WorkOfAnotherLogIsEndedByForceAloneAndOnlyWhereItIsAdopted) {
  const BranchId foreign{{{"orders", 1}, 1, 0, 5}, "db"};
  db_store.prepared[foreign.ToGid()] = foreign;
  const auto request = Request(foreign.txn.ToString(), v1::ABORTED, /*force=*/true);
  {
    CoordinatorUnderTest strict(db_store, events_store);
    strict.Start();
    EXPECT_EQ(CodeOf(strict, request), StatusCode::kUnavailable);
    EXPECT_EQ(db_store.prepared.size(), 1u);
  }
  EngineOptions options;
  options.adopt = true;
  CoordinatorUnderTest t(db_store, events_store, {kCoordinator, 1, 0, {}}, options);
  t.Start();
  EXPECT_EQ(CodeOf(t, Request(foreign.txn.ToString(), v1::ABORTED)), StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(t, request), StatusCode::kOk);
  EXPECT_TRUE(db_store.prepared.empty());
}

TEST_F(ResolutionTest, WhatIsNotThereIsNamed) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  const std::string txn = CommitWithoutDatabase(t);
  v1::ResolveBranchRequest request = Request(txn, v1::COMMITTED);
  request.set_branch("stock");
  const auto no_branch = Resolved(t, request);
  EXPECT_EQ(no_branch.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(no_branch.status().message(), HasSubstr("it has db, events"));
  const auto no_transaction = Resolved(t, Request(TxnId{kCoordinator, 1, 0, 99}.ToString(), v1::COMMITTED));
  EXPECT_EQ(no_transaction.status().code(), StatusCode::kNotFound);
  request.set_outcome(v1::UNDECIDED);
  EXPECT_EQ(CodeOf(t, request), StatusCode::kInvalidArgument);
}

// ---- Recovery now ---------------------------------------------------------------------------------------------------

TEST_F(ResolutionTest, RecoverTriesWhatWaitsAndSweeps) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  CommitWithoutDatabase(t);
  t.scheduler.Advance(absl::Minutes(1));
  t.db->finish = {.kind = Finish::Kind::kDone};
  const v1::RecoverResponse recovered = t.shard->Recover();
  EXPECT_EQ(recovered.retried(), 1);
  EXPECT_EQ(recovered.swept(), 2);
  EXPECT_EQ(db_store.committed.size(), 1u);
  EXPECT_EQ(t.shard->Recover().retried(), 0);
}

}  // namespace
}  // namespace assent
