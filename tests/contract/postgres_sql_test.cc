// What SQL a branch takes, and what it gives back.

#include <cmath>

#include "base/utf8.h"
#include "tests/contract/postgres_fixture.h"

namespace assent {
namespace {

class PostgresSqlTest : public PostgresTest {};

TEST_F(PostgresSqlTest, ResultsCarryColumnsTypesAndValues) {
  const BranchId branch = Open();
  const ExecuteOutcome outcome =
      Run(branch,
          "SELECT 1::int2 AS small, 2::int4, 3::int8, 4::oid, 1.5::float4, 2.5::float8, true, '\\x00ff'::bytea,"
          " 'text', 1.50::numeric, NULL::int4, '2026-01-02 03:04:05'::timestamp, '1 day 02:00'::interval,"
          " ARRAY[1,2], '{\"a\": 1}'::jsonb");
  ASSERT_TRUE(outcome.ok) << outcome.error.message;
  ASSERT_EQ(outcome.result.sql().results_size(), 1);
  const v1::StatementResult& result = outcome.result.sql().results(0);
  EXPECT_EQ(result.command_tag(), "SELECT 1");
  EXPECT_EQ(result.affected_rows(), 1);
  EXPECT_EQ(result.columns(0).name(), "small");
  EXPECT_EQ(result.columns(0).type_oid(), 21u);
  EXPECT_EQ(result.columns(8).type_oid(), 25u);
  const auto& values = result.rows(0).values();
  EXPECT_EQ(values[0].int64(), 1);
  EXPECT_EQ(values[1].int64(), 2);
  EXPECT_EQ(values[2].int64(), 3);
  EXPECT_EQ(values[3].int64(), 4);
  EXPECT_EQ(values[4].double_(), 1.5);
  EXPECT_EQ(values[5].double_(), 2.5);
  EXPECT_TRUE(values[6].bool_());
  EXPECT_EQ(values[7].bytes(), std::string("\0\xff", 2));
  EXPECT_EQ(values[8].text(), "text");
  EXPECT_EQ(values[9].text(), "1.50");
  EXPECT_EQ(values[10].kind_case(), v1::Value::kNull);
  EXPECT_EQ(values[11].text(), "2026-01-02 03:04:05");
  EXPECT_EQ(values[12].text(), "1 day 02:00:00");
  EXPECT_EQ(values[13].text(), "{1,2}");
  EXPECT_EQ(values[14].text(), "{\"a\": 1}");
  EndBranch(branch);
}

TEST_F(PostgresSqlTest, ParametersOfEveryKindArriveAsTheyWereSent) {
  const BranchId branch = Open();
  v1::Operation operation;
  v1::SqlStatement& statement = *operation.mutable_sql()->add_statements();
  statement.set_sql(
      "SELECT $1::bool, $2::int8, $3::float8, $4::text, $5::bytea, $6::text, $7::timestamptz IS NOT NULL");
  v1::ParameterSet& set = *statement.add_parameter_sets();
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  set.add_values()->set_bool_(false);
  set.add_values()->set_int64(-42);
  set.add_values()->set_double_(0.1);
  set.add_values()->set_text("h\xc3\xa9llo 'quoted' \\ \xf0\x9f\x98\x80");
  set.add_values()->set_bytes(every_byte);
  set.add_values()->set_null(v1::NULL_VALUE);
  set.add_values()->set_text("2026-01-01T00:00:00Z");
  const ExecuteOutcome outcome = driver_.Execute(participant(), branch, operation);
  ASSERT_TRUE(outcome.ok) << outcome.error.message;
  const auto& values = outcome.result.sql().results(0).rows(0).values();
  EXPECT_FALSE(values[0].bool_());
  EXPECT_EQ(values[1].int64(), -42);
  EXPECT_EQ(values[2].double_(), 0.1);
  EXPECT_EQ(values[3].text(), set.values(3).text());
  EXPECT_EQ(values[4].bytes(), every_byte);
  EXPECT_EQ(values[5].kind_case(), v1::Value::kNull);
  EXPECT_TRUE(values[6].bool_());
  EndBranch(branch);
}

TEST_F(PostgresSqlTest, OneStatementRunsOnceForEachParameterSet) {
  const BranchId branch = Open();
  v1::Operation operation;
  v1::SqlStatement& statement = *operation.mutable_sql()->add_statements();
  statement.set_sql(absl::StrCat("INSERT INTO ", table(), " (value) VALUES ($1) RETURNING value"));
  statement.set_expect_rows(1);
  for (int i = 0; i < 500; ++i) statement.add_parameter_sets()->add_values()->set_text(absl::StrCat("v", i));
  const ExecuteOutcome outcome = driver_.Execute(participant(), branch, operation);
  ASSERT_TRUE(outcome.ok) << outcome.error.message;
  ASSERT_EQ(outcome.result.sql().results_size(), 500);
  EXPECT_EQ(outcome.result.sql().results(499).rows(0).values(0).text(), "v499");
  EXPECT_EQ(outcome.result.sql().results(499).command_tag(), "INSERT 0 1");
  CommitDone(branch, PrepareYes(branch));
  EXPECT_EQ(judge().Value("SELECT count(*) FROM " + table()), "500");
}

TEST_F(PostgresSqlTest, AFailedRunIsNamedByStatementAndParameterSet) {
  const BranchId branch = Open();
  v1::Operation operation = Sql({"SELECT 1", "SELECT 1 / $1::int"});
  for (const int divisor : {1, 0, 1}) {
    operation.mutable_sql()->mutable_statements(1)->add_parameter_sets()->add_values()->set_int64(divisor);
  }
  const ExecuteOutcome outcome = driver_.Execute(participant(), branch, operation);
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.sqlstate, "22012");
  EXPECT_NE(outcome.error.message.find("statement 2, parameter set 2"), std::string::npos) << outcome.error.message;
  EXPECT_EQ(PrepareNo(branch).error.sqlstate, "22012");
}

TEST_F(PostgresSqlTest, OtherThanTheExpectedNumberOfRowsDoomsTheBranch) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  RunOk(branch, "SAVEPOINT s");
  v1::Operation operation = Sql({absl::StrCat("UPDATE ", table(), " SET value = 'b' WHERE value = 'none'")});
  operation.mutable_sql()->mutable_statements(0)->set_expect_rows(1);
  const ExecuteOutcome outcome = driver_.Execute(participant(), branch, operation);
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(outcome.error.message.find("expect_rows is 1, but 0"), std::string::npos) << outcome.error.message;
  EXPECT_FALSE(Run(branch, "ROLLBACK TO s").ok);  // the caller, not the server, was wrong: nothing undoes that
  EXPECT_EQ(PrepareNo(branch).error.message, outcome.error.message);
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_F(PostgresSqlTest, AnEagerPrepareWaitsForTheExpectedNumberOfRows) {
  const BranchId branch = Open();
  v1::Operation operation = Sql({Insert("a"), absl::StrCat("DELETE FROM ", table(), " WHERE value = 'none'")});
  operation.mutable_sql()->mutable_statements(1)->set_expect_rows(1);
  participant().Execute(branch, operation, [](ExecuteOutcome outcome) { EXPECT_FALSE(outcome.ok); });
  PrepareNo(branch);
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
  const BranchId good = Open();
  operation.mutable_sql()->mutable_statements(1)->set_expect_rows(0);
  participant().Execute(good, operation, [](ExecuteOutcome outcome) { EXPECT_TRUE(outcome.ok); });
  CommitDone(good, PrepareYes(good));
}

TEST_F(PostgresSqlTest, AViolatedConstraintIsTheServersErrorAndANoVote) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  const ExecuteOutcome outcome = Run(branch, Insert("a"));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.sqlstate, "23505");
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(outcome.error.retryable);
  EXPECT_NE(outcome.error.message.find("(value)=(a)"), std::string::npos) << outcome.error.message;
  const ExecuteOutcome later = Run(branch, Insert("b"));
  EXPECT_FALSE(later.ok);
  EXPECT_NE(later.error.message.find("had failed before"), std::string::npos) << later.error.message;
  EXPECT_EQ(PrepareNo(branch).error.sqlstate, "23505");
  // The connection is good for the next one.
  const BranchId next = Open();
  RunOk(next, Insert("a"));
  CommitDone(next, PrepareYes(next));
}

TEST_F(PostgresSqlTest, ADeferredConstraintIsANoVoteAtPrepare) {
  judge().Query(absl::StrCat("CREATE TABLE ", table(), "_d (id int, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)"));
  const BranchId branch = Open();
  RunOk(branch, absl::StrCat("INSERT INTO ", table(), "_d VALUES (1), (1)"));
  EXPECT_EQ(PrepareNo(branch).error.sqlstate, "23505");
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
  const BranchId next = Open();
  RunOk(next, Insert("next"));
  CommitDone(next, PrepareYes(next));
  judge().Query(absl::StrCat("DROP TABLE ", table(), "_d"));
}

TEST_F(PostgresSqlTest, WhatPrepareTransactionRefusesIsANoVote) {
  for (const std::string sql :
       {"CREATE TEMPORARY TABLE temporary_one (id int)", "NOTIFY somebody", "SELECT pg_notify('somebody', 'x')",
        "LISTEN somebody", "DECLARE held CURSOR WITH HOLD FOR SELECT 1"}) {
    const BranchId branch = Open();
    RunOk(branch, sql);
    const Vote vote = PrepareNo(branch);
    EXPECT_EQ(vote.error.sqlstate, "0A000") << sql << ": " << vote.error.message;
    participant().Forget(branch, "");
  }
  const BranchId next = Open();
  RunOk(next, Insert("next"));
  CommitDone(next, PrepareYes(next));
}

TEST_F(PostgresSqlTest, RollingBackToASavepointSavesTheBranch) {
  const BranchId branch = Open();
  RunOk(branch, Insert("a"));
  RunOk(branch, "SAVEPOINT s");
  EXPECT_FALSE(Run(branch, Insert("a")).ok);
  EXPECT_FALSE(Run(branch, Insert("b")).ok);
  EXPECT_FALSE(Run(branch, "ROLLBACK TO SAVEPOINT other").ok);
  RunOk(branch, "ROLLBACK TO SAVEPOINT s");
  RunOk(branch, Insert("c"));
  RunOk(branch, "RELEASE SAVEPOINT s");
  CommitDone(branch, PrepareYes(branch));
  EXPECT_TRUE(harness_->IsVisible("a"));
  EXPECT_FALSE(harness_->IsVisible("b"));
  EXPECT_TRUE(harness_->IsVisible("c"));
}

TEST_F(PostgresSqlTest, RollingBackToASavepointSavesABranchWhoseOperationsWereSentTogether) {
  const BranchId branch = Open();
  std::vector<bool> ok;
  const auto note = [&](ExecuteOutcome outcome) { ok.push_back(outcome.ok); };
  participant().Execute(branch, Sql({Insert("a"), "SAVEPOINT s"}), note);
  participant().Execute(branch, Sql({Insert("a")}), note);
  participant().Execute(branch, Sql({"ROLLBACK TO s", Insert("b")}), note);
  participant().Execute(branch, Sql({Insert("c")}), note);
  const Vote vote = PrepareYes(branch);
  EXPECT_EQ(ok, (std::vector<bool>{true, false, true, true}));
  CommitDone(branch, vote);
  EXPECT_TRUE(harness_->IsVisible("b"));
  EXPECT_TRUE(harness_->IsVisible("c"));
}

TEST_F(PostgresSqlTest, WhatMustNotBeSentIsAnInvalidArgumentAndDoomsTheBranch) {
  harness_->options().max_statement_bytes = 1000;
  harness_->options().max_parameter_bytes = 1000;
  v1::Operation large_parameter = Sql({"SELECT $1::text"});
  large_parameter.mutable_sql()->mutable_statements(0)->add_parameter_sets()->add_values()->set_text(
      std::string(1001, 'x'));
  v1::Operation nul_parameter = Sql({"SELECT $1::text"});
  nul_parameter.mutable_sql()->mutable_statements(0)->add_parameter_sets()->add_values()->set_text(
      std::string("a\0b", 3));
  for (const v1::Operation& operation :
       {Sql({}), Sql({""}), Sql({"COMMIT"}), Sql({"SELECT 1", "/**/;rollback"}), Sql({"PREPARE TRANSACTION 'x'"}),
        Sql({"COPY pg_class TO STDOUT"}), Sql({std::string("SELECT 1\0", 9)}),
        Sql({std::string(1001, ' ') + "SELECT 1"}), large_parameter, nul_parameter}) {
    const BranchId branch = Open();
    RunOk(branch, Insert("a"));
    const ExecuteOutcome outcome = driver_.Execute(participant(), branch, operation);
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error.code, absl::StatusCode::kInvalidArgument) << outcome.error.message;
    EXPECT_EQ(PrepareNo(branch).error.message, outcome.error.message);
    participant().Forget(branch, "");
  }
  EXPECT_FALSE(harness_->IsVisible("a"));
}

TEST_F(PostgresSqlTest, SeveralStatementsInOneTextAreRefused) {
  const BranchId branch = Open();
  const ExecuteOutcome outcome = Run(branch, absl::StrCat(Insert("a"), "; COMMIT"));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.sqlstate, "42601") << outcome.error.message;
  PrepareNo(branch);
  EXPECT_FALSE(harness_->IsVisible("a"));
}

TEST_F(PostgresSqlTest, AResultOverTheBoundDoomsTheBranchAndNamesIt) {
  harness_->options().max_result_bytes = 10'000;
  const BranchId branch = Open();
  const ExecuteOutcome outcome = Run(branch, "SELECT repeat('x', 100) FROM generate_series(1, 100000)");
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kResourceExhausted);
  EXPECT_NE(outcome.error.message.find("max_result_bytes = 10000"), std::string::npos) << outcome.error.message;
  EXPECT_EQ(PrepareNo(branch).error.message, outcome.error.message);
}

TEST_F(PostgresSqlTest, AResultOverTheBoundBeforeAnEagerPrepareLeavesNothingPrepared) {
  harness_->options().max_result_bytes = 1'000;
  const BranchId branch = Open();
  participant().Execute(branch, Sql({Insert("a"), "SELECT repeat('x', 2000)"}),
                        [](ExecuteOutcome outcome) { EXPECT_FALSE(outcome.ok); });
  const Vote vote = driver_.Prepare(participant(), branch);
  EXPECT_NE(vote.kind, Vote::Kind::kYes);
  EXPECT_NE(vote.error.message.find("max_result_bytes"), std::string::npos);
  AbortBesideItsSuccessor(branch, vote);
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
  EXPECT_FALSE(harness_->IsVisible("a"));
}

TEST_F(PostgresSqlTest, TextInAnotherEncodingDoomsTheBranchAndItsErrorsStayReadable) {
  for (const bool eager : {false, true}) {
    const BranchId branch = Open();
    std::optional<ExecuteOutcome> outcome;
    participant().Execute(branch, Sql({Insert("a"), "SET client_encoding = 'LATIN1'", "SELECT chr(233)"}),
                          [&](ExecuteOutcome answer) { outcome = std::move(answer); });
    if (!eager) {
      ASSERT_TRUE(driver_.RunUntil([&] { return outcome.has_value(); }));
    }
    const Vote vote = driver_.Prepare(participant(), branch);
    EXPECT_NE(vote.kind, Vote::Kind::kYes);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_NE(outcome->error.message.find("client_encoding"), std::string::npos) << outcome->error.message;
    AbortDone(branch, vote.token);
  }
  const BranchId failing = Open();
  RunOk(failing, "SET client_encoding = 'LATIN1'");
  const ExecuteOutcome refused = Run(failing, "SELECT no_such_function(chr(233)), U&'\\00e9'::int");
  EXPECT_FALSE(refused.ok);
  EXPECT_TRUE(IsUtf8(refused.error.message)) << refused.error.message;
  EndBranch(failing);
  const BranchId next = Open();
  EXPECT_EQ(Text(next, "SELECT chr(233)"), "\u00e9") << "the next branch on the connection is not affected";
  EndBranch(next);
  EXPECT_FALSE(harness_->IsVisible("a"));
}

TEST_F(PostgresSqlTest, BytesAreTheSameInEitherOfTheServersFormats) {
  const BranchId branch = Open();
  RunOk(branch, "SET bytea_output = 'escape'");
  const ExecuteOutcome outcome = Run(branch, R"(SELECT '\x005c61ff27'::bytea)");
  ASSERT_TRUE(outcome.ok) << outcome.error.message;
  EXPECT_EQ(outcome.result.sql().results(0).rows(0).values(0).bytes(), std::string("\0\\a\xff'", 5));
  EndBranch(branch);
}

// ---- Options --------------------------------------------------------------------------------------------------------

TEST_F(PostgresSqlTest, TheIsolationLevelIsTheBranchs) {
  const std::vector<std::pair<v1::IsolationLevel, std::string>> levels = {
      {v1::ISOLATION_LEVEL_UNSPECIFIED, "read committed"},
      {v1::READ_COMMITTED, "read committed"},
      {v1::REPEATABLE_READ, "repeatable read"},
      {v1::SERIALIZABLE, "serializable"}};
  for (const auto& [level, name] : levels) {
    v1::SqlBranchOptions options;
    options.set_isolation(level);
    const BranchId branch = Open(options);
    EXPECT_EQ(Text(branch, "SHOW transaction_isolation"), name);
    EndBranch(branch);
  }
}

TEST_F(PostgresSqlTest, ASerializationFailureIsRetryable) {
  judge().Query(Insert("a"));
  v1::SqlBranchOptions options;
  options.set_isolation(v1::REPEATABLE_READ);
  const BranchId branch = Open(options);
  RunOk(branch, "SELECT * FROM " + table());
  judge().Query(absl::StrCat("UPDATE ", table(), " SET data = 'x'"));
  const ExecuteOutcome outcome = Run(branch, absl::StrCat("UPDATE ", table(), " SET data = 'y'"));
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.sqlstate, "40001");
  EXPECT_TRUE(outcome.error.retryable);
  const Vote vote = PrepareNo(branch);
  EXPECT_TRUE(vote.error.retryable);
}

TEST_F(PostgresSqlTest, AStatementOverItsTimeoutIsCancelled) {
  v1::SqlBranchOptions options;
  options.mutable_statement_timeout()->set_nanos(50'000'000);
  const BranchId branch = Open(options);
  const ExecuteOutcome outcome = Run(branch, "SELECT pg_sleep(60)");
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.sqlstate, "57014");
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(PrepareNo(branch).error.sqlstate, "57014");
  const BranchId next = Open();
  EXPECT_EQ(Text(next, "SHOW statement_timeout"), "0");
  EndBranch(next);
}

TEST_F(PostgresSqlTest, AReadOnlyBranchEndsAtItsVoteWithoutAnyEffect) {
  v1::SqlBranchOptions options;
  options.set_read_only(true);
  judge().Query("LISTEN contract_channel");
  const BranchId branch = Open(options);
  RunOk(branch, "SELECT * FROM " + table());
  RunOk(branch, "SELECT pg_notify('contract_channel', 'ghost')");  // takes no transaction id, and is an effect
  EXPECT_EQ(driver_.Prepare(participant(), branch).kind, Vote::Kind::kReadOnly);
  EXPECT_EQ(judge().CountNotifications(), 0);
  const BranchId writer = Open(options);
  const ExecuteOutcome outcome = Run(writer, Insert("a"));
  EXPECT_EQ(outcome.error.sqlstate, "25006") << outcome.error.message;
  PrepareNo(writer);
}

TEST_F(PostgresSqlTest, AReadOnlyBranchMayPrepareWithItsWork) {
  v1::SqlBranchOptions options;
  options.set_read_only(true);
  const BranchId branch = Open(options);
  participant().Execute(branch, Sql({"SELECT 1"}), [](ExecuteOutcome outcome) { EXPECT_TRUE(outcome.ok); });
  EXPECT_EQ(driver_.Prepare(participant(), branch).kind, Vote::Kind::kReadOnly);
}

TEST_F(PostgresSqlTest, AReadOnlyBranchThatWroteAfterAllVotesNo) {
  v1::SqlBranchOptions options;
  options.set_read_only(true);
  const BranchId branch = Open(options);
  RunOk(branch, "SET TRANSACTION READ WRITE");
  RunOk(branch, Insert("a"));
  EXPECT_EQ(PrepareNo(branch).error.code, absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(harness_->IsVisible("a"));
}

TEST_F(PostgresSqlTest, OptionsThatCannotBeAreInvalidArguments) {
  v1::BranchOptions options;
  options.mutable_sql()->mutable_statement_timeout()->set_seconds(-1);
  EXPECT_EQ(participant().Open(driver_.NewBranch(), options, absl::InfiniteFuture()).code(),
            absl::StatusCode::kInvalidArgument);
  options.mutable_sql()->clear_statement_timeout();
  options.mutable_sql()->set_isolation(static_cast<v1::IsolationLevel>(77));
  EXPECT_EQ(participant().Open(driver_.NewBranch(), options, absl::InfiniteFuture()).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace assent
