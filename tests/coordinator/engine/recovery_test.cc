// What a later process does with what an earlier one left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/engine/shard.h"
#include "coordinator/engine/sweep.h"
#include "tests/coordinator/engine/coordinator_under_test.h"

namespace assent {
namespace {

using testing::ElementsAre;

struct RecoveryTest : testing::Test {
  // A process that starts on what `before` left, and may sweep.
  std::unique_ptr<CoordinatorUnderTest> Restart(const CoordinatorUnderTest& before) {
    auto after = std::make_unique<CoordinatorUnderTest>(db_store, events_store, before.log.Reopened());
    before.log.CopyDurableTo(after->log);
    after->Start();
    after->scheduler.Advance(absl::Seconds(1));
    return after;
  }

  FakeStore db_store;
  FakeStore events_store;
};

TEST_F(RecoveryTest, DecidedWorkIsFinishedFromItsTokens) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.db->finish = first.events->finish = {.kind = Finish::Kind::kRetry};
  const std::string txn = first.BeginAndEnlistBoth();
  EXPECT_TRUE((*first.Commit(txn, v1::DECIDED))->ok());
  EXPECT_EQ(db_store.prepared.size(), 1u);

  const auto second = Restart(first);
  EXPECT_TRUE(db_store.prepared.empty());
  EXPECT_TRUE(events_store.prepared.empty());
  EXPECT_EQ(db_store.committed.size(), 1u);
  EXPECT_THAT(second->db->tokens, ElementsAre("token of " + db_store.committed.begin()->first));
  EXPECT_EQ(second->db->unfinished.size(), 1u) << "adapters hear what they must not touch";
  EXPECT_TRUE((*second->Commit(txn))->ok());
}

TEST_F(RecoveryTest, ALaterProcessStillTellsWhichBranchesDidWhat) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.db->finish = {.kind = Finish::Kind::kHeuristic, .message = "rolled back by hand"};
  const std::string txn = first.BeginAndEnlistBoth();
  EXPECT_TRUE((*first.Commit(txn, v1::COMPLETED))->ok());

  const auto second = Restart(first);
  EXPECT_THAT((*second->Commit(txn))->value().heuristic_branches(), ElementsAre("db"));
  const v1::TransactionDescription description = second->Get(txn);
  ASSERT_EQ(description.branches_size(), 2);
  EXPECT_EQ(description.branches(0).participant(), "db");
  EXPECT_TRUE(description.branches(0).heuristic());
  EXPECT_EQ(description.branches(1).branch(), "events");
  EXPECT_EQ(description.branches(1).state(), "committed");
}

TEST_F(RecoveryTest, PreparedWorkWithoutADecisionIsRolledBack) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.log.sync_at_once = false;  // the decision never becomes durable
  const std::string txn = first.BeginAndEnlistBoth();
  const auto commit = first.Commit(txn);
  EXPECT_EQ(db_store.prepared.size(), 1u);

  const auto second = Restart(first);
  EXPECT_FALSE(commit->has_value());
  EXPECT_TRUE(db_store.prepared.empty());
  EXPECT_TRUE(db_store.committed.empty());
  EXPECT_EQ((*second->Commit(txn))->status().code(), absl::StatusCode::kAborted);
}

TEST_F(RecoveryTest, ARepeatOfACommittedRequestIsNotRunAgain) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  const auto request = CoordinatorUnderTest::SubmitBoth("r1");
  const std::string txn = (*first.Call(&Shard::Submit, request))->value().txn_id();

  const auto second = Restart(first);
  const auto again = second->Call(&Shard::Submit, request);
  EXPECT_EQ((*again)->value().txn_id(), txn);
  EXPECT_TRUE((*again)->value().results_omitted());
  EXPECT_EQ(second->db->Count("execute"), 0);
  const auto other = second->Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1", "DELETE"));
  EXPECT_EQ((*other)->status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RecoveryTest, ARepeatOfARequestThatLeftNoDecisionRunsAnew) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.log.sync_at_once = false;
  const auto request = CoordinatorUnderTest::SubmitBoth("r1");
  first.Call(&Shard::Submit, request);

  const auto second = Restart(first);
  EXPECT_TRUE((*second->Call(&Shard::Submit, request))->ok());
  EXPECT_EQ(db_store.committed.size(), 1u);
}

TEST_F(RecoveryTest, AnAbortedRequestStaysAborted) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.db->vote = {.kind = Vote::Kind::kNo, .error = {.message = "no"}};
  const auto request = CoordinatorUnderTest::SubmitBoth("r1");
  EXPECT_FALSE((*first.Call(&Shard::Submit, request))->ok());

  const auto second = Restart(first);
  EXPECT_EQ((*second->Call(&Shard::Submit, request))->status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(second->db->Count("execute"), 0);
}

TEST_F(RecoveryTest, APrepareThatLandsAfterItsTransactionHasEndedIsRolledBack) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.db->vote = {.kind = Vote::Kind::kUnknown, .error = {.message = "connection lost"}};
  const std::string txn = t.BeginAndEnlistBoth();
  EXPECT_EQ((*t.Commit(txn))->status().code(), absl::StatusCode::kAborted);
  const BranchId late{*ParseTxnId(txn), "db"};
  db_store.prepared[late.ToGid()] = late;
  t.scheduler.Advance(t.options.sweep_interval * 3);
  EXPECT_TRUE(db_store.prepared.empty());
}

TEST_F(RecoveryTest, ARunningTransactionIsNeverSwept) {
  CoordinatorUnderTest t(db_store, events_store);
  t.Start();
  t.events->hold_votes = true;
  v1::BeginRequest begin;
  begin.mutable_timeout()->set_seconds(3600);
  const std::string txn = (*t.Call(&Shard::Begin, begin))->value().txn_id();
  for (const char* name : {"db", "events"}) {
    v1::EnlistRequest enlist;
    enlist.set_txn_id(txn);
    enlist.set_participant(name);
    enlist.set_branch(name);
    t.Call(&Shard::Enlist, enlist);
  }
  t.Commit(txn);
  t.scheduler.Advance(absl::Minutes(30));
  EXPECT_EQ(db_store.prepared.size(), 1u);
  EXPECT_EQ(t.db->Count("abort"), 0);
}

TEST_F(RecoveryTest, ACommittedBranchThatAFailoverBroughtBackIsCommittedAgain) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  const std::string txn = first.BeginAndEnlistBoth();
  first.Commit(txn);
  const BranchId back{*ParseTxnId(txn), "db"};
  db_store.prepared[back.ToGid()] = back;

  const auto second = Restart(first);
  EXPECT_TRUE(db_store.prepared.empty());
  EXPECT_EQ(db_store.committed[back.ToGid()], 2);
}

TEST_F(RecoveryTest, WorkOfAnotherCoordinatorAnotherLogOrALaterEpochIsNotTouched) {
  for (const TxnId& txn : {TxnId{{"orders", 1}, 1, 0, 5}, TxnId{{"orders1", kCoordinator.incarnation}, 1, 0, 5},
                           TxnId{kCoordinator, 7, 0, 5}}) {
    db_store.prepared.clear();
    CoordinatorUnderTest t(db_store, events_store);
    const BranchId branch{txn, "db"};
    db_store.prepared[branch.ToGid()] = branch;
    t.Start();
    t.scheduler.Advance(absl::Minutes(1));
    EXPECT_EQ(db_store.prepared.size(), 1u) << branch.ToGid();
  }
}

// The folder was restored from before the last start: this one has the number of that one, or a lower one.
TEST_F(RecoveryTest, WorkOfAStartThatTheLogDoesNotKnowIsForeign) {
  for (const std::uint32_t their_epoch : {2u, 3u}) {
    FakeStore db;
    FakeStore events;
    CoordinatorUnderTest before(db, events,
                                {.coordinator = kCoordinator, .epoch = their_epoch, .reserved_sequences = 1000});
    before.Start();
    before.db->finish = {.kind = Finish::Kind::kRetry};
    ASSERT_TRUE((*before.Commit(before.BeginAndEnlistBoth(), v1::DECIDED))->ok());
    ASSERT_EQ(db.prepared.size(), 1u);

    CoordinatorUnderTest restored(db, events, {.coordinator = kCoordinator, .epoch = 2, .reserved_sequences = 1000});
    restored.Start();
    EXPECT_EQ(restored.Foreign().size(), 1u) << "epoch " << their_epoch;
    restored.scheduler.Advance(absl::Seconds(60));
    EXPECT_EQ(db.prepared.size(), 1u) << "and is left alone";
  }
}

TEST_F(RecoveryTest, NothingIsDoneAtAParticipantBeforeItIsKnownToHoldNothingForeign) {
  CoordinatorUnderTest first(db_store, events_store);
  first.Start();
  first.db->finish = first.events->finish = {.kind = Finish::Kind::kRetry};
  ASSERT_TRUE((*first.Commit(first.BeginAndEnlistBoth(), v1::DECIDED))->ok());

  CoordinatorUnderTest second(db_store, events_store, first.log.Reopened());
  first.log.CopyDurableTo(second.log);
  second.db->is_away = true;
  second.shard->Start();
  second.scheduler.Advance(absl::Seconds(10));
  EXPECT_EQ(second.db->taken_over + second.events->taken_over, 0);
  EXPECT_EQ(second.db->Count("commit") + second.events->Count("commit"), 0);

  second.TakeOver();
  EXPECT_EQ(second.events->taken_over, 1);
  EXPECT_EQ(second.events->Count("commit"), 1);
  EXPECT_EQ(second.db->taken_over, 0);
  EXPECT_EQ(second.db->Count("commit"), 0);
  const auto refused = second.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  EXPECT_EQ((*refused)->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT((*refused)->status().message(), testing::HasSubstr("\"db\" has not said"));

  second.db->is_away = false;
  second.db->available();
  EXPECT_EQ(second.db->taken_over, 1);
  EXPECT_EQ(second.db->Count("commit"), 1);
  EXPECT_TRUE((*second.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("")))->ok());
}

// The folder is an old copy, and the participant was away while sequences were given out again.
TEST_F(RecoveryTest, WorkOfThisEpochAtAParticipantThatThisStartNeverReachedIsForeign) {
  CoordinatorUnderTest t(db_store, events_store);
  t.db->is_away = true;
  t.Start();
  for (int i = 0; i < 10; ++i) {
    v1::SubmitRequest events_only = CoordinatorUnderTest::SubmitBoth("");
    events_only.mutable_branches()->DeleteSubrange(0, 1);
    ASSERT_TRUE((*t.Call(&Shard::Submit, events_only))->ok());
  }
  const BranchId theirs{TxnId{kCoordinator, 1, 0, 5}, "db"};
  db_store.prepared[theirs.ToGid()] = theirs;
  t.db->is_away = false;
  t.db->available();
  t.scheduler.Advance(absl::Minutes(1));
  EXPECT_EQ(db_store.prepared.size(), 1u);
  EXPECT_EQ(t.db->taken_over, 0);
  const auto refused = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  EXPECT_EQ((*refused)->status().code(), absl::StatusCode::kFailedPrecondition);
}

// A lost data folder leaves all its transactional ids behind; what to do about it stands behind their names.
TEST_F(RecoveryTest, ARefusedStartNamesSomeOfWhatIsForeign) {
  for (int i = 0; i < 300; ++i) events_store.foreign.push_back("assent-orders-0000000000000001-" + std::to_string(i));
  CoordinatorUnderTest t(db_store, events_store);
  t.shard->Start();
  const std::string refused(t.gate.Open().message());
  EXPECT_THAT(refused, testing::HasSubstr("-0000000000000001-4 and 295 more at \"events\". If two coordinators run"));
}

// Two Kafka participants that are one cluster have one pool of transactional ids between them.
TEST_F(RecoveryTest, OneParticipantUnderTwoNamesIsRefused) {
  db_store.identity = events_store.identity = "Kafka cluster c1";
  CoordinatorUnderTest t(db_store, events_store);
  t.shard->Start();
  const absl::Status refused = t.gate.Open();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("\"db\" and \"events\" are both Kafka cluster c1"));
  EXPECT_EQ(t.db->taken_over + t.events->taken_over, 0);
}

TEST_F(RecoveryTest, OneThatAnswersLateAndIsAnotherOneTooIsNotTakenOver) {
  db_store.identity = events_store.identity = "Kafka cluster c1";
  CoordinatorUnderTest t(db_store, events_store);
  t.db->is_away = true;
  t.Start();
  t.db->is_away = false;
  t.db->available();
  t.scheduler.Advance(absl::Minutes(1));
  EXPECT_EQ(t.events->taken_over, 1);
  EXPECT_EQ(t.db->taken_over, 0);
  const auto refused = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  EXPECT_THAT(std::string((*refused)->status().message()), testing::HasSubstr("are both Kafka cluster c1"));
}

// Each start has a higher epoch than the one before, also one that was refused.
TEST_F(RecoveryTest, AStartOnAnOldCopyIsRefusedAsOftenAsItIsTried) {
  const LogStart copied{.coordinator = kCoordinator, .epoch = 2, .reserved_sequences = 1000};
  CoordinatorUnderTest right(db_store, events_store, copied);
  right.Start();
  right.db->finish = {.kind = Finish::Kind::kRetry};
  const std::string txn = right.BeginAndEnlistBoth();
  ASSERT_TRUE((*right.Commit(txn, v1::DECIDED))->ok());
  LogStart start = right.log.start();
  for (int tries = 1; tries <= 3; ++tries) {
    CoordinatorUnderTest copy(db_store, events_store, start);
    copy.shard->Start();
    copy.scheduler.Advance(absl::Minutes(1));
    EXPECT_EQ(copy.Foreign().size(), 1u) << "try " << tries;
    start = copy.log.Reopened();
  }
  EXPECT_EQ(db_store.prepared.size(), 1u);
}

TEST_F(RecoveryTest, ForeignWorkThatWasFoundLateIsForeignToTheNextStartToo) {
  const BranchId theirs{TxnId{kCoordinator, 1, 0, 5}, "db"};
  db_store.prepared[theirs.ToGid()] = theirs;
  CoordinatorUnderTest t(db_store, events_store);
  t.db->is_away = true;
  t.Start();
  t.db->is_away = false;
  t.db->available();
  t.scheduler.Advance(absl::Minutes(1));
  ASSERT_EQ(t.db->taken_over, 0);
  const auto next = Restart(t);
  next->scheduler.Advance(absl::Minutes(1));
  EXPECT_EQ(next->Foreign().size(), 1u);
  EXPECT_EQ(db_store.prepared.size(), 1u);
}

TEST_F(RecoveryTest, AParticipantThatHasAnotherNameNowIsTakenOverAllTheSame) {
  LogStart start{.coordinator = kCoordinator, .epoch = 5, .reserved_sequences = 1000};
  start.taken_over = {{"orders-db", 4}, {"events", 4}};
  const BranchId left{TxnId{kCoordinator, 4, 0, 5}, "db"};
  db_store.prepared[left.ToGid()] = left;
  CoordinatorUnderTest t(db_store, events_store, start);
  t.Start();
  t.scheduler.Advance(absl::Minutes(1));
  EXPECT_TRUE(db_store.prepared.empty());
}

TEST_F(RecoveryTest, AParticipantThatGetsItsOldNameBackIsTakenOverWithWhatWasDoneUnderTheOther) {
  LogStart start{.coordinator = kCoordinator, .epoch = 5, .reserved_sequences = 1000};
  start.taken_over = {{"orders-db", 4}, {"events", 4}};
  CoordinatorUnderTest renamed(db_store, events_store, start);
  renamed.Start();
  const LogStart next = renamed.log.Reopened();
  const BranchId left{TxnId{kCoordinator, 5, 0, 1001}, "db"};
  OwnWork work;
  work.branches.push_back({left, "token", absl::UnixEpoch()});
  const auto never = [](const TxnId&) { return false; };
  EXPECT_THAT(ForeignWork(work, next, "orders-db", /*adopt=*/false, never), testing::IsEmpty());
}

TEST_F(RecoveryTest, AdoptLeavesTheWorkOfAnotherLogAloneAndStillRefusesThatOfAnotherCopy) {
  EngineOptions options;
  options.adopt = true;
  const BranchId of_another_log{TxnId{{"orders", 1}, 9, 0, 5}, "db"};
  db_store.prepared[of_another_log.ToGid()] = of_another_log;
  CoordinatorUnderTest t(db_store, events_store, {kCoordinator, 1, 0, {}}, options);
  t.Start();
  EXPECT_THAT(t.Foreign(), testing::IsEmpty());
  EXPECT_TRUE((*t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("")))->ok());
  const BranchId of_another_copy{TxnId{kCoordinator, 1, 0, 5}, "db"};
  db_store.prepared[of_another_copy.ToGid()] = of_another_copy;
  CoordinatorUnderTest copy(db_store, events_store, {kCoordinator, 1, 0, {}}, options);
  copy.Start();
  EXPECT_THAT(copy.Foreign(), ElementsAre(of_another_copy.ToGid()));
  copy.scheduler.Advance(absl::Minutes(1));
  EXPECT_EQ(db_store.prepared.size(), 2u);
}

TEST_F(RecoveryTest, EveryShardKnowsWhyAParticipantTakesNoBranches) {
  CoordinatorUnderTest t(db_store, events_store, {kCoordinator, 1, 0, {}}, {}, Shard::Place{1, 2});
  t.Start();
  t.shard->TakeOver("db");
  const auto submit = [&] { return (*t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("")))->status(); };
  t.shard->NoteSilence("events", "it may not list them");
  EXPECT_EQ(submit().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(submit().message()), testing::HasSubstr("it may not list them"));
  t.shard->NoteForeign("events", {"assent-orders-0000000000000001-0"});
  EXPECT_EQ(submit().code(), absl::StatusCode::kFailedPrecondition);
  t.shard->TakeOver("events");
  EXPECT_TRUE(submit().ok());
}

TEST_F(RecoveryTest, AnotherShardSweepsAParticipantAsSoonAsItIsTakenOver) {
  EngineOptions options;
  options.sweep_interval = absl::Hours(1);
  const BranchId left{TxnId{kCoordinator, 2, 0, 601}, "db"};  // routed to the second shard
  db_store.prepared[left.ToGid()] = left;
  CoordinatorUnderTest t(db_store, events_store, LogStart{kCoordinator, 3, 1000, {}}, options, Shard::Place{1, 2});
  t.Start();
  t.scheduler.Advance(absl::Minutes(50));
  t.shard->TakeOver("db");
  t.scheduler.Advance(absl::Seconds(1));
  EXPECT_TRUE(db_store.prepared.empty());
}

// Of work of this epoch another shard cannot tell whether the first one has done it.
TEST_F(RecoveryTest, TheFirstShardAloneSaysThatAParticipantMayBeTakenOver) {
  CoordinatorUnderTest second(db_store, events_store, {kCoordinator, 1, 0, {}}, {}, Shard::Place{1, 2});
  second.Start();
  second.db->available();
  second.scheduler.Advance(absl::Minutes(1));
  EXPECT_EQ(second.db->taken_over, 0);
  second.shard->TakeOver("db");
  EXPECT_EQ(second.db->taken_over, 1);
}

TEST_F(RecoveryTest, AParticipantThatCouldNotSayWhatItHoldsIsAskedAgain) {
  CoordinatorUnderTest t(db_store, events_store);
  t.db->is_away = true;
  t.Start();
  t.db->available();
  t.db->is_away = false;
  t.scheduler.Advance(absl::Seconds(2));
  EXPECT_EQ(t.db->taken_over, 1);
}

TEST_F(RecoveryTest, AParticipantThatHoldsForeignWorkTakesNoNewBranches) {
  events_store.foreign = {"assent-orders-0000000000000001-0"};
  CoordinatorUnderTest t(db_store, events_store);
  t.events->is_away = true;  // else it would not have started
  t.Start();
  t.events->is_away = false;
  t.events->available();
  EXPECT_THAT(t.Foreign(), ElementsAre("assent-orders-0000000000000001-0"));
  const auto submit = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  EXPECT_EQ((*submit)->status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RecoveryTest, WhatIsOlderThanTheRetentionIsLeftAloneAndSaidToBeForgotten) {
  CoordinatorUnderTest t(db_store, events_store, LogStart{kCoordinator, 3, 1000, {}});
  t.log.forgotten = 500;
  const BranchId old{TxnId{kCoordinator, 1, 0, 42}, "db"};
  const BranchId recent{TxnId{kCoordinator, 2, 0, 600}, "db"};
  db_store.prepared[old.ToGid()] = old;
  db_store.prepared[recent.ToGid()] = recent;
  t.Start();
  t.scheduler.Advance(absl::Minutes(1));
  EXPECT_THAT(db_store.prepared, testing::SizeIs(1));
  EXPECT_TRUE(db_store.prepared.contains(old.ToGid()));
  EXPECT_EQ(t.Get(old.txn.ToString()).state(), v1::STATE_FORGOTTEN);
  EXPECT_EQ(t.Get(recent.txn.ToString()).state(), v1::STATE_ABORTED);
}

TEST_F(RecoveryTest, ADecidedBranchOfAParticipantThatIsNoLongerNamedWaitsAndSaysSo) {
  LogStart start{kCoordinator, 2, 1000, {}};
  v1::DecisionRecord& record = start.unfinished.emplace_back();
  record.set_txn_id(TxnId{kCoordinator, 1, 0, 7}.ToString());
  record.set_outcome(v1::COMMITTED);
  v1::BranchRecord& branch = *record.add_branches();
  branch.set_branch("b");
  branch.set_participant("gone");
  CoordinatorUnderTest t(db_store, events_store, start);
  t.shard->Start();
  const v1::TransactionDescription description = t.Get(record.txn_id());
  EXPECT_EQ(description.state(), v1::STATE_COMMITTING);
  EXPECT_THAT(description.branches(0).waits_for(),
              testing::HasSubstr("\"gone\", which the configuration no longer names"));
}

// A Kafka that was given another name: its new name must not fence the id that the decision holds.
TEST_F(RecoveryTest, WhatADecisionHoldsIsUntouchedAlsoWhereItsParticipantHasAnotherNameNow) {
  LogStart start{kCoordinator, 2, 1000, {}};
  v1::DecisionRecord& record = start.unfinished.emplace_back();
  record.set_txn_id(TxnId{kCoordinator, 1, 0, 7}.ToString());
  record.set_outcome(v1::COMMITTED);
  for (const char* name : {"db", "kafka"}) {
    v1::BranchRecord& branch = *record.add_branches();
    branch.set_branch(name);
    branch.set_participant(name);
    branch.set_token(std::string("token at ") + name);
  }
  CoordinatorUnderTest t(db_store, events_store, start);
  t.Start();
  EXPECT_THAT(t.events->unfinished, ElementsAre("token at kafka"));
  EXPECT_THAT(t.db->unfinished, ElementsAre("token at db", "token at kafka"));
}

}  // namespace
}  // namespace assent
