// A broker that gives up waiting for the coordinator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/participants/kafka/own_kafka.h"
#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr auto kPatience = std::chrono::seconds(30);

class TimeoutTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::getenv("ASSENT_TEST_KAFKA_LIBS") == nullptr) return;
    // A transaction may be open for two seconds at most, and is looked at often.
    broker_ = std::make_unique<OwnKafka>(
        OwnKafkaOptions{.settings = {"transaction.max.timeout.ms=2000",
                                     "transaction.abort.timed.out.transaction.cleanup.interval.ms=100"}});
    judge_ = std::make_unique<PlainKafka>(broker_->bootstrap_server());
  }
  static void TearDownTestSuite() {
    judge_.reset();
    broker_.reset();
  }

  void SetUp() override {
    if (!broker_) GTEST_SKIP() << "ASSENT_TEST_KAFKA_LIBS is not set: the folder of Kafka's jars";
    ASSERT_EQ(broker_->failure(), "");
    options_.name = "events";
    options_.bootstrap_servers = {broker_->bootstrap_server()};
    options_.max_batch_bytes = 1000;
    topic_ = judge_->CreateTopic(2);
  }

  std::unique_ptr<ParticipantUnderTest> AProcess(std::vector<std::string> unfinished = {}) {
    return StartProcess(options_, place_, std::move(unfinished));
  }

  // The token of a branch that was decided by a process that died before it could say so to Kafka.
  std::string Decided() {
    const auto process = AProcess();
    const BranchId branch = process->Open();
    v1::KafkaRecord first = ARecord(topic_, "a");
    first.set_partition(0);
    v1::KafkaRecord second = ARecord(topic_, "b");
    second.set_partition(1);
    v1::KafkaRecord third = ARecord(topic_, std::string(900, 'c'));  // in a batch of its own
    third.set_partition(1);
    EXPECT_TRUE(process->Execute(branch, AnOperation({first, second, third})).ok);
    const Vote vote = process->Prepare(branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    return vote.token;
  }

  std::string StateOf(const std::string& token) {
    for (const auto& [id, state] : judge_->TransactionStates(place_.coordinator)) {
      if (id == TokenOf(token).transactional_id()) return state;
    }
    return "";
  }

  bool Becomes(const std::string& token, const std::string& state, std::chrono::milliseconds patience = kPatience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (StateOf(token) != state) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  // A process that dies between its first Produce and its EndTxn: nothing of it runs while the broker is asked.
  void BeginToRepairAndDie(const std::string& token) {
    const auto process = AProcess({token});
    (*process)->Commit(process->NewBranch(), token, [](const Finish& finish) { FAIL() << finish.message; });
    ASSERT_TRUE(process->RunUntil([&] { return Becomes(token, "Ongoing", std::chrono::milliseconds(20)); }));
  }

  static Finish CommitAtLast(ParticipantUnderTest& process, const std::string& token) {
    Finish finish;
    process.RunUntil(
        [&] {
          finish = process.Commit(process.NewBranch(), token);
          return finish.kind != Finish::Kind::kRetry;
        },
        kPatience);
    return finish;
  }

  std::vector<std::string> Values() {
    std::vector<std::string> values;
    for (const ReadRecord& record : judge_->ReadCommitted(topic_, place_.coordinator)) {
      values.push_back(record.value->substr(0, 1));
    }
    return values;
  }

  static std::unique_ptr<OwnKafka> broker_;
  static std::unique_ptr<PlainKafka> judge_;
  KafkaOptions options_;
  ParticipantUnderTest::Place place_;
  std::string topic_;
};

std::unique_ptr<OwnKafka> TimeoutTest::broker_;
std::unique_ptr<PlainKafka> TimeoutTest::judge_;

TEST_F(TimeoutTest, WhatWasDecidedIsProducedAgainOnce) {
  const std::string token = Decided();
  ASSERT_TRUE(Becomes(token, "CompleteAbort"));
  EXPECT_TRUE(Values().empty());

  const auto process = AProcess({token});
  const Finish finish = CommitAtLast(*process, token);
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_TRUE(finish.repaired);
  EXPECT_THAT(Values(), UnorderedElementsAre("a", "b", "c"));
  const Finish repeat = CommitAtLast(*process, token);
  EXPECT_EQ(repeat.kind, Finish::Kind::kDone) << repeat.message;
  EXPECT_FALSE(repeat.repaired);
  EXPECT_THAT(Values(), UnorderedElementsAre("a", "b", "c"));
}

TEST_F(TimeoutTest, ARepairThatDiesIsRepairedOnceTheBrokerHasAbortedItToo) {
  const std::string token = Decided();
  ASSERT_TRUE(Becomes(token, "CompleteAbort"));
  BeginToRepairAndDie(token);
  const auto process = AProcess({token});
  const Finish at_once = process->Commit(process->NewBranch(), token);
  EXPECT_EQ(at_once.kind, Finish::Kind::kRetry) << "whose transaction is open nobody can tell";
  const Finish finish = CommitAtLast(*process, token);
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_TRUE(finish.repaired);
  EXPECT_THAT(Values(), UnorderedElementsAre("a", "b", "c"));
}

// It cannot write that the transaction is over, but has raised its epoch: transactions V1 keep it open under that.
TEST_F(TimeoutTest, ATransactionThatTheBrokerCouldNotAbortIsNotWrittenTwice) {
  const std::string token = Decided();
  judge_->SetTopic("__transaction_state", {{"max.message.bytes", "1"}});
  // Long enough for the broker to have tried.
  const auto process = AProcess({token});
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  Finish finish;
  process->RunUntil([&] {
    finish = process->Commit(process->NewBranch(), token);
    return std::chrono::steady_clock::now() > end;
  });
  judge_->SetTopic("__transaction_state", {{"max.message.bytes", "1048588"}});
  if (finish.kind == Finish::Kind::kRetry) finish = CommitAtLast(*process, token);
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_THAT(Values(), UnorderedElementsAre("a", "b", "c"));
}

TEST_F(TimeoutTest, AnIdThatWasRepairedServesTheNextTransaction) {
  options_.max_transactional_ids = 1;
  const std::string token = Decided();
  ASSERT_TRUE(Becomes(token, "CompleteAbort"));
  const auto process = AProcess({token});
  const BranchId branch = process->NewBranch();
  ASSERT_EQ(CommitAtLast(*process, token).kind, Finish::Kind::kDone);
  (*process)->Forget(branch, token);
  const BranchId next = process->Open();
  ASSERT_TRUE(process->Execute(next, AnOperation({ARecord(topic_, "d")})).ok);
  const Vote vote = process->Prepare(next);
  ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  EXPECT_EQ(process->Abort(next, vote.token).kind, Finish::Kind::kDone);
  EXPECT_THAT(Values(), UnorderedElementsAre("a", "b", "c"));
}

TEST_F(TimeoutTest, WithoutItsRecordsItIsForAnOperator) {
  options_.max_logged_bytes = 0;
  options_.transaction_timeout = absl::Seconds(1);
  const auto process = AProcess();
  const BranchId branch = process->Open(absl::Milliseconds(800));
  ASSERT_TRUE(process->Execute(branch, AnOperation({ARecord(topic_, "a")})).ok);
  const Vote vote = process->Prepare(branch);
  ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  ASSERT_TRUE(Becomes(vote.token, "CompleteAbort"));
  Finish finish;
  process->RunUntil([&] {
    finish = process->Commit(branch, vote.token);
    return finish.kind != Finish::Kind::kRetry;
  });
  EXPECT_EQ(finish.kind, Finish::Kind::kHeuristic);
  EXPECT_THAT(finish.message, HasSubstr("max_logged_bytes"));
  EXPECT_TRUE(Values().empty());
}

}  // namespace
}  // namespace assent::kafka
