// What operators see of a shard.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/engine/shard.h"
#include "tests/coordinator/engine/coordinator_under_test.h"

namespace assent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct AdministrationTest : testing::Test {
  std::vector<v1::TransactionDescription> List(const CoordinatorUnderTest& t,
                                               const v1::ListTransactionsRequest& request = {}) {
    return t.shard->List(request, 0, 100);
  }
  v1::TransactionDescription Describe(CoordinatorUnderTest& t, const std::string& txn) {
    v1::DescribeTransactionRequest request;
    request.set_txn_id(txn);
    return (*t.Call(&Shard::DescribeTransaction, request))->value();
  }
  absl::Time Time(const google::protobuf::Timestamp& proto) {
    return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
  }

  FakeStore db_store;
  FakeStore events_store;
};

TEST_F(AdministrationTest, ABranchThatIsNotCommittedTellsSinceWhenAndWhenItIsTriedAgain) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.db->finish = {.kind = Finish::Kind::kRetry, .message = "the database is away"};
  const std::string txn = t.BeginAndEnlistBoth();
  const absl::Time decided = t.scheduler.Now();
  t.Commit(txn, v1::DECIDED);
  t.scheduler.Advance(absl::Minutes(1));

  const v1::TransactionDescription description = Describe(t, txn);
  EXPECT_EQ(Time(description.decided_at()), decided);
  const v1::BranchDescription& waiting = description.branches(0);
  EXPECT_EQ(waiting.waits_for(), "the database is away");
  EXPECT_EQ(Time(waiting.since()), decided);
  EXPECT_GT(Time(waiting.next_attempt()), t.scheduler.Now());
  EXPECT_FALSE(waiting.token().empty());
  const v1::BranchDescription& ended = description.branches(1);
  EXPECT_FALSE(ended.has_since());
  EXPECT_FALSE(ended.has_next_attempt());
}

TEST_F(AdministrationTest, CallersAreNotToldTokens) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.db->finish = {.kind = Finish::Kind::kRetry};
  const std::string txn = t.BeginAndEnlistBoth();
  t.Commit(txn, v1::DECIDED);
  EXPECT_EQ(t.Get(txn).branches(0).token(), "");
}

TEST_F(AdministrationTest, AnAbortThatIsNotDurableYetIsDescribedAtOnce) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.log.sync_at_once = false;
  const std::string txn = t.BeginAndEnlistBoth("request-1");
  t.Abort(txn);
  EXPECT_EQ(Describe(t, txn).state(), v1::STATE_ABORTING);
}

TEST_F(AdministrationTest, WorkThatNobodyOwnsIsListedWhileItIsBeingEnded) {
  const TxnId left{kCoordinator, 1, 0, 5};
  for (const char* name : {"db", "other"}) db_store.prepared[BranchId{left, name}.ToGid()] = {left, name};
  CoordinatorUnderTest t(db_store, events_store, {kCoordinator, 2, 1000, {}});
  t.db->finish = {.kind = Finish::Kind::kRetry};
  t.Start();
  t.scheduler.Advance(absl::Seconds(1));

  const auto listed = List(t);
  ASSERT_EQ(listed.size(), 1u) << "the branches of one transaction are one";
  EXPECT_EQ(listed[0].txn_id(), left.ToString());
  EXPECT_EQ(listed[0].state(), v1::STATE_ABORTING);
  EXPECT_EQ(listed[0].branches_size(), 2);
  EXPECT_EQ(Describe(t, left.ToString()).branches_size(), 2);
  EXPECT_TRUE(t.shard->List({}, left.sequence, 100).empty()) << "the page behind it";
  v1::ListTransactionsRequest elsewhere;
  elsewhere.set_participant("events");
  EXPECT_TRUE(List(t, elsewhere).empty());
}

TEST_F(AdministrationTest, AParticipantTellsWhatIsOpenAndWhatIsInDoubtThere) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.BeginAndEnlistBoth();
  t.db->finish = {.kind = Finish::Kind::kRetry};
  const absl::Time first = t.scheduler.Now();
  t.Commit(t.BeginAndEnlistBoth(), v1::DECIDED);
  t.scheduler.Advance(absl::Seconds(10));
  t.Commit(t.BeginAndEnlistBoth(), v1::DECIDED);

  const auto described = t.shard->DescribeParticipants();
  ASSERT_EQ(described.size(), 2u);
  EXPECT_EQ(described[0].name(), "db");
  EXPECT_EQ(described[0].kind(), "database");
  EXPECT_EQ(described[0].open(), 1);
  EXPECT_EQ(described[0].in_doubt(), 2);
  EXPECT_EQ(Time(described[0].oldest_in_doubt()), first);
  EXPECT_TRUE(described[0].takes_branches());
  EXPECT_EQ(described[1].kind(), "broker");
  EXPECT_EQ(described[1].in_doubt(), 0);
  EXPECT_FALSE(described[1].has_oldest_in_doubt());
}

TEST_F(AdministrationTest, WorkThatIsNotOursToJudgeIsNamed) {
  const BranchId foreign{{{"orders", 1}, 1, 0, 5}, "db"};
  db_store.prepared[foreign.ToGid()] = foreign;
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.scheduler.Advance(absl::Seconds(1));
  const auto described = t.shard->DescribeParticipants();
  EXPECT_THAT(described[0].left_alone(), ElementsAre(foreign.ToGid()));
  EXPECT_FALSE(described[0].takes_branches());
  db_store.prepared.clear();
  t.scheduler.Advance(absl::Minutes(1));
  EXPECT_TRUE(t.shard->DescribeParticipants()[0].left_alone().empty()) << "somebody has ended it";
}

// Nobody fences the transactional ids of a log that was lost: what is open under them stays open.
TEST_F(AdministrationTest, WhatAnAdoptedLogHasLeftOpenIsNamedUntilSomebodyEndsIt) {
  events_store.foreign = {"assent-orders-0000000000000001-0", "assent-orders-0000000000000001-1"};
  events_store.foreign_open = {"assent-orders-0000000000000001-1"};
  EngineOptions options;
  options.adopt = true;
  CoordinatorUnderTest t(db_store, events_store, {kCoordinator, 1, 0, {}}, options);
  t.Start();
  EXPECT_THAT(t.shard->DescribeParticipants()[1].left_alone(), ElementsAre("assent-orders-0000000000000001-1"));
  EXPECT_TRUE(t.shard->DescribeParticipants()[1].takes_branches());
  events_store.foreign_open.clear();
  t.scheduler.Advance(absl::Minutes(1));
  EXPECT_TRUE(t.shard->DescribeParticipants()[1].left_alone().empty());
}

TEST_F(AdministrationTest, WhatIsOpenIsAmongTheFirstHundredThatAreNamed) {
  for (int i = 0; i < 300; ++i) events_store.foreign.push_back("assent-orders-0000000000000001-" + std::to_string(i));
  events_store.foreign_open = {events_store.foreign.back()};
  CoordinatorUnderTest t(db_store, events_store);
  t.events->is_away = true;  // else it would not have started
  t.Start();
  t.events->is_away = false;
  t.events->available();
  const v1::ParticipantDescription described = t.shard->DescribeParticipants()[1];
  EXPECT_EQ(described.left_alone_size(), 100);
  EXPECT_THAT(described.left_alone(), testing::Contains("assent-orders-0000000000000001-299"));
}

TEST_F(AdministrationTest, WorkWhoseOutcomeIsForgottenIsNamed) {
  const BranchId old{{kCoordinator, 1, 0, 5}, "db"};
  db_store.prepared[old.ToGid()] = old;
  CoordinatorUnderTest t(db_store, events_store, {kCoordinator, 2, 1000, {}});
  t.log.forgotten = 10;
  t.Start();
  t.scheduler.Advance(absl::Seconds(1));
  EXPECT_THAT(t.shard->DescribeParticipants()[0].left_alone(), ElementsAre(old.ToGid()));
}

TEST_F(AdministrationTest, AHeuristicBranchTellsWhatWasFoundAlsoAfterARestart) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.db->finish = {.kind = Finish::Kind::kHeuristic, .message = "rolled back by hand"};
  const std::string txn = first.BeginAndEnlistBoth();
  first.Commit(txn, v1::COMPLETED);
  EXPECT_EQ(Describe(first, txn).branches(0).waits_for(), "rolled back by hand");
  db_store.prepared.clear();

  CoordinatorUnderTest second(db_store, events_store, first.log.Reopened());
  first.log.CopyDurableTo(second.log);
  second.Start();
  const v1::TransactionDescription description = Describe(second, txn);
  EXPECT_THAT(description.branches(0).waits_for(), HasSubstr("rolled back by hand"));
  EXPECT_TRUE(description.has_decided_at());
  EXPECT_FALSE(description.branches(0).token().empty());
}

TEST_F(AdministrationTest, ABranchThatWasCommittedAgainstAPresumedAbortTellsItAlsoAfterARestart) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.db->finish = {.kind = Finish::Kind::kHeuristic, .message = "committed by hand"};
  const std::string txn = first.BeginAndEnlistBoth();
  first.Abort(txn);

  CoordinatorUnderTest second(db_store, events_store, first.log.Reopened());
  first.log.CopyDurableTo(second.log);
  second.Start();
  const v1::TransactionDescription description = Describe(second, txn);
  EXPECT_EQ(description.outcome(), v1::ABORTED);
  EXPECT_FALSE(description.has_decided_at());
  ASSERT_EQ(description.branches_size(), 1);
  EXPECT_TRUE(description.branches(0).heuristic());
  EXPECT_THAT(description.branches(0).waits_for(), HasSubstr("committed by hand"));
}

}  // namespace
}  // namespace assent
