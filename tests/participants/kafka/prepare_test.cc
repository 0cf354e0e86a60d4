// From Open to the vote, against a scripted broker.
#include <map>
#include <optional>

#include "participants/kafka/error_codes.h"
#include "tests/participants/kafka/scripted_test.h"

namespace assent::kafka {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using wire::ApiKey;

class PrepareTest : public ScriptedTest {};

TEST_F(PrepareTest, NothingIsProducedBeforeIt) {
  Begin();
  const BranchId branch = participant_->Open();
  const ExecuteOutcome outcome = participant_->Execute(branch, AnOperation({ARecord("t", "a"), ARecord("t", "b")}));
  ASSERT_TRUE(outcome.ok) << outcome.error.message;
  EXPECT_EQ(outcome.result.kafka().records(), 2);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
}

TEST_F(PrepareTest, OneProduceALeaderAndTheTokenSaysWhatWasProduced) {
  Begin();
  const BranchId branch = participant_->Open();
  v1::KafkaRecord first = ARecord("t", "a");
  first.set_partition(0);
  v1::KafkaRecord second = ARecord("t", "b");
  second.set_partition(1);
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({first, second, first})).ok);
  const Vote vote = participant_->Prepare(branch);
  ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;

  const v1::KafkaToken token = TokenOf(vote.token);
  EXPECT_EQ(token.version(), v1::KAFKA_TRANSACTION_V2);
  EXPECT_EQ(token.producer_id(), broker_->producer_id);
  ASSERT_EQ(token.topics_size(), 1);
  EXPECT_EQ(token.topics(0).topic(), "t");
  EXPECT_THAT(token.topics(0).partitions(), ElementsAre(0, 1));

  ASSERT_EQ(Produces().size(), 1u);
  const SeenProduce seen = Produces()[0];
  EXPECT_EQ(seen.transactional_id, token.transactional_id());
  EXPECT_EQ(seen.acks, -1);
  ASSERT_EQ(seen.partitions.size(), 2u);
  const SeenBatch batch = ReadBatch(seen.partitions[0].batch);
  EXPECT_EQ(batch.records, 2);
  EXPECT_EQ(batch.base_sequence, 0);
  EXPECT_EQ(batch.attributes, 0x10);
  EXPECT_EQ(batch.producer_id, token.producer_id());
  EXPECT_EQ(batch.epoch, token.epoch());
}

TEST_F(PrepareTest, ARepeatGetsTheSameVote) {
  Begin();
  Vote first;
  const BranchId branch = Prepared(first);
  const Vote again = participant_->Prepare(branch);
  EXPECT_EQ(again.kind, Vote::Kind::kYes);
  EXPECT_EQ(again.token, first.token);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 1u);
}

TEST_F(PrepareTest, ABranchWithoutRecordsIsReadOnly) {
  Begin();
  const BranchId branch = participant_->Open();
  EXPECT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kReadOnly);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
}

TEST_F(PrepareTest, SeveralLeadersAreAskedInParallel) {
  Make();
  ScriptedBroker second(loop_, 2);
  broker_->nodes.push_back({2, second.port()});
  second.nodes = broker_->nodes;
  broker_->topics["t"] = second.topics["t"] = {1, 2};
  participant_->Start();
  ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
  const BranchId branch = participant_->Open();
  v1::KafkaRecord to_first = ARecord("t", "a");
  to_first.set_partition(0);
  v1::KafkaRecord to_second = ARecord("t", "b");
  to_second.set_partition(1);
  // The first broker answers only once the second has its request.
  broker_->Next(ApiKey::kProduce, [&](const ScriptedBroker::Request&) { return ScriptedBroker::Silence(); });
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({to_first, to_second})).ok);
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  EXPECT_EQ(second.Count(ApiKey::kProduce), 1u);
  EXPECT_EQ(second.Requests(ApiKey::kProduce).size(), 1u);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 2u) << "the first broker's answer was lost once";
}

TEST_F(PrepareTest, ManyRecordsGoInSeveralBatchesWithConsecutiveSequences) {
  options_.max_batch_bytes = 1000;
  Begin();
  const BranchId branch = participant_->Open();
  std::vector<v1::KafkaRecord> records(10, ARecord("t", std::string(300, 'x')));
  for (auto& record : records) record.set_partition(0);
  ASSERT_TRUE(participant_->Execute(branch, AnOperation(records)).ok);
  ASSERT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kYes);
  int next = 0;
  for (const SeenProduce& seen : Produces()) {
    ASSERT_EQ(seen.partitions.size(), 1u);
    const SeenBatch batch = ReadBatch(seen.partitions[0].batch);
    EXPECT_EQ(batch.base_sequence, next);
    EXPECT_LE(seen.partitions[0].batch.size(), 1000u);
    next += batch.records;
  }
  EXPECT_EQ(next, 10);
  EXPECT_GT(Produces().size(), 1u);
}

TEST_F(PrepareTest, BatchesThatAreCompressedInSeveralTurnsHaveConsecutiveSequencesToo) {
  options_.compression = "gzip";
  options_.max_batch_bytes = 50'000;
  Begin();
  const BranchId branch = participant_->Open();
  std::vector<v1::KafkaRecord> records(12, ARecord("t", std::string(20'000, 'x')));
  for (std::size_t i = 0; i < records.size(); ++i) records[i].set_partition(static_cast<int>(i % 2));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation(records)).ok);
  ASSERT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kYes);
  std::map<std::int32_t, int> next;
  for (const SeenProduce& seen : Produces()) {
    for (const auto& partition : seen.partitions) {
      const SeenBatch batch = ReadBatch(partition.batch);
      EXPECT_EQ(batch.base_sequence, next[partition.index]);
      next[partition.index] += batch.records;
    }
  }
  EXPECT_THAT(next, ElementsAre(Pair(0, 6), Pair(1, 6)));
}

TEST_F(PrepareTest, ABranchThatIsAbortedWhileItIsCompressedHasAskedNothingOfTheBroker) {
  options_.compression = "gzip";
  options_.max_batch_bytes = 50'000;
  Begin();
  const std::size_t inits = broker_->Count(ApiKey::kInitProducerId);
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation(std::vector(12, ARecord("t", std::string(20'000, 'x'))))).ok);
  std::optional<Vote> vote;
  (*participant_)->Prepare(branch, [&](Vote given) { vote = std::move(given); });
  EXPECT_FALSE(vote.has_value());
  EXPECT_EQ(participant_->Abort(branch, "").kind, Finish::Kind::kDone);
  ASSERT_TRUE(vote.has_value());
  EXPECT_EQ(vote->kind, Vote::Kind::kNo);
  (*participant_)->Forget(branch, "");
  // Its id is as it was.
  Vote next;
  Prepared(next);
  EXPECT_EQ(Produces().size(), 1u);
  EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), inits);
}

// ---- Answers that are lost, and codes that may be repeated ----------------------------------------------------------

TEST_F(PrepareTest, ALostAnswerMakesTheSameBatchGoAgain) {
  Begin();
  broker_->Next(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::HangUp(); });
  broker_->Next(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 46));  // DUPLICATE_SEQUENCE_NUMBER
  Vote vote;
  Prepared(vote);
  ASSERT_EQ(Produces().size(), 2u);
  EXPECT_EQ(Produces()[0].partitions[0].batch, Produces()[1].partitions[0].batch);
  EXPECT_EQ(Produces()[0].transactional_id, Produces()[1].transactional_id);
}

TEST_F(PrepareTest, ABrokerThatDoesNotAnswerIsLeftAndAskedAgain) {
  Begin();
  broker_->Next(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Silence(); });
  Vote vote;
  Prepared(vote);
  EXPECT_EQ(Produces().size(), 2u);
  EXPECT_GE(broker_->Count(ApiKey::kApiVersions), 3u) << "a request that is late ends the connection";
}

TEST_F(PrepareTest, ABrokerThatIsSilentIsLeftOnAllConnectionsAndOthersAreAsked) {
  options_.connections_per_broker = 8;
  Make();
  ScriptedBroker second(loop_, 2);
  broker_->nodes.push_back({2, second.port()});
  second.nodes = broker_->nodes;
  second.topics["t"] = {2, 2};
  broker_->topics["t"] = {1, 1};
  participant_->Start();
  ASSERT_TRUE(participant_->RunUntil(
      [&] { return (*participant_)->health().message.find("2 of 2 brokers connected") != std::string::npos; }));
  Vote warm;
  Prepared(warm);
  // The first says nothing any more; the other leads now.
  second.coordinator = 2;
  for (const ApiKey key : {ApiKey::kProduce, ApiKey::kMetadata, ApiKey::kFindCoordinator, ApiKey::kEndTxn,
                           ApiKey::kInitProducerId, ApiKey::kApiVersions}) {
    broker_->Always(key, [](const auto&) { return ScriptedBroker::Silence(); });
  }
  const auto began = std::chrono::steady_clock::now();
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  Finish finish;
  EXPECT_TRUE(participant_->RunUntil([&] {
    finish = participant_->Commit(branch, vote.token);
    return finish.kind != Finish::Kind::kRetry;
  }));
  EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  // One request_timeout tells, not one for each connection.
  EXPECT_LT(std::chrono::steady_clock::now() - began, 8 * absl::ToChronoMilliseconds(options_.request_timeout));
}

class RetriableTest : public PrepareTest, public testing::WithParamInterface<int> {};

TEST_P(RetriableTest, TheSameBatchGoesAgainUntilItIsTaken) {
  Begin();
  const auto code = static_cast<std::int16_t>(GetParam());
  for (int i = 0; i < 3; ++i) broker_->Next(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, code));
  Vote vote;
  Prepared(vote);
  ASSERT_EQ(Produces().size(), 4u);
  EXPECT_EQ(Produces()[0].partitions[0].batch, Produces()[3].partitions[0].batch);
}

// NOT_LEADER_OR_FOLLOWER, LEADER_NOT_AVAILABLE, UNKNOWN_TOPIC_OR_PARTITION (the topic exists), REQUEST_TIMED_OUT,
// NETWORK_EXCEPTION, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, NOT_ENOUGH_REPLICAS,
// NOT_ENOUGH_REPLICAS_AFTER_APPEND, CONCURRENT_TRANSACTIONS, KAFKA_STORAGE_ERROR.
INSTANTIATE_TEST_SUITE_P(Codes, RetriableTest, testing::Values(6, 5, 3, 7, 13, 14, 15, 16, 19, 20, 51, 56));

TEST_F(PrepareTest, ANewLeaderIsLookedUpAndGetsTheBatch) {
  // Longer than the look-up takes: a repeat before its answer would go to the old leader once more.
  options_.first_backoff = options_.last_backoff = absl::Seconds(1);
  Make();
  ScriptedBroker second(loop_, 2);
  broker_->nodes.push_back({2, second.port()});
  second.nodes = broker_->nodes;
  second.topics["t"] = {2, 2};
  participant_->Start();
  ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
  broker_->Always(ApiKey::kProduce, [&](const ScriptedBroker::Request& request) {
    broker_->topics["t"] = {2, 2};
    return broker_->Succeed(request, 6);  // NOT_LEADER_OR_FOLLOWER
  });
  Vote vote;
  Prepared(vote);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 1u);
  EXPECT_EQ(second.Count(ApiKey::kProduce), 1u);
}

// ---- Refusals -------------------------------------------------------------------------------------------------------

class RefusalTest : public PrepareTest, public testing::WithParamInterface<int> {};

TEST_P(RefusalTest, TheVoteIsNoAndTheIdIsFenced) {
  Begin();
  const auto code = static_cast<std::int16_t>(GetParam());
  broker_->Next(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, code));
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_EQ(vote.error.kafka_error, code);
  EXPECT_EQ(vote.error.kafka_error_name, FindErrorCode(code).name);
  EXPECT_THAT(vote.error.message, HasSubstr("topic \"t\""));
  EXPECT_EQ(vote.error.retryable, FindErrorCode(code).meaning == ErrorMeaning::kFatal);
  // Without that the transaction would stay open, and hide what stands behind it from readers.
  const std::string id = Produces()[0].transactional_id;
  EXPECT_TRUE(participant_->RunUntil([&] { return Inits(id) == 2; }));
  (*participant_)->Forget(branch, "");
}

// MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, TOPIC_AUTHORIZATION_FAILED, INVALID_RECORD, OUT_OF_ORDER_SEQUENCE_NUMBER,
// INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, TRANSACTION_ABORTABLE.
INSTANTIATE_TEST_SUITE_P(Codes, RefusalTest, testing::Values(10, 18, 29, 87, 45, 47, 48, 49, 90, 120));

TEST_F(PrepareTest, ATopicDeletedMeanwhileIsRefusedWithItsName) {
  Begin();
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  broker_->topics.clear();
  broker_->Always(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 3));
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_EQ(vote.error.code, absl::StatusCode::kNotFound);
  EXPECT_THAT(vote.error.message, HasSubstr("topic \"t\" of participant \"events\" was deleted"));
}

// ---- The deadline ---------------------------------------------------------------------------------------------------

TEST_F(PrepareTest, NoAnswerByTheDeadlineIsUnknownAndItsTokenNamesTheTransaction) {
  Begin();
  broker_->Always(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Silence(); });
  const BranchId branch = participant_->Open(absl::Milliseconds(100));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kUnknown);
  EXPECT_TRUE(vote.error.retryable);
  EXPECT_EQ(TokenOf(vote.token).transactional_id(), Produces()[0].transactional_id);
}

TEST_F(PrepareTest, AnUnknownProduceIsAbortedByANewEpochAndOnlyThenDone) {
  Begin();
  broker_->Always(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::HangUp(); });
  const BranchId branch = participant_->Open(absl::Milliseconds(100));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  const Vote vote = participant_->Prepare(branch);
  ASSERT_EQ(vote.kind, Vote::Kind::kUnknown);
  const std::string id = TokenOf(vote.token).transactional_id();
  ASSERT_TRUE(participant_->RunUntil([&] { return (*participant_)->health().available; }));
  ASSERT_EQ(Inits(id), 1);

  broker_->Always(ApiKey::kInitProducerId, broker_->Answering(ApiKey::kInitProducerId, 51));
  EXPECT_EQ(participant_->Abort(branch, vote.token).kind, Finish::Kind::kRetry);
  broker_->Always(ApiKey::kInitProducerId, broker_->Answering(ApiKey::kInitProducerId));
  Finish finish = participant_->Abort(branch, vote.token);
  // The last connection that was hung up may be noticed only now.
  while (finish.kind == Finish::Kind::kRetry) finish = participant_->Abort(branch, vote.token);
  EXPECT_EQ(finish.kind, Finish::Kind::kDone);
  EXPECT_EQ(broker_->Count(ApiKey::kEndTxn), 0u);
}

TEST_F(PrepareTest, WhatWasRefusedUntilTheDeadlineIsNo) {
  Begin();
  broker_->Always(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 19));  // NOT_ENOUGH_REPLICAS
  const BranchId branch = participant_->Open(absl::Milliseconds(100));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_TRUE(vote.error.retryable);
  EXPECT_THAT(vote.error.message, HasSubstr("NOT_ENOUGH_REPLICAS"));
}

// Of a machine that has much else to do.
constexpr absl::Duration kTimeForAFewAnswers = absl::Seconds(1);

TEST_F(PrepareTest, WhatMayHaveBeenWrittenByTheDeadlineIsUnknown) {
  Begin();
  // REQUEST_TIMED_OUT: the replicas did not acknowledge, and the leader has it. Then NOT_ENOUGH_REPLICAS, which takes
  // nothing back.
  broker_->Next(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 7));
  broker_->Always(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 19));
  const BranchId branch = participant_->Open(kTimeForAFewAnswers);
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  EXPECT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kUnknown);
}

TEST_F(PrepareTest, WhatWasAcknowledgedAfterAllLeavesNoDoubtBehind) {
  options_.max_batch_bytes = 500;
  Begin();
  broker_->Next(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 7));
  broker_->Next(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 46));
  broker_->Always(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, 19));
  const BranchId branch = participant_->Open(kTimeForAFewAnswers);
  const std::vector<v1::KafkaRecord> two_batches(2, ARecord("t", std::string(300, 'x')));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation(two_batches)).ok);
  EXPECT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kNo);
}

TEST_F(PrepareTest, ABrokerThatIsDownUntilTheDeadlineIsNo) {
  Begin();
  const BranchId branch = participant_->Open(absl::Milliseconds(100));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  broker_->Stop();
  RunFor(std::chrono::milliseconds(10));
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_EQ(vote.error.code, absl::StatusCode::kUnavailable);
  EXPECT_TRUE(vote.error.retryable);
}

TEST_F(PrepareTest, ABrokerThatReturnsBeforeTheDeadlineIsYes) {
  Begin();
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  broker_->Stop();
  RunFor(std::chrono::milliseconds(10));
  bool voted = false;
  (*participant_)->Prepare(branch, [&](Vote vote) {
    voted = true;
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  });
  RunFor(std::chrono::milliseconds(50));
  EXPECT_FALSE(voted);
  broker_->Restart();
  EXPECT_TRUE(participant_->RunUntil([&] { return voted; }));
}

TEST_F(PrepareTest, WithoutAFreeIdItWaitsAndNamesTheBoundAtTheDeadline) {
  options_.max_transactional_ids = 8;
  Begin();
  std::vector<BranchId> holders;
  std::vector<Vote> votes(8);
  for (int i = 0; i < 8; ++i) holders.push_back(Prepared(votes[static_cast<std::size_t>(i)]));
  const BranchId late = participant_->Open(absl::Milliseconds(50));
  ASSERT_TRUE(participant_->Execute(late, AnOperation({ARecord("t", "v")})).ok);
  const Vote none = participant_->Prepare(late);
  EXPECT_EQ(none.kind, Vote::Kind::kNo);
  EXPECT_EQ(none.error.code, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(none.error.message, HasSubstr("max_transactional_ids = 8"));

  const BranchId patient = participant_->Open();
  ASSERT_TRUE(participant_->Execute(patient, AnOperation({ARecord("t", "v")})).ok);
  bool voted = false;
  (*participant_)->Prepare(patient, [&](Vote vote) { voted = vote.kind == Vote::Kind::kYes; });
  ASSERT_EQ(participant_->Commit(holders[0], votes[0].token).kind, Finish::Kind::kDone);
  EXPECT_FALSE(voted) << "an id is held until its transaction is forgotten";
  (*participant_)->Forget(holders[0], votes[0].token);
  EXPECT_TRUE(participant_->RunUntil([&] { return voted; }));
}

TEST_F(PrepareTest, ABrokerThatTakesNoVersionOfACallIsNamedByVoteAndHealth) {
  Make();
  broker_->least_produce = 13;
  participant_->Start();
  ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
  EXPECT_FALSE((*participant_)->health().available);
  EXPECT_THAT((*participant_)->health().message, HasSubstr("the broker takes Produce in versions 13 to 14, not 12"));
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  const Vote vote = participant_->Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_EQ(vote.error.code, absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
}

// ---- Abort before the vote ------------------------------------------------------------------------------------------

TEST_F(PrepareTest, AnOpenBranchIsAbortedWithoutAWordToTheBroker) {
  Begin();
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  EXPECT_EQ(participant_->Abort(branch, "").kind, Finish::Kind::kDone);
  EXPECT_EQ(participant_->Abort(branch, "").kind, Finish::Kind::kDone);
  EXPECT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kNo);
  EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
  EXPECT_FALSE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
}

TEST_F(PrepareTest, ABranchAbortedWhileItPreparesVotesNoAndItsIdIsFenced) {
  Begin();
  broker_->Always(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Silence(); });
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
  std::optional<Vote> vote;
  (*participant_)->Prepare(branch, [&](Vote given) { vote = std::move(given); });
  ASSERT_TRUE(participant_->RunUntil([&] { return broker_->Count(ApiKey::kProduce) == 1; }));
  const std::string id = Produces()[0].transactional_id;
  // Not done while the id may still be written with.
  broker_->Always(ApiKey::kInitProducerId, [](const auto&) { return ScriptedBroker::HangUp(); });
  EXPECT_EQ(participant_->Abort(branch, "").kind, Finish::Kind::kRetry);
  ASSERT_TRUE(vote);
  EXPECT_EQ(vote->kind, Vote::Kind::kNo);
  broker_->Always(ApiKey::kInitProducerId, broker_->Answering(ApiKey::kInitProducerId));
  ASSERT_TRUE(participant_->RunUntil([&] { return (*participant_)->health().available; }));
  EXPECT_EQ(participant_->Abort(branch, "").kind, Finish::Kind::kDone);
  EXPECT_GE(Inits(id), 2);
  EXPECT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kNo);
}

// ---- The end of the process -----------------------------------------------------------------------------------------

TEST_F(PrepareTest, WhatIsUnderWayAtTheEndRunsNoMore) {
  Begin();
  broker_->Always(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Silence(); });
  for (int i = 0; i < 3; ++i) {
    const BranchId branch = participant_->Open();
    ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
    (*participant_)->Prepare(branch, [](Vote) { FAIL() << "nobody is there to hear it"; });
  }
  ASSERT_TRUE(participant_->RunUntil([&] { return broker_->Count(ApiKey::kProduce) == 3; }));
  participant_->Destroy();
  RunFor(std::chrono::milliseconds(50));
}

}  // namespace
}  // namespace assent::kafka
