#include "participants/postgres/operation_run.h"

#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/postgres/statement_scanner.h"

namespace assent::postgres {
namespace {

absl::Status CheckKind(const ScannedStatement& scanned, const std::string& place) {
  switch (scanned.kind) {
    case StatementKind::kEmpty:
      return absl::InvalidArgumentError(absl::StrCat(place, " is empty"));
    case StatementKind::kTransactionControl:
      return absl::InvalidArgumentError(absl::StrCat(
          place, " is transaction control (", scanned.keyword,
          "): the coordinator begins and ends the branch; SAVEPOINT, RELEASE and ROLLBACK TO are allowed"));
    case StatementKind::kCopyWithClient:
      return absl::InvalidArgumentError(absl::StrCat(
          place, " is a COPY from or to the client, which a branch cannot do: use INSERT with parameter sets"));
    case StatementKind::kQuery:
    case StatementKind::kRollbackToSavepoint:
    case StatementKind::kPreparedStatement:
    case StatementKind::kOther:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status CheckStatement(const v1::SqlStatement& statement, const ScannedStatement& scanned,
                            const PostgresOptions& options, const std::string& place) {
  if (statement.sql().size() > options.max_statement_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        place, " has ", statement.sql().size(), " bytes, more than max_statement_bytes = ", options.max_statement_bytes,
        "; send values as parameters"));
  }
  if (absl::Status text = CheckText(statement.sql(), place); !text.ok()) return text;
  if (absl::Status kind = CheckKind(scanned, place); !kind.ok()) return kind;
  if (statement.has_expect_rows() && statement.expect_rows() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(place, " has expect_rows = ", statement.expect_rows()));
  }
  for (const v1::ParameterSet& set : statement.parameter_sets()) {
    if (absl::Status fits = CheckParameters(set, options.max_parameter_bytes, place); !fits.ok()) return fits;
  }
  return absl::OkStatus();
}

std::int64_t RowsOf(const PGresult* result) {
  const std::string_view text(PQcmdTuples(const_cast<PGresult*>(result)));
  std::int64_t rows = 0;
  std::from_chars(text.data(), text.data() + text.size(), rows);
  return rows;
}

}  // namespace

absl::StatusOr<OperationTraits> CheckOperation(const v1::Operation& operation, const PostgresOptions& options) {
  if (operation.kind_case() != v1::Operation::kSql) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options.name, "\" is PostgreSQL: it takes SQL operations, and this is another"));
  }
  if (operation.sql().statements().empty()) {
    return absl::InvalidArgumentError("the operation has no statement");
  }
  OperationTraits traits;
  for (int i = 0; i < operation.sql().statements_size(); ++i) {
    const v1::SqlStatement& statement = operation.sql().statements(i);
    const ScannedStatement scanned = ScanStatement(statement.sql());
    const absl::Status fits = CheckStatement(statement, scanned, options, absl::StrCat("statement ", i + 1));
    if (!fits.ok()) return fits;
    traits.undoes_errors |= i == 0 && scanned.kind == StatementKind::kRollbackToSavepoint;
    traits.taints_connection |= scanned.kind == StatementKind::kPreparedStatement;
    traits.may_prepare |= scanned.keyword == "DO" || scanned.keyword == "CALL";
    traits.has_expectations |= statement.has_expect_rows();
  }
  return traits;
}

OperationRun::OperationRun(v1::SqlOperation operation, const OperationTraits& traits, const PostgresOptions& options,
                           Participant::ExecuteDone done)
    : operation_(std::move(operation)), traits_(traits), options_(options), done_(std::move(done)) {}

void OperationRun::Send(Connection& connection, std::function<void(const Doom&)> failed,
                        std::function<void()> answered) {
  failed_ = std::move(failed);
  answered_ = std::move(answered);
  if (traits_.taints_connection) connection.Taint();
  for (const v1::SqlStatement& statement : operation_.statements()) {
    unanswered_ += std::max(1, statement.parameter_sets_size());
  }
  for (int i = 0; i < operation_.statements_size(); ++i) SendStatement(connection, i);
}

void OperationRun::SendStatement(Connection& connection, int index) {
  const v1::SqlStatement& statement = operation_.statements(index);
  // A tainted session may have lost what was prepared on it.
  const bool keep_plan = !connection.tainted() && ScanStatement(statement.sql()).kind == StatementKind::kQuery;
  const int runs = std::max(1, statement.parameter_sets_size());
  for (int run = 0; run < runs; ++run) {
    const Parameters parameters =
        statement.parameter_sets().empty() ? Parameters() : Parameters(statement.parameter_sets(run));
    connection.Send(
        {.sql = statement.sql(),
         .parameters = parameters,
         .rows = true,
         .keep_plan = keep_plan,
         .comes_often = runs > 1},
        [self = shared_from_this(), index, run](const Answer& answer) { self->HandleAnswer(index, run, answer); });
  }
}

void OperationRun::HandleAnswer(int statement, int run, const Answer& answer) {
  switch (answer.kind) {
    case Answer::Kind::kRow:
      return HandleRow(answer);
    case Answer::Kind::kDone:
      HandleDone(statement, run, answer);
      break;
    case Answer::Kind::kError: {
      Doom doom{.error = answer.error, .is_undoable = true};
      doom.error.message = absl::StrCat(Place(statement, run), answer.error.message);
      Fail(std::move(doom));
      break;
    }
    case Answer::Kind::kLost:
      Fail({.error = answer.error});
      break;
    case Answer::Kind::kSkipped:
      break;
  }
  if (answer.kind == Answer::Kind::kSkipped && !doom_) {
    // Something of the branch failed before this operation: the branch knows what.
    doom_.emplace();
  }
  if (--unanswered_ > 0) return;
  failed_ = nullptr;
  std::exchange(answered_, nullptr)();
}

void OperationRun::HandleRow(const Answer& answer) {
  if (doom_) return;  // over the bound, or too late: what still comes is dropped
  if (!std::exchange(result_is_open_, true)) AddColumns(answer.result, *result_.add_results());
  for (int row = 0; row < PQntuples(answer.result); ++row) {
    const std::optional<std::size_t> bytes = AddRow(answer.result, row, *result_.mutable_results()->rbegin());
    if (!bytes) {
      result_.Clear();
      BranchError error;
      error.code = absl::StatusCode::kFailedPrecondition;
      error.message = absl::StrCat("participant \"", options_.name,
                                   "\": the result has text that is not UTF-8: a statement of the branch has changed "
                                   "client_encoding, which must be left alone");
      return Fail({.error = std::move(error)});
    }
    result_bytes_ += *bytes;
  }
  if (result_bytes_ <= options_.max_result_bytes) return;
  result_.Clear();
  BranchError error;
  error.code = absl::StatusCode::kResourceExhausted;
  error.message = absl::StrCat("participant \"", options_.name,
                               "\": the operation returns more than max_result_bytes = ", options_.max_result_bytes,
                               " bytes; ask for fewer rows, or raise it");
  Fail({.error = std::move(error)});
}

void OperationRun::HandleDone(int statement, int run, const Answer& answer) {
  if (PQntuples(answer.result) > 0) HandleRow(answer);
  if (doom_) return;
  if (!std::exchange(result_is_open_, false)) AddColumns(answer.result, *result_.add_results());
  v1::StatementResult& result = *result_.mutable_results()->rbegin();
  result.set_command_tag(std::string(answer.tag()));
  result.set_affected_rows(RowsOf(answer.result));
  result_bytes_ += result.command_tag().size() + sizeof(v1::StatementResult);
  const v1::SqlStatement& sent = operation_.statements(statement);
  if (!sent.has_expect_rows() || sent.expect_rows() == result.affected_rows()) return;
  BranchError error;
  error.code = absl::StatusCode::kFailedPrecondition;
  error.message = absl::StrCat(Place(statement, run), "expect_rows is ", sent.expect_rows(), ", but ",
                               result.affected_rows(), " rows were returned or changed");
  Fail({.error = std::move(error)});
}

void OperationRun::Fail(Doom doom) {
  if (doom_) return;
  doom_ = std::move(doom);
  if (failed_) failed_(*doom_);
}

std::string OperationRun::Place(int statement, int run) const {
  std::string place;
  if (operation_.statements_size() > 1) absl::StrAppend(&place, "statement ", statement + 1, ", ");
  if (operation_.statements(statement).parameter_sets_size() > 1)
    absl::StrAppend(&place, "parameter set ", run + 1, ", ");
  if (place.empty()) return place;
  place.resize(place.size() - 2);
  return place + ": ";
}

ExecuteOutcome OperationRun::TakeOutcome() {
  ExecuteOutcome outcome;
  outcome.ok = !doom_;
  if (doom_) {
    outcome.error = doom_->error;
  } else {
    *outcome.result.mutable_sql() = std::move(result_);
  }
  return outcome;
}

}  // namespace assent::postgres
