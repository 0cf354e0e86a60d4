#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "tests/coordinator/log/log_testing.h"

namespace assent {
namespace {

class DecisionLogTest : public testing::Test {
 protected:
  std::unique_ptr<DecisionLog> Open() { return OpenOrDie(options_); }

  ScratchFolder folder_;
  DecisionLogOptions options_ = MakeOptions(folder_ / "data");
};

TEST_F(DecisionLogTest, AFreshLogStartsWithEpochOneAndNothingElse) {
  const auto log = Open();
  EXPECT_EQ(log->start().coordinator.name, "orders");
  EXPECT_EQ(log->start().epoch, 1u);
  EXPECT_EQ(log->start().reserved_sequences, 0u);
  EXPECT_TRUE(log->start().unfinished.empty());
  EXPECT_EQ(log->forgotten_before(), 0u);
  EXPECT_EQ(log->requests_forgotten_before(), absl::InfinitePast());
}

TEST_F(DecisionLogTest, TheIncarnationStaysAndTheEpochGrowsWithEachOpening) {
  const std::uint64_t incarnation = Open()->start().coordinator.incarnation;
  for (std::uint32_t epoch = 2; epoch < 5; ++epoch) {
    const auto log = Open();
    EXPECT_EQ(log->start().coordinator.incarnation, incarnation);
    EXPECT_EQ(log->start().epoch, epoch);
  }
}

TEST_F(DecisionLogTest, AnotherLogHasAnotherIncarnation) {
  const auto log = Open();
  const auto other = OpenOrDie(MakeOptions(folder_ / "other"));
  EXPECT_NE(log->start().coordinator.incarnation, other->start().coordinator.incarnation);
}

TEST_F(DecisionLogTest, ADecisionIsFoundByItsTransactionAndByItsRequest) {
  const auto log = Open();
  const TxnId txn = MakeTxn(*log, log->NextSequence());
  const v1::DecisionRecord decision = MakeCommit(txn, "order-1");
  DecideAndWait(*log, decision);

  const auto by_txn = FindTransaction(*log, txn);
  ASSERT_TRUE(by_txn.has_value());
  EXPECT_EQ(by_txn->decision.SerializeAsString(), decision.SerializeAsString());
  EXPECT_FALSE(by_txn->ended);
  EXPECT_TRUE(log->RequestMayExist("order-1"));
  const auto by_request = FindRequest(*log, "order-1");
  ASSERT_TRUE(by_request.has_value());
  EXPECT_EQ(by_request->decision.txn_id(), txn.ToString());
}

TEST_F(DecisionLogTest, AnEndedDecisionIsFoundWithoutItsTokens) {
  const auto log = Open();
  const TxnId txn = MakeTxn(*log, log->NextSequence());
  DecideAndWait(*log, MakeCommit(txn, "order-1"));
  EndAndWait(*log, txn);
  const auto found = FindRequest(*log, "order-1");
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->ended);
  ASSERT_EQ(found->decision.branches_size(), 1);
  EXPECT_EQ(found->decision.branches(0).branch(), "stock");
  EXPECT_EQ(found->decision.branches(0).token(), "");
}

TEST_F(DecisionLogTest, AnAbortHasEndedWithItsDecision) {
  {
    const auto log = Open();
    const TxnId txn = MakeTxn(*log, log->NextSequence());
    DecideAndWait(*log, MakeAbort(txn, "order-1"));
    EXPECT_TRUE(FindTransaction(*log, txn)->ended);
  }
  const auto log = Open();
  EXPECT_TRUE(log->start().unfinished.empty());
  EXPECT_EQ(FindRequest(*log, "order-1")->decision.failure().reason(), "out of stock");
}

TEST_F(DecisionLogTest, WhatWasNeverDecidedIsNotFound) {
  const auto log = Open();
  const TxnId txn = MakeTxn(*log, log->NextSequence());
  EXPECT_FALSE(FindTransaction(*log, txn).has_value());
  EXPECT_FALSE(FindRequest(*log, "order-1").has_value());
  EXPECT_FALSE(log->RequestMayExist("order-1"));
  DecideAndWait(*log, MakeCommit(txn, "order-1"));
  EXPECT_FALSE(log->RequestMayExist("order-2"));
  TxnId of_another_shard = txn;
  of_another_shard.shard = 1;
  EXPECT_FALSE(FindTransaction(*log, of_another_shard).has_value());
}

TEST_F(DecisionLogTest, UnfinishedDecisionsComeBackInTheOrderOfTheirSequences) {
  std::vector<std::string> expected;
  {
    const auto log = Open();
    Completions decided;
    // Around 256, where an order by text or by little-endian bytes would differ.
    for (std::uint64_t sequence : {300, 255, 256, 9, 10, 1}) {
      log->Decide(MakeCommit(MakeTxn(*log, sequence)), decided.One());
    }
    decided.WaitFor(6);
    EndAndWait(*log, MakeTxn(*log, 10));
    for (std::uint64_t sequence : {1, 9, 255, 256, 300}) expected.push_back(MakeTxn(*log, sequence).ToString());
  }
  const auto log = Open();
  std::vector<std::string> found;
  for (const v1::DecisionRecord& decision : log->start().unfinished) {
    found.push_back(decision.txn_id());
    EXPECT_EQ(decision.branches(0).token(), "token of " + decision.txn_id());
  }
  EXPECT_EQ(found, expected);
}

TEST_F(DecisionLogTest, CompletionsRunInTheOrderOfTheCalls) {
  const auto log = Open();
  Completions decided;
  std::vector<int> expected;
  for (int i = 0; i < 1000; ++i) {
    log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), decided.One(i));
    expected.push_back(i);
  }
  decided.WaitFor(1000);
  EXPECT_EQ(decided.order(), expected);
}

TEST_F(DecisionLogTest, TheDestructorWritesWhatIsQueuedAndRunsItsCompletions) {
  Completions decided;
  {
    const auto log = Open();
    for (int i = 0; i < 100; ++i) log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), decided.One());
    log->End(MakeTxn(*log, 50), nullptr);
  }
  EXPECT_EQ(decided.count(), 100);
  EXPECT_EQ(Open()->start().unfinished.size(), 99u);
}

TEST_F(DecisionLogTest, DrainWaitsForEveryCompletion) {
  const auto log = Open();
  Completions decided;
  for (int i = 0; i < 100; ++i) log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), decided.One());
  bool found = false;
  log->FindRequest("order-1", [&](auto) { found = true; });
  log->Drain();
  EXPECT_EQ(decided.count(), 100);
  EXPECT_TRUE(found);
}

TEST_F(DecisionLogTest, MoreLookUpsThanTheBoundAreRefusedAndTheRestIsAnswered) {
  options_.max_queued_lookups = 3;
  const auto log = Open();
  std::atomic<int> answered = 0;
  std::atomic<int> refused = 0;
  const auto count = [&](const auto& found) { ++(found.ok() ? answered : refused); };
  std::promise<void> release;
  log->FindRequest("first", [&, go = release.get_future()](const auto& found) {
    go.wait();
    count(found);
  });
  while (refused == 0) log->FindRequest("next", count);
  release.set_value();
  log->Drain();
  EXPECT_EQ(refused, 1);
  EXPECT_GE(answered, 3);
}

TEST_F(DecisionLogTest, AnEndThatNobodyWaitsForRidesWithTheNextGroup) {
  options_.end_sync_delay = absl::Hours(1);
  const auto log = Open();
  const TxnId txn = MakeTxn(*log, log->NextSequence());
  DecideAndWait(*log, MakeCommit(txn));
  Completions ended;
  log->End(txn, ended.One());
  EXPECT_FALSE(FindTransaction(*log, txn)->ended);  // no group has come yet
  EXPECT_EQ(ended.count(), 0);
  DecideAndWait(*log, MakeCommit(MakeTxn(*log, log->NextSequence())));
  EXPECT_EQ(ended.count(), 1);
  EXPECT_TRUE(FindTransaction(*log, txn)->ended);
}

TEST_F(DecisionLogTest, AnEndThatSomethingWaitsForIsWrittenWithoutAGroup) {
  const auto log = Open();
  const TxnId txn = MakeTxn(*log, log->NextSequence());
  DecideAndWait(*log, MakeCommit(txn));
  const auto begin = std::chrono::steady_clock::now();
  EndAndWait(*log, txn);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(5));
  EXPECT_TRUE(FindTransaction(*log, txn)->ended);
}

TEST_F(DecisionLogTest, SequencesOfAnEarlierEpochAreNeverGivenOutAgain) {
  options_.sequence_reservation = 1000;
  std::uint64_t last = 0;
  {
    const auto log = Open();
    EXPECT_EQ(log->NextSequence(), 1u);
    last = log->NextSequence();
    EXPECT_EQ(log->last_sequence(), last);
  }
  const auto log = Open();
  EXPECT_GE(log->start().reserved_sequences, last);
  EXPECT_GT(log->NextSequence(), log->start().reserved_sequences);
}

TEST_F(DecisionLogTest, SequencesAreReservedAhead) {
  options_.sequence_reservation = 1000;
  std::uint64_t last = 0;
  {
    const auto log = Open();
    for (int i = 0; i < 20; ++i) {
      for (int j = 0; j < 400; ++j) EXPECT_EQ(log->NextSequence(), ++last);
      // A group behind the reservation's: the reservation is durable.
      DecideAndWait(*log, MakeCommit(MakeTxn(*log, last)));
    }
  }
  EXPECT_GE(Open()->start().reserved_sequences, last);
}

using DecisionLogDeathTest = DecisionLogTest;

TEST_F(DecisionLogDeathTest, RunningOutOfSequencesIsAFailedCheck) {
  const ScratchForDeathTests scratch(folder_);
  options_.sequence_reservation = 2;
  EXPECT_DEATH(
      {
        const auto log = Open();
        // Three at once, before the committer can have reserved more.
        for (int i = 0; i < 1000; ++i) log->NextSequence();
      },
      "sequence_reservation");
}

TEST_F(DecisionLogTest, TheAuditTrailIsListedInPagesInTheOrderOfTheTransactions) {
  const auto log = Open();
  Completions durable;
  const TxnId of_another_log{
      .coordinator = {.name = "orders", .incarnation = 1}, .epoch = 9, .shard = 0, .sequence = 2};
  for (const TxnId& txn : {MakeTxn(*log, 3), of_another_log, MakeTxn(*log, 1)}) {
    v1::HeuristicRecord record;
    record.set_txn_id(txn.ToString());
    record.set_branch("stock");
    log->RecordHeuristic(record, durable.One());
  }
  durable.WaitFor(3);
  std::vector<std::string> found;
  std::string after;
  do {
    std::promise<AuditPage> promise;
    log->ListAudit(after, 2, [&](auto page) { promise.set_value(*std::move(page)); });
    const AuditPage page = promise.get_future().get();
    for (const v1::HeuristicRecord& record : page.records) found.push_back(record.txn_id());
    after = page.last_key;
  } while (!after.empty());
  EXPECT_THAT(
      found, testing::ElementsAre(MakeTxn(*log, 1).ToString(), of_another_log.ToString(), MakeTxn(*log, 3).ToString()));
}

TEST_F(DecisionLogTest, HeuristicRecordsAreDurableBeforeTheirCompletion) {
  TxnId txn;
  {
    const auto log = Open();
    txn = MakeTxn(*log, log->NextSequence());
    const TxnId next = MakeTxn(*log, log->NextSequence());
    Completions durable;
    log->Decide(MakeCommit(txn, "order-1"), durable.One());
    log->Decide(MakeCommit(next), durable.One());
    v1::HeuristicRecord record;
    record.set_branch("stock");
    record.set_what("42704: the prepared transaction is gone");
    TxnId of_another_log = txn;
    of_another_log.coordinator.incarnation = 1;
    for (const TxnId& of : {txn, next, of_another_log}) {
      record.set_txn_id(of.ToString());
      record.set_found_at_us(record.found_at_us() + 1);
      log->RecordHeuristic(record, durable.One());
    }
    log->End(txn, durable.One());
    durable.WaitFor(6);
  }
  const auto log = Open();
  for (const auto& found : {FindTransaction(*log, txn), FindRequest(*log, "order-1")}) {
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->heuristics.size(), 1u)
        << "its own, not the next one's, nor that of the same number in another log";
    EXPECT_EQ(found->heuristics[0].branch(), "stock");
  }
}

TEST_F(DecisionLogTest, OfATransactionThatLeftNoOutcomeTheAuditTrailTells) {
  const auto log = Open();
  Completions durable;
  v1::HeuristicRecord record;
  record.set_branch("stock");
  record.set_what("committed by hand");
  const TxnId presumed_aborted = MakeTxn(*log, log->NextSequence());
  const TxnId unknown = MakeTxn(*log, log->NextSequence());
  record.set_txn_id(presumed_aborted.ToString());
  record.set_decided(v1::ABORTED);
  log->RecordHeuristic(record, durable.One());
  record.set_txn_id(unknown.ToString());
  record.set_decided(v1::FORGOTTEN);
  log->RecordHeuristic(record, durable.One());
  durable.WaitFor(2);
  const auto found = FindTransaction(*log, presumed_aborted);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->ended);
  EXPECT_EQ(found->decision.outcome(), v1::ABORTED);
  ASSERT_EQ(found->heuristics.size(), 1u);
  EXPECT_EQ(found->heuristics[0].what(), "committed by hand");
  EXPECT_FALSE(FindTransaction(*log, unknown).has_value()) << "it says nothing of the decision";
}

TEST_F(DecisionLogTest, TakeOversAreKnownToLaterProcessesAndStartsAloneAreNone) {
  {
    const auto log = Open();
    EXPECT_EQ(log->start().LastTakeOverOf("orders-db"), 0u);
    Completions durable;
    log->RecordTakeOver("orders-db", log->start().epoch, durable.One());
    log->RecordTakeOver("stock/db", 0, durable.One());
    durable.WaitFor(2);
  }
  for (const std::uint32_t epoch : {2u, 3u}) {  // refused, both
    const auto log = Open();
    EXPECT_EQ(log->start().epoch, epoch);
    EXPECT_EQ(log->start().LastTakeOverOf("orders-db"), 1u);
    EXPECT_EQ(log->start().LastTakeOverOf("stock/db"), 0u);
    EXPECT_EQ(log->start().LastTakeOverOf("a new name"), 1u);
  }
}

TEST_F(DecisionLogTest, ManyThreadsWriteAndReadAtOnce) {
  options_.sequence_reservation = 100'000;
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  {
    const auto log = Open();
    Completions decided;
    Completions ended;
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          const TxnId txn = MakeTxn(*log, log->NextSequence());
          const std::string request = std::to_string(thread) + "-" + std::to_string(i);
          EXPECT_FALSE(log->RequestMayExist(request) && FindRequest(*log, request).has_value());
          log->Decide(MakeCommit(txn, request), [&, txn, done = decided.One()]() mutable {
            if (txn.sequence % 2 == 0) log->End(txn, ended.One());
            done();
          });
          if (i % 50 == 0) FindTransaction(*log, txn);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    decided.WaitFor(kThreads * kEach);
    ended.WaitFor(kThreads * kEach / 2);
    for (int thread = 0; thread < kThreads; ++thread) {
      EXPECT_TRUE(FindRequest(*log, std::to_string(thread) + "-7").has_value());
    }
  }
  EXPECT_EQ(Open()->start().unfinished.size(), kThreads * kEach / 2u);
}

}  // namespace
}  // namespace assent
