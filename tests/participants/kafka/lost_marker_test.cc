// Transactions that have ended without their marker in a partition, on a real broker.
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
#include "tests/participants/kafka/plain_transaction.h"

namespace assent::kafka {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;
using testing::UnorderedElementsAreArray;

class OwnBrokerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::getenv("ASSENT_TEST_KAFKA_LIBS") == nullptr) return;
    // It looks often for transactions that have been open for too long.
    broker_ = std::make_unique<OwnKafka>(
        OwnKafkaOptions{.settings = {PlainTransaction::kUnverified,
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
    topic_ = judge_->CreateTopic(2);
  }

  std::string IdOf(std::uint32_t number) const {
    return TransactionalId{.coordinator = place_.coordinator, .number = number}.ToString();
  }
  PlainTransaction ATransaction(std::uint32_t number) const { return {broker_->bootstrap_server(), IdOf(number)}; }

  // Ends without a marker in the second partition.
  void Hang(PlainTransaction& transaction, bool commit) {
    transaction.Begin();
    transaction.Add(topic_, 0);
    transaction.Produce(topic_, 0, "a");
    transaction.Produce(topic_, 1, "b");
    transaction.End(commit);
    ASSERT_EQ(transaction.OpenFrom(topic_, 0), -1);
    ASSERT_EQ(transaction.OpenFrom(topic_, 1), 0);
  }

  // The vote on a branch of one record.
  Vote PrepareARecord(ParticipantUnderTest& process, const BranchId& branch, std::int32_t partition,
                      const std::string& value) const {
    v1::KafkaRecord record = ARecord(topic_, value);
    record.set_partition(partition);
    EXPECT_TRUE(process.Execute(branch, AnOperation({record})).ok);
    return process.Prepare(branch);
  }

  std::string WithPartition(v1::KafkaToken token, std::int32_t partition) const {
    token.mutable_topics(0)->add_partitions(partition);
    return token.SerializeAsString();
  }

  std::vector<std::string> Values() {
    std::vector<std::string> values;
    for (const ReadRecord& record : judge_->ReadCommitted(topic_, place_.coordinator)) values.push_back(*record.value);
    return values;
  }

  static std::unique_ptr<OwnKafka> broker_;
  static std::unique_ptr<PlainKafka> judge_;
  KafkaOptions options_;
  ParticipantUnderTest::Place place_;
  std::string topic_;
};

std::unique_ptr<OwnKafka> OwnBrokerTest::broker_;
std::unique_ptr<PlainKafka> OwnBrokerTest::judge_;

// Named by the decision.
class LostMarkerTest : public OwnBrokerTest, public testing::WithParamInterface<bool> {
 protected:
  // What readers see of them.
  static std::vector<std::string> Committed(std::vector<std::string> values) {
    return GetParam() ? std::move(values) : std::vector<std::string>();
  }
};

// What the repair rests on, by hand.
TEST_P(LostMarkerTest, APartitionThatGotNoMarkerGetsItFromASecondTransactionOfTheIdWithoutRecords) {
  const bool commit = GetParam();
  PlainTransaction transaction = ATransaction(0);
  Hang(transaction, commit);
  const auto before = transaction.State();
  EXPECT_EQ(before.state, commit ? "CompleteCommit" : "CompleteAbort");
  EXPECT_EQ(before.epoch, transaction.epoch() + (PlainTransaction::IsV2() ? 1 : 0));
  EXPECT_EQ(Values().size(), commit ? 1u : 0u);

  transaction.Continue(before.producer_id, before.epoch);
  transaction.Add(topic_, 1);
  transaction.End(commit, /*as_v2=*/false);
  EXPECT_EQ(transaction.OpenFrom(topic_, 1), -1);
  EXPECT_EQ(transaction.State().state, before.state);
  EXPECT_EQ(transaction.State().epoch, before.epoch);
  EXPECT_THAT(Values(), UnorderedElementsAreArray(Committed({"a", "b"})));
}

// ---- Repaired by the participant ----

TEST_P(LostMarkerTest, ABranchHasEndedWhenEachOfItsPartitionsHasItsMarker) {
  const auto process = StartProcess(options_, place_);
  const BranchId branch = process->Open();
  const Vote vote = PrepareARecord(*process, branch, 0, "a");
  ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  const v1::KafkaToken token = TokenOf(vote.token);
  PlainTransaction transaction(broker_->bootstrap_server(), token.transactional_id());
  transaction.Continue(token.producer_id(), static_cast<std::int16_t>(token.epoch()));
  transaction.Produce(topic_, 1, "b");

  const Finish finish = GetParam() ? process->Commit(branch, WithPartition(token, 1))
                                   : process->Abort(process->NewBranch(), WithPartition(token, 1));
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_EQ(transaction.OpenFrom(topic_, 1), -1);
  EXPECT_THAT(Values(), UnorderedElementsAreArray(Committed({"a", "b"})));
  EXPECT_THAT((*process)->health().message, HasSubstr("1 markers written again"));
}

TEST_P(LostMarkerTest, AnIdOfAnEarlierProcessIsNotFencedBeforeItsLastTransactionHasItsMarkers) {
  PlainTransaction transaction = ATransaction(0);
  Hang(transaction, GetParam());
  const auto process = StartProcess(options_, place_);
  ASSERT_TRUE(process->RunUntil([&] { return transaction.State().state == "Empty"; })) << "it is fenced";
  EXPECT_EQ(transaction.OpenFrom(topic_, 1), -1);
  EXPECT_THAT(Values(), UnorderedElementsAreArray(Committed({"a", "b"})));
}

TEST_P(LostMarkerTest, WhatIsOpenAtAnEpochThatTheStateDoesNotTellOfIsLeftToAnOperator) {
  PlainTransaction transaction = ATransaction(0);
  Hang(transaction, GetParam());
  PlainTransaction later = ATransaction(0);
  later.Begin();
  later.Add(topic_, 0);
  later.Produce(topic_, 0, "c");
  later.End(/*commit=*/true);
  options_.max_transactional_ids = 1;
  auto process = StartProcess(options_, place_);
  ASSERT_TRUE(process->RunUntil([&] { return transaction.State().state == "Empty"; })) << "it is fenced";
  EXPECT_EQ(transaction.OpenFrom(topic_, 1), 0) << "nobody can tell whether it was committed";

  process = StartProcess(options_, place_);
  const BranchId branch = process->Open();
  const Vote vote = PrepareARecord(*process, branch, 1, "d");
  EXPECT_EQ(process->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(transaction.OpenFrom(topic_, 1), 0) << "nor can the next process, which does not use the id";
}

// ---- Before a branch is produced again ----

using LostAbortTest = OwnBrokerTest;

TEST_F(LostAbortTest, WhatIsProducedAgainDoesNotShowWhatTheBrokerHasAborted) {
  options_.transaction_timeout = absl::Seconds(1);
  auto process = StartProcess(options_, place_);
  const BranchId branch = process->Open();
  const Vote vote = PrepareARecord(*process, branch, 0, "a");
  ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  v1::KafkaToken token = TokenOf(vote.token);
  PlainTransaction transaction(broker_->bootstrap_server(), token.transactional_id());
  transaction.Continue(token.producer_id(), static_cast<std::int16_t>(token.epoch()));
  transaction.Produce(topic_, 1, "aborted");
  process.reset();  // after its decision, and the broker waits no longer than for a second
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (transaction.State().state != "CompleteAbort" && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_EQ(transaction.State().state, "CompleteAbort");
  ASSERT_EQ(transaction.OpenFrom(topic_, 1), 0);

  token.add_records()->CopyFrom(token.records(0));
  token.mutable_records(1)->set_partition(1);
  const std::string decided = WithPartition(token, 1);
  process = StartProcess(options_, place_, {decided});
  Finish finish;
  EXPECT_TRUE(process->RunUntil([&] {
    finish = process->Commit(process->NewBranch(), decided);
    return finish.kind != Finish::Kind::kRetry;
  }));
  EXPECT_TRUE(finish.repaired) << finish.message;
  EXPECT_THAT(Values(), UnorderedElementsAre("a", "a"));
}

INSTANTIATE_TEST_SUITE_P(Decisions, LostMarkerTest, testing::Bool(),
                         [](const auto& decision) { return decision.param ? "Commit" : "Abort"; });

}  // namespace
}  // namespace assent::kafka
