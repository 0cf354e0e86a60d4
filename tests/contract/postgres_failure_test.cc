// Bounds, lost connections, and branches that ended without us.

#include <algorithm>
#include <csignal>

#include "assent/v1/token.pb.h"
#include "tests/contract/postgres_fixture.h"

namespace assent {
namespace {

class PostgresFailureTest : public PostgresTest {
 protected:
  void Kill(const std::string& pid) { judge().Query(absl::StrCat("SELECT pg_terminate_backend(", pid, ", 5000)")); }

  v1::PostgresToken TokenOf(const Vote& vote) {
    v1::PostgresToken token;
    EXPECT_TRUE(token.ParseFromString(vote.token));
    return token;
  }
};

// ---- Bounds ---------------------------------------------------------------------------------------------------------

TEST_F(PostgresFailureTest, ABranchWithoutAConnectionIsRefusedAtItsDeadline) {
  const BranchId holder = Open();
  RunOk(holder, "SELECT 1");
  const BranchId waiter = Open({}, absl::Milliseconds(100));
  const ExecuteOutcome outcome = Run(waiter, "SELECT 1");
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(outcome.error.retryable);
  EXPECT_NE(outcome.error.message.find("max_connections = 2"), std::string::npos) << outcome.error.message;
  EXPECT_NE(outcome.error.message.find("\"database\""), std::string::npos) << outcome.error.message;
  EXPECT_EQ(PrepareNo(waiter).error.code, absl::StatusCode::kResourceExhausted);
  AbortDone(holder);
}

TEST_F(PostgresFailureTest, MoreWaitersThanTheBoundAreRefusedAtOnce) {
  harness_->options().max_waiting_branches = 1;
  const BranchId holder = Open();
  RunOk(holder, "SELECT 1");
  const BranchId waiter = Open();
  bool served = false;
  participant().Execute(waiter, Sql({"SELECT 1"}), [&](ExecuteOutcome outcome) { served = outcome.ok; });
  driver_.loop().poll();
  const ExecuteOutcome refused = Run(Open(), "SELECT 1");
  EXPECT_EQ(refused.error.code, absl::StatusCode::kResourceExhausted);
  EXPECT_NE(refused.error.message.find("max_waiting_branches = 1"), std::string::npos) << refused.error.message;
  AbortDone(holder);
  EXPECT_TRUE(driver_.RunUntil([&] { return served; }));
  AbortDone(waiter);
}

TEST_F(PostgresFailureTest, BranchesThatHoldEveryConnectionDoNotKeepOthersFromEnding) {
  const BranchId prepared = Open();
  RunOk(prepared, Insert("a"));
  const Vote vote = PrepareYes(prepared);
  const BranchId holder = Open();
  RunOk(holder, "SELECT 1");
  CommitDone(prepared, vote);
  EXPECT_TRUE(harness_->IsVisible("a"));
  AbortDone(holder);
}

TEST_F(PostgresFailureTest, ManyBranchesThatAreFinishedTogetherGetMoreConnections) {
  constexpr int kBranches = 40;
  constexpr std::uint32_t kMost = 4;
  harness_->options().max_connections = kMost;
  std::vector<std::pair<BranchId, Vote>> prepared;
  for (int i = 0; i < kBranches; ++i) {
    const BranchId branch = Open();
    RunOk(branch, Insert(absl::StrCat("m", i)));
    prepared.emplace_back(branch, PrepareYes(branch));
  }
  driver_.Crash();
  Participant& next = driver_.Start(*harness_, 2);
  int done = 0;
  for (const auto& [branch, vote] : prepared) {
    next.Commit(branch, vote.token, [&](const Finish& finish) { done += finish.kind == Finish::Kind::kDone ? 1 : 0; });
  }
  EXPECT_TRUE(driver_.RunUntil([&] { return done == kBranches; }));
  const std::string connections = absl::StrCat(
      "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'assent/", coordinator_.name, "/%/2/%'");
  EXPECT_TRUE(driver_.RunUntil([&] { return judge().Value(connections) == "3"; })) << judge().Value(connections);
  EXPECT_TRUE(harness_->IsVisible("m0"));
}

TEST_F(PostgresFailureTest, ABranchOverItsDeadlineIsInterrupted) {
  const BranchId branch = Open({}, absl::Milliseconds(200));
  const ExecuteOutcome outcome = Run(branch, "SELECT pg_sleep(60)");
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kDeadlineExceeded) << outcome.error.message;
  PrepareNo(branch);
}

TEST_F(PostgresFailureTest, AnAbortEndsAStatementThatRuns) {
  const BranchId branch = Open();
  const std::string pid = BackendOf(branch);
  bool failed = false;
  participant().Execute(branch, Sql({"SELECT pg_sleep(60)"}), [&](ExecuteOutcome outcome) { failed = !outcome.ok; });
  driver_.RunFor(absl::Milliseconds(50));
  AbortDone(branch);
  EXPECT_TRUE(driver_.RunUntil([&] { return failed; }));
  EXPECT_TRUE(driver_.RunUntil(
      [&] { return judge().Value("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid) == "0"; }));
}

TEST_F(PostgresFailureTest, AnAbortEndsAPrepareThatWaitsBehindALock) {
  judge().Query(Insert("locked"));
  judge().Query("BEGIN");
  judge().Query(absl::StrCat("SELECT * FROM ", table(), " FOR UPDATE"));
  const BranchId branch = Open();
  participant().Execute(branch, Sql({absl::StrCat("DELETE FROM ", table())}), [](ExecuteOutcome) {});
  std::optional<Vote> vote;
  participant().Prepare(branch, [&](Vote answer) { vote = std::move(answer); });
  driver_.RunFor(absl::Milliseconds(50));
  AbortDone(branch);
  ASSERT_TRUE(vote.has_value());
  EXPECT_NE(vote->kind, Vote::Kind::kYes);
  judge().Query("COMMIT");
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
  EXPECT_TRUE(harness_->IsVisible("locked"));
}

// ---- Backends that die ----------------------------------------------------------------------------------------------

TEST_F(PostgresFailureTest, ABackendKilledBetweenTwoOperationsDoomsTheBranchRetryably) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  Kill(BackendOf(branch));
  const ExecuteOutcome outcome = Run(branch, Insert("b"));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kUnavailable) << outcome.error.message;
  EXPECT_TRUE(outcome.error.retryable);
  EXPECT_TRUE(PrepareNo(branch).error.retryable);
  const BranchId next = Open();
  RunOk(next, Insert("c"));
  CommitDone(next, PrepareYes(next));
  EXPECT_FALSE(harness_->IsVisible("a"));
}

TEST_F(PostgresFailureTest, ABackendKilledBeforePrepareLeavesNothing) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  Kill(BackendOf(branch));
  // Whether its end is noticed before PREPARE TRANSACTION is sent: either way it is not prepared, and says so.
  const Vote vote = driver_.Prepare(participant(), branch);
  EXPECT_NE(vote.kind, Vote::Kind::kYes);
  EXPECT_TRUE(vote.error.retryable) << vote.error.message;
  AbortDone(branch, vote.token);
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_F(PostgresFailureTest, ABackendKilledWhileItWorksDoomsTheBranch) {
  const BranchId branch = Open();
  const std::string pid = BackendOf(branch);
  std::optional<ExecuteOutcome> outcome;
  participant().Execute(branch, Sql({"SELECT pg_sleep(60)"}), [&](ExecuteOutcome o) { outcome = std::move(o); });
  driver_.RunFor(absl::Milliseconds(20));
  Kill(pid);
  ASSERT_TRUE(driver_.RunUntil([&] { return outcome.has_value(); }));
  EXPECT_FALSE(outcome->ok);
  EXPECT_TRUE(outcome->error.retryable) << outcome->error.message;
  AbortDone(branch);
}

TEST_F(PostgresFailureTest, BackendsKilledAfterPrepareDoNotKeepTheCommitFromHappening) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  const Vote vote = PrepareYes(branch);
  judge().Query(
      absl::StrCat("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE ",
                   judge().Literal(absl::StrCat("assent/", coordinator_.name, "/%"))));
  CommitDone(branch, vote);
  EXPECT_TRUE(harness_->IsVisible("a"));
}

TEST_F(PostgresFailureTest, AnUnansweredPrepareIsUnknownAndRolledBackOnlyOnceItsBackendIsGone) {
  harness_->options().prepare_timeout = absl::Milliseconds(200);
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  const pid_t backend = std::stoi(BackendOf(branch));
  if (kill(backend, SIGSTOP) != 0) GTEST_SKIP() << "may not stop the server's processes";
  const Vote vote = driver_.Prepare(participant(), branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kUnknown) << vote.error.message;
  // Stopped, with PREPARE TRANSACTION in its buffer: it may still do it.
  EXPECT_EQ(driver_.Abort(participant(), branch, vote.token).kind, Finish::Kind::kRetry);
  kill(backend, SIGCONT);
  AbortDone(branch, vote.token);
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
  EXPECT_FALSE(harness_->IsVisible("a"));
}

// ---- Branches that vanished -----------------------------------------------------------------------------------------

TEST_F(PostgresFailureTest, ABranchThatSomebodyElseEndedIsJudgedByItsTransactionId) {
  struct Case {
    const char* by_hand;
    bool commit;
    Finish::Kind expected;
  };
  int number = 0;
  for (const Case& c :
       {Case{"COMMIT PREPARED ", true, Finish::Kind::kDone}, Case{"ROLLBACK PREPARED ", true, Finish::Kind::kHeuristic},
        Case{"COMMIT PREPARED ", false, Finish::Kind::kHeuristic},
        Case{"ROLLBACK PREPARED ", false, Finish::Kind::kDone}}) {
    const BranchId branch = Open();
    RunOk(branch, Insert(absl::StrCat("value ", ++number)));
    const Vote vote = PrepareYes(branch);
    judge().Query(c.by_hand + judge().Literal(branch.ToGid()));
    const Finish finish =
        c.commit ? driver_.Commit(participant(), branch, vote.token) : driver_.Abort(participant(), branch, vote.token);
    EXPECT_EQ(finish.kind, c.expected) << c.by_hand << c.commit << ": " << finish.message;
    participant().Forget(branch, vote.token);
  }
}

TEST_F(PostgresFailureTest, AnotherServersTransactionIdsAreNotBelieved) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  const Vote vote = PrepareYes(branch);
  v1::PostgresToken token = TokenOf(vote);
  EXPECT_NE(token.transaction_id(), 0u);
  EXPECT_NE(token.system_identifier(), 0u);
  EXPECT_EQ(token.timeline(), 1u);
  EXPECT_EQ(token.database(), "orders");
  CommitDone(branch, vote);
  // The gid is gone, and the transaction id says "committed": of another timeline, that says nothing.
  token.set_timeline(token.timeline() + 1);
  const Finish finish = driver_.Commit(participant(), branch, token.SerializeAsString());
  EXPECT_EQ(finish.kind, Finish::Kind::kHeuristic) << finish.message;
  token.set_timeline(token.timeline() - 1);
  EXPECT_EQ(driver_.Commit(participant(), branch, token.SerializeAsString()).kind, Finish::Kind::kDone);
  token.set_transaction_id(token.transaction_id() + (1 << 30));
  EXPECT_EQ(driver_.Commit(participant(), branch, token.SerializeAsString()).kind, Finish::Kind::kHeuristic);
}

TEST_F(PostgresFailureTest, AnotherDatabaseIsAnErrorForTheOperatorAndNotAnEnd) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  const Vote vote = PrepareYes(branch);
  v1::PostgresToken token = TokenOf(vote);
  token.set_database("elsewhere");
  participant().Forget(branch, vote.token);
  const Finish finish = driver_.Commit(participant(), branch, token.SerializeAsString());
  EXPECT_EQ(finish.kind, Finish::Kind::kRetry);
  EXPECT_NE(finish.message.find("elsewhere"), std::string::npos) << finish.message;
  CommitDone(branch, vote);
}

TEST_F(PostgresFailureTest, ListOwnFindsWhatIsPreparedUnderOurNameWhole) {
  const BranchId ours = Open();
  RunOk(ours, Insert("a"));
  const Vote vote = PrepareYes(ours);
  BranchId other_incarnation = ours;
  ++other_incarnation.txn.coordinator.incarnation;
  BranchId longer_name = ours;
  longer_name.txn.coordinator.name += "x";
  for (const BranchId& branch : {other_incarnation, longer_name}) {
    judge().Query("BEGIN");
    judge().Query("SELECT pg_current_xact_id()");
    judge().Query("PREPARE TRANSACTION " + judge().Literal(branch.ToGid()));
  }
  const absl::StatusOr<OwnWork> work = driver_.ListOwn(participant());
  ASSERT_TRUE(work.ok()) << work.status();
  std::vector<std::string> found;
  for (const InDoubtBranch& in_doubt : work->branches) {
    found.push_back(in_doubt.branch.ToGid());
    EXPECT_LT(absl::AbsDuration(absl::Now() - in_doubt.prepared_at), absl::Minutes(1));
    if (in_doubt.branch == ours) {
      EXPECT_EQ(in_doubt.token, vote.token);
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> expected = {ours.ToGid(), other_incarnation.ToGid()};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(found, expected);
  for (const BranchId& branch : {other_incarnation, longer_name}) {
    judge().Query("ROLLBACK PREPARED " + judge().Literal(branch.ToGid()));
  }
  CommitDone(ours, vote);
}

// ---- max_prepared_transactions --------------------------------------------------------------------------------------

class PostgresSlotsTest : public PostgresTest {
 protected:
  void SetUp() override {}

  void UseOwnServer(int max_prepared_transactions) {
    std::string why_not;
    harness_ =
        PostgresHarness::OnOwnServer(why_not, absl::StrCat("max_prepared_transactions = ", max_prepared_transactions));
    ASSERT_NE(harness_, nullptr) << why_not;
    harness_->options().prepare_slot_timeout = absl::Milliseconds(300);
  }
};

TEST_F(PostgresSlotsTest, DisabledPreparedTransactionsAreANoVoteThatNamesTheSetting) {
  UseOwnServer(0);
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  const Vote vote = PrepareNo(branch);
  EXPECT_EQ(vote.error.sqlstate, "55000");
  EXPECT_NE(vote.error.message.find("max_prepared_transactions"), std::string::npos) << vote.error.message;
}

TEST_F(PostgresSlotsTest, AtTheLimitAPrepareWaitsForASlotAndForABoundedTime) {
  UseOwnServer(2);
  std::vector<std::pair<BranchId, Vote>> prepared;
  for (int i = 0; i < 2; ++i) {
    const BranchId branch = Open();
    RunOk(branch, Insert(absl::StrCat("value ", i)));
    prepared.emplace_back(branch, PrepareYes(branch));
  }
  const BranchId late = Open();
  participant().Execute(late, Sql({Insert("late")}), [](ExecuteOutcome outcome) { EXPECT_TRUE(outcome.ok); });
  const Vote refused = PrepareNo(late);
  EXPECT_EQ(refused.error.code, absl::StatusCode::kResourceExhausted);
  EXPECT_NE(refused.error.message.find("max_prepared_transactions = 2"), std::string::npos) << refused.error.message;
  const BranchId patient = Open();
  RunOk(patient, Insert("patient"));
  std::optional<Vote> vote;
  participant().Prepare(patient, [&](Vote answer) { vote = std::move(answer); });
  driver_.RunFor(absl::Milliseconds(20));
  EXPECT_FALSE(vote.has_value());
  CommitDone(prepared[0].first, prepared[0].second);
  ASSERT_TRUE(driver_.RunUntil([&] { return vote.has_value(); }));
  EXPECT_EQ(vote->kind, Vote::Kind::kYes) << vote->error.message;
  CommitDone(patient, *vote);
  AbortDone(prepared[1].first, prepared[1].second.token);
}

// ---- Synchronous standbys ------------------------------------------------------------------------------------------

class PostgresStandbyTest : public PostgresSlotsTest {
 protected:
  // A standby that never answers: what waits for it waits until it is cancelled.
  void WaitForStandby(bool wait) {
    judge().Query(wait ? "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
                       : "ALTER SYSTEM RESET synchronous_standby_names");
    judge().Query("SELECT pg_reload_conf()");
    // The checkpointer tells the backends, when it gets to it.
    driver_.RunFor(absl::Milliseconds(500));
  }

  void CancelTheWait() {
    EXPECT_TRUE(driver_.RunUntil([&] {
      return !judge().Query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").empty();
    }));
  }
};

TEST_F(PostgresStandbyTest, AWaitForTheStandbyThatIsCancelledLeavesTheVoteUnknown) {
  UseOwnServer(5);
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  WaitForStandby(true);
  std::optional<Vote> vote;
  participant().Prepare(branch, [&](Vote answer) { vote = std::move(answer); });
  CancelTheWait();
  ASSERT_TRUE(driver_.RunUntil([&] { return vote.has_value(); }));
  EXPECT_EQ(vote->kind, Vote::Kind::kUnknown) << vote->error.message;
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 1);
  WaitForStandby(false);
  AbortBesideItsSuccessor(branch, *vote);
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_F(PostgresStandbyTest, ACommitWhoseWaitForTheStandbyIsCancelledIsAskedForAgain) {
  UseOwnServer(5);
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  const Vote vote = PrepareYes(branch);
  WaitForStandby(true);
  std::optional<Finish> finish;
  participant().Commit(branch, vote.token, [&](Finish answer) { finish = std::move(answer); });
  CancelTheWait();
  ASSERT_TRUE(driver_.RunUntil([&] { return finish.has_value(); }));
  EXPECT_EQ(finish->kind, Finish::Kind::kRetry);
  WaitForStandby(false);
  CommitDone(branch, vote);
  EXPECT_TRUE(harness_->IsVisible("a"));
}

// ---- Options --------------------------------------------------------------------------------------------------------

TEST(PostgresOptionsTest, WhatCannotWorkIsRefusedWithoutRepeatingSecrets) {
  boost::asio::io_context loop;
  const ParticipantContext context{.loop = loop, .clock = SystemClock(), .coordinator = {"a", 1}, .shard_count = 2};
  postgres::PostgresOptions options;
  options.name = "database";
  options.conninfo = "password=secret host";
  const absl::Status unreadable = postgres::MakePostgresParticipant(options, context).status();
  EXPECT_EQ(unreadable.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(unreadable.message().find("secret"), absl::string_view::npos) << unreadable;
  options.conninfo = "host=/nowhere";
  options.max_connections = 3;
  const absl::Status too_few =
      postgres::MakePostgresParticipant(
          options, {.loop = loop, .clock = SystemClock(), .coordinator = {"a", 1}, .shard = 1, .shard_count = 2})
          .status();
  EXPECT_EQ(too_few.code(), absl::StatusCode::kInvalidArgument) << too_few;
}

}  // namespace
}  // namespace assent
