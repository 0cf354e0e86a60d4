// Ids that an earlier process has left, with transactions that lack a marker, against a scripted broker.
#include "tests/participants/kafka/lost_markers_fixture.h"

namespace assent::kafka {
namespace {

using wire::ApiKey;

class LeftBehindTest : public LostMarkersTest {
 protected:
  // A process after one that had an id in this state, with a transaction of this epoch that is open somewhere.
  void BeginAfter(const std::string& state, std::int32_t open_at) {
    Make(place_);
    StartAfter(state, open_at);
  }
  void StartAfter(const std::string& state, std::int32_t open_at) {
    broker_->listed = {id_};
    broker_->listed_states = {{id_, state}};
    broker_->described_state = state;
    broker_->described_epoch = 7;
    broker_->open_transactions[{"t", 1}] = {.epoch = open_at, .from_offset = 5};
    WriteWhatIsEnded();
    participant_->Start();
  }
  bool IsFenced() {
    return participant_->RunUntil([this] { return Inits(id_) > 0; });
  }

  const ParticipantUnderTest::Place place_{};
  const std::string id_ = TransactionalId{.coordinator = place_.coordinator, .number = 0}.ToString();
};

TEST_F(LeftBehindTest, ALostMarkerIsWrittenBeforeTheIdIsFenced) {
  for (const bool commit : {true, false}) {
    BeginAfter(commit ? "CompleteCommit" : "CompleteAbort", 6);
    broker_->Next(ApiKey::kAddPartitionsToTxn, [this](const auto& request) {
      EXPECT_EQ(Inits(id_), 0);
      return broker_->Succeed(request);
    });
    EXPECT_TRUE(IsFenced());
    ASSERT_EQ(EndedAgain().size(), 1u);
    EXPECT_EQ(EndedAgain()[0].commit, commit);
    EXPECT_EQ(EndedAgain()[0].epoch, 7);
    participant_->Destroy();
  }
}

TEST_F(LeftBehindTest, UnderTransactionsV1TheStateTellsOfItsOwnEpoch) {
  for (const std::int32_t open_at : {6, 7}) {
    Make(place_);
    broker_->transaction_version = 1;
    broker_->listed = {id_};
    broker_->described_state = "CompleteCommit";
    broker_->described_epoch = 7;
    broker_->open_transactions[{"t", 1}] = {.epoch = open_at, .from_offset = 5};
    WriteWhatIsEnded();
    participant_->Start();
    EXPECT_TRUE(IsFenced());
    EXPECT_EQ(EndedAgain().size(), open_at == 7 ? 1u : 0u) << open_at;
    participant_->Destroy();
  }
}

TEST_F(LeftBehindTest, WhatTheStateDoesNotTellOfIsNotGuessed) {
  for (const std::int32_t open_at : {5, 7}) {
    BeginAfter("CompleteCommit", open_at);
    EXPECT_TRUE(IsFenced());
    EXPECT_TRUE(Added().empty()) << open_at;
    participant_->Destroy();
  }
}

TEST_F(LeftBehindTest, AnIdThatWasFencedWhileSomethingIsOpenUnderItIsNotUsed) {
  options_.max_transactional_ids = 1;
  BeginAfter("Empty", 6);
  Vote vote;
  Prepared(vote);
  EXPECT_NE(TokenOf(vote.token).transactional_id(), id_) << "what is open would end as this one does";
  EXPECT_TRUE(Added().empty());
}

// It may last longer than leaders are waited for: until the controller has noticed that one is away.
TEST_F(LeftBehindTest, AnIdWhoseTransactionIsBeingEndedIsNotLookedAtBefore) {
  Make(place_);
  broker_->Always(ApiKey::kDescribeProducers, broker_->Answering(ApiKey::kDescribeProducers, 5));
  StartAfter("PrepareCommit", 6);
  RunFor(2 * absl::ToChronoMilliseconds(options_.finish_timeout));
  EXPECT_EQ(Inits(id_), 0);
  EXPECT_GE(broker_->Count(ApiKey::kListTransactions), 3u);

  broker_->listed_states[id_] = broker_->described_state = "CompleteCommit";
  broker_->Always(ApiKey::kDescribeProducers, broker_->Answering(ApiKey::kDescribeProducers));
  EXPECT_TRUE(IsFenced());
  EXPECT_EQ(EndedAgain().size(), 1u) << "its marker was lost meanwhile";
}

TEST_F(LeftBehindTest, TheMarkersOfATransactionThatFencingAbortsAreLookedAtToo) {
  BeginAfter("Ongoing", 6);
  broker_->Always(ApiKey::kInitProducerId, [this](const auto& request) {
    if (ReadInitProducerId(request).transactional_id == id_) {
      broker_->described_state = "Empty";
      broker_->described_epoch = 8;
    }
    return broker_->Succeed(request);
  });
  EXPECT_TRUE(participant_->RunUntil([this] { return Inits(id_) == 2; }));
  ASSERT_EQ(EndedAgain().size(), 1u);
  EXPECT_FALSE(EndedAgain()[0].commit);
  EXPECT_EQ(EndedAgain()[0].epoch, 8);
}

TEST_F(LeftBehindTest, WhoWantsAnIdBeforeTheyAreListedWaitsForThat) {
  options_.finish_timeout = absl::Seconds(2);
  Make(place_);
  broker_->Next(ApiKey::kListTransactions,
                broker_->Answering(ApiKey::kListTransactions, 14));  // and half a second later
  StartAfter("CompleteCommit", 6);
  Vote vote;
  Prepared(vote);
  EXPECT_TRUE(IsFenced());
  EXPECT_EQ(EndedAgain().size(), 1u) << "it is not taken for a new one";
}

TEST_F(LeftBehindTest, ABrokerThatDoesNotKnowTheClusterYetIsAskedAgain) {
  Make(place_);
  bool is_starting = true;
  broker_->Always(ApiKey::kMetadata, [&](const auto& request) {
    const bool asks_for_all = request.body[0] == 0;
    if (!asks_for_all || !std::exchange(is_starting, false)) return broker_->Succeed(request);
    const auto nodes = std::exchange(broker_->nodes, {});
    const auto topics = std::exchange(broker_->topics, {});
    const auto answer = broker_->Succeed(request);
    broker_->nodes = nodes;
    broker_->topics = topics;
    return answer;
  });
  StartAfter("CompleteCommit", 6);
  EXPECT_TRUE(IsFenced());
  EXPECT_FALSE(is_starting);
  EXPECT_EQ(EndedAgain().size(), 1u);
}

TEST_F(LeftBehindTest, ALeaderThatDoesNotAnswerHoldsNobodyUpForLong) {
  BeginAfter("CompleteCommit", 6);
  broker_->Always(ApiKey::kDescribeProducers, broker_->Answering(ApiKey::kDescribeProducers, 6));
  EXPECT_TRUE(IsFenced());
  EXPECT_TRUE(Added().empty());
}

}  // namespace
}  // namespace assent::kafka
