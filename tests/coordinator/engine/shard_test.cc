#include "coordinator/engine/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/engine/coordinator_under_test.h"

namespace assent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ShardTest : public testing::Test {
 protected:
  ShardTest() : t(db_store, events_store) { t.Start(); }

  FakeStore db_store;
  FakeStore events_store;
  CoordinatorUnderTest t;
};

TEST_F(ShardTest, WorkInTwoBranchesCommitsInBoth) {
  const std::string txn = t.BeginAndEnlistBoth();
  EXPECT_TRUE((*t.Execute(txn, "db", 1))->ok());
  EXPECT_TRUE((*t.Execute(txn, "events", 1))->ok());
  const auto commit = t.Commit(txn);
  ASSERT_TRUE(commit->has_value());
  EXPECT_EQ((*commit)->value().outcome(), v1::COMMITTED);
  EXPECT_EQ(db_store.committed.size(), 1u);
  EXPECT_EQ(events_store.committed.size(), 1u);
  EXPECT_THAT(t.db->journal, ElementsAre("open db", "execute db", "prepare db", "commit db", "forget db"));
  EXPECT_EQ(t.log.ended().size(), 1u);
}

TEST_F(ShardTest, NothingIsToldToCommitAndNobodyHearsOfItBeforeTheDecisionIsDurable) {
  t.log.sync_at_once = false;
  const std::string txn = t.BeginAndEnlistBoth();
  const auto commit = t.Commit(txn, v1::DECIDED);
  EXPECT_FALSE(commit->has_value());
  EXPECT_EQ(t.db->Count("commit"), 0);
  t.log.Sync();
  t.scheduler.RunReady();
  EXPECT_TRUE(commit->has_value());
  EXPECT_EQ(t.db->Count("commit"), 1);
}

TEST_F(ShardTest, WaitSaysWhenCommitAnswers) {
  t.events->finish = {.kind = Finish::Kind::kRetry, .message = "the broker is away"};
  const std::string txn = t.BeginAndEnlistBoth();
  const auto decided = t.Commit(txn, v1::DECIDED);
  const auto databases = t.Commit(txn, v1::DATABASES);
  const auto completed = t.Commit(txn, v1::COMPLETED);
  EXPECT_TRUE(decided->has_value());
  EXPECT_TRUE(databases->has_value());
  EXPECT_FALSE(completed->has_value());
  EXPECT_THAT(t.Get(txn).branches(1).waits_for(), HasSubstr("the broker is away"));
  t.events->finish = {.kind = Finish::Kind::kDone};
  t.scheduler.Advance(absl::Seconds(10));
  EXPECT_TRUE(completed->has_value());
}

TEST_F(ShardTest, ABranchThatComesBackIsFinishedAtOnceAndNotAtTheNextRetry) {
  t.events->finish = {.kind = Finish::Kind::kRetry};
  const std::string txn = t.BeginAndEnlistBoth();
  const auto completed = t.Commit(txn, v1::COMPLETED);
  t.scheduler.Advance(absl::Minutes(10));  // the retries are 5 s apart by now
  t.events->finish = {.kind = Finish::Kind::kDone};
  t.events->available();
  t.scheduler.RunReady();
  EXPECT_TRUE(completed->has_value());
}

TEST_F(ShardTest, ANoVoteAbortsAndSaysWhy) {
  t.db->vote = {.kind = Vote::Kind::kNo, .error = {.message = "deferred constraint", .sqlstate = "23503"}};
  const std::string txn = t.BeginAndEnlistBoth();
  const auto commit = t.Commit(txn);
  ASSERT_TRUE(commit->has_value());
  EXPECT_EQ((*commit)->status().code(), absl::StatusCode::kAborted);
  const v1::TransactionFailure failure = FailureOf((*commit)->status());
  EXPECT_EQ(failure.outcome(), v1::ABORTED);
  EXPECT_EQ(failure.branch(), "db");
  EXPECT_EQ(failure.sqlstate(), "23503");
  EXPECT_TRUE(events_store.prepared.empty());
  EXPECT_TRUE(t.log.durable().empty()) << "presumed abort writes nothing";
  // A second Commit hears the same.
  const auto again = t.Commit(txn);
  EXPECT_EQ(FailureOf((*again)->status()).sqlstate(), "23503");
}

TEST_F(ShardTest, AnAbandonedTransactionIsAbortedAtItsDeadline) {
  const std::string txn = t.BeginAndEnlistBoth();
  t.Execute(txn, "db", 1);
  t.scheduler.Advance(t.options.default_timeout - absl::Milliseconds(1));
  EXPECT_EQ(t.db->Count("abort"), 0);
  t.scheduler.Advance(absl::Milliseconds(1));
  EXPECT_EQ(t.db->Count("abort"), 1);
  const auto commit = t.Commit(txn);
  EXPECT_EQ((*commit)->status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT((*commit)->status().message(), HasSubstr("deadline of 30s"));
}

TEST_F(ShardTest, ADeadlineThatPassesWhileABranchIsWaitedForNamesIt) {
  t.events->hold_votes = true;
  const auto submit = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  t.scheduler.Advance(t.options.default_timeout);
  ASSERT_TRUE(submit->has_value());
  const v1::TransactionFailure failure = FailureOf((*submit)->status());
  EXPECT_EQ(failure.branch(), "events");
  EXPECT_TRUE(failure.retryable());
  EXPECT_THAT(failure.reason(), HasSubstr("waiting for the vote of branch \"events\" at participant \"events\""));
}

TEST_F(ShardTest, EnlistAgainWithOtherOptionsIsRefused) {
  v1::EnlistRequest enlist;
  enlist.set_txn_id(t.BeginAndEnlistBoth());
  enlist.set_participant("db");
  enlist.set_branch("db");
  EXPECT_TRUE((*t.Call(&Shard::Enlist, enlist))->ok()) << "a repeat";
  enlist.mutable_options()->mutable_sql()->set_read_only(true);
  EXPECT_EQ((*t.Call(&Shard::Enlist, enlist))->status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ShardTest, ARepeatedOperationAnswersWithoutWorkingAgain) {
  const std::string txn = t.BeginAndEnlistBoth();
  EXPECT_TRUE((*t.Execute(txn, "db", 1))->ok());
  EXPECT_TRUE((*t.Execute(txn, "db", 1))->ok());
  EXPECT_EQ(t.db->Count("execute"), 1);
  const auto other = t.Execute(txn, "db", 1, "SELECT 2");
  EXPECT_EQ((*other)->status().code(), absl::StatusCode::kInvalidArgument);
  const auto gap = t.Execute(txn, "db", 3);
  EXPECT_EQ((*gap)->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT((*gap)->status().message(), HasSubstr("operation_number is 3, but the next"));
}

TEST_F(ShardTest, ARepeatOfAnOperationUnderWayJoinsIt) {
  t.db->hold_execute = true;
  const std::string txn = t.BeginAndEnlistBoth();
  const auto first = t.Execute(txn, "db", 1);
  const auto second = t.Execute(txn, "db", 1);
  EXPECT_FALSE(second->has_value());
  t.db->Release();
  EXPECT_TRUE(first->has_value() && second->has_value());
  EXPECT_EQ(t.db->Count("execute"), 1);
}

TEST_F(ShardTest, CommitRefusesWhenOperationsWereLostOnTheWay) {
  const std::string txn = t.BeginAndEnlistBoth();
  t.Execute(txn, "db", 1);
  v1::CommitRequest request;
  request.set_txn_id(txn);
  (*request.mutable_operations())["db"] = 2;
  const auto commit = t.Call(&Shard::Commit, request);
  EXPECT_EQ((*commit)->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(t.db->Count("prepare"), 0);
}

TEST_F(ShardTest, WorkAfterCommitIsRefused) {
  const std::string txn = t.BeginAndEnlistBoth();
  t.Commit(txn);
  const auto execute = t.Execute(txn, "db", 1);
  EXPECT_EQ((*execute)->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FailureOf((*execute)->status()).outcome(), v1::COMMITTED);
}

TEST_F(ShardTest, AbortAfterTheDecisionIsRefusedAndAbortBeforeItIsKept) {
  const std::string committed = t.BeginAndEnlistBoth();
  t.Commit(committed);
  EXPECT_EQ((*t.Abort(committed))->status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string aborted = t.BeginAndEnlistBoth();
  EXPECT_TRUE((*t.Abort(aborted))->ok());
  EXPECT_TRUE((*t.Abort(aborted))->ok());
  EXPECT_EQ((*t.Commit(aborted))->status().code(), absl::StatusCode::kAborted);
}

TEST_F(ShardTest, SubmitProducesOnlyAfterTheSqlHasReturned) {
  t.db->hold_execute = true;
  const auto submit = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  EXPECT_EQ(t.db->Count("prepare"), 1) << "the database prepares in the same round trip";
  EXPECT_EQ(t.events->Count("prepare"), 0);
  t.db->Release();
  t.scheduler.RunReady();
  EXPECT_EQ(t.events->Count("prepare"), 1);
  ASSERT_TRUE(submit->has_value());
  EXPECT_EQ((*submit)->value().branches_size(), 2);
  EXPECT_EQ((*submit)->value().branches(0).results_size(), 1);
}

TEST_F(ShardTest, SubmitWhoseWorkFailsAborts) {
  t.db->execute_error = {.code = absl::StatusCode::kAlreadyExists, .message = "duplicate key", .sqlstate = "23505"};
  t.db->vote = {.kind = Vote::Kind::kNo, .error = t.db->execute_error};
  const auto submit = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth(""));
  ASSERT_TRUE(submit->has_value());
  EXPECT_EQ((*submit)->status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(FailureOf((*submit)->status()).sqlstate(), "23505");
  EXPECT_TRUE(events_store.prepared.empty());
}

TEST_F(ShardTest, ARepeatedSubmitRunsOnce) {
  const auto request = CoordinatorUnderTest::SubmitBoth("r1");
  const auto first = t.Call(&Shard::Submit, request);
  const auto second = t.Call(&Shard::Submit, request);
  EXPECT_EQ((*first)->value().txn_id(), (*second)->value().txn_id());
  EXPECT_EQ(t.db->Count("execute"), 1);
  const auto other = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1", "DELETE"));
  EXPECT_EQ((*other)->status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT((*other)->status().message(), HasSubstr("request_id \"r1\" was used before"));
}

TEST_F(ShardTest, AnAbortOfANamedRequestIsHeardOnlyWhenItIsDurable) {
  t.log.sync_at_once = false;
  t.db->vote = {.kind = Vote::Kind::kNo, .error = {.message = "no"}};
  const auto submit = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1"));
  EXPECT_FALSE(submit->has_value());
  t.log.Sync();
  t.scheduler.RunReady();
  EXPECT_EQ((*submit)->status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(t.log.durable().begin()->second.outcome(), v1::ABORTED);
}

TEST_F(ShardTest, AbortOfARequestThatHasNotComeBarsIt) {
  v1::AbortRequest request;
  request.set_request_id("r9");
  EXPECT_EQ((*t.Call(&Shard::Abort, request))->value().outcome(), v1::ABORTED);
  const auto submit = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r9"));
  EXPECT_EQ((*submit)->status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(t.db->Count("execute"), 0);
}

// It may have been committed: who heard "aborted" would do it again, or undo what was never done.
TEST_F(ShardTest, AbortOfARequestOlderThanWhatIsRememberedDoesNotSayThatItWasAborted) {
  t.log.requests_forgotten = t.scheduler.Now() - absl::Hours(24);
  v1::AbortRequest request;
  request.set_request_id("old");
  request.mutable_first_attempt()->set_seconds(absl::ToUnixSeconds(t.scheduler.Now() - absl::Hours(25)));
  const auto abort = t.Call(&Shard::Abort, request);
  EXPECT_EQ((*abort)->status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FailureOf((*abort)->status()).outcome(), v1::FORGOTTEN);
  EXPECT_TRUE(t.log.durable().empty());
  request.mutable_first_attempt()->set_seconds(absl::ToUnixSeconds(t.scheduler.Now()));
  EXPECT_EQ((*t.Call(&Shard::Abort, request))->value().outcome(), v1::ABORTED);
}

TEST_F(ShardTest, ARequestOlderThanWhatIsRememberedIsRefusedAndNotRun) {
  t.log.requests_forgotten = t.scheduler.Now() - absl::Hours(24);
  auto request = CoordinatorUnderTest::SubmitBoth("old");
  request.mutable_first_attempt()->set_seconds(absl::ToUnixSeconds(t.scheduler.Now() - absl::Hours(25)));
  const auto submit = t.Call(&Shard::Submit, request);
  EXPECT_EQ((*submit)->status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FailureOf((*submit)->status()).outcome(), v1::FORGOTTEN);
  EXPECT_EQ(t.db->Count("execute"), 0);
  // Whatever else there is against it: an earlier configuration may have taken it.
  request.mutable_timeout()->set_seconds(1'000'000);
  const auto too_long = t.Call(&Shard::Submit, request);
  EXPECT_EQ(FailureOf((*too_long)->status()).outcome(), v1::FORGOTTEN);
}

// A new data folder has forgotten nothing, and does not know what an earlier one carried out.
TEST_F(ShardTest, ARequestOlderThanTheRetentionIsNotRunThoughNothingWasForgotten) {
  auto request = CoordinatorUnderTest::SubmitBoth("old");
  request.mutable_first_attempt()->set_seconds(absl::ToUnixSeconds(t.scheduler.Now() - absl::Hours(25)));
  EXPECT_EQ(FailureOf((*t.Call(&Shard::Submit, request))->status()).outcome(), v1::FORGOTTEN);
  EXPECT_EQ(t.db->Count("execute"), 0);
  request.mutable_first_attempt()->set_seconds(absl::ToUnixSeconds(t.scheduler.Now() - absl::Hours(23)));
  EXPECT_TRUE((*t.Call(&Shard::Submit, request))->ok());
}

TEST_F(ShardTest, UnknownNamesAreNamedInTheError) {
  v1::EnlistRequest enlist;
  enlist.set_txn_id(t.BeginAndEnlistBoth());
  enlist.set_participant("nowhere");
  enlist.set_branch("b");
  const auto unknown = t.Call(&Shard::Enlist, enlist);
  EXPECT_EQ((*unknown)->status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT((*unknown)->status().message(), HasSubstr("\"nowhere\"; the configuration names \"db\", \"events\""));
  EXPECT_EQ((*t.Execute(enlist.txn_id(), "none", 1))->status().code(), absl::StatusCode::kNotFound);
  const auto never = t.Commit("orders-5f0cab12d3e4f567-1-0-999999");
  EXPECT_EQ((*never)->status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FailureOf((*never)->status()).outcome(), v1::NEVER_EXISTED);
}

TEST_F(ShardTest, MoreTransactionsThanTheBoundAreRefused) {
  t.options.max_open = 2;
  t.BeginAndEnlistBoth();
  t.BeginAndEnlistBoth();
  const auto begin = t.Call(&Shard::Begin, v1::BeginRequest());
  EXPECT_EQ((*begin)->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT((*begin)->status().message(), HasSubstr("transactions.max_open = 2"));
}

TEST_F(ShardTest, MoreWorkThanTheBoundIsRefusedAndTheTransactionStaysUsable) {
  t.options.max_request_bytes = 100;
  const std::string txn = t.BeginAndEnlistBoth();
  const auto large = t.Execute(txn, "db", 1, std::string(200, 'x'));
  EXPECT_EQ((*large)->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE((*t.Execute(txn, "db", 1, "small"))->ok());
}

TEST_F(ShardTest, ABadSubmitLeavesNoTraceSoThatACorrectedOneMayCome) {
  t.events->open_result = absl::InvalidArgumentError("events is no SQL participant");
  const auto bad = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1"));
  EXPECT_EQ((*bad)->status().code(), absl::StatusCode::kInvalidArgument);
  t.events->open_result = absl::OkStatus();
  EXPECT_TRUE((*t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1", "other")))->ok());
  EXPECT_EQ(t.db->Count("abort"), 1);
}

TEST_F(ShardTest, AHeuristicBranchIsRecordedBeforeTheTransactionEndsAndNamedInTheAnswer) {
  t.db->finish = {.kind = Finish::Kind::kHeuristic, .message = "rolled back by hand"};
  const std::string txn = t.BeginAndEnlistBoth();
  const auto commit = t.Commit(txn);
  ASSERT_TRUE((*commit)->ok());
  EXPECT_THAT((*commit)->value().heuristic_branches(), ElementsAre("db"));
  ASSERT_EQ(t.log.heuristics.size(), 1u);
  EXPECT_EQ(t.log.heuristics[0].what(), "rolled back by hand");
  EXPECT_EQ(t.log.heuristics[0].decided(), v1::COMMITTED);
}

TEST_F(ShardTest, RepliesKeptForRepeatsAreBounded) {
  t.options.max_stored_reply_bytes = 1;
  const std::string txn = t.BeginAndEnlistBoth();
  t.Execute(txn, "db", 1);
  t.Execute(txn, "db", 2);
  const auto dropped = t.Execute(txn, "db", 1);
  EXPECT_EQ((*dropped)->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT((*dropped)->status().message(), HasSubstr("max_stored_reply_bytes"));
}

TEST_F(ShardTest, ASubmitWhoseResultsAreTooMuchForOneReplyAborts) {
  t.options.max_reply_bytes = 64 << 10;
  t.db->result_text = std::string(30 << 10, 'x');
  t.events->result_text = t.db->result_text;
  const auto both = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1"));
  ASSERT_EQ((*both)->status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT((*both)->status().message(), HasSubstr("transactions.max_reply_bytes = 65536"));
  EXPECT_TRUE(db_store.committed.empty());
  t.events->result_text.clear();
  EXPECT_TRUE((*t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r2")))->ok());
}

TEST_F(ShardTest, AnExecuteWhoseResultIsTooMuchForItsReplyAbortsTheTransaction) {
  t.options.max_reply_bytes = 64 << 10;
  t.db->result_text = std::string(40 << 10, 'x');
  const std::string txn = t.BeginAndEnlistBoth();
  EXPECT_TRUE((*t.Execute(txn, "db", 1))->ok());
  EXPECT_TRUE((*t.Execute(txn, "db", 2))->ok()) << "each has a reply of its own";
  t.db->result_text = std::string(70 << 10, 'x');
  EXPECT_EQ((*t.Execute(txn, "db", 3))->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ((*t.Commit(txn))->status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(db_store.committed.empty());
}

TEST_F(ShardTest, WhereTheLogCannotBeAskedNothingIsClaimedAndNothingIsRun) {
  t.log.lookups_full = true;
  v1::GetTransactionRequest get;
  get.set_request_id("r1");
  EXPECT_EQ((*t.Call(&Shard::GetTransaction, get))->status().code(), absl::StatusCode::kUnavailable);
  v1::AbortRequest abort;
  abort.set_request_id("r1");
  EXPECT_EQ((*t.Call(&Shard::Abort, abort))->status().code(), absl::StatusCode::kUnavailable);
  const auto submit = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1"));
  EXPECT_EQ((*submit)->status().code(), absl::StatusCode::kUnavailable);
  v1::BeginRequest begin;
  begin.set_request_id("r1");
  EXPECT_EQ((*t.Call(&Shard::Begin, begin))->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(t.db->journal.empty());
  t.log.lookups_full = false;
  EXPECT_TRUE((*t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1")))->ok());
}

TEST_F(ShardTest, ASubmitThatIsRefusedSaysThatNothingWasDone) {
  v1::SubmitRequest unknown = CoordinatorUnderTest::SubmitBoth("r1");
  unknown.mutable_branches(1)->set_participant("elsewhere");
  v1::SubmitRequest twice = CoordinatorUnderTest::SubmitBoth("r1");
  twice.mutable_branches(1)->set_participant("db");
  v1::SubmitRequest long_id = CoordinatorUnderTest::SubmitBoth(std::string(129, 'x'));
  v1::SubmitRequest odd_path = CoordinatorUnderTest::SubmitBoth("r1");
  odd_path.mutable_branches(0)->mutable_options()->set_commit_path(static_cast<v1::CommitPath>(99));
  for (const v1::SubmitRequest& request : {unknown, twice, long_id, odd_path}) {
    const auto refused = t.Call(&Shard::Submit, request);
    ASSERT_FALSE((*refused)->ok());
    EXPECT_EQ(FailureOf((*refused)->status()).outcome(), v1::REFUSED) << (*refused)->status();
  }
  EXPECT_TRUE((*t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1")))->ok());
  const auto reused = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1", "another"));
  EXPECT_EQ((*reused)->status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FailureOf((*reused)->status()).outcome(), v1::OUTCOME_UNSPECIFIED)
      << "the first one has committed: a caller who repeats it with a slip must not take it for rolled back";
}

TEST_F(ShardTest, ARepeatedSubmitIsAnsweredAlsoWhereBoundsWouldRefuseItNow) {
  v1::SubmitRequest request = CoordinatorUnderTest::SubmitBoth("r1");
  request.mutable_timeout()->set_seconds(10);
  const auto first = t.Call(&Shard::Submit, request);
  ASSERT_TRUE((*first)->ok());
  t.options.max_timeout = absl::Seconds(1);
  t.options.max_branches = 1;
  const auto repeat = t.Call(&Shard::Submit, request);
  ASSERT_TRUE((*repeat)->ok()) << (*repeat)->status();
  EXPECT_EQ((*repeat)->value().txn_id(), (*first)->value().txn_id());
  const auto other = t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r2"));
  EXPECT_EQ(FailureOf((*other)->status()).outcome(), v1::REFUSED) << (*other)->status();
  EXPECT_FALSE(FailureOf((*other)->status()).retryable()) << "the same would be refused again";
}

TEST_F(ShardTest, ASubmitThatIsRefusedUnreadSaysNothingWasDoneOnlyWhereNothingIsKnownOfIt) {
  ASSERT_TRUE((*t.Call(&Shard::Submit, CoordinatorUnderTest::SubmitBoth("r1")))->ok());
  v1::SubmitRequest name;
  const auto outcome = [&](const std::string& request_id) {
    name.set_request_id(request_id);
    absl::StatusOr<v1::SubmitResponse> answer;
    t.shard->RefuseSubmit(name, absl::ResourceExhaustedError("too large"),
                          Answer<v1::SubmitResponse>(
                              Reply<v1::SubmitResponse>([&](absl::StatusOr<v1::SubmitResponse> a) { answer = a; })));
    t.scheduler.RunReady();
    return answer.status().GetPayload(kFailureUrl) ? FailureOf(answer.status()).outcome() : v1::OUTCOME_UNSPECIFIED;
  };
  EXPECT_EQ(outcome("r1"), v1::OUTCOME_UNSPECIFIED);
  EXPECT_EQ(outcome("r2"), v1::REFUSED);
  EXPECT_EQ(outcome(""), v1::REFUSED);
  t.log.requests_forgotten = t.scheduler.Now() - absl::Hours(24);
  EXPECT_EQ(outcome("r2"), v1::OUTCOME_UNSPECIFIED) << "it may have been carried out, and forgotten";
  name.mutable_first_attempt()->set_seconds(absl::ToUnixSeconds(t.scheduler.Now()));
  EXPECT_EQ(outcome("r2"), v1::REFUSED) << "it would be remembered";
  name.mutable_first_attempt()->set_seconds(absl::ToUnixSeconds(t.scheduler.Now() - absl::Hours(25)));
  EXPECT_EQ(outcome("r2"), v1::FORGOTTEN);
}

TEST_F(ShardTest, ATransactionTakesNoMoreOperationsThanItsBound) {
  t.options.max_operations = 2;
  const std::string txn = t.BeginAndEnlistBoth();
  EXPECT_TRUE((*t.Execute(txn, "db", 1))->ok());
  EXPECT_TRUE((*t.Execute(txn, "db", 2))->ok());
  EXPECT_TRUE((*t.Execute(txn, "db", 2))->ok()) << "a repeat";
  const auto third = t.Execute(txn, "db", 3);
  EXPECT_EQ((*third)->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT((*third)->status().message(), HasSubstr("transactions.max_operations = 2"));
}

TEST_F(ShardTest, WhatIsKeptOfAbortsAndErrorsIsBounded) {
  v1::AbortRequest long_id;
  long_id.set_request_id(std::string(129, 'x'));
  EXPECT_EQ((*t.Call(&Shard::Abort, long_id))->status().code(), absl::StatusCode::kInvalidArgument);
  v1::GetTransactionRequest get;
  get.set_request_id(long_id.request_id());
  EXPECT_EQ((*t.Call(&Shard::GetTransaction, get))->status().code(), absl::StatusCode::kInvalidArgument);

  v1::AbortRequest long_reason;
  long_reason.set_request_id("r1");
  long_reason.set_reason(std::string(1 << 20, 'x'));
  ASSERT_TRUE((*t.Call(&Shard::Abort, long_reason))->ok());
  EXPECT_LT(t.log.durable().begin()->second.ByteSizeLong(), 2000u);

  const std::string txn = t.BeginAndEnlistBoth();
  t.db->execute_error = {.code = absl::StatusCode::kInvalidArgument, .message = std::string(1 << 20, 'x')};
  EXPECT_LT((*t.Execute(txn, "db", 1))->status().message().size(), 2000u);
  EXPECT_LT((*t.Execute(txn, "db", 1))->status().message().size(), 2000u) << "the reply that is kept for a repeat";
}

TEST_F(ShardTest, WorkThatComesTooLateIsAnsweredWithWhatBecameOfTheTransaction) {
  t.db->finish = t.events->finish = {.kind = Finish::Kind::kRetry};
  const std::string txn = t.BeginAndEnlistBoth();
  ASSERT_TRUE((*t.Commit(txn, v1::DECIDED))->ok());
  const auto unknown_branch = t.Execute(txn, "nobody", 1);
  EXPECT_EQ(FailureOf((*unknown_branch)->status()).outcome(), v1::COMMITTED);
}

TEST(ShardEndTest, WorkThatOutlivesItsTransactionIsAnsweredWhenTheShardEnds) {
  FakeStore db_store;
  FakeStore events_store;
  auto coordinator = std::make_unique<CoordinatorUnderTest>(db_store, events_store);
  coordinator->Start();
  coordinator->db->hold_execute = true;
  const std::string txn = coordinator->BeginAndEnlistBoth();
  const auto executed = coordinator->Execute(txn, "db", 1);
  ASSERT_TRUE((*coordinator->Abort(txn))->ok());
  ASSERT_FALSE(executed->has_value());
  coordinator.reset();
  ASSERT_TRUE(executed->has_value()) << "its caller waits for ever";
  EXPECT_EQ((*executed)->status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ShardTest, ListGivesWhatMatches) {
  const std::string first = t.BeginAndEnlistBoth();
  t.scheduler.Advance(absl::Seconds(5));
  t.BeginAndEnlistBoth();
  v1::ListTransactionsRequest request;
  EXPECT_EQ(t.shard->List(request, 0, 10).size(), 2u);
  EXPECT_EQ(t.shard->List(request, 1, 10).size(), 1u);
  request.mutable_older_than()->set_seconds(3);
  const auto old = t.shard->List(request, 0, 10);
  ASSERT_EQ(old.size(), 1u);
  EXPECT_EQ(old[0].txn_id(), first);
  request.set_participant("elsewhere");
  EXPECT_TRUE(t.shard->List(request, 0, 10).empty());
}

}  // namespace
}  // namespace assent
