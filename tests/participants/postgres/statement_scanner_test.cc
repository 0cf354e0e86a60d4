#include "participants/postgres/statement_scanner.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace assent::postgres {
namespace {

using Kind = StatementKind;

void ExpectKinds(const std::vector<std::pair<std::string, Kind>>& cases) {
  for (const auto& [sql, kind] : cases)
    EXPECT_EQ(static_cast<int>(ScanStatement(sql).kind), static_cast<int>(kind)) << sql;
}

TEST(StatementScannerTest, WhatEndsOrStartsATransactionIsTransactionControl) {
  for (const std::string sql :
       {"BEGIN", "begin", "BeGiN WORK", "START TRANSACTION", "COMMIT", "commit and chain", "COMMIT PREPARED 'x'", "END",
        "END;", "ABORT", "ROLLBACK", "ROLLBACK WORK", "ROLLBACK TRANSACTION AND CHAIN", "ROLLBACK PREPARED 'x'",
        "PREPARE TRANSACTION 'x'", "prepare\n transaction 'x'", "Prepare/**/Transaction'x'"}) {
    EXPECT_EQ(ScanStatement(sql).kind, Kind::kTransactionControl) << sql;
  }
}

TEST(StatementScannerTest, NothingInFrontHidesTransactionControl) {
  for (const std::string sql :
       {"  \t\r\n\f\vCOMMIT", "-- a comment\nCOMMIT", "-- a comment\rCOMMIT", "/* one */COMMIT",
        "/* nested /* deeper */ still */ COMMIT", "/* -- */ COMMIT", "-- /*\nCOMMIT", "/**/--\n/**/COMMIT", ";COMMIT",
        " ; ;; COMMIT", "/*/**/*/COMMIT", "COMMIT--x", "COMMIT/*x*/", "COMMIT;"}) {
    EXPECT_EQ(ScanStatement(sql).kind, Kind::kTransactionControl) << sql;
  }
}

TEST(StatementScannerTest, WhatOnlyLooksLikeTransactionControlIsNot) {
  ExpectKinds({{"SELECT 'COMMIT'", Kind::kQuery},
               {"SELECT 1 -- COMMIT", Kind::kQuery},
               {"/* COMMIT */ SELECT 1", Kind::kQuery},
               {"-- COMMIT\nSELECT 1", Kind::kQuery},
               {"COMMITTED", Kind::kOther},
               {"COMMENT ON TABLE t IS 'x'", Kind::kOther},
               {"BEGIN_", Kind::kOther},
               {"END1", Kind::kOther},
               {"ABORT$", Kind::kOther},
               {"\"COMMIT\"", Kind::kOther},
               {"U&\"COMMIT\"", Kind::kOther},
               {"SAVEPOINT commit", Kind::kOther},
               {"RELEASE SAVEPOINT s", Kind::kOther},
               {"COMMIT\xc3\xa9", Kind::kOther}});
}

TEST(StatementScannerTest, RollbackToASavepointIsToldFromRollback) {
  ExpectKinds({{"ROLLBACK TO s", Kind::kRollbackToSavepoint},
               {"ROLLBACK TO SAVEPOINT s", Kind::kRollbackToSavepoint},
               {"rollback work to s", Kind::kRollbackToSavepoint},
               {"ROLLBACK /* x */ TRANSACTION -- y\n TO SAVEPOINT s", Kind::kRollbackToSavepoint},
               {"ROLLBACK TOO", Kind::kTransactionControl}});
}

TEST(StatementScannerTest, QueriesAreFoundBehindParentheses) {
  ExpectKinds({{"select 1", Kind::kQuery},
               {"((SELECT 1) UNION (SELECT 2))", Kind::kQuery},
               {"/* x */ ( -- y\n VALUES (1))", Kind::kQuery},
               {"WITH x AS (SELECT 1) DELETE FROM t", Kind::kQuery},
               {"INSERT INTO t VALUES (1)", Kind::kQuery},
               {"UPDATE t SET a = 1", Kind::kQuery},
               {"DELETE FROM t", Kind::kQuery},
               {"MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", Kind::kQuery},
               {"TABLE t", Kind::kQuery},
               {"CREATE TABLE t ()", Kind::kOther}});
}

TEST(StatementScannerTest, WhatHasNoStatementIsEmpty) {
  for (const std::string sql : {"", "  \n", ";", " ;; ", "-- only", "/* only", "/* a */ -- b"}) {
    EXPECT_EQ(ScanStatement(sql).kind, Kind::kEmpty) << sql;
  }
}

TEST(StatementScannerTest, CopyWithTheClientIsToldFromCopyOnTheServer) {
  ExpectKinds({{"COPY t FROM STDIN", Kind::kCopyWithClient},
               {"copy t (a, b) from stdin with (format csv)", Kind::kCopyWithClient},
               {"COPY (SELECT 'x') TO /* the client */ STDOUT", Kind::kCopyWithClient},
               {"COPY t FROM '/tmp/stdin'", Kind::kOther},
               {"COPY t FROM '/tmp/it''s stdin'", Kind::kOther},
               {"COPY \"stdin\" TO '/tmp/x' -- stdout", Kind::kOther}});
}

TEST(StatementScannerTest, WhatWorksOnPreparedStatementsIsFound) {
  ExpectKinds({{"PREPARE p AS SELECT 1", Kind::kPreparedStatement},
               {"DEALLOCATE ALL", Kind::kPreparedStatement},
               {"DISCARD PLANS", Kind::kPreparedStatement},
               {"EXECUTE p", Kind::kOther}});
}

TEST(StatementScannerTest, TheKeywordIsGivenForMessages) {
  EXPECT_EQ(ScanStatement("/* x */ start transaction").keyword, "START");
}

}  // namespace
}  // namespace assent::postgres
