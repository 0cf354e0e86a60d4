#include "participants/postgres/errors.h"

#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace assent::postgres {
namespace {

using absl::StatusCode;

std::string_view Field(const PGresult* result, int field) {
  const char* const text = PQresultErrorField(result, field);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

std::string Labelled(const char* label, std::string_view text) {
  return text.empty() ? "" : absl::StrCat(label, std::string(text));
}

StatusCode CodeOfClass(std::string_view sqlstate_class) {
  if (sqlstate_class == "08" || sqlstate_class == "57") return StatusCode::kUnavailable;
  if (sqlstate_class == "0A") return StatusCode::kUnimplemented;
  if (sqlstate_class == "22" || sqlstate_class == "42" || sqlstate_class == "26") return StatusCode::kInvalidArgument;
  if (sqlstate_class == "53" || sqlstate_class == "54") return StatusCode::kResourceExhausted;
  if (sqlstate_class == "28") return StatusCode::kPermissionDenied;
  if (sqlstate_class == "XX" || sqlstate_class == "58" || sqlstate_class == "F0") return StatusCode::kInternal;
  // 21, 23, 25, 3B, 40, 44, 55, P0 and what extensions make: refused as things stand. None is ABORTED, not even 40:
  // that would say that the whole transaction is rolled back, and a caller may go back to a savepoint.
  return StatusCode::kFailedPrecondition;
}

}  // namespace

StatusCode CodeOfSqlstate(std::string_view sqlstate) {
  if (sqlstate.size() != 5) return StatusCode::kUnknown;
  if (sqlstate == "23505") return StatusCode::kAlreadyExists;
  if (sqlstate == "42501") return StatusCode::kPermissionDenied;
  if (sqlstate == "57014") return StatusCode::kDeadlineExceeded;
  if (sqlstate == "08P01") return StatusCode::kInvalidArgument;  // a wrong number of parameters
  return CodeOfClass(sqlstate.substr(0, 2));
}

bool IsRetryable(std::string_view sqlstate) {
  if (sqlstate == "40001" || sqlstate == "40P01" || sqlstate == "55P03") return true;
  if (sqlstate == "57014") return false;  // cancelled: it would take as long again
  if (sqlstate == "08P01") return false;  // as it stands it never succeeds
  const std::string_view sqlstate_class = sqlstate.substr(0, 2);
  return sqlstate_class == "08" || sqlstate_class == "53" || sqlstate_class == "57";
}

BranchError ErrorOf(const PGresult* result) {
  BranchError error;
  error.sqlstate = std::string(SqlstateOf(result));
  error.code = CodeOfSqlstate(error.sqlstate);
  error.retryable = IsRetryable(error.sqlstate);
  std::string_view primary = Field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (primary.empty()) primary = PQresultErrorMessage(result);
  error.message = WithoutBadUtf8(
      absl::StrCat(std::string(primary), error.sqlstate.empty() ? "" : absl::StrCat(" (SQLSTATE ", error.sqlstate, ")"),
                   Labelled("; detail: ", Field(result, PG_DIAG_MESSAGE_DETAIL)),
                   Labelled("; hint: ", Field(result, PG_DIAG_MESSAGE_HINT)),
                   Labelled("; constraint: ", Field(result, PG_DIAG_CONSTRAINT_NAME)),
                   Labelled("; table: ", Field(result, PG_DIAG_TABLE_NAME)),
                   Labelled("; character: ", Field(result, PG_DIAG_STATEMENT_POSITION)),
                   Labelled("; where: ", Field(result, PG_DIAG_CONTEXT))));
  return error;
}

std::string_view SqlstateOf(const PGresult* result) { return Field(result, PG_DIAG_SQLSTATE); }

bool IsFatal(const PGresult* result) {
  const std::string_view severity = Field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  return severity == "FATAL" || severity == "PANIC";
}

std::string OneLine(std::string_view message) {
  std::string line;
  for (const char c : message) {
    if (c != '\n' && c != '\t') {
      line.push_back(c);
    } else if (!line.empty() && line.back() != ' ') {
      line.push_back(' ');
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

BranchError Unavailable(std::string message) {
  BranchError error;
  error.code = StatusCode::kUnavailable;
  error.message = std::move(message);
  error.retryable = true;
  return error;
}

}  // namespace assent::postgres
