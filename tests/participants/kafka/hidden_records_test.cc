// What branches in doubt hide from read_committed readers, against a scripted broker.
#include "participants/kafka/hidden_records.h"

#include "tests/participants/kafka/lost_markers_fixture.h"

namespace assent::kafka {
namespace {

using testing::ElementsAre;
using testing::Pair;
using wire::ApiKey;

class HiddenRecordsTest : public LostMarkersTest {};

TEST_F(HiddenRecordsTest, WhereNothingIsInDoubtNobodyIsAsked) {
  Begin();
  participant_->Open();
  const Hidden hidden = participant_->MeasureHidden();
  EXPECT_EQ(hidden.records, -1);
  EXPECT_FALSE(hidden.is_partial);
  EXPECT_EQ(broker_->Count(ApiKey::kListOffsets), 0u);
}

TEST_F(HiddenRecordsTest, ThePartitionOfABranchInDoubtThatHidesMostIsNamedUntilTheBranchHasEnded) {
  Begin();
  broker_->ends[{"t", 0}] = {.last_stable_offset = 100, .high_watermark = 103};
  broker_->ends[{"t", 1}] = {.last_stable_offset = 7, .high_watermark = 19};
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  const Hidden hidden = participant_->MeasureHidden();
  EXPECT_EQ(hidden.records, 12);
  EXPECT_EQ(hidden.place, "t[1]");
  EXPECT_FALSE(hidden.is_partial);
  const auto asked = broker_->Requests(ApiKey::kListOffsets);
  ASSERT_EQ(asked.size(), 2u) << "the partitions of a leader share a request";
  EXPECT_NE(ReadListOffsets(asked[0]).read_committed, ReadListOffsets(asked[1]).read_committed);
  EXPECT_THAT(ReadListOffsets(asked[0]).partitions, ElementsAre(Pair("t", 0), Pair("t", 1)));

  ASSERT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(participant_->MeasureHidden().records, -1);
  EXPECT_EQ(broker_->Count(ApiKey::kListOffsets), 2u);
}

TEST_F(HiddenRecordsTest, ABranchWhoseVoteNeverCameIsInDoubt) {
  Begin();
  broker_->ends[{"t", 0}] = {.last_stable_offset = 0, .high_watermark = 4};
  broker_->Always(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Silence(); });
  v1::KafkaRecord record = ARecord("t", "v");
  record.set_partition(0);
  const BranchId branch = participant_->Open(absl::Milliseconds(100));
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({record})).ok);
  ASSERT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kUnknown);
  EXPECT_TRUE(participant_->RunUntil([&] { return participant_->MeasureHidden().records == 4; }));
}

// Of a decided one only the token is known, from the first attempt to end it on.
TEST_F(HiddenRecordsTest, ABranchOfAnEarlierProcessCountsUntilItHasEnded) {
  const ParticipantUnderTest::Place place;
  v1::KafkaToken token;
  token.set_transactional_id(TransactionalId{place.coordinator, 2}.ToString());
  token.set_producer_id(4000);
  token.set_epoch(3);
  token.set_version(v1::KAFKA_TRANSACTION_V2);
  auto& topic = *token.add_topics();
  topic.set_topic("t");
  topic.add_partitions(1);
  Begin(place, {token.SerializeAsString()});
  broker_->ends[{"t", 1}] = {.last_stable_offset = 7, .high_watermark = 19};
  broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, 53));  // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  const BranchId branch = participant_->NewBranch();
  ASSERT_EQ(participant_->Commit(branch, token.SerializeAsString()).kind, Finish::Kind::kRetry);
  EXPECT_EQ(participant_->MeasureHidden().records, 12) << "its topic was not known before";
  ASSERT_EQ(participant_->Commit(branch, token.SerializeAsString()).kind, Finish::Kind::kDone);
  EXPECT_EQ(participant_->MeasureHidden().records, -1);
}

TEST_F(HiddenRecordsTest, APartitionThatNobodyLeadsIsLeftOutAndSaidToBe) {
  Begin();
  broker_->ends[{"t", 0}] = {.last_stable_offset = 100, .high_watermark = 103};
  Vote vote;
  PreparedInBoth(vote);
  broker_->Always(ApiKey::kListOffsets, broker_->Answering(ApiKey::kListOffsets, 6));  // NOT_LEADER_OR_FOLLOWER
  broker_->topics["t"] = {1, -1};
  const Hidden nothing = participant_->MeasureHidden();
  EXPECT_EQ(nothing.records, -1);
  EXPECT_TRUE(nothing.is_partial);

  broker_->Always(ApiKey::kListOffsets, broker_->Answering(ApiKey::kListOffsets));
  Hidden hidden;  // once the leaders were asked for again
  EXPECT_TRUE(participant_->RunUntil([&] {
    hidden = participant_->MeasureHidden();
    return hidden.is_partial;
  }));
  EXPECT_EQ(hidden.records, 3);
  EXPECT_EQ(hidden.place, "t[0]");
}

TEST_F(HiddenRecordsTest, ALeaderThatDoesNotAnswerHoldsNobodyUpForLong) {
  options_.request_timeout = absl::Minutes(1);
  Begin();
  Vote vote;
  PreparedInBoth(vote);
  broker_->Always(ApiKey::kListOffsets, [](const auto&) { return ScriptedBroker::Silence(); });
  const absl::Duration began = SystemClock().Monotonic();
  const Hidden hidden = participant_->MeasureHidden();
  EXPECT_GE(SystemClock().Monotonic() - began, kMeasuringTakes);
  EXPECT_EQ(hidden.records, -1);
  EXPECT_TRUE(hidden.is_partial);
}

TEST_F(HiddenRecordsTest, ABrokerThatIsDownIsNotWaitedFor) {
  Begin();
  Vote vote;
  PreparedInBoth(vote);
  broker_->Stop();
  ASSERT_TRUE(participant_->RunUntil([&] { return !(*participant_)->health().available; }));
  const absl::Duration began = SystemClock().Monotonic();
  EXPECT_TRUE(participant_->MeasureHidden().is_partial);
  EXPECT_LT(SystemClock().Monotonic() - began, kMeasuringTakes);
}

// Each request has so many as a broker answers at once, and the whole has a bound too.
TEST_F(HiddenRecordsTest, NoMoreThanSoManyPartitionsAreAskedAbout) {
  Make();
  const auto count = static_cast<std::int32_t>(kMostPartitionsMeasured) + 1;
  broker_->topics["t"] = std::vector<std::int32_t>(static_cast<std::size_t>(count), 1);
  participant_->Start();
  const BranchId branch = participant_->Open();
  std::vector<v1::KafkaRecord> records;
  for (std::int32_t partition = 0; partition < count; ++partition) {
    records.push_back(ARecord("t", "v"));
    records.back().set_partition(partition);
  }
  ASSERT_TRUE(participant_->Execute(branch, AnOperation(records)).ok);
  ASSERT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kYes);
  EXPECT_TRUE(participant_->MeasureHidden().is_partial);
  std::size_t asked = 0;
  for (const auto& request : broker_->Requests(ApiKey::kListOffsets)) {
    EXPECT_LE(ReadListOffsets(request).partitions.size(), kMostPartitionsOfARequest);
    asked += ReadListOffsets(request).partitions.size();
  }
  EXPECT_EQ(asked, 2 * kMostPartitionsMeasured);
}

}  // namespace
}  // namespace assent::kafka
