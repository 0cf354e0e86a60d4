// Transactions of brokers before 4.0, and of clusters that have not switched transaction.version 2 on.
#include "tests/participants/kafka/scripted_test.h"

namespace assent::kafka {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using wire::ApiKey;

class TransactionsV1Test : public ScriptedTest {
 protected:
  void BeginV1() {
    Make();
    broker_->transaction_version = 1;
    participant_->Start();
    ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
    Settle();
  }
  std::vector<SeenAddPartitions> Added() const {
    std::vector<SeenAddPartitions> seen;
    for (const auto& request : broker_->Requests(ApiKey::kAddPartitionsToTxn)) {
      seen.push_back(ReadAddPartitions(request));
    }
    return seen;
  }
  // A branch with work, and its vote while the transaction cannot be opened.
  Vote VoteOf(const BranchId& branch) {
    EXPECT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
    return participant_->Prepare(branch);
  }
};

TEST_F(TransactionsV1Test, PartitionsAreAddedBeforeTheyAreProducedToAndEndTxnIsThatOfV1) {
  BeginV1();
  v1::KafkaRecord first = ARecord("t", "a");
  first.set_partition(0);
  v1::KafkaRecord second = ARecord("t", "b");
  second.set_partition(1);
  broker_->Next(ApiKey::kAddPartitionsToTxn, [this](const auto& request) {
    EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
    return broker_->Succeed(request);
  });
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({first, second})).ok);
  const Vote vote = participant_->Prepare(branch);
  ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  const v1::KafkaToken token = TokenOf(vote.token);
  EXPECT_EQ(token.version(), v1::KAFKA_TRANSACTION_V1);
  ASSERT_EQ(Added().size(), 1u);
  EXPECT_EQ(Added()[0].transactional_id, token.transactional_id());
  EXPECT_EQ(Added()[0].producer_id, token.producer_id());
  EXPECT_EQ(Added()[0].epoch, token.epoch());
  EXPECT_THAT(Added()[0].topics, ElementsAre(Pair("t", ElementsAre(0, 1))));
  EXPECT_EQ(broker_->Requests(ApiKey::kProduce)[0].version, 9) << "12 would be a transaction of V2";

  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  ASSERT_EQ(EndTxns().size(), 1u);
  EXPECT_EQ(EndTxns()[0].version, 3);
  EXPECT_EQ(EndTxns()[0].epoch, token.epoch());
}

// Under V1 the epoch of a transaction is also that of the next one: a copy of its EndTxn that is still on its way would
// end that one. Only a new epoch rules it out.
TEST_F(TransactionsV1Test, AnIdGetsANewEpochBeforeItsNextTransaction) {
  options_.max_transactional_ids = 1;
  Make();
  broker_->transaction_version = 1;
  participant_->Start();
  Vote vote;
  const BranchId branch = Prepared(vote);
  ASSERT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  (*participant_)->Forget(branch, vote.token);
  Vote next;
  Prepared(next);
  EXPECT_EQ(TokenOf(next.token).transactional_id(), TokenOf(vote.token).transactional_id());
  EXPECT_EQ(TokenOf(next.token).epoch(), TokenOf(vote.token).epoch() + 1);
  EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), 2u);
}

TEST_F(TransactionsV1Test, MarkersThatAreStillWrittenAreWaitedFor) {
  BeginV1();
  for (int i = 0; i < 3; ++i) {
    broker_->Next(ApiKey::kAddPartitionsToTxn, broker_->Answering(ApiKey::kAddPartitionsToTxn, 51));
  }
  EXPECT_EQ(VoteOf(participant_->Open()).kind, Vote::Kind::kYes);
  EXPECT_EQ(Added().size(), 4u);
}

TEST_F(TransactionsV1Test, APartitionThatIsRefusedIsNamedAndTheIdIsFenced) {
  BeginV1();
  broker_->Always(ApiKey::kAddPartitionsToTxn, broker_->Answering(ApiKey::kAddPartitionsToTxn, 29));
  const Vote vote = VoteOf(participant_->Open());
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_EQ(vote.error.kafka_error_name, "TOPIC_AUTHORIZATION_FAILED");
  EXPECT_THAT(vote.error.message, HasSubstr("topic \"t\""));
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
  EXPECT_TRUE(participant_->RunUntil([&] { return Inits(Added()[0].transactional_id) == 2; }));
}

TEST_F(TransactionsV1Test, ATransactionThatMayHaveBeenOpenedIsFencedWithItsId) {
  BeginV1();
  broker_->Always(ApiKey::kAddPartitionsToTxn, [](const auto&) { return ScriptedBroker::Silence(); });
  const Vote vote = VoteOf(participant_->Open(absl::Milliseconds(200)));
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_TRUE(vote.error.retryable);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
  EXPECT_TRUE(participant_->RunUntil([&] { return Inits(Added()[0].transactional_id) == 2; }));
}

TEST_F(TransactionsV1Test, ABranchAbortedWhileItsTransactionIsOpenedHasEndedOnceItsIdIsFenced) {
  BeginV1();
  broker_->Always(ApiKey::kAddPartitionsToTxn, [](const auto&) { return ScriptedBroker::Silence(); });
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  std::optional<Vote> vote;
  (*participant_)->Prepare(branch, [&](Vote answer) { vote = std::move(answer); });
  ASSERT_TRUE(participant_->RunUntil([&] { return !Added().empty(); }));
  // The broker answers in order: the first attempt ends with the connection, whose first request has no answer.
  EXPECT_TRUE(participant_->RunUntil([&] { return participant_->Abort(branch, "").kind == Finish::Kind::kDone; }));
  ASSERT_TRUE(vote.has_value());
  EXPECT_EQ(vote->kind, Vote::Kind::kNo);
  EXPECT_GE(Inits(Added()[0].transactional_id), 2);
}

TEST_F(TransactionsV1Test, ABranchThatPreparesWhileTheBrokerIsAwayIsOfTheVersionThatItHad) {
  BeginV1();
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  broker_->Stop();
  ASSERT_TRUE(participant_->RunUntil([&] { return !(*participant_)->health().available; }));
  std::optional<Vote> vote;
  (*participant_)->Prepare(branch, [&](Vote voted) { vote = std::move(voted); });
  RunFor(std::chrono::milliseconds(20));
  broker_->Restart();
  ASSERT_TRUE(participant_->RunUntil([&] { return vote.has_value(); }));
  EXPECT_EQ(vote->kind, Vote::Kind::kYes) << vote->error.message;
  EXPECT_EQ(TokenOf(vote->token).version(), v1::KAFKA_TRANSACTION_V1);
  EXPECT_EQ(broker_->Requests(ApiKey::kProduce).back().version, 9);
}

TEST_F(TransactionsV1Test, AnOldTokenIsFinishedAsItBeganAfterTheClusterWasUpgraded) {
  const ParticipantUnderTest::Place place;
  v1::KafkaToken token;
  token.set_transactional_id(TransactionalId{.coordinator = place.coordinator, .number = 3}.ToString());
  token.set_producer_id(4000);
  token.set_epoch(5);
  token.set_version(v1::KAFKA_TRANSACTION_V1);
  Begin(place, {token.SerializeAsString()});
  const BranchId branch = participant_->NewBranch();
  const Finish finish = participant_->Commit(branch, token.SerializeAsString());
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  ASSERT_EQ(EndTxns().size(), 1u);
  EXPECT_EQ(EndTxns()[0].version, 3);
  EXPECT_EQ(EndTxns()[0].epoch, 5);
}

}  // namespace
}  // namespace assent::kafka
