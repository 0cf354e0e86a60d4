#pragma once

#include <string>
#include <string_view>

namespace assent::postgres {

// What kind of statement a text is, as far as a branch has to know before it sends it.
enum class StatementKind {
  kEmpty,               // nothing but blanks, comments and semicolons
  kQuery,               // SELECT, INSERT, UPDATE, DELETE, MERGE, WITH, VALUES, TABLE: its plan is worth keeping
  kTransactionControl,  // would end or start a transaction: BEGIN, COMMIT, ROLLBACK, PREPARE TRANSACTION, …
  kRollbackToSavepoint,
  kCopyWithClient,     // COPY … FROM STDIN or TO STDOUT: data outside the statement
  kPreparedStatement,  // PREPARE, DEALLOCATE, DISCARD: meddles with the connection's prepared statements
  kOther,
};

struct ScannedStatement {
  StatementKind kind = StatementKind::kEmpty;
  std::string keyword;  // its first, in upper case: for messages
};

// Reads a statement as far as its kind needs, by the lexical rules of PostgreSQL: nested comments, quotes, and empty
// statements in front, which the server drops. Several statements in one text are the server's to refuse: the extended
// protocol does.
ScannedStatement ScanStatement(std::string_view sql);

}  // namespace assent::postgres
