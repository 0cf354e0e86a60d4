// Commit, Abort and recovery, against a scripted broker.
#include "tests/participants/kafka/scripted_test.h"

namespace assent::kafka {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using wire::ApiKey;

class FinishTest : public ScriptedTest {
 protected:
  // The token of a branch of an earlier process.
  static std::string TokenFor(const TransactionalId& id, std::int32_t epoch = 3) {
    v1::KafkaToken token;
    token.set_transactional_id(id.ToString());
    token.set_producer_id(4000);
    token.set_epoch(epoch);
    token.set_version(v1::KAFKA_TRANSACTION_V2);
    return token.SerializeAsString();
  }
};

TEST_F(FinishTest, CommitIsEndTxnWithTheTokenAndItsAnswerServesTheNextTransaction) {
  options_.max_transactional_ids = 1;
  Make();
  participant_->Start();
  Vote vote;
  const BranchId branch = Prepared(vote);
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  const v1::KafkaToken token = TokenOf(vote.token);
  ASSERT_EQ(EndTxns().size(), 1u);
  EXPECT_EQ(EndTxns()[0].transactional_id, token.transactional_id());
  EXPECT_EQ(EndTxns()[0].producer_id, token.producer_id());
  EXPECT_EQ(EndTxns()[0].epoch, token.epoch());
  EXPECT_TRUE(EndTxns()[0].commit);

  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone) << "a repeat";
  (*participant_)->Forget(branch, vote.token);
  Vote next;
  Prepared(next);
  EXPECT_EQ(TokenOf(next.token).transactional_id(), token.transactional_id());
  EXPECT_EQ(TokenOf(next.token).epoch(), token.epoch() + 1);
  EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), 1u);
}

TEST_F(FinishTest, AbortIsEndTxnToo) {
  Begin();
  Vote vote;
  const BranchId branch = Prepared(vote);
  EXPECT_EQ(participant_->Abort(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(participant_->Abort(branch, vote.token).kind, Finish::Kind::kDone);
  ASSERT_EQ(EndTxns().size(), 1u);
  EXPECT_FALSE(EndTxns()[0].commit);
}

TEST_F(FinishTest, WhatHasNotEndedIsNotForgotten) {
  Begin();
  Vote vote;
  const BranchId branch = Prepared(vote);
  (*participant_)->Forget(branch, vote.token);
  RunFor(std::chrono::milliseconds(30));
  EXPECT_EQ(Inits(TokenOf(vote.token).transactional_id()), 1) << "fencing would abort what may be decided";
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
}

TEST_F(FinishTest, ALostAnswerIsAskedForAgain) {
  Begin();
  Vote vote;
  const BranchId branch = Prepared(vote);
  broker_->Next(ApiKey::kEndTxn, [](const auto&) { return ScriptedBroker::HangUp(); });
  Finish finish = participant_->Commit(branch, vote.token);
  while (finish.kind == Finish::Kind::kRetry) {  // as the engine does, when the participant has returned
    const int times = participant_->times_available();
    participant_->RunUntil(
        [&] { return (*participant_)->health().available || participant_->times_available() > times; });
    finish = participant_->Commit(branch, vote.token);
  }
  EXPECT_EQ(finish.kind, Finish::Kind::kDone);
  EXPECT_EQ(EndTxns().size(), 2u);
}

TEST_F(FinishTest, ABrokerThatIsDownMeansRetryAndItsReturnIsTold) {
  Begin();
  Vote vote;
  const BranchId branch = Prepared(vote);
  broker_->Stop();
  ASSERT_TRUE(participant_->RunUntil([&] { return !(*participant_)->health().available; }));
  const Finish finish = participant_->Commit(branch, vote.token);
  EXPECT_EQ(finish.kind, Finish::Kind::kRetry);
  EXPECT_THAT(finish.message, HasSubstr(broker_->address()));
  const int times = participant_->times_available();
  broker_->Restart();
  EXPECT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > times; }));
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
}

TEST_F(FinishTest, AnotherCoordinatorIsLookedUp) {
  Make();
  ScriptedBroker second(loop_, 2);
  broker_->nodes.push_back({2, second.port()});
  second.nodes = broker_->nodes;
  participant_->Start();
  ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
  Vote vote;
  const BranchId branch = Prepared(vote);
  broker_->coordinator = 2;
  broker_->Always(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 16));  // NOT_COORDINATOR
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(second.Count(ApiKey::kEndTxn), 1u);
}

TEST_F(FinishTest, ACoordinatorThatIsLoadingIsAskedAgain) {
  Begin();
  Vote vote;
  const BranchId branch = Prepared(vote);
  for (int i = 0; i < 3; ++i) broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 14));
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(EndTxns().size(), 4u);
}

TEST_F(FinishTest, AnIdWhoseNextEpochIsNotKnownIsFencedBeforeItsNextUse) {
  options_.max_transactional_ids = 1;
  Make();
  participant_->Start();
  Vote vote;
  const BranchId branch = Prepared(vote);
  broker_->described_state = "CompleteCommit";
  broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 47));
  ASSERT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  (*participant_)->Forget(branch, vote.token);
  Vote next;
  Prepared(next);
  EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), 2u);
}

// ---- The state answers ----------------------------------------------------------------------------------------------

struct StateCase {
  std::string state;
  std::int16_t describe_error;
  Finish::Kind commit;
  Finish::Kind abort;
};

class StateTest : public FinishTest, public testing::WithParamInterface<StateCase> {};

TEST_P(StateTest, WhereEndTxnDoesNotSettleIt) {
  options_.max_logged_bytes = 0;  // nothing can be repaired
  for (const std::int16_t code : {48, 47, 90, 51, 49}) {
    for (const bool commit : {true, false}) {
      Begin();
      Vote vote;
      const BranchId branch = Prepared(vote);
      broker_->described_state = GetParam().state;
      broker_->described_error = GetParam().describe_error;
      broker_->described_epoch = static_cast<std::int16_t>(TokenOf(vote.token).epoch());
      broker_->Always(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, code));
      const Finish finish = commit ? participant_->Commit(branch, vote.token) : participant_->Abort(branch, vote.token);
      EXPECT_EQ(finish.kind, commit ? GetParam().commit : GetParam().abort)
          << "code " << code << (commit ? " commit: " : " abort: ") << finish.message;
      if (finish.kind == Finish::Kind::kHeuristic) {
        EXPECT_THAT(finish.message, HasSubstr(TokenOf(vote.token).transactional_id()));
        EXPECT_THAT(finish.message, HasSubstr("is to be"));
      }
      participant_->Destroy();
    }
  }
}

constexpr auto kDone = Finish::Kind::kDone;
constexpr auto kRetry = Finish::Kind::kRetry;
constexpr auto kHeuristic = Finish::Kind::kHeuristic;

INSTANTIATE_TEST_SUITE_P(
    States, StateTest,
    testing::Values(StateCase{"Ongoing", 0, kRetry, kRetry}, StateCase{"PrepareCommit", 0, kDone, kHeuristic},
                    StateCase{"CompleteCommit", 0, kDone, kHeuristic}, StateCase{"PrepareAbort", 0, kRetry, kDone},
                    StateCase{"CompleteAbort", 0, kHeuristic, kDone}, StateCase{"Empty", 0, kHeuristic, kDone},
                    StateCase{"Dead", 0, kHeuristic, kDone}, StateCase{"", 105, kHeuristic, kDone},
                    StateCase{"PrepareEpochFence", 0, kRetry, kRetry}, StateCase{"SomethingNew", 0, kRetry, kRetry},
                    StateCase{"CompleteCommit", 53, kRetry, kRetry}));

// ---- Tokens alone ---------------------------------------------------------------------------------------------------

TEST_F(FinishTest, ABranchOfAnEarlierProcessIsCommittedByItsTokenAlone) {
  const ParticipantUnderTest::Place place;
  const std::string token = TokenFor({.coordinator = place.coordinator, .number = 5}, 17);
  Begin(place, {token});
  EXPECT_EQ(participant_->Commit(participant_->NewBranch(), token).kind, Finish::Kind::kDone);
  ASSERT_EQ(EndTxns().size(), 1u);
  EXPECT_EQ(EndTxns()[0].epoch, 17);
}

TEST_F(FinishTest, ATokenThatIsNotOursIsNotActedOn) {
  Begin();
  for (const std::string& token :
       {TokenFor({.coordinator = ACoordinator(), .number = 1}), std::string("\xff\xff"), std::string("")}) {
    EXPECT_EQ(participant_->Commit(participant_->NewBranch(), token).kind, Finish::Kind::kHeuristic);
  }
  EXPECT_EQ(broker_->Count(ApiKey::kEndTxn), 0u);
}

TEST_F(FinishTest, AbortWithoutTokenOfAnUnknownBranchIsDone) {
  Begin();
  EXPECT_EQ(participant_->Abort(participant_->NewBranch(), "").kind, Finish::Kind::kDone);
}

// ---- What earlier processes left ------------------------------------------------------------------------------------

TEST_F(FinishTest, AnIdOfAnUnfinishedTransactionIsNotTouchedUntilItIsForgotten) {
  const ParticipantUnderTest::Place place;
  const TransactionalId pinned{.coordinator = place.coordinator, .number = 2};
  const std::string token = TokenFor(pinned);
  Make(place);
  broker_->listed = {pinned.ToString()};
  participant_->Start({token});
  Settle();
  std::vector<Vote> votes(12);
  for (Vote& vote : votes) {
    Prepared(vote);
    EXPECT_NE(TokenOf(vote.token).transactional_id(), pinned.ToString());
  }
  EXPECT_EQ(Inits(pinned.ToString()), 0);
  const BranchId branch = participant_->NewBranch();
  ASSERT_EQ(participant_->Commit(branch, token).kind, Finish::Kind::kDone);
  RunFor(std::chrono::milliseconds(20));
  EXPECT_EQ(Inits(pinned.ToString()), 0) << "its END is not durable yet";
  (*participant_)->Forget(branch, token);
  EXPECT_TRUE(participant_->RunUntil([&] { return Inits(pinned.ToString()) == 1; }));
  (*participant_)->Forget(branch, token);
  RunFor(std::chrono::milliseconds(20));
  EXPECT_EQ(Inits(pinned.ToString()), 1) << "a repeat";
}

TEST_F(FinishTest, EveryIdLeftBehindIsFencedAndNoneOfOthers) {
  const ParticipantUnderTest::Place place;
  const CoordinatorId other_incarnation{.name = place.coordinator.name, .incarnation = 1};
  const CoordinatorId longer_name{.name = place.coordinator.name + "1", .incarnation = place.coordinator.incarnation};
  Make(place);
  const std::string ours = TransactionalId{place.coordinator, 40}.ToString();
  const std::string foreign = TransactionalId{other_incarnation, 41}.ToString();
  const std::string others = TransactionalId{longer_name, 42}.ToString();
  broker_->listed = {ours, foreign, others, "somebody", ours + "x", "assent-"};
  participant_->Start();
  EXPECT_TRUE(participant_->RunUntil([&] { return Inits(ours) == 1; }));
  Settle();
  EXPECT_EQ(Inits(foreign) + Inits(others) + Inits("somebody") + Inits(ours + "x") + Inits("assent-"), 0);
  EXPECT_EQ(Inits(TransactionalId{place.coordinator, 41}.ToString()), 0) << "another's number is not ours";
  const auto work = participant_->ListOwn();
  ASSERT_TRUE(work.ok()) << work.status();
  EXPECT_TRUE(work->branches.empty());
  EXPECT_THAT(work->foreign, ElementsAre(foreign));
}

TEST_F(FinishTest, ForeignIdsUnderWhichATransactionIsOpenAreToldApart) {
  const ParticipantUnderTest::Place place;
  Make(place);
  const CoordinatorId other{.name = place.coordinator.name, .incarnation = 1};
  const auto id = [&](std::uint32_t number) { return TransactionalId{other, number}.ToString(); };
  broker_->listed = {id(0), id(1), id(2), id(3), id(4)};
  broker_->listed_states = {{id(0), "Ongoing"}, {id(1), "Empty"}, {id(2), "PrepareCommit"}, {id(3), "PrepareAbort"}};
  participant_->Start();
  Settle();
  const auto work = participant_->ListOwn();
  ASSERT_TRUE(work.ok()) << work.status();
  EXPECT_THAT(work->foreign, ElementsAre(id(0), id(1), id(2), id(3), id(4)));
  EXPECT_THAT(work->foreign_open, ElementsAre(id(0), id(2), id(3)));
}

TEST_F(FinishTest, AShardFencesItsOwnNumbersOnly) {
  ParticipantUnderTest::Place place;
  place.shard = 1;
  place.shard_count = 2;
  Make(place);
  const auto id = [&](std::uint32_t number) { return TransactionalId{place.coordinator, number}.ToString(); };
  broker_->listed = {id(40), id(41)};
  participant_->Start();
  EXPECT_TRUE(participant_->RunUntil([&] { return Inits(id(41)) == 1; }));
  Settle();
  EXPECT_EQ(Inits(id(40)), 0);
  for (const auto& request : broker_->Requests(ApiKey::kInitProducerId)) {
    EXPECT_EQ(ParseTransactionalId(ReadInitProducerId(request).transactional_id)->number % 2, 1u);
  }
}

TEST_F(FinishTest, LeftBehindIdsAreLookedForUntilEveryBrokerHasAnswered) {
  const ParticipantUnderTest::Place place;
  Make(place);
  const std::string ours = TransactionalId{place.coordinator, 40}.ToString();
  broker_->listed = {ours};
  broker_->Next(ApiKey::kListTransactions, broker_->Answering(ApiKey::kListTransactions, 14));
  participant_->Start();
  EXPECT_TRUE(participant_->RunUntil([&] { return Inits(ours) == 1; }));
}

TEST_F(FinishTest, WhereTheLongestTimeoutIsRefusedTheBrokersOwnIsTaken) {
  Make();
  broker_->Always(ApiKey::kInitProducerId, [&](const ScriptedBroker::Request& request) {
    return broker_->Succeed(request, ReadInitProducerId(request).timeout_ms > 600000 ? 50 : 0);
  });
  participant_->Start();
  Vote vote;
  Prepared(vote);
  const auto inits = broker_->Requests(ApiKey::kInitProducerId);
  EXPECT_EQ(ReadInitProducerId(inits.front()).timeout_ms, 2147483647);
  EXPECT_EQ(ReadInitProducerId(inits.back()).timeout_ms, 600000);
}

TEST_F(FinishTest, AnIdThatCannotBeFencedNowIsFencedLater) {
  options_.max_transactional_ids = 1;
  Make();
  broker_->Next(ApiKey::kInitProducerId, broker_->Answering(ApiKey::kInitProducerId, 53));
  participant_->Start();
  Vote vote;
  Prepared(vote);
  EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), 2u);
}

// The lost request may be carried out late, and would then abort the transaction that its id is in.
TEST_F(FinishTest, AnIdWhoseFencingGotNoAnswerIsNeverUsed) {
  options_.max_transactional_ids = 1;
  Make();
  broker_->Next(ApiKey::kInitProducerId, [](const auto&) { return ScriptedBroker::HangUp(); });
  participant_->Start();
  Vote vote;
  Prepared(vote);
  const std::string lost = ReadInitProducerId(broker_->Requests(ApiKey::kInitProducerId).front()).transactional_id;
  EXPECT_NE(TokenOf(vote.token).transactional_id(), lost);
  EXPECT_EQ(Inits(lost), 2) << "but it is fenced: whoever had it may have left a transaction open";
}

TEST_F(FinishTest, ABrokerThatHasLeftTheClusterIsNotWaitedFor) {
  Make();
  broker_->nodes.push_back({2, 1});  // nobody listens there
  participant_->Start();
  ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
  EXPECT_FALSE(participant_->ListOwn().ok());
  EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), 0u) << "what the other holds is not known";
  broker_->nodes.pop_back();
  EXPECT_TRUE(
      participant_->RunUntil([&] { return broker_->Count(ApiKey::kInitProducerId) > 0; }, std::chrono::seconds(5)));
  EXPECT_TRUE(participant_->ListOwn().ok());
}

TEST_F(FinishTest, ListOwnFailsWhereTheBrokerIsDown) {
  Make();
  broker_->Stop();
  participant_->Start();
  EXPECT_EQ(participant_->ListOwn().status().code(), absl::StatusCode::kUnavailable);
}

// ---- Nonsense -------------------------------------------------------------------------------------------------------

class NonsenseTest : public FinishTest, public testing::WithParamInterface<std::string> {};

TEST_P(NonsenseTest, EndsTheConnectionAndTheRequestGoesAgain) {
  Begin();
  broker_->Next(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Raw(GetParam()); });
  const std::size_t connections = broker_->Count(ApiKey::kApiVersions);
  Vote vote;
  Prepared(vote);
  EXPECT_GT(broker_->Count(ApiKey::kApiVersions), connections);
}

INSTANTIATE_TEST_SUITE_P(Answers, NonsenseTest,
                         testing::Values(std::string("\x7f\xff\xff\xff", 4),          // longer than any answer
                                         std::string("\xff\xff\xff\xff", 4),          // of negative length
                                         std::string("\x00\x00\x00\x02\x00\x00", 6),  // too short for its header
                                         std::string("\x00\x00\x00\x05\x00\x00\x00\x00\x00",
                                                     9),  // to a request that nobody made
                                         std::string("HTTP/1.1 400 Bad Request\r\n\r\n")));  // of another protocol

TEST_F(FinishTest, AnAnswerToAnotherRequestIsNotTaken) {
  Begin();
  broker_->Next(ApiKey::kProduce, [&](const ScriptedBroker::Request& request) {
    const std::string body = broker_->Succeed(request).bytes;
    wire::Encoder frame;
    frame.Int32(static_cast<std::int32_t>(body.size() + 5));
    frame.Int32(123456);
    frame.NoTaggedFields();
    frame.Raw(body);
    return ScriptedBroker::Raw(frame.bytes());
  });
  Vote vote;
  Prepared(vote);
  EXPECT_EQ(Produces().size(), 2u);
}

TEST_F(FinishTest, AnAnswerThatCannotBeDecodedIsTakenForNone) {
  Begin();
  broker_->Next(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Reply{.bytes = "\xff\xff\xff\xff\x7f"}; });
  Vote vote;
  Prepared(vote);
  EXPECT_EQ(Produces().size(), 2u);
}

}  // namespace
}  // namespace assent::kafka
