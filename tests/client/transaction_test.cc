#include "assent/transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "assent/client.h"
#include "tests/client/fake_coordinator.h"
#include "tests/client/instant_timer.h"

namespace assent {
namespace {

using testing::HasSubstr;

const grpc::Status kLost(grpc::StatusCode::UNAVAILABLE, "the connection was lost");

v1::TransactionFailure AbortOf(const std::string& txn_id) {
  v1::TransactionFailure failure;
  failure.set_txn_id(txn_id);
  failure.set_outcome(v1::ABORTED);
  failure.set_branch("db");
  failure.set_sqlstate("40001");
  failure.set_retryable(true);
  failure.set_reason("could not serialize access");
  return failure;
}

class TransactionTest : public testing::Test {
 protected:
  ClientOptions Options() {
    ClientOptions options;
    options.address = coordinator_.address();
    options.retry.timer = timer_;
    return options;
  }
  Transaction Begin() {
    auto transaction = client().Begin();
    EXPECT_TRUE(transaction.ok()) << transaction.status();
    return *std::move(transaction);
  }
  Client& client() {
    if (!client_) client_ = std::make_unique<Client>(Options());
    return *client_;
  }
  // After this, every abort of a dropped transaction has arrived.
  void CloseClient() { client_.reset(); }

  FakeCoordinator coordinator_;
  std::shared_ptr<InstantTimer> timer_ = std::make_shared<InstantTimer>();
  std::unique_ptr<Client> client_;
};

// ---- Order ----------------------------------------------------------------------------------------------------------

TEST_F(TransactionTest, WorkThatIsHandedOverBeforeEnlistIsAnsweredGoesOutAfterIt) {
  std::promise<void> answer_enlist;
  coordinator_.on_enlist = [&](int, grpc::ServerContext*, const v1::EnlistRequest&, v1::EnlistResponse*) {
    answer_enlist.get_future().wait();
    return grpc::Status::OK;
  };
  Transaction transaction = Begin();
  std::promise<void> executed;
  transaction.EnlistAsync("orders-db", "orders-db", {}, [](absl::Status) {});
  transaction.ExecuteAsync("orders-db", std::vector<Sql>{Sql("SELECT 1")},
                           [&](const absl::StatusOr<SqlResult>&) { executed.set_value(); });
  // An Execute that had not waited would have arrived before this later call is answered.
  EXPECT_TRUE(client().GetTransaction(transaction.id()).ok());
  EXPECT_TRUE(coordinator_.executes().empty());
  answer_enlist.set_value();
  executed.get_future().wait();
  EXPECT_EQ(coordinator_.executes().size(), 1u);
}

// ---- The handle -----------------------------------------------------------------------------------------------------

TEST_F(TransactionTest, DroppedWithoutCommitItIsAborted) {
  { const Transaction transaction = Begin(); }
  CloseClient();
  ASSERT_EQ(coordinator_.aborts().size(), 1u);
  EXPECT_EQ(coordinator_.aborts()[0].txn_id(), "txn-1");
}

TEST_F(TransactionTest, CommittedItIsNotAbortedWhenItIsDropped) {
  {
    Transaction transaction = Begin();
    ASSERT_TRUE(transaction.Commit().ok());
  }
  CloseClient();
  EXPECT_TRUE(coordinator_.aborts().empty());
}

TEST_F(TransactionTest, AbortedItIsAbortedOnce) {
  {
    Transaction transaction = Begin();
    EXPECT_TRUE(transaction.Abort("changed my mind").ok());
  }
  CloseClient();
  ASSERT_EQ(coordinator_.aborts().size(), 1u);
  EXPECT_EQ(coordinator_.aborts()[0].reason(), "changed my mind");
}

TEST_F(TransactionTest, MovedItIsAbortedOnceByItsLastOwner) {
  {
    Transaction first = Begin();
    Transaction second = std::move(first);
    Transaction third = Begin();
    third = std::move(second);  // drops the one it had
  }
  CloseClient();
  std::set<std::string> aborted;
  for (const v1::AbortRequest& abort : coordinator_.aborts()) aborted.insert(abort.txn_id());
  EXPECT_EQ(coordinator_.aborts().size(), 2u);
  EXPECT_EQ(aborted, (std::set<std::string>{"txn-1", "txn-2"}));
}

TEST_F(TransactionTest, ItMayOutliveItsClient) {
  std::optional<Transaction> transaction = Begin();
  CloseClient();
  EXPECT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(coordinator_.commits().size(), 1u);
}

// gRPC would wait for its own thread there, for ever or until it crashes.
TEST_F(TransactionTest, TheLastOfAClientMayGoInACallback) {
  auto client = std::make_unique<Client>(Options());
  Client& begun = *client;
  std::promise<void> gone;
  begun.BeginAsync({}, [&, owned = std::move(client)](absl::StatusOr<Transaction> transaction) mutable {
    EXPECT_TRUE(transaction.ok());
    transaction = absl::CancelledError("drops the transaction, and sends its abort");
    owned.reset();
    gone.set_value();
  });
  gone.get_future().wait();
}

TEST_F(TransactionTest, ItKnowsItsDeadline) {
  coordinator_.on_begin = [](int, grpc::ServerContext*, const v1::BeginRequest&, v1::BeginResponse* response) {
    response->mutable_deadline()->set_seconds(1'800'000'000);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Begin().deadline(), absl::FromUnixSeconds(1'800'000'000));
}

// ---- Operations -----------------------------------------------------------------------------------------------------

TEST_F(TransactionTest, ABranchIsNamedAfterItsParticipantUnlessItIsNamed) {
  Transaction transaction = Begin();
  ASSERT_TRUE(transaction.Enlist("db", SqlBranchOptions{.isolation = Isolation::kSerializable}).ok());
  ASSERT_TRUE(transaction.Enlist("events", "second", KafkaBranchOptions{.unordered = true}).ok());
  const auto enlists = coordinator_.enlists();
  EXPECT_EQ(enlists[0].branch(), "db");
  EXPECT_EQ(enlists[0].options().sql().isolation(), v1::SERIALIZABLE);
  EXPECT_EQ(enlists[1].participant(), "events");
  EXPECT_EQ(enlists[1].branch(), "second");
  EXPECT_EQ(enlists[1].options().kafka().order(), v1::UNORDERED);
}

TEST_F(TransactionTest, OperationsAreNumberedFromOneInEachBranch) {
  Transaction transaction = Begin();
  ASSERT_TRUE(transaction.Execute("a", Sql("SELECT 1")).ok());
  ASSERT_TRUE(transaction.Execute("b", Sql("SELECT 2")).ok());
  ASSERT_TRUE(transaction.Execute("a", Sql("SELECT 3")).ok());
  const auto executes = coordinator_.executes();
  EXPECT_EQ(executes[0].operation_number(), 1);
  EXPECT_EQ(executes[1].operation_number(), 1);
  EXPECT_EQ(executes[2].operation_number(), 2);
}

TEST_F(TransactionTest, CommitTellsTheOperationsOfEachBranch) {
  Transaction transaction = Begin();
  ASSERT_TRUE(transaction.Execute("a", Sql("SELECT 1")).ok());
  ASSERT_TRUE(transaction.Execute("a", Sql("SELECT 2")).ok());
  ASSERT_TRUE(transaction.Execute("b", Record("t", "k", "v")).ok());
  ASSERT_TRUE(transaction.Commit(Wait::kCompleted).ok());
  const v1::CommitRequest commit = coordinator_.commits()[0];
  EXPECT_EQ(commit.operations().at("a"), 2);
  EXPECT_EQ(commit.operations().at("b"), 1);
  EXPECT_EQ(commit.wait(), v1::COMPLETED);
}

TEST_F(TransactionTest, AnOperationWhoseAnswerWasLostIsRepeatedUnderItsNumber) {
  coordinator_.on_execute = [](int count, grpc::ServerContext*, const v1::ExecuteRequest&, v1::ExecuteResponse*) {
    return count <= 2 ? kLost : grpc::Status::OK;
  };
  Transaction transaction = Begin();
  ASSERT_TRUE(transaction.Execute("a", Sql("SELECT 1")).ok());
  const auto executes = coordinator_.executes();
  ASSERT_EQ(executes.size(), 3u);
  for (const v1::ExecuteRequest& execute : executes) {
    EXPECT_EQ(execute.SerializeAsString(), executes[0].SerializeAsString());
  }
}

TEST_F(TransactionTest, OperationsOfOneBranchGoOutInOrderAlsoByCallback) {
  const int operations = 20;
  Transaction transaction = Begin();
  std::promise<void> last;
  for (int i = 1; i <= operations; ++i) {
    transaction.ExecuteAsync("a", std::vector<Sql>{Sql("SELECT $1", i)},
                             [&, i](const absl::StatusOr<SqlResult>& result) {
                               EXPECT_TRUE(result.ok());
                               if (i == operations) last.set_value();
                             });
  }
  last.get_future().wait();
  const auto executes = coordinator_.executes();
  ASSERT_EQ(executes.size(), static_cast<std::size_t>(operations));
  for (int i = 1; i <= operations; ++i) {
    EXPECT_EQ(executes[i - 1].operation_number(), i);
    EXPECT_EQ(executes[i - 1].operation().sql().statements(0).parameter_sets(0).values(0).int64(), i);
  }
}

TEST_F(TransactionTest, AfterTooManyWaitingOperationsItCanOnlyBeAborted) {
  ClientOptions options = Options();
  options.max_queued_operations = 2;
  Client client(options);
  auto transaction = client.Begin();
  std::promise<void> answer;
  coordinator_.on_execute = [held = answer.get_future().share()](int, grpc::ServerContext*, const v1::ExecuteRequest&,
                                                                 v1::ExecuteResponse*) {
    held.wait();
    return grpc::Status::OK;
  };
  std::vector<std::promise<absl::Status>> results(4);
  for (auto& result : results) {
    transaction->ExecuteAsync("a", std::vector<Sql>{Sql("SELECT 1")},
                              [&](const absl::StatusOr<SqlResult>& done) { result.set_value(done.status()); });
  }
  const absl::Status refused = results[3].get_future().get();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_queued_operations = 2"));
  answer.set_value();
  EXPECT_TRUE(results[0].get_future().get().ok());
  for (int i = 1; i < 3; ++i) EXPECT_EQ(results[i].get_future().get(), refused) << "they waited, and go no further";
  const absl::Status committed = transaction->Commit().status();
  EXPECT_EQ(committed.code(), absl::StatusCode::kAborted) << "else it would commit without what was refused";
  EXPECT_THAT(std::string(committed.message()), HasSubstr("max_queued_operations = 2"));
  EXPECT_TRUE(coordinator_.commits().empty());
}

TEST_F(TransactionTest, CommitWhileOperationsAreUnansweredIsRefused) {
  std::promise<void> answer;
  coordinator_.on_execute = [held = answer.get_future().share()](int, grpc::ServerContext*, const v1::ExecuteRequest&,
                                                                 v1::ExecuteResponse*) {
    held.wait();
    return grpc::Status::OK;
  };
  Transaction transaction = Begin();
  std::promise<void> executed;
  transaction.ExecuteAsync("a", std::vector<Sql>{Sql("SELECT 1")},
                           [&](const absl::StatusOr<SqlResult>&) { executed.set_value(); });
  EXPECT_EQ(transaction.Commit().status().code(), absl::StatusCode::kFailedPrecondition);
  answer.set_value();
  executed.get_future().wait();
  EXPECT_TRUE(transaction.Commit().ok());
}

// ---- Failures -------------------------------------------------------------------------------------------------------

TEST_F(TransactionTest, AFailedOperationTellsWhy) {
  coordinator_.on_execute = [](int, grpc::ServerContext*, const v1::ExecuteRequest& request, v1::ExecuteResponse*) {
    return WithFailure(grpc::StatusCode::ABORTED, AbortOf(request.txn_id()));
  };
  Transaction transaction = Begin();
  const absl::Status status = transaction.Execute("db", Sql("UPDATE stock SET left = 0")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  const auto failure = FailureOf(status);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->txn_id, "txn-1");
  EXPECT_EQ(failure->branch, "db");
  EXPECT_EQ(failure->sqlstate, "40001");
  EXPECT_TRUE(failure->retryable);
  EXPECT_EQ(failure->reason, "could not serialize access");
  EXPECT_EQ(OutcomeOf(status), Outcome::kAborted);
  EXPECT_EQ(coordinator_.executes().size(), 1u) << "an abort is an answer";
}

TEST_F(TransactionTest, AfterAFailedOperationCommitAbortsAndTellsTheFailure) {
  coordinator_.on_execute = [](int, grpc::ServerContext*, const v1::ExecuteRequest&, v1::ExecuteResponse*) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "a NUL byte in parameter 1");
  };
  {
    Transaction transaction = Begin();
    EXPECT_EQ(transaction.Execute("a", Sql("SELECT 1")).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(transaction.Execute("a", Sql("SELECT 2")).status().code(), absl::StatusCode::kInvalidArgument);
    const absl::Status status = transaction.Commit().status();
    EXPECT_EQ(OutcomeOf(status), Outcome::kAborted);
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(FailureOf(status)->reason, HasSubstr("NUL byte"));
  }
  CloseClient();
  EXPECT_EQ(coordinator_.executes().size(), 1u);
  EXPECT_TRUE(coordinator_.commits().empty());
  EXPECT_EQ(coordinator_.aborts().size(), 1u);
}

TEST_F(TransactionTest, AFailedEnlistForbidsCommitToo) {
  coordinator_.on_enlist = [](int, grpc::ServerContext*, const v1::EnlistRequest&, v1::EnlistResponse*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no participant is named \"evnets\"");
  };
  Transaction transaction = Begin();
  EXPECT_EQ(transaction.Enlist("evnets").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OutcomeOf(transaction.Commit().status()), Outcome::kAborted);
  EXPECT_TRUE(coordinator_.commits().empty());
}

TEST_F(TransactionTest, WhatWaitsBehindAFailedOperationIsNotSent) {
  std::promise<void> answer;
  coordinator_.on_execute = [held = answer.get_future().share()](int, grpc::ServerContext*, const v1::ExecuteRequest&,
                                                                 v1::ExecuteResponse*) {
    held.wait();
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "syntax error");
  };
  Transaction transaction = Begin();
  std::vector<std::promise<absl::Status>> results(3);
  for (auto& result : results) {
    transaction.ExecuteAsync("a", std::vector<Sql>{Sql("SELEC")},
                             [&](const absl::StatusOr<SqlResult>& done) { result.set_value(done.status()); });
  }
  answer.set_value();
  for (auto& result : results) EXPECT_EQ(result.get_future().get().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(coordinator_.executes().size(), 1u);
}

// ---- Commit ---------------------------------------------------------------------------------------------------------

TEST_F(TransactionTest, ACommitWhoseAnswerWasLostIsRepeatedUntilItComes) {
  coordinator_.on_commit = [](int count, grpc::ServerContext*, const v1::CommitRequest&, v1::CommitResponse*) {
    switch (count) {
      case 1:
        return kLost;
      case 2:
        return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "");
      case 3:
        return grpc::Status(grpc::StatusCode::CANCELLED, "");
      case 4:
        return grpc::Status(grpc::StatusCode::ABORTED, "says a proxy, without our details");
      default:
        return grpc::Status::OK;
    }
  };
  Transaction transaction = Begin();
  const auto committed = transaction.Commit();
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(committed->txn_id, "txn-1");
  EXPECT_EQ(coordinator_.commits().size(), 5u);
}

TEST_F(TransactionTest, ACommitThatIsNeverAnsweredIsUnknownAndNamesItsTransaction) {
  coordinator_.on_commit = [](int, grpc::ServerContext*, const v1::CommitRequest&, v1::CommitResponse*) {
    return kLost;
  };
  {
    Transaction transaction = Begin();
    const absl::Duration before = timer_->Now();
    const absl::Status status = transaction.Commit().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
    ASSERT_TRUE(FailureOf(status));
    EXPECT_EQ(FailureOf(status)->txn_id, "txn-1");
    EXPECT_THAT(std::string(status.message()), HasSubstr("the outcome is unknown"));
    const absl::Duration waited = timer_->Now() - before;  // the timeout of 30 s and the grace of 30 s
    EXPECT_GT(waited, absl::Seconds(58));
    EXPECT_LE(waited, absl::Seconds(60));
  }
  CloseClient();
  EXPECT_TRUE(coordinator_.aborts().empty()) << "nobody may decide what the caller was told to ask for";
}

TEST_F(TransactionTest, AnAbortedCommitIsAborted) {
  coordinator_.on_commit = [](int, grpc::ServerContext*, const v1::CommitRequest& request, v1::CommitResponse*) {
    return WithFailure(grpc::StatusCode::ABORTED, AbortOf(request.txn_id()));
  };
  {
    Transaction transaction = Begin();
    EXPECT_EQ(OutcomeOf(transaction.Commit().status()), Outcome::kAborted);
  }
  CloseClient();
  EXPECT_EQ(coordinator_.commits().size(), 1u);
  EXPECT_TRUE(coordinator_.aborts().empty());
}

TEST_F(TransactionTest, ARefusedCommitLeavesTheTransactionToBeAborted) {
  coordinator_.on_commit = [](int, grpc::ServerContext*, const v1::CommitRequest& request, v1::CommitResponse*) {
    v1::TransactionFailure failure;
    failure.set_txn_id(request.txn_id());
    failure.set_outcome(v1::UNDECIDED);
    return WithFailure(grpc::StatusCode::FAILED_PRECONDITION, failure);
  };
  {
    Transaction transaction = Begin();
    EXPECT_EQ(transaction.Commit().status().code(), absl::StatusCode::kFailedPrecondition);
  }
  CloseClient();
  EXPECT_EQ(coordinator_.aborts().size(), 1u);
}

TEST_F(TransactionTest, AnAttemptThatHangsIsGivenUpAndRepeated) {
  ClientOptions options = Options();
  options.retry.attempt_timeout = absl::Milliseconds(100);
  Client client(options);
  coordinator_.on_commit = [](int count, grpc::ServerContext* context, const v1::CommitRequest&, v1::CommitResponse*) {
    while (count == 1 && !context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::OK;
  };
  auto transaction = client.Begin();
  EXPECT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(coordinator_.commits().size(), 2u);
}

}  // namespace
}  // namespace assent
