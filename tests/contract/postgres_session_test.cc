// What one branch leaves behind on its connection for the next: nothing.

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>

#include "tests/contract/postgres_fixture.h"

namespace assent {
namespace {

class PostgresSessionTest : public PostgresTest {
 protected:
  void CommitWith(const std::vector<std::string>& statements) {
    const BranchId branch = Open();
    RunOk(branch, Insert(absl::StrCat("value ", ++count_)));
    for (const std::string& sql : statements) RunOk(branch, sql);
    CommitDone(branch, PrepareYes(branch));
  }

  std::string AskNext(const std::string& sql) {
    const BranchId branch = Open();
    const std::string answer = Text(branch, sql);
    EndBranch(branch);
    return answer;
  }

  const std::string lock_ = std::to_string(std::random_device()());
  int count_ = 0;
};

TEST_F(PostgresSessionTest, SettingsAreReset) {
  CommitWith({"SET work_mem = '7MB'", "SELECT set_config('my.setting', 'x', false)", "SET search_path = nowhere"});
  EXPECT_NE(AskNext("SHOW work_mem"), "7MB");
  EXPECT_EQ(AskNext("SELECT current_setting('my.setting', true)"), "");
  EXPECT_EQ(AskNext("SHOW search_path"), "\"$user\", public");
}

TEST_F(PostgresSessionTest, OurOwnSettingsSurviveTheReset) {
  CommitWith({"SET DateStyle = 'German'", "SET bytea_output = 'escape'", "SET synchronous_commit = off"});
  EXPECT_EQ(AskNext("SHOW DateStyle"), "ISO, MDY");
  EXPECT_EQ(AskNext("SHOW bytea_output"), "hex");
  EXPECT_EQ(AskNext("SHOW synchronous_commit"), "on");
}

TEST_F(PostgresSessionTest, WhatAnAbortedBranchSetIsResetToo) {
  const BranchId branch = Open();
  RunOk(branch, "SET SESSION work_mem = '7MB'");
  RunOk(branch, "SELECT pg_advisory_lock(" + lock_ + ")");
  AbortDone(branch);
  EXPECT_NE(AskNext("SHOW work_mem"), "7MB");
  EXPECT_EQ(judge().Value("SELECT pg_try_advisory_lock(" + lock_ + ")"), "t");
}

TEST_F(PostgresSessionTest, AdvisoryLocksOfTheSessionAreReleased) {
  CommitWith({"SELECT pg_advisory_lock(" + lock_ + ")"});
  AskNext("SELECT 'x'");
  EXPECT_EQ(judge().Value("SELECT pg_try_advisory_lock(" + lock_ + ")"), "t");
}

TEST_F(PostgresSessionTest, SequencesForgetTheirLastValue) {
  judge().Query("CREATE SEQUENCE " + table() + "_seq");
  CommitWith({"SELECT nextval('" + table() + "_seq')::text"});
  const BranchId branch = Open();
  EXPECT_EQ(Run(branch, "SELECT currval('" + table() + "_seq')").error.sqlstate, "55000");
  EndBranch(branch);
  judge().Query("DROP SEQUENCE " + table() + "_seq");
}

TEST_F(PostgresSessionTest, AnotherRoleEndsWithTheBranchAndDoesNotOwnWhatIsPrepared) {
  const char* const conninfo = std::getenv("ASSENT_TEST_POSTGRES_ADMIN");
  if (conninfo == nullptr) GTEST_SKIP() << "ASSENT_TEST_POSTGRES_ADMIN is not set: only an administrator makes roles";
  PlainPostgres admin(absl::StrCat(conninfo, " dbname=orders"));
  const std::string role = table() + "_role";
  const std::string us = judge().Value("SELECT current_user");
  admin.Query(absl::StrCat("CREATE ROLE ", role));
  admin.Query(absl::StrCat("GRANT ", role, " TO ", us));
  judge().Query(absl::StrCat("GRANT ALL ON ", table(), " TO ", role));
  const BranchId branch = Open();
  RunOk(branch, "SET ROLE " + role);
  EXPECT_EQ(Text(branch, "SELECT current_user::text"), role);
  RunOk(branch, Insert("a"));
  const Vote vote = PrepareYes(branch);
  EXPECT_EQ(judge().Value("SELECT owner FROM pg_prepared_xacts WHERE gid = " + judge().Literal(branch.ToGid())), us);
  CommitDone(branch, vote);
  EXPECT_EQ(AskNext("SELECT current_user::text"), us);
  judge().Query(absl::StrCat("REVOKE ALL ON ", table(), " FROM ", role));
  admin.Query("DROP ROLE " + role);
}

TEST_F(PostgresSessionTest, PreparedStatementsOfACallerEndWithTheBranch) {
  CommitWith({"PREPARE mine AS SELECT 1", "EXECUTE mine"});
  CommitWith({"PREPARE mine AS SELECT 2"});
  CommitWith({"DEALLOCATE ALL"});
  CommitWith({"DISCARD PLANS"});
  CommitWith({});
}

TEST_F(PostgresSessionTest, PreparedStatementsOfABlockEndWithTheBranch) {
  CommitWith({"DO $$BEGIN EXECUTE 'PREPARE hidden AS SELECT 1'; END$$"});
  const BranchId next = Open();
  EXPECT_EQ(Run(next, "EXECUTE hidden").error.sqlstate, "26000") << "nor does the very next branch find it";
  EndBranch(next);
  EXPECT_EQ(AskNext("SELECT count(*)::text FROM pg_prepared_statements WHERE name = 'hidden'"), "0");
}

// Whoever hit one of our names could put a statement of its own behind it, for callers to come.
TEST_F(PostgresSessionTest, NamesOfOurOwnStatementsDifferFromConnectionToConnection) {
  harness_->options().max_connections = 3;  // one of them for recovery
  std::vector<std::string> names;
  for (int use = 0; use < 2; ++use) {  // the first prepares what every branch needs
    const std::vector<BranchId> branches = {Open(), Open()};
    names.clear();
    for (const BranchId& branch : branches) {
      names.push_back(Text(branch, "SELECT min(name) FROM pg_prepared_statements WHERE NOT from_sql"));
    }
    for (const BranchId& branch : branches) EndBranch(branch);
  }
  EXPECT_THAT(names, testing::Each(testing::StartsWith("assent_")));
  EXPECT_NE(names[0], names[1]);
}

TEST_F(PostgresSessionTest, ANameThatAFunctionLeftPreparedIsRetryableAndThenFree) {
  const std::string function = table() + "_f()";
  judge().Query(absl::StrCat("CREATE FUNCTION ", function,
                             " RETURNS int LANGUAGE plpgsql AS $$BEGIN EXECUTE 'PREPARE hidden AS SELECT 1';"
                             " RETURN 1; END$$"));
  CommitWith({"SELECT " + function});
  const BranchId branch = Open();
  const ExecuteOutcome taken = Run(branch, "SELECT " + function);
  EXPECT_EQ(taken.error.sqlstate, "42P05") << taken.error.message;
  EXPECT_TRUE(taken.error.retryable);
  EndBranch(branch);
  CommitWith({"SELECT " + function});
  judge().Query("DROP FUNCTION " + function);
}

TEST_F(PostgresSessionTest, AStatementWhoseTableChangedIsRetryableAndThenWorks) {
  for (int i = 0; i < 3; ++i) AskNext("SELECT * FROM " + table() + " LIMIT 1");
  judge().Query("ALTER TABLE " + table() + " ADD COLUMN more int");
  const BranchId branch = Open();
  const ExecuteOutcome stale = Run(branch, "SELECT * FROM " + table() + " LIMIT 1");
  EXPECT_FALSE(stale.ok);
  EXPECT_TRUE(stale.error.retryable) << stale.error.message;
  EndBranch(branch);
  AskNext("SELECT * FROM " + table() + " LIMIT 1");
}

TEST_F(PostgresSessionTest, AStatementThatCannotBeParsedIsReportedEachTime) {
  for (int i = 0; i < 4; ++i) {
    const BranchId branch = Open();
    const ExecuteOutcome outcome = Run(branch, "SELECT * FROM there_is_no_such_table");
    EXPECT_EQ(outcome.error.sqlstate, "42P01") << outcome.error.message;
    EXPECT_EQ(outcome.error.code, absl::StatusCode::kInvalidArgument);
    PrepareNo(branch);
  }
}

TEST_F(PostgresSessionTest, MoreStatementsThanTheCacheHoldsWork) {
  harness_->options().max_prepared_statements = 3;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(AskNext(absl::StrCat("SELECT 'answer ", i, "'")), absl::StrCat("answer ", i));
      EXPECT_EQ(AskNext(absl::StrCat("SELECT 'answer ", i, "'")), absl::StrCat("answer ", i));
    }
  }
  EXPECT_LE(std::stoi(AskNext("SELECT count(*)::text FROM pg_prepared_statements")), 4);
}

TEST_F(PostgresSessionTest, TheBackendIsNamedAfterTheCoordinator) {
  const std::string name = AskNext("SHOW application_name");
  EXPECT_EQ(name.rfind(absl::StrCat("assent/", coordinator_.name, "/"), 0), 0u) << name;
  EXPECT_EQ(std::count(name.begin(), name.end(), '/'), 4) << name;
}

}  // namespace
}  // namespace assent
