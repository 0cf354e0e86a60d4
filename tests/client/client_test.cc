#include "assent/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "tests/client/fake_coordinator.h"
#include "tests/client/instant_timer.h"

namespace assent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const grpc::Status kLost(grpc::StatusCode::UNAVAILABLE, "the connection was lost");

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    ClientOptions options;
    options.address = coordinator_.address();
    options.retry.timer = timer_;
    client_ = std::make_unique<Client>(options);
  }

  FakeCoordinator coordinator_;
  std::shared_ptr<InstantTimer> timer_ = std::make_shared<InstantTimer>();
  std::unique_ptr<Client> client_;
};

// ---- Begin ----------------------------------------------------------------------------------------------------------

TEST_F(ClientTest, ABeginWhoseAnswerWasLostIsRepeated) {
  coordinator_.on_begin = [](int count, grpc::ServerContext*, const v1::BeginRequest&, v1::BeginResponse*) {
    return count == 1 ? kLost : grpc::Status::OK;
  };
  ASSERT_TRUE(client_->Begin().ok());
  const auto begins = coordinator_.begins();
  ASSERT_EQ(begins.size(), 2u);
  EXPECT_EQ(begins[0].SerializeAsString(), begins[1].SerializeAsString());
  EXPECT_EQ(begins[0].request_id(), "") << "one would make even its abort a write of the coordinator's log";
}

TEST_F(ClientTest, BeginCarriesWhatItIsTold) {
  const absl::Time before = absl::Now();
  ASSERT_TRUE(client_->Begin({.timeout = absl::Milliseconds(2500), .request_id = "mine", .labels = {{"a", "b"}}}).ok());
  const v1::BeginRequest begin = coordinator_.begins()[0];
  EXPECT_EQ(begin.request_id(), "mine");
  EXPECT_EQ(begin.timeout().seconds(), 2);
  EXPECT_EQ(begin.timeout().nanos(), 500'000'000);
  EXPECT_EQ(begin.labels().at("a"), "b");
  EXPECT_GE(begin.first_attempt().seconds(), absl::ToUnixSeconds(before));
}

TEST_F(ClientTest, TheDefaultTimeoutIsSentWhereNoneIsAskedFor) {
  ASSERT_TRUE(client_->Begin().ok());
  EXPECT_EQ(coordinator_.begins()[0].timeout().seconds(), 30);
}

// ---- Submit ---------------------------------------------------------------------------------------------------------

TEST_F(ClientTest, SubmitSendsEveryBranchWithItsOperationsInOrder) {
  const auto result = client_->Submit(
      Submission()
          .Do("db", Sql("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6)", 1, "x", 2.5, true, nullptr, Bytes{{"\0y", 2}})
                        .AndWith(2, "z", 3.5, false, std::optional<std::string>(), Bytes{}))
          .Do("db", Sql("UPDATE t SET a = 1").ExpectRows(1))
          .Do("events", Record("topic", "key", "value").Header("h", "v").Header("none", std::nullopt).Partition(3))
          .Do("events", Record("topic", std::nullopt, std::nullopt).Timestamp(absl::FromUnixMillis(1500)))
          .RequestId("r1")
          .Timeout(absl::Seconds(5))
          .WaitFor(Wait::kDecided)
          .Label("who", "me"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->txn_id, "txn-submitted");
  const v1::SubmitRequest sent = coordinator_.submits()[0];
  EXPECT_EQ(sent.request_id(), "r1");
  EXPECT_EQ(sent.timeout().seconds(), 5);
  EXPECT_EQ(sent.wait(), v1::DECIDED);
  EXPECT_EQ(sent.labels().at("who"), "me");
  ASSERT_EQ(sent.branches_size(), 2);
  EXPECT_EQ(sent.branches(0).participant(), "db");
  ASSERT_EQ(sent.branches(0).operations_size(), 2);
  const v1::SqlStatement& insert = sent.branches(0).operations(0).sql().statements(0);
  ASSERT_EQ(insert.parameter_sets_size(), 2);
  const auto& values = insert.parameter_sets(0).values();
  EXPECT_EQ(values[0].int64(), 1);
  EXPECT_EQ(values[1].text(), "x");
  EXPECT_EQ(values[2].double_(), 2.5);
  EXPECT_TRUE(values[3].bool_());
  EXPECT_EQ(values[4].kind_case(), v1::Value::kNull);
  EXPECT_EQ(values[5].bytes(), std::string("\0y", 2));
  EXPECT_EQ(insert.parameter_sets(1).values(4).kind_case(), v1::Value::kNull);
  EXPECT_EQ(sent.branches(0).operations(1).sql().statements(0).expect_rows(), 1);
  const v1::KafkaRecord& record = sent.branches(1).operations(0).kafka().records(0);
  EXPECT_EQ(record.topic(), "topic");
  EXPECT_EQ(record.key(), "key");
  EXPECT_EQ(record.partition(), 3);
  EXPECT_EQ(record.headers(0).value(), "v");
  EXPECT_FALSE(record.headers(1).has_value());
  const v1::KafkaRecord& tombstone = sent.branches(1).operations(1).kafka().records(0);
  EXPECT_FALSE(tombstone.has_key());
  EXPECT_FALSE(tombstone.has_value());
  EXPECT_FALSE(tombstone.has_partition());
  EXPECT_EQ(tombstone.timestamp().seconds(), 1);
  EXPECT_EQ(tombstone.timestamp().nanos(), 500'000'000);
}

TEST_F(ClientTest, ABranchMayHaveANameAndOptionsOfItsOwn) {
  ASSERT_TRUE(
      client_
          ->Submit(Submission().Branch("read", "db", SqlBranchOptions{.read_only = true}).Do("read", Sql("SELECT 1")))
          .ok());
  const v1::SubmitBranch branch = coordinator_.submits()[0].branches(0);
  EXPECT_EQ(branch.branch(), "read");
  EXPECT_EQ(branch.participant(), "db");
  EXPECT_TRUE(branch.options().sql().read_only());
  EXPECT_EQ(branch.operations_size(), 1);
}

TEST_F(ClientTest, ASubmitWhoseAnswerWasLostIsRepeatedAsItWas) {
  coordinator_.on_submit = [](int count, grpc::ServerContext*, const v1::SubmitRequest&, v1::SubmitResponse*) {
    return count <= 3 ? kLost : grpc::Status::OK;
  };
  ASSERT_TRUE(client_->Submit(Submission().Do("db", Sql("SELECT 1"))).ok());
  const auto submits = coordinator_.submits();
  ASSERT_EQ(submits.size(), 4u);
  for (const v1::SubmitRequest& submit : submits) {
    EXPECT_EQ(submit.SerializeAsString(), submits[0].SerializeAsString());
  }
  EXPECT_EQ(submits[0].request_id().size(), 32u);
  EXPECT_LE(std::abs(submits[0].first_attempt().seconds() - absl::ToUnixSeconds(absl::Now())), 60);
}

TEST_F(ClientTest, ARefusalForNowSettlesOnlyWhatWasAskedOnce) {
  const auto refused = [] {
    v1::TransactionFailure failure;
    failure.set_outcome(v1::REFUSED);
    failure.set_retryable(true);
    v1::StatusDetails details;
    v1::AnyDetail& detail = *details.add_details();
    detail.set_type_url("type.googleapis.com/assent.v1.TransactionFailure");
    detail.set_value(failure.SerializeAsString());
    return grpc::Status(grpc::RESOURCE_EXHAUSTED, "full", details.SerializeAsString());
  };
  coordinator_.on_submit = [&](int count, grpc::ServerContext*, const v1::SubmitRequest&, v1::SubmitResponse*) {
    return count == 2 ? kLost : count <= 3 ? refused() : grpc::Status::OK;
  };
  const Submission order = Submission().Do("db", Sql("SELECT 1"));
  EXPECT_EQ(OutcomeOf(client_->Submit(order).status()), Outcome::kAborted);
  EXPECT_EQ(coordinator_.submits().size(), 1u);
  // The first attempt may arrive after the second was refused.
  EXPECT_TRUE(client_->Submit(order).ok());
  EXPECT_EQ(coordinator_.submits().size(), 4u);
}

TEST_F(ClientTest, ASubmitOfAnEarlierAttemptSaysWhenThatWas) {
  ASSERT_TRUE(client_->Submit(Submission().RequestId("r").FirstAttempt(absl::FromUnixSeconds(1'700'000'000))).ok());
  EXPECT_EQ(coordinator_.submits()[0].first_attempt().seconds(), 1'700'000'000);
}

TEST_F(ClientTest, ASubmitThatIsNeverAnsweredIsUnknownAndNamesItsRequest) {
  coordinator_.on_submit = [](int, grpc::ServerContext*, const v1::SubmitRequest&, v1::SubmitResponse*) {
    return kLost;
  };
  const absl::Status status = client_->Submit(Submission().Do("db", Sql("SELECT 1")).RequestId("order-7")).status();
  EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
  ASSERT_TRUE(FailureOf(status));
  EXPECT_EQ(FailureOf(status)->request_id, "order-7");
  EXPECT_THAT(std::string(status.message()), HasSubstr("order-7"));
}

TEST_F(ClientTest, ARequestThatCanNeverSucceedIsNotRepeated) {
  for (const auto code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::NOT_FOUND, grpc::StatusCode::FAILED_PRECONDITION,
        grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::UNIMPLEMENTED}) {
    coordinator_.on_submit = [code](int, grpc::ServerContext*, const v1::SubmitRequest&, v1::SubmitResponse*) {
      return grpc::Status(code, "no");
    };
    const std::size_t before = coordinator_.submits().size();
    const absl::Status status = client_->Submit(Submission()).status();
    EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(code));
    EXPECT_EQ(coordinator_.submits().size(), before + 1);
    EXPECT_EQ(FailureOf(status), std::nullopt);
  }
}

TEST_F(ClientTest, ResultsAreReadByTypeAndName) {
  coordinator_.on_submit = [](int, grpc::ServerContext*, const v1::SubmitRequest&, v1::SubmitResponse* response) {
    v1::BranchResult& branch = *response->add_branches();
    branch.set_branch("db");
    v1::StatementResult& result = *branch.add_results()->mutable_sql()->add_results();
    result.set_affected_rows(1);
    result.set_command_tag("SELECT 1");
    for (const char* name : {"id", "item", "price", "gone"}) result.add_columns()->set_name(name);
    v1::Row& row = *result.add_rows();
    row.add_values()->set_int64(42);
    row.add_values()->set_text("tea");
    row.add_values()->set_double_(1.5);
    row.add_values()->set_null(v1::NULL_VALUE);
    response->add_heuristic_branches("events");
    return grpc::Status::OK;
  };
  const auto submitted = client_->Submit(Submission().Do("db", Sql("SELECT 1")));
  ASSERT_TRUE(submitted.ok());
  EXPECT_THAT(submitted->heuristic_branches, ElementsAre("events"));
  const SqlResult& result = submitted->results.at("db")[0];
  EXPECT_EQ(result.affected_rows(), 1);
  ASSERT_EQ(result.rows().size(), 1u);
  const Row& row = result.rows()[0];
  EXPECT_EQ(*row.Get<std::int64_t>(0), 42);
  EXPECT_EQ(*row.Get<std::string>("item"), "tea");
  EXPECT_EQ(*row.Get<double>("price"), 1.5);
  EXPECT_EQ(*row.Get<std::optional<std::string>>("gone"), std::nullopt);
  EXPECT_EQ(*row.Get<std::optional<double>>("price"), 1.5);
  EXPECT_THAT(std::string(row.Get<std::string>("id").status().message()),
              HasSubstr("column \"id\" holds an integer, and was read as std::string"));
  EXPECT_THAT(std::string(row.Get<std::string>("gone").status().message()), HasSubstr("std::optional"));
  EXPECT_EQ(row.Get<bool>("nothing").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(row.Get<bool>(4).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(ClientTest, SubmitByCallbackDoesNotWait) {
  std::promise<void> answer;
  coordinator_.on_submit = [held = answer.get_future().share()](int, grpc::ServerContext*, const v1::SubmitRequest&,
                                                                v1::SubmitResponse*) {
    held.wait();
    return grpc::Status::OK;
  };
  std::promise<absl::Status> done;
  client_->SubmitAsync(Submission().Do("db", Sql("SELECT 1")),
                       [&](const absl::StatusOr<SubmitResult>& result) { done.set_value(result.status()); });
  answer.set_value();
  EXPECT_TRUE(done.get_future().get().ok());
}

TEST_F(ClientTest, TooManyWaitingSubmitsAreRefusedUnsent) {
  std::promise<void> answer;
  coordinator_.on_submit = [held = answer.get_future().share()](int, grpc::ServerContext*, const v1::SubmitRequest&,
                                                                v1::SubmitResponse*) {
    held.wait();
    return grpc::Status::OK;
  };
  ClientOptions options;
  options.address = coordinator_.address();
  options.max_waiting = 1;
  Client client(options);
  std::promise<absl::Status> first;
  client.SubmitAsync(Submission(),
                     [&](const absl::StatusOr<SubmitResult>& result) { first.set_value(result.status()); });
  const absl::Status refused = client.Submit(Submission()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_waiting = 1"));
  EXPECT_EQ(client.Begin().status().code(), absl::StatusCode::kResourceExhausted);
  answer.set_value();
  EXPECT_TRUE(first.get_future().get().ok());
  EXPECT_TRUE(client.Submit(Submission()).ok());
  EXPECT_EQ(coordinator_.submits().size(), 2u);
}

// ---- Asking ---------------------------------------------------------------------------------------------------------

TEST_F(ClientTest, GetTransactionTellsTheOutcome) {
  coordinator_.on_get = [](int, grpc::ServerContext*, const v1::GetTransactionRequest& request,
                           v1::TransactionDescription* description) {
    description->set_txn_id(request.txn_id());
    description->set_outcome(v1::COMMITTED);
    description->set_state(v1::STATE_COMMITTED);
    description->add_branches()->set_branch("db");
    return grpc::Status::OK;
  };
  const auto info = client_->GetTransaction("txn-9");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->txn_id, "txn-9");
  EXPECT_EQ(info->outcome, Outcome::kCommitted);
  EXPECT_EQ(info->state, "COMMITTED");
  EXPECT_EQ(info->branches[0].branch, "db");
}

TEST_F(ClientTest, ARequestCanBeAskedForAndBarred) {
  coordinator_.on_get = [](int, grpc::ServerContext*, const v1::GetTransactionRequest& request,
                           v1::TransactionDescription* description) {
    description->set_request_id(request.request_id());
    return grpc::Status::OK;
  };
  EXPECT_EQ(client_->GetRequest("order-7")->request_id, "order-7");
  EXPECT_TRUE(client_->AbortRequest("order-7", "no longer wanted").ok());
  EXPECT_EQ(coordinator_.aborts()[0].request_id(), "order-7");
  EXPECT_FALSE(coordinator_.aborts()[0].has_first_attempt());
  EXPECT_TRUE(client_->AbortRequest("order-7", "", absl::FromUnixSeconds(7)).ok());
  EXPECT_EQ(coordinator_.aborts()[1].first_attempt().seconds(), 7);
}

TEST_F(ClientTest, PausesBetweenAttemptsGrowToTheirBound) {
  coordinator_.on_submit = [](int count, grpc::ServerContext*, const v1::SubmitRequest&, v1::SubmitResponse*) {
    return count <= 3 ? kLost : grpc::Status::OK;
  };
  const absl::Duration before = timer_->Now();
  ASSERT_TRUE(client_->Submit(Submission()).ok());
  EXPECT_EQ(timer_->pauses(), 3);
  const absl::Duration waited = timer_->Now() - before;  // 20, 40 and 80 ms, each shortened by up to half
  EXPECT_GE(waited, absl::Milliseconds(70));
  EXPECT_LE(waited, absl::Milliseconds(140));
}

TEST(ClientOptionsTest, ATlsFileThatCannotBeReadIsNamedByEveryCall) {
  ClientOptions options;
  options.tls = std::make_shared<ClientTls>(ClientTls{.server_ca = "/nonexistent/ca.crt"});
  Client client(options);
  const absl::Status status = client.Begin().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/ca.crt"));
}

// The machine's own timer, once: everything else runs on the instant one.
TEST(ClientOptionsTest, ACoordinatorThatIsNotThereIsUnknownAfterTheGrace) {
  ClientOptions options;
  options.address = "127.0.0.1:1";
  options.default_timeout = absl::Milliseconds(50);
  options.retry.grace = absl::Milliseconds(100);
  Client client(options);
  const absl::Status status = client.Submit(Submission()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
}

}  // namespace
}  // namespace assent
