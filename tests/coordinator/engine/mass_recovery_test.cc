// What a process does where thousands of transactions are unfinished, from an earlier one or after an outage.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "coordinator/engine/shard.h"
#include "tests/coordinator/engine/coordinator_under_test.h"

namespace assent {
namespace {

// A log with so many decisions that an earlier process has not finished, each with a branch at "db".
LogStart ManyUnfinished(int transactions) {
  LogStart start{kCoordinator, 2, 1'000'000, {}};
  for (int i = 1; i <= transactions; ++i) {
    v1::DecisionRecord& record = start.unfinished.emplace_back();
    record.set_txn_id(TxnId{kCoordinator, 1, 0, static_cast<std::uint64_t>(i)}.ToString());
    record.set_outcome(v1::COMMITTED);
    v1::BranchRecord& branch = *record.add_branches();
    branch.set_branch("db");
    branch.set_participant("db");
  }
  return start;
}

struct MassRecoveryTest : testing::Test {
  FakeStore db_store;
  FakeStore events_store;
};

TEST_F(MassRecoveryTest, SoManyBranchesAreFinishedAtATimeAtAParticipant) {
  CoordinatorUnderTest t(db_store, events_store, ManyUnfinished(200));
  t.db->hold_finish = true;
  t.Start();
  EXPECT_EQ(t.db->Count("commit"), 64);
  const std::string last = TxnId{kCoordinator, 1, 0, 200}.ToString();
  EXPECT_THAT(t.Get(last).branches(0).waits_for(), testing::HasSubstr("its turn"));
  t.db->Release();
  EXPECT_EQ(t.db->Count("commit"), 128) << "each that has ended makes room for another one";
}

TEST_F(MassRecoveryTest, ANewTransactionDoesNotWaitForThoseThatAnEarlierProcessLeft) {
  CoordinatorUnderTest t(db_store, events_store, ManyUnfinished(200));
  t.db->hold_finish = true;
  t.Start();
  t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  EXPECT_EQ(t.db->Count("commit"), 65);
}

TEST_F(MassRecoveryTest, TransactionsThatCannotEndHoldUpNoOther) {
  CoordinatorUnderTest t(db_store, events_store, ManyUnfinished(200));
  t.db->hold_finish = true;  // of the first
  t.Start();
  t.db->hold_finish = false;
  t.scheduler.Advance(FinishTurns::kLongestTurn);
  EXPECT_EQ(t.db->Count("commit"), 200);
  EXPECT_EQ(t.log.ended().size(), 136u);
}

TEST_F(MassRecoveryTest, WhenAParticipantReturnsItIsServedAtOnceAndPausesBeginAnew) {
  CoordinatorUnderTest t(db_store, events_store, ManyUnfinished(1000));
  t.db->finish = {.kind = Finish::Kind::kRetry, .message = "away"};
  t.Start();
  t.scheduler.Advance(absl::Minutes(1));
  t.db->finish.message = "starting up";
  t.db->available();
  t.db->finish = {.kind = Finish::Kind::kDone};
  EXPECT_EQ(t.log.ended().size(), 0u);
  t.scheduler.Advance(t.options.first_retry);
  EXPECT_EQ(t.log.ended().size(), 1000u);
}

TEST_F(MassRecoveryTest, WhileAParticipantIsAwayItIsTriedWithGrowingPausesAndNotByAllAtOnce) {
  CoordinatorUnderTest t(db_store, events_store, ManyUnfinished(1000));
  t.db->finish = {.kind = Finish::Kind::kRetry, .message = "away"};
  t.Start();
  t.scheduler.Advance(absl::Minutes(2));
  const int before = t.db->Count("commit");
  int most = 0;
  for (int i = 0; i < 100; ++i) {
    const int until_now = t.db->Count("commit");
    t.scheduler.Advance(absl::Milliseconds(50));
    most = std::max(most, t.db->Count("commit") - until_now);
  }
  EXPECT_LE(t.db->Count("commit") - before, 2000) << "in five seconds, the longest pause";
  EXPECT_LT(most, 100);
}

TEST_F(MassRecoveryTest, OneThatAnOperatorTriesWhileItAwaitsItsTurnIsNotTriedTwice) {
  CoordinatorUnderTest t(db_store, events_store, ManyUnfinished(65));
  t.db->hold_finish = true;
  t.Start();
  v1::ResolveBranchRequest request;
  request.set_txn_id(TxnId{kCoordinator, 1, 0, 65}.ToString());
  request.set_branch("db");
  request.set_outcome(v1::COMMITTED);
  const auto resolved = t.Call(&Shard::ResolveBranch, request);
  EXPECT_EQ(t.db->Count("commit"), 65);
  t.db->Release();
  t.scheduler.Advance(absl::Seconds(1));
  EXPECT_TRUE((*resolved)->ok());
  EXPECT_EQ(t.db->Count("commit"), 65);
  EXPECT_EQ(t.log.ended().size(), 65u);
}

// A list is made before its answer comes, and thousands are finished in between.
TEST_F(MassRecoveryTest, WhatIsFinishedWhileItsParticipantListsItIsNotFinishedAgain) {
  CoordinatorUnderTest t(db_store, events_store, ManyUnfinished(1));
  t.Start();
  EXPECT_EQ(t.db->Count("commit"), 1);
  const BranchId listed{TxnId{kCoordinator, 1, 0, 1}, "db"};
  db_store.prepared[listed.ToGid()] = listed;
  t.db->hold_lists = true;
  t.shard->Recover();
  db_store.prepared.clear();
  t.db->hold_lists = false;
  t.db->Release();
  t.scheduler.Advance(absl::Seconds(1));
  EXPECT_EQ(t.log.ended().size(), 1u);
  EXPECT_EQ(t.db->Count("commit"), 1);
}

}  // namespace
}  // namespace assent
