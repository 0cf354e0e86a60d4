// Work in a branch, and its bounds, against a scripted broker.
#include "participants/kafka/partitioner.h"
#include "tests/participants/kafka/scripted_test.h"

namespace assent::kafka {
namespace {

using testing::HasSubstr;
using wire::ApiKey;

class ExecuteTest : public ScriptedTest {
 protected:
  void ExpectDoomed(const BranchId& branch, absl::StatusCode code) {
    const Vote vote = participant_->Prepare(branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kNo);
    EXPECT_EQ(vote.error.code, code);
    EXPECT_EQ(broker_->Count(ApiKey::kProduce), 0u);
  }
  BranchError FailureOf(const v1::Operation& operation) {
    const BranchId branch = participant_->Open();
    ExecuteOutcome outcome = participant_->Execute(branch, operation);
    EXPECT_FALSE(outcome.ok);
    ExpectDoomed(branch, outcome.error.code);
    return outcome.error;
  }
};

TEST_F(ExecuteTest, SqlOptionsAreRefused) {
  Begin();
  v1::BranchOptions options;
  options.mutable_sql()->set_read_only(true);
  EXPECT_EQ((*participant_)->Open(participant_->NewBranch(), options, absl::InfiniteFuture()).code(),
            absl::StatusCode::kInvalidArgument);
  v1::BranchOptions fitting;
  fitting.mutable_kafka();
  EXPECT_TRUE((*participant_)->Open(participant_->NewBranch(), fitting, absl::InfiniteFuture()).ok());
}

TEST_F(ExecuteTest, SqlIsRefusedAndTheBranchCannotCommitWithoutIt) {
  Begin();
  v1::Operation operation;
  operation.mutable_sql()->add_statements()->set_sql("SELECT 1");
  EXPECT_EQ(FailureOf(operation).code, absl::StatusCode::kInvalidArgument);
}

TEST_F(ExecuteTest, ABranchThatWasNeverOpenedIsRefused) {
  Begin();
  const ExecuteOutcome outcome = participant_->Execute(participant_->NewBranch(), AnOperation({ARecord("t", "v")}));
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kFailedPrecondition);
}

TEST_F(ExecuteTest, AnUnknownTopicIsNamedAndTheBrokerIsAskedNotToCreateIt) {
  Begin();
  const BranchError error = FailureOf(AnOperation({ARecord("t", "v"), ARecord("nosuch", "v")}));
  EXPECT_EQ(error.code, absl::StatusCode::kNotFound);
  EXPECT_EQ(error.kafka_error, 3);
  EXPECT_EQ(error.kafka_error_name, "UNKNOWN_TOPIC_OR_PARTITION");
  EXPECT_THAT(error.message, HasSubstr("topic \"nosuch\" does not exist at participant \"events\""));
  EXPECT_FALSE(error.retryable);
  // The flag that would create topics stands before that of authorized operations and the tagged fields.
  for (const auto& request : broker_->Requests(ApiKey::kMetadata)) {
    EXPECT_EQ(request.body[request.body.size() - 3], '\0');
  }
}

TEST_F(ExecuteTest, ATopicThatIsCreatedIsFoundSoonAfter) {
  options_.unknown_topic_age = absl::Milliseconds(30);
  Begin();
  FailureOf(AnOperation({ARecord("young", "v")}));
  const std::size_t asked = broker_->Count(ApiKey::kMetadata);
  FailureOf(AnOperation({ARecord("young", "v")}));
  EXPECT_EQ(broker_->Count(ApiKey::kMetadata), asked) << "for a short time nobody asks again";
  broker_->topics["young"] = {1};
  RunFor(std::chrono::milliseconds(40));
  EXPECT_TRUE(participant_->Execute(participant_->Open(), AnOperation({ARecord("young", "v")})).ok);
}

TEST_F(ExecuteTest, APartitionOutOfRangeIsRefused) {
  Begin();
  for (const std::int32_t partition : {2, -1, 1000}) {
    v1::KafkaRecord record = ARecord("t", "v");
    record.set_partition(partition);
    const BranchError error = FailureOf(AnOperation({record}));
    EXPECT_EQ(error.code, absl::StatusCode::kNotFound);
    EXPECT_THAT(error.message, HasSubstr("it has 2"));
  }
}

TEST_F(ExecuteTest, APartitionThatWasAddedIsFoundSoonAfter) {
  options_.unknown_topic_age = absl::Milliseconds(30);
  Begin();
  v1::KafkaRecord record = ARecord("t", "v");
  record.set_partition(2);
  EXPECT_FALSE(participant_->Execute(participant_->Open(), AnOperation({record})).ok);
  const std::size_t asked = broker_->Count(ApiKey::kMetadata);
  EXPECT_FALSE(participant_->Execute(participant_->Open(), AnOperation({record})).ok);
  EXPECT_EQ(broker_->Count(ApiKey::kMetadata), asked) << "not for each mistake";
  broker_->topics["t"].push_back(1);
  RunFor(std::chrono::milliseconds(40));
  EXPECT_TRUE(participant_->Execute(participant_->Open(), AnOperation({record})).ok);
}

TEST_F(ExecuteTest, ARecordThatIsTooLargeIsRefusedWithItsSize) {
  options_.max_record_bytes = 1000;
  Begin();
  const BranchError error = FailureOf(AnOperation({ARecord("t", std::string(1000, 'x'))}));
  EXPECT_EQ(error.code, absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error.kafka_error, 10);
  EXPECT_THAT(error.message, HasSubstr("max_record_bytes = 1000"));
}

TEST_F(ExecuteTest, BadNamesHeadersAndTimestampsAreRefused) {
  Begin();
  for (const std::string& name : {std::string(""), std::string("a b"), std::string("a\0b", 3), std::string(250, 'x'),
                                  std::string(".."), std::string("\xff")}) {
    EXPECT_EQ(FailureOf(AnOperation({ARecord(name, "v")})).kafka_error, 17) << name;
  }
  v1::KafkaRecord with_header = ARecord("t", "v");
  with_header.add_headers()->set_key(std::string("a\0b", 3));
  EXPECT_THAT(FailureOf(AnOperation({with_header})).message, HasSubstr("header key"));
  v1::KafkaRecord early = ARecord("t", "v");
  early.mutable_timestamp()->set_seconds(-1);
  EXPECT_EQ(FailureOf(AnOperation({early})).kafka_error, 32);
}

TEST_F(ExecuteTest, KafkasOwnTopicsAreRefusedBeforeTheBrokerIsAsked) {
  Begin();
  broker_->topics["__transaction_state"] = {1};
  broker_->internal_topics = {"__transaction_state"};
  const BranchId branch = participant_->Open();
  const ExecuteOutcome outcome = participant_->Execute(branch, AnOperation({ARecord("__transaction_state", "v")}));
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(outcome.error.kafka_error_name, "INVALID_TOPIC_EXCEPTION");
  EXPECT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kNo);
  EXPECT_EQ(broker_->Count(wire::ApiKey::kProduce), 0u);
}

TEST_F(ExecuteTest, ARefusedOperationAddsNothing) {
  Begin();
  const BranchId branch = participant_->Open();
  v1::KafkaRecord bad = ARecord("t", "v");
  bad.set_partition(9);
  EXPECT_FALSE(participant_->Execute(branch, AnOperation({ARecord("t", "good"), bad})).ok);
  ExpectDoomed(branch, absl::StatusCode::kNotFound);
}

TEST_F(ExecuteTest, PrepareWaitsForOperationsThatLookTheirTopicsUp) {
  Begin();
  const BranchId branch = participant_->Open();
  std::vector<std::string> order;
  (*participant_)->Execute(branch, AnOperation({ARecord("t", "v")}), [&](ExecuteOutcome outcome) {
    order.push_back(outcome.ok ? "done" : "failed");
  });
  (*participant_)->Prepare(branch, [&](Vote vote) {
    order.push_back(vote.kind == Vote::Kind::kYes ? "yes" : "other");
  });
  EXPECT_TRUE(participant_->RunUntil([&] { return order.size() == 2; }));
  EXPECT_THAT(order, testing::ElementsAre("done", "yes"));
}

TEST_F(ExecuteTest, KeysDecideThePartitionAndKeylessRecordsOfABranchStayTogether) {
  Make();
  broker_->topics["wide"] = std::vector<std::int32_t>(7, 1);
  participant_->Start();
  const BranchId branch = participant_->Open();
  ASSERT_NE(PartitionOfKey(Partitioner::kMurmur2, "abc", 7), 0) << "where the first branch puts what has no key";
  std::vector<v1::KafkaRecord> records(6, ARecord("wide", "v"));
  records[0].set_key("abc");
  ASSERT_TRUE(participant_->Execute(branch, AnOperation(records)).ok);
  ASSERT_EQ(participant_->Prepare(branch).kind, Vote::Kind::kYes);
  const SeenProduce seen = Produces()[0];
  ASSERT_EQ(seen.partitions.size(), 2u);
  int records_of_key = 0;
  for (const auto& partition : seen.partitions) {
    if (partition.index == PartitionOfKey(Partitioner::kMurmur2, "abc", 7))
      records_of_key = ReadBatch(partition.batch).records;
  }
  EXPECT_EQ(records_of_key, 1);
}

TEST_F(ExecuteTest, KeylessRecordsOfSuccessiveBranchesGoRound) {
  Begin();
  std::set<std::int32_t> used;
  for (int i = 0; i < 2; ++i) {
    Vote vote;
    Prepared(vote);
    used.insert(TokenOf(vote.token).topics(0).partitions(0));
  }
  EXPECT_EQ(used.size(), 2u);
}

// ---- Bounds ---------------------------------------------------------------------------------------------------------

TEST_F(ExecuteTest, ABranchHoldsNoMoreThanItsBound) {
  options_.max_branch_bytes = 2000;
  Begin();
  const BranchId branch = participant_->Open();
  ASSERT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", std::string(1500, 'x'))})).ok);
  const ExecuteOutcome outcome = participant_->Execute(branch, AnOperation({ARecord("t", std::string(500, 'x'))}));
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(outcome.error.message, HasSubstr("max_branch_bytes = 2000"));
  ExpectDoomed(branch, absl::StatusCode::kResourceExhausted);
}

TEST_F(ExecuteTest, AllBranchesTogetherHoldNoMoreThanTheirBound) {
  options_.max_buffered_bytes = 2000;
  Begin();
  const BranchId first = participant_->Open();
  ASSERT_TRUE(participant_->Execute(first, AnOperation({ARecord("t", std::string(1500, 'x'))})).ok);
  EXPECT_THAT(FailureOf(AnOperation({ARecord("t", std::string(1500, 'x'))})).message,
              HasSubstr("max_buffered_bytes = 2000"));
  // Room is made by whoever ends.
  participant_->Abort(first, "");
  const BranchId third = participant_->Open();
  EXPECT_TRUE(participant_->Execute(third, AnOperation({ARecord("t", std::string(1500, 'x'))})).ok);
}

TEST_F(ExecuteTest, NoMoreBranchesAreOpenThanTheirBound) {
  options_.max_branches = 2;
  Begin();
  const BranchId first = participant_->Open();
  participant_->Open();
  const absl::Status full = (*participant_)->Open(participant_->NewBranch(), {}, absl::InfiniteFuture());
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("max_branches = 2"));
  EXPECT_TRUE((*participant_)->Open(first, {}, absl::InfiniteFuture()).ok()) << "a repeat is no further branch";
  participant_->Abort(first, "");
  EXPECT_TRUE((*participant_)->Open(participant_->NewBranch(), {}, absl::InfiniteFuture()).ok());
}

TEST_F(ExecuteTest, WithTheBrokerDownItWaitsUntilTheDeadline) {
  Make();
  broker_->Stop();
  participant_->Start();
  const BranchId branch = participant_->Open(absl::Milliseconds(100));
  const ExecuteOutcome outcome = participant_->Execute(branch, AnOperation({ARecord("t", "v")}));
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kUnavailable);
  EXPECT_TRUE(outcome.error.retryable);
  EXPECT_FALSE((*participant_)->health().available);
  EXPECT_THAT((*participant_)->health().message, HasSubstr(broker_->address()));
}

}  // namespace
}  // namespace assent::kafka
