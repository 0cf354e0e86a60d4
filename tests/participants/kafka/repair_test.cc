// What was decided to commit and Kafka has aborted meanwhile, against a scripted broker.
#include "participants/kafka/wire/record_batch.h"
#include "tests/participants/kafka/scripted_test.h"

namespace assent::kafka {
namespace {

using testing::HasSubstr;
using wire::ApiKey;

class RepairTest : public ScriptedTest {
 protected:
  // A branch of two partitions that was decided, and whose transaction the broker has aborted at `state` since.
  BranchId Aborted(Vote& vote, const std::string& state = "CompleteAbort", std::int16_t epochs_later = 1) {
    v1::KafkaRecord first = ARecord("t", "a");
    first.set_partition(0);
    v1::KafkaRecord second = ARecord("t", "b");
    second.set_partition(1);
    const BranchId branch = participant_->Open();
    EXPECT_TRUE(participant_->Execute(branch, AnOperation({first, second})).ok);
    vote = participant_->Prepare(branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    broker_->described_state = state;
    broker_->described_epoch = static_cast<std::int16_t>(TokenOf(vote.token).epoch() + epochs_later);
    broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 48));  // INVALID_TXN_STATE
    produces_before_ = broker_->Count(ApiKey::kProduce);
    return branch;
  }

  // What the repair has produced, by partition.
  std::map<std::int32_t, std::string> ProducedAgain() const {
    std::map<std::int32_t, std::string> batches;
    const auto all = Produces();
    for (std::size_t i = produces_before_; i < all.size(); ++i) {
      for (const auto& partition : all[i].partitions) batches[partition.index] = partition.batch;
    }
    return batches;
  }

  std::size_t produces_before_ = 0;
};

TEST_F(RepairTest, TheSameRecordsAreProducedUnderThePresentEpochAndCommitted) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  const v1::KafkaToken token = TokenOf(vote.token);
  const Finish finish = participant_->Commit(branch, vote.token);
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_TRUE(finish.repaired);
  EXPECT_THAT((*participant_)->health().message, HasSubstr("1 branches repaired"));

  const auto again = ProducedAgain();
  ASSERT_EQ(again.size(), 2u);
  for (const auto& records : token.records()) {
    const std::string& before = records.batches(0);
    const std::string& after = again.at(records.partition());
    EXPECT_EQ(ReadBatch(after).epoch, token.epoch() + 1);
    EXPECT_EQ(ReadBatch(after).base_sequence, 0);
    EXPECT_EQ(after.substr(wire::kBatchHeaderBytes), before.substr(wire::kBatchHeaderBytes));
    EXPECT_EQ(wire::Reissue(after, token.producer_id(), static_cast<std::int16_t>(token.epoch())), before)
        << "with a checksum of its own";
  }
  ASSERT_EQ(EndTxns().size(), 2u);
  EXPECT_EQ(EndTxns()[1].epoch, token.epoch() + 1);
  EXPECT_TRUE(EndTxns()[1].commit);
  EXPECT_EQ(Inits(token.transactional_id()), 1) << "it would erase what became of the transaction";
}

TEST_F(RepairTest, OneThatThisProcessHasBegunGoesOnWhereItStands) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  broker_->Next(ApiKey::kEndTxn, [this](const auto&) {  // of the repair
    broker_->described_state = "Ongoing";
    return ScriptedBroker::HangUp();
  });
  broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 47));  // under the token's epoch
  Finish finish;
  participant_->RunUntil([&] {
    finish = participant_->Commit(branch, vote.token);
    return finish.kind != Finish::Kind::kRetry;
  });
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_GE(Produces().size(), produces_before_ + 2) << "the same batches once more: the leaders know them";
  EXPECT_TRUE(EndTxns().back().commit);
  EXPECT_EQ(EndTxns().back().epoch, TokenOf(vote.token).epoch() + 1);
}

// Its marker would be that of the repair, which shows the aborted records beside those that are produced again.
TEST_F(RepairTest, AMarkerOfTheAbortThatIsMissingIsWrittenBeforeAnythingIsProducedAgain) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  const v1::KafkaToken token = TokenOf(vote.token);
  broker_->open_transactions[{"t", 1}] = {.epoch = token.epoch(), .from_offset = 5};
  std::vector<SeenEndTxn> written_again;
  broker_->Always(ApiKey::kEndTxn, [&](const auto& request) {
    const SeenEndTxn end = ReadEndTxn(request);
    if (end.version < 5) {
      written_again.push_back(end);
      EXPECT_TRUE(ProducedAgain().empty());
      broker_->open_transactions.clear();
    }
    return broker_->Succeed(request, end.epoch == token.epoch() ? 48 : 0);
  });
  Finish finish;
  EXPECT_TRUE(participant_->RunUntil([&] {
    finish = participant_->Commit(branch, vote.token);
    return finish.kind != Finish::Kind::kRetry;
  }));
  EXPECT_TRUE(finish.repaired) << finish.message;
  EXPECT_EQ(ProducedAgain().size(), 2u);
  ASSERT_EQ(written_again.size(), 1u);
  EXPECT_FALSE(written_again[0].commit);
}

// A broker may raise the epoch of a transaction that it could not abort yet: to produce again would make two of it.
TEST_F(RepairTest, WhatIsOpenAboveTheTokenAndWasNotBegunByThisProcessIsWaitedFor) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote, "Ongoing");
  const Finish finish = participant_->Commit(branch, vote.token);
  EXPECT_EQ(finish.kind, Finish::Kind::kRetry);
  EXPECT_TRUE(ProducedAgain().empty());
  for (const SeenEndTxn& end : EndTxns()) EXPECT_EQ(end.epoch, TokenOf(vote.token).epoch());

  broker_->described_state = "CompleteAbort";
  broker_->described_epoch += 1;
  broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 47));
  EXPECT_TRUE(participant_->Commit(branch, vote.token).repaired);
}

TEST_F(RepairTest, MoreBatchesThanLeadersRememberAreNotLogged) {
  options_.max_batch_bytes = 200;
  Begin();
  for (const int batches : {5, 6}) {
    const BranchId branch = participant_->Open();
    std::vector<v1::KafkaRecord> records;
    for (int i = 0; i < batches; ++i) {
      records.push_back(ARecord("t", std::string(150, 'v')));
      records.back().set_partition(0);
    }
    ASSERT_TRUE(participant_->Execute(branch, AnOperation(records)).ok);
    const Vote vote = participant_->Prepare(branch);
    ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    EXPECT_EQ(TokenOf(vote.token).records_size(), batches == 5 ? 1 : 0);
  }
}

TEST_F(RepairTest, BehindTheLastEpochItRunsUnderTheNewProducerId) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  broker_->producer_id += 1;
  broker_->described_epoch = 0;
  const Finish finish = participant_->Commit(branch, vote.token);
  EXPECT_TRUE(finish.repaired) << finish.message;
  for (const auto& [partition, batch] : ProducedAgain()) {
    EXPECT_EQ(ReadBatch(batch).producer_id, TokenOf(vote.token).producer_id() + 1);
    EXPECT_EQ(ReadBatch(batch).epoch, 0);
  }
}

TEST_F(RepairTest, BehindTheLastEpochTheMarkersOfTheRepairAreAwaitedUnderTheNewProducerId) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  broker_->producer_id += 1;
  broker_->described_epoch = 0;
  broker_->Next(ApiKey::kEndTxn, [this](const auto& request) {  // of the repair
    broker_->open_transactions[{"t", 1}] = {.epoch = 0, .from_offset = 5};
    broker_->described_state = "PrepareCommit";
    broker_->described_epoch = 1;
    return broker_->Succeed(request);
  });
  const Finish early = participant_->Commit(branch, vote.token);
  EXPECT_EQ(early.kind, Finish::Kind::kRetry);
  EXPECT_THAT(early.message, HasSubstr("not every partition has its marker"));
  broker_->open_transactions.clear();
  const Finish finish = participant_->Commit(branch, vote.token);
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_TRUE(finish.repaired);
}

TEST_F(RepairTest, AMarkerThatAnEarlierProcessRepairBehindTheLastEpochLacksIsWritten) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote, "CompleteCommit");
  broker_->producer_id += 1;
  broker_->described_epoch = 1;
  broker_->open_transactions[{"t", 1}] = {.epoch = 0, .from_offset = 5};
  broker_->Always(ApiKey::kEndTxn, [this](const auto& request) {
    const bool writes_again = request.version < 5;
    if (writes_again) broker_->open_transactions.clear();
    return broker_->Succeed(request, writes_again ? 0 : 48);
  });
  EXPECT_TRUE(
      participant_->RunUntil([&] { return participant_->Commit(branch, vote.token).kind == Finish::Kind::kDone; }));
  const auto added = broker_->Requests(ApiKey::kAddPartitionsToTxn);
  ASSERT_EQ(added.size(), 1u);
  EXPECT_EQ(ReadAddPartitions(added[0]).producer_id, TokenOf(vote.token).producer_id() + 1);
}

// The end of a transaction at its last epoch begins the new producer id itself.
TEST_F(RepairTest, WhatWasCommittedAtItsLastEpochIsLookedForUnderItsOwnProducerId) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote, "CompleteCommit");
  broker_->open_transactions[{"t", 1}] = {.epoch = TokenOf(vote.token).epoch(), .from_offset = 5};
  broker_->Always(ApiKey::kDescribeTransactions, [this](const auto& request) {
    broker_->producer_id += 1;
    broker_->described_epoch = 0;
    const auto answer = broker_->Succeed(request);
    broker_->producer_id -= 1;
    return answer;
  });
  broker_->Always(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 48));
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(broker_->Count(ApiKey::kDescribeTransactions), 2u) << "it was found open there, and asked about";
}

TEST_F(RepairTest, WhatTheLogHoldsCountsAsBufferedUntilTheBranchHasEnded) {
  options_.max_buffered_bytes = 3000;
  Begin();
  Vote vote;
  const BranchId first = participant_->Open();
  ASSERT_TRUE(participant_->Execute(first, AnOperation({ARecord("t", std::string(2000, 'v'))})).ok);
  vote = participant_->Prepare(first);
  ASSERT_EQ(vote.kind, Vote::Kind::kYes);
  EXPECT_FALSE(participant_->Execute(participant_->Open(), AnOperation({ARecord("t", std::string(2000, 'v'))})).ok);
  ASSERT_EQ(participant_->Commit(first, vote.token).kind, Finish::Kind::kDone);
  EXPECT_TRUE(participant_->Execute(participant_->Open(), AnOperation({ARecord("t", std::string(2000, 'v'))})).ok);
}

TEST_F(RepairTest, OneWhoseLastAnswerWasLostIsFoundDone) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  broker_->Next(ApiKey::kEndTxn, [this](const auto&) {
    broker_->described_state = "CompleteCommit";
    return ScriptedBroker::HangUp();
  });
  broker_->Always(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 47));
  Finish finish = participant_->Commit(branch, vote.token);
  while (finish.kind == Finish::Kind::kRetry) {
    RunFor(std::chrono::milliseconds(20));
    finish = participant_->Commit(branch, vote.token);
  }
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_EQ(ProducedAgain().size(), 2u);
  EXPECT_EQ(Produces().size(), produces_before_ + 1) << "once";
}

TEST_F(RepairTest, WhatCannotBeProducedNowIsTriedAgain) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  broker_->Next(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 29));  // TOPIC_AUTHORIZATION_FAILED
  const Finish refused = participant_->Commit(branch, vote.token);
  EXPECT_EQ(refused.kind, Finish::Kind::kRetry);
  EXPECT_THAT(refused.message, HasSubstr("TOPIC_AUTHORIZATION_FAILED"));
  broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 48));
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
}

TEST_F(RepairTest, MarkersThatAreStillBeingWrittenAreWaitedFor) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote, "PrepareAbort");
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kRetry);
  EXPECT_TRUE(ProducedAgain().empty());
}

TEST_F(RepairTest, UnderTheEpochOfTheTokenNothingIsProducedAgain) {
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote, "CompleteAbort", 0);
  const Finish finish = participant_->Commit(branch, vote.token);
  EXPECT_EQ(finish.kind, Finish::Kind::kHeuristic) << "leaders would drop the batches as repeats of aborted ones";
  EXPECT_TRUE(ProducedAgain().empty());
}

TEST_F(RepairTest, RecordsBeyondTheBoundOfTheLogAreForAnOperator) {
  options_.max_logged_bytes = 100;
  Begin();
  Vote vote;
  const BranchId branch = Aborted(vote);
  EXPECT_EQ(TokenOf(vote.token).records_size(), 0);
  const Finish finish = participant_->Commit(branch, vote.token);
  EXPECT_EQ(finish.kind, Finish::Kind::kHeuristic);
  EXPECT_THAT(finish.message, HasSubstr("max_logged_bytes"));
}

TEST_F(RepairTest, ATransactionThatKafkaWouldNotKeepOpenSoLongNeedsItsRecordsInTheLog) {
  options_.max_logged_bytes = 100;
  options_.transaction_timeout = absl::Seconds(10);
  Begin();
  const BranchId branch = participant_->Open(absl::Seconds(15));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", std::string(200, 'v'))})).ok);
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_THAT(vote.error.message, HasSubstr("max_logged_bytes = 100"));
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);

  const BranchId shorter = participant_->Open(absl::Seconds(8));
  ASSERT_TRUE(participant_->Execute(shorter, AnOperation({ARecord("t", std::string(200, 'v'))})).ok);
  EXPECT_EQ(participant_->Prepare(shorter).kind, Vote::Kind::kYes);
}

TEST_F(RepairTest, ABatchThatIsNoneIsNotSent) {
  const ParticipantUnderTest::Place place;
  v1::KafkaToken token;
  token.set_transactional_id(TransactionalId{.coordinator = place.coordinator, .number = 1}.ToString());
  token.set_version(v1::KAFKA_TRANSACTION_V2);
  token.add_records()->add_batches("short");
  Begin(place, {token.SerializeAsString()});
  const Finish finish = participant_->Commit(participant_->NewBranch(), token.SerializeAsString());
  EXPECT_EQ(finish.kind, Finish::Kind::kHeuristic);
  EXPECT_THAT(finish.message, HasSubstr("5 bytes"));
}

}  // namespace
}  // namespace assent::kafka
