#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "participants/participant.h"
#include "participants/postgres/connection.h"
#include "participants/postgres/postgres_participant.h"

namespace assent::postgres {

// Why a branch cannot commit.
struct Doom {
  BranchError error;
  // The server refused a statement: going back to a savepoint before it saves the branch.
  bool is_undoable = false;
};

// What has to be known of an operation before it is sent.
struct OperationTraits {
  bool undoes_errors = false;      // it begins with ROLLBACK TO a savepoint
  bool has_expectations = false;   // whether it succeeds is for us to say, not for the server
  bool taints_connection = false;  // it works on the session's prepared statements
  bool may_prepare = false;        // so may what it runs: a DO block, a procedure
};

// INVALID_ARGUMENT where an operation must not be sent: transaction control, text that the server would misread, values
// over a bound.
absl::StatusOr<OperationTraits> CheckOperation(const v1::Operation& operation, const PostgresOptions& options);

// One operation of a branch on its way: sends its statements, and makes a result of the answers.
//
// Shared by the branch and the callbacks of its commands; one thread.
class OperationRun : public std::enable_shared_from_this<OperationRun> {
 public:
  OperationRun(v1::SqlOperation operation, const OperationTraits& traits, const PostgresOptions& options,
               Participant::ExecuteDone done);

  const OperationTraits& traits() const { return traits_; }

  // Sends every run of every statement. `answered` runs once, when the last one is answered; `failed`, before it, at
  // the first that fails.
  void Send(Connection& connection, std::function<void(const Doom&)> failed, std::function<void()> answered);

  ExecuteOutcome TakeOutcome();  // after `answered`
  Participant::ExecuteDone TakeDone() { return std::move(done_); }

 private:
  void SendStatement(Connection& connection, int statement);
  void HandleAnswer(int statement, int run, const Answer& answer);
  void HandleRow(const Answer& answer);
  void HandleDone(int statement, int run, const Answer& answer);
  void Fail(Doom doom);
  std::string Place(int statement, int run) const;

  const v1::SqlOperation operation_;
  const OperationTraits traits_;
  const PostgresOptions& options_;
  Participant::ExecuteDone done_;
  std::function<void(const Doom&)> failed_;
  std::function<void()> answered_;
  int unanswered_ = 0;
  v1::SqlResult result_;
  bool result_is_open_ = false;  // the last of result_ has rows, and more may come
  std::size_t result_bytes_ = 0;
  std::optional<Doom> doom_;
};

}  // namespace assent::postgres
