// Bad input gets a clear error, and nothing is lost: each item through gRPC, on the real assentd and real servers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/topic.h"

namespace assent::integration {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class BadInputTest : public testing::Test {
 protected:
  // One assentd for all: what one bad request does to it must not show in the next test.
  static void SetUpTestSuite() {
    database_ = new ScratchDatabase;
    topic_ = new ScratchTopic;
    database_->Run("CREATE TABLE orders (id bigint PRIMARY KEY, item text)");
    assentd_ = new Assentd(PostgresParticipant("orders-db", database_->conninfo()) + KafkaParticipant("events"),
                           "[transactions]\nmax_open = 50\nmax_request_bytes = \"2MiB\"\nmax_branches = 4\n");
    ASSERT_TRUE(assentd_->Start());
  }
  static void TearDownTestSuite() {
    delete std::exchange(assentd_, nullptr);
    delete std::exchange(topic_, nullptr);
    delete std::exchange(database_, nullptr);
  }

  void SetUp() override {
    database_->Run("TRUNCATE orders");
    records_before_ = topic_->ReadCommitted().size();
  }

  // Nothing of a refused or aborted transaction may be found, and the coordinator must still do good work.
  void TearDown() override {
    v1::SubmitRequest good;
    AddBranch(good, "orders-db", Insert(4711));
    AddBranch(good, "events", Event("4711"));
    good.set_wait(v1::COMPLETED);
    const auto submitted = caller_.Submit(good);
    EXPECT_TRUE(submitted.ok()) << submitted.message();
    EXPECT_THAT(database_->Column("SELECT id FROM orders ORDER BY id"), testing::Contains("4711"));
    EXPECT_EQ(database_->Value("SELECT count(*) FROM orders"), absl::StrCat(committed_ + 1));
    // EndTxn is answered before its markers are in the topic.
    EXPECT_TRUE(Await([] { return topic_->IsStable(); })) << "a Kafka transaction is still open";
    EXPECT_EQ(topic_->ReadCommitted().size(), records_before_ + published_ + 1);
    EXPECT_THAT(database_->Prepared(), testing::IsEmpty());
  }

  static v1::Operation Insert(std::int64_t id) {
    return SqlWork("INSERT INTO orders (id, item) VALUES ($1, $2)", {Int(id), Text("tea")});
  }
  static v1::Operation Event(const std::string& key) { return RecordWork(topic_->name(), key, "placed"); }

  std::string BeginWith(const std::string& participant) {
    const std::string id = caller_.BeginId();
    const auto enlisted = caller_.Enlist(id, participant);
    EXPECT_TRUE(enlisted.ok()) << enlisted.message();
    return id;
  }

  // After a failed operation, Commit must say ABORTED, with the outcome in its details.
  void ExpectCommitAborts(const std::string& id) {
    const auto committed = caller_.Commit(id);
    EXPECT_EQ(committed.code(), StatusCode::ABORTED) << committed.message();
    ASSERT_TRUE(committed.failure.has_value());
    EXPECT_EQ(committed.failure->outcome(), v1::ABORTED);
  }

  static ScratchDatabase* database_;
  static ScratchTopic* topic_;
  static Assentd* assentd_;
  Caller caller_{assentd_->NewChannel()};
  std::size_t records_before_ = 0;
  int committed_ = 0;  // orders that this test means to commit
  int published_ = 0;  // records that it means to publish
};

ScratchDatabase* BadInputTest::database_ = nullptr;
ScratchTopic* BadInputTest::topic_ = nullptr;
Assentd* BadInputTest::assentd_ = nullptr;

TEST_F(BadInputTest, AnUnknownParticipantIsNamedTogetherWithTheKnownOnes) {
  const auto enlisted = caller_.Enlist(caller_.BeginId(), "order-db");
  EXPECT_EQ(enlisted.code(), StatusCode::NOT_FOUND);
  EXPECT_THAT(enlisted.message(), HasSubstr("order-db"));
  EXPECT_THAT(enlisted.message(), HasSubstr("orders-db"));
}

TEST_F(BadInputTest, ATransactionThatWasNeverGivenOutNeverExisted) {
  std::string id = caller_.BeginId();
  id = id.substr(0, id.rfind('-')) + "-999999999999";
  const auto committed = caller_.Commit(id);
  EXPECT_EQ(committed.code(), StatusCode::NOT_FOUND);
  ASSERT_TRUE(committed.failure.has_value());
  EXPECT_EQ(committed.failure->outcome(), v1::NEVER_EXISTED);
  EXPECT_EQ(caller_.Execute(id, "orders-db", 1, Insert(1)).code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(caller_.Get(id).code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(caller_.Abort(id).code(), StatusCode::NOT_FOUND);
}

TEST_F(BadInputTest, AnIdOfAnotherCoordinatorIsNotTakenForOneOfOurs) {
  for (const char* id : {"", "nonsense", "elsewhere-0123456789abcdef-1-0-1"}) {
    const auto committed = caller_.Commit(id);
    EXPECT_THAT(committed.code(), testing::AnyOf(StatusCode::NOT_FOUND, StatusCode::INVALID_ARGUMENT)) << id;
    EXPECT_THAT(committed.message(), HasSubstr(id));
  }
}

TEST_F(BadInputTest, AnOperationOfTheWrongKindIsRefused) {
  const std::string with_records = BeginWith("orders-db");
  const auto records = caller_.Execute(with_records, "orders-db", 1, Event("1"));
  EXPECT_EQ(records.code(), StatusCode::INVALID_ARGUMENT) << records.message();
  const std::string with_sql = BeginWith("events");
  const auto sql = caller_.Execute(with_sql, "events", 1, Insert(1));
  EXPECT_EQ(sql.code(), StatusCode::INVALID_ARGUMENT) << sql.message();
  const auto nothing = caller_.Execute(BeginWith("events"), "events", 1, v1::Operation());
  EXPECT_EQ(nothing.code(), StatusCode::INVALID_ARGUMENT) << nothing.message();
}

TEST_F(BadInputTest, OptionsOfTheWrongKindAreRefused) {
  v1::BranchOptions options;
  options.mutable_sql()->set_read_only(true);
  const auto enlisted = caller_.Enlist(caller_.BeginId(), "events", "events", options);
  EXPECT_EQ(enlisted.code(), StatusCode::INVALID_ARGUMENT) << enlisted.message();
}

TEST_F(BadInputTest, TransactionControlIsRefusedAndCommitsNoHalfBranch) {
  for (const char* statement : {"COMMIT", "/* now */ commit", "ROLLBACK", "-- x\nEND", "BEGIN", "ABORT",
                                "PREPARE TRANSACTION 'x'", "START TRANSACTION"}) {
    const std::string id = BeginWith("orders-db");
    EXPECT_TRUE(caller_.Execute(id, "orders-db", 1, Insert(1)).ok());
    const auto executed = caller_.Execute(id, "orders-db", 2, SqlWork(statement));
    EXPECT_EQ(executed.code(), StatusCode::INVALID_ARGUMENT) << statement << ": " << executed.message();
    EXPECT_TRUE(caller_.Abort(id).ok());
    EXPECT_EQ(database_->Value("SELECT count(*) FROM orders"), "0") << statement;
  }
}

TEST_F(BadInputTest, ASyntaxErrorAbortsWithItsSqlstate) {
  const std::string id = BeginWith("orders-db");
  const auto executed = caller_.Execute(id, "orders-db", 1, SqlWork("INSRT INTO orders VALUES (1)"));
  ASSERT_TRUE(executed.failure.has_value()) << executed.message();
  EXPECT_EQ(executed.failure->sqlstate(), "42601");
  EXPECT_EQ(executed.failure->branch(), "orders-db");
  EXPECT_FALSE(executed.failure->retryable());
  ExpectCommitAborts(id);
}

TEST_F(BadInputTest, AViolatedConstraintAbortsBothBranches) {
  database_->Run("INSERT INTO orders VALUES (7, 'here before')");
  committed_ = 1;
  v1::SubmitRequest request;
  AddBranch(request, "events", Event("7"));
  AddBranch(request, "orders-db", Insert(7));
  const auto submitted = caller_.Submit(request);
  EXPECT_EQ(submitted.code(), StatusCode::ABORTED);
  ASSERT_TRUE(submitted.failure.has_value());
  EXPECT_EQ(submitted.failure->sqlstate(), "23505");
  EXPECT_EQ(submitted.failure->outcome(), v1::ABORTED);
  EXPECT_EQ(submitted.failure->branch(), "orders-db");
}

TEST_F(BadInputTest, AConstraintThatIsCheckedAtTheEndAbortsAtPrepare) {
  database_->Run("CREATE TABLE IF NOT EXISTS late (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)");
  v1::SubmitRequest request;
  AddBranch(request, "events", Event("8"));
  AddBranch(request, "orders-db", SqlWork("INSERT INTO late VALUES (1), (1)"));
  const auto submitted = caller_.Submit(request);
  EXPECT_EQ(submitted.code(), StatusCode::ABORTED);
  ASSERT_TRUE(submitted.failure.has_value());
  EXPECT_EQ(submitted.failure->sqlstate(), "23505");
}

TEST_F(BadInputTest, AnUnknownTopicIsNamedAndNotCreated) {
  const std::string unknown = UniqueName("nowhere");
  v1::SubmitRequest request;
  AddBranch(request, "orders-db", Insert(1));
  AddBranch(request, "events", RecordWork(unknown, "1", "lost?"));
  const auto submitted = caller_.Submit(request);
  EXPECT_EQ(submitted.code(), StatusCode::ABORTED) << submitted.message();
  EXPECT_THAT(submitted.message(), HasSubstr(unknown));
  ASSERT_TRUE(submitted.failure.has_value());
  EXPECT_EQ(submitted.failure->kafka_error_name(), "UNKNOWN_TOPIC_OR_PARTITION");
  EXPECT_FALSE(TopicExists(unknown));
}

TEST_F(BadInputTest, ARecordLargerThanTheBrokerTakesAborts) {
  v1::SubmitRequest request;
  AddBranch(request, "orders-db", Insert(1));
  AddBranch(request, "events", RecordWork(topic_->name(), "1", std::string(1'500'000, 'x')));
  const auto submitted = caller_.Submit(request);
  EXPECT_EQ(submitted.code(), StatusCode::ABORTED) << submitted.message();
  ASSERT_TRUE(submitted.failure.has_value());
  EXPECT_EQ(submitted.failure->branch(), "events");
  EXPECT_EQ(submitted.failure->kafka_error_name(), "MESSAGE_TOO_LARGE");
  EXPECT_FALSE(submitted.failure->retryable());
}

TEST_F(BadInputTest, ANulByteIsRefused) {
  const std::string in_parameter = BeginWith("orders-db");
  const auto parameter = caller_.Execute(
      in_parameter, "orders-db", 1, SqlWork("INSERT INTO orders VALUES (1, $1)", {Text(std::string_view("a\0b", 3))}));
  EXPECT_EQ(parameter.code(), StatusCode::INVALID_ARGUMENT) << parameter.message();
  EXPECT_THAT(parameter.message(), HasSubstr("NUL"));
  const std::string in_statement = BeginWith("orders-db");
  const auto statement = caller_.Execute(in_statement, "orders-db", 1, SqlWork(std::string("SELECT 1\0;", 10)));
  EXPECT_EQ(statement.code(), StatusCode::INVALID_ARGUMENT) << statement.message();
  EXPECT_THAT(statement.message(), HasSubstr("NUL"));
}

TEST_F(BadInputTest, TextThatIsNotUtf8IsRefused) {
  const std::string id = BeginWith("orders-db");
  const auto executed =
      caller_.Execute(id, "orders-db", 1, SqlWork("INSERT INTO orders VALUES (1, $1)", {Text("caf\xe9")}));
  EXPECT_EQ(executed.code(), StatusCode::INVALID_ARGUMENT) << executed.message();
}

TEST_F(BadInputTest, ExecuteAfterCommitIsRefused) {
  const std::string id = BeginWith("orders-db");
  EXPECT_TRUE(caller_.Execute(id, "orders-db", 1, Insert(1)).ok());
  EXPECT_TRUE(caller_.Commit(id).ok());
  committed_ = 1;
  const auto executed = caller_.Execute(id, "orders-db", 2, Insert(2));
  EXPECT_EQ(executed.code(), StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(executed.failure.has_value());
  EXPECT_EQ(executed.failure->outcome(), v1::COMMITTED);
}

TEST_F(BadInputTest, ASecondCommitAnswersLikeTheFirst) {
  const std::string id = BeginWith("orders-db");
  EXPECT_TRUE(caller_.Execute(id, "orders-db", 1, Insert(1)).ok());
  committed_ = 1;
  for (int i = 0; i < 3; ++i) {
    const auto committed = caller_.Commit(id);
    EXPECT_TRUE(committed.ok()) << committed.message();
    EXPECT_EQ(committed.response.outcome(), v1::COMMITTED);
  }
  const auto aborted = caller_.Abort(id);
  EXPECT_EQ(aborted.code(), StatusCode::FAILED_PRECONDITION);
}

TEST_F(BadInputTest, CommitAfterTheDeadlineAborts) {
  const std::string id = caller_.BeginId(0.3);
  EXPECT_TRUE(caller_.Enlist(id, "orders-db").ok());
  EXPECT_TRUE(caller_.Execute(id, "orders-db", 1, Insert(1)).ok());
  while (caller_.Get(id).response.outcome() != v1::ABORTED) std::this_thread::yield();
  ExpectCommitAborts(id);
}

TEST_F(BadInputTest, ARepeatedOperationNumberGetsTheStoredReply) {
  const std::string id = BeginWith("orders-db");
  const v1::Operation insert = SqlWork("INSERT INTO orders VALUES ($1, 'tea') RETURNING id", {Int(1)});
  const auto first = caller_.Execute(id, "orders-db", 1, insert);
  const auto repeat = caller_.Execute(id, "orders-db", 1, insert);
  ASSERT_TRUE(repeat.ok()) << repeat.message();
  EXPECT_EQ(repeat.response.SerializeAsString(), first.response.SerializeAsString());
  EXPECT_EQ(repeat.response.result().sql().results(0).rows(0).values(0).int64(), 1);
  EXPECT_EQ(caller_.Execute(id, "orders-db", 1, Insert(2)).code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(caller_.Commit(id).ok());
  committed_ = 1;
}

TEST_F(BadInputTest, ASkippedOperationNumberIsRefused) {
  const std::string id = BeginWith("orders-db");
  const auto skipped = caller_.Execute(id, "orders-db", 2, Insert(1));
  EXPECT_EQ(skipped.code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(skipped.message(), HasSubstr("next"));
  EXPECT_EQ(caller_.Execute(id, "orders-db", 0, Insert(1)).code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(BadInputTest, ACommitThatCountsOtherOperationsIsRefused) {
  const std::string id = BeginWith("orders-db");
  EXPECT_TRUE(caller_.Execute(id, "orders-db", 1, Insert(1)).ok());
  v1::CommitRequest request;
  request.set_txn_id(id);
  (*request.mutable_operations())["orders-db"] = 2;
  EXPECT_EQ(caller_.Commit(request).code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(caller_.Abort(id).ok());
}

TEST_F(BadInputTest, OneRequestIdNamesOneRequest) {
  v1::SubmitRequest request;
  request.set_request_id(UniqueName("request"));
  request.set_wait(v1::COMPLETED);
  AddBranch(request, "orders-db", Insert(1));
  const auto first = caller_.Submit(request);
  ASSERT_TRUE(first.ok()) << first.message();
  const auto repeat = caller_.Submit(request);
  ASSERT_TRUE(repeat.ok()) << repeat.message();
  EXPECT_EQ(repeat.response.txn_id(), first.response.txn_id());
  committed_ = 1;
  v1::SubmitRequest other = request;
  *other.mutable_branches(0)->mutable_operations(0) = Insert(2);
  const auto refused = caller_.Submit(other);
  EXPECT_EQ(refused.code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.message(), HasSubstr(request.request_id()));
}

TEST_F(BadInputTest, ARequestOverTheBoundNamesTheBound) {
  v1::SubmitRequest request;
  AddBranch(request, "orders-db", SqlWork("SELECT length($1)", {Text(std::string(2'200'000, 'x'))}));
  const auto submitted = caller_.Submit(request);
  EXPECT_EQ(submitted.code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(submitted.message(), HasSubstr("max_request_bytes"));
}

TEST_F(BadInputTest, ARequestFarOverTheBoundIsRefusedToo) {
  v1::SubmitRequest request;
  AddBranch(request, "orders-db", SqlWork("SELECT length($1)", {Text(std::string(std::size_t{20'000'000}, 'x'))}));
  EXPECT_EQ(caller_.Submit(request).code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(BadInputTest, TooManyBranchesNameTheBound) {
  const std::string id = caller_.BeginId();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(caller_.Enlist(id, "events", absl::StrCat("b", i)).ok());
  const auto enlisted = caller_.Enlist(id, "events", "b4");
  EXPECT_EQ(enlisted.code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(enlisted.message(), HasSubstr("max_branches"));
  EXPECT_TRUE(caller_.Abort(id).ok());
}

TEST_F(BadInputTest, ABadBranchNameIsRefused) {
  const std::string id = caller_.BeginId();
  for (const std::string& name : {std::string("a b"), std::string("a/b"), std::string(64, 'a'), std::string("ü")}) {
    const auto enlisted = caller_.Enlist(id, "events", name);
    EXPECT_EQ(enlisted.code(), StatusCode::INVALID_ARGUMENT) << name;
  }
}

TEST_F(BadInputTest, MoreTransactionsThanTheBoundAreRefused) {
  std::vector<std::string> open;
  Called<v1::BeginResponse> begun;
  while ((begun = caller_.Begin()).ok() && open.size() < 100) open.push_back(begun.response.txn_id());
  EXPECT_EQ(begun.code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(begun.message(), HasSubstr("max_open"));
  EXPECT_LE(open.size(), 50u);
  for (const std::string& id : open) EXPECT_TRUE(caller_.Abort(id).ok());
}

}  // namespace
}  // namespace assent::integration
