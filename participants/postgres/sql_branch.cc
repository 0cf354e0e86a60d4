#include "participants/postgres/sql_branch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "participants/postgres/errors.h"

namespace assent::postgres {
namespace {

// Asked just before PREPARE TRANSACTION. The prepared transaction must belong to the role that will commit it, must
// reach the disk, and its last step is not the caller's statement.
const std::string kSeal =
    "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text,"
    " pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit')"
    " WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true),"
    " pg_catalog.set_config('statement_timeout', '0', true), pg_catalog.set_config('role', 'none', true)";
const std::string kAskReadOnly = "SELECT pg_catalog.current_setting('transaction_read_only')";

std::string BeginStatement(const v1::SqlBranchOptions& options) {
  std::string begin = "BEGIN";
  switch (options.isolation()) {
    case v1::READ_COMMITTED:
      begin += " ISOLATION LEVEL READ COMMITTED";
      break;
    case v1::REPEATABLE_READ:
      begin += " ISOLATION LEVEL REPEATABLE READ";
      break;
    case v1::SERIALIZABLE:
      begin += " ISOLATION LEVEL SERIALIZABLE";
      break;
    default:  // the database's default; an open enum, whose unknown values Open() has refused
      break;
  }
  if (options.read_only()) begin += " READ ONLY";
  return begin;
}

BranchError MakeError(absl::StatusCode code, std::string what) {
  BranchError error;
  error.code = code;
  error.message = std::move(what);
  return error;
}

}  // namespace

SqlBranch::SqlBranch(const BranchSurroundings& surroundings, BranchId id, const v1::SqlBranchOptions& options,
                     absl::Time deadline)
    : env_(surroundings), id_(std::move(id)), options_(options), deadline_(deadline) {}

template <typename Done, typename Result>
void SqlBranch::Complete(Done done, Result result) {
  env_.tasks.Soon([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

v1::PostgresToken SqlBranch::Token() const {
  v1::PostgresToken token;
  token.set_gid(id_.ToGid());
  token.set_database(server_.database);
  return token;
}

void SqlBranch::SetDoom(const Doom& doom) {
  // The first error is the cause; but one that cannot be undone outlives one that can.
  if (!doom_) {
    doom_ = doom;
  } else if (!doom.is_undoable) {
    doom_->is_undoable = false;
  }
}

ExecuteOutcome SqlBranch::OutcomeOfNotRun() {
  ExecuteOutcome outcome;
  outcome.error = doom_->error;
  const char* const lead_in =
      std::exchange(doom_was_told_, true) ? "not run, because the branch had failed before: " : "";
  outcome.error.message = absl::StrCat(lead_in, doom_->error.message);
  return outcome;
}

// ---- Calls ----------------------------------------------------------------------------------------------------------

void SqlBranch::Execute(v1::Operation operation, Participant::ExecuteDone done) {
  const auto refuse = [&](BranchError error) {
    SetDoom({.error = error});
    doom_was_told_ = true;
    ExecuteOutcome outcome;
    outcome.error = std::move(error);
    Complete(std::move(done), std::move(outcome));
    PumpSoon();
  };
  if (prepare_asked_ || aborting_ || vote_) {
    ExecuteOutcome late;
    late.error = MakeError(absl::StatusCode::kFailedPrecondition,
                           "the branch takes no work after it was asked to prepare or to abort");
    return Complete(std::move(done), std::move(late));
  }
  if (queue_.size() >= env_.options.max_queued_operations) {
    return refuse(MakeError(absl::StatusCode::kResourceExhausted,
                            absl::StrCat("max_queued_operations = ", env_.options.max_queued_operations,
                                         " operations of the branch wait already")));
  }
  const absl::StatusOr<OperationTraits> traits = CheckOperation(operation, env_.options);
  if (!traits.ok()) {
    BranchError error;
    error.code = traits.status().code();
    error.message = std::string(traits.status().message());
    return refuse(std::move(error));
  }
  queue_.push_back(
      std::make_shared<OperationRun>(std::move(*operation.mutable_sql()), *traits, env_.options, std::move(done)));
  PumpSoon();
}

void SqlBranch::Prepare(Participant::PrepareDone done) {
  if (vote_) return Complete(std::move(done), *vote_);
  prepare_asked_ = true;
  prepares_.push_back(std::move(done));
  PumpSoon();
}

void SqlBranch::Commit(const v1::PostgresToken& token, Participant::FinishDone done) {
  if (has_ended_ && vote_ && vote_->kind == Vote::Kind::kYes && !aborting_) {
    return Complete(std::move(done), Finish{.kind = Finish::Kind::kDone});
  }
  env_.phase_two.Commit(token, [self = shared_from_this(), done = std::move(done)](Finish finish) mutable {
    if (finish.kind != Finish::Kind::kRetry) {
      self->has_ended_ = true;
      self->GiveBackSlot();
    }
    self->Complete(std::move(done), std::move(finish));
  });
}

void SqlBranch::Abort(Participant::FinishDone done) {
  aborting_ = true;
  if (vote_) return AbortVoted(std::move(done));
  aborts_.push_back(std::move(done));
  if (in_flight_ && abort_alarm_ == 0) {
    abort_alarm_ = env_.tasks.After(env_.options.abort_patience, [self = shared_from_this()] {
      self->abort_alarm_ = 0;
      self->Interrupt(MakeError(absl::StatusCode::kAborted, "the branch was aborted while it worked"));
    });
  }
  PumpSoon();
}

void SqlBranch::AbortVoted(Participant::FinishDone done) {
  if (has_ended_ || vote_->kind == Vote::Kind::kNo || vote_->kind == Vote::Kind::kReadOnly) {
    return Complete(std::move(done), Finish{.kind = Finish::Kind::kDone});
  }
  auto ended = [self = shared_from_this(), done = std::move(done)](Finish finish) mutable {
    if (finish.kind != Finish::Kind::kRetry) {
      self->has_ended_ = true;
      self->GiveBackSlot();
    }
    self->Complete(std::move(done), std::move(finish));
  };
  v1::PostgresToken token;
  token.ParseFromString(vote_->token);
  // Only a PREPARE without an answer may still land. After an answer its backend is free, and may work for others.
  const bool is_prepared = vote_->kind == Vote::Kind::kYes || end_answer_ == Answer::Kind::kDone;
  if (is_prepared) return env_.phase_two.RollBack(token, std::move(ended));
  env_.phase_two.RollBackUnknown(token, backend_, std::move(ended));
}

void SqlBranch::Forget() {
  has_ended_ = true;
  GiveBackSlot();
}

void SqlBranch::GiveBackSlot() {
  if (std::exchange(has_slot_, false)) env_.slots.GiveBack();
}

// ---- What to do next ------------------------------------------------------------------------------------------------

void SqlBranch::PumpSoon() {
  if (std::exchange(pump_posted_, true)) return;
  env_.tasks.Soon([self = shared_from_this()] {
    self->pump_posted_ = false;
    self->Pump();
  });
}

void SqlBranch::Pump() {
  if (in_flight_ || vote_) return;
  NoteLostConnection();
  if (aborting_) return RollBackForAbort();
  AnswerWhatCannotRun();
  if (queue_.empty()) {
    if (!prepare_asked_) return;
    if (doom_) return VoteNo(doom_->error);
    if (!has_begun_) return SetVote({.kind = Vote::Kind::kReadOnly});
  }
  if (connection_ == nullptr) return AskForConnection();
  if (queue_.empty() && !options_.read_only() && !has_slot_) {
    if (waits_for_slot_) return;
    has_slot_ = env_.slots.TryTake();
    if (!has_slot_) return WaitForSlot();
  }
  SendSegment();
}

void SqlBranch::NoteLostConnection() {
  if (connection_ == nullptr || !connection_->has_ended()) return;
  BranchError error = connection_->why_ended();
  error.message = absl::StrCat("the branch's connection was lost: ", error.message);
  SetDoom({.error = std::move(error)});
  connection_ = nullptr;
}

void SqlBranch::AnswerWhatCannotRun() {
  while (!queue_.empty() && doom_) {
    const RunPtr run = queue_.front();
    if (doom_->is_undoable && run->traits().undoes_errors) return;
    queue_.pop_front();
    Complete(run->TakeDone(), OutcomeOfNotRun());
  }
}

void SqlBranch::AskForConnection() {
  if (std::exchange(waits_for_connection_, true)) return;
  waiter_ = env_.pool.Acquire(
      deadline_ - env_.clock.Now(),
      [self = shared_from_this()](ConnectionPool::ConnectionPtr connection, const BranchError& error) {
        self->HandleGranted(std::move(connection), error);
      });
}

void SqlBranch::HandleGranted(ConnectionPool::ConnectionPtr connection, const BranchError& error) {
  waits_for_connection_ = false;
  waiter_ = 0;
  if (connection == nullptr) {
    SetDoom({.error = error});
  } else {
    connection_ = std::move(connection);
    backend_ = connection_->backend();
    server_ = connection_->server();
  }
  Pump();
}

void SqlBranch::WaitForSlot() {
  waits_for_slot_ = true;
  slot_waiter_ = env_.slots.Wait(env_.options.prepare_slot_timeout, [self = shared_from_this()](bool granted) {
    self->waits_for_slot_ = false;
    self->slot_waiter_ = 0;
    self->has_slot_ = granted;
    if (!granted) {
      BranchError error = MakeError(absl::StatusCode::kResourceExhausted,
                                    absl::StrCat("as many transactions are prepared as max_prepared_transactions = ",
                                                 self->env_.pool.max_prepared_transactions(),
                                                 " allows, and none ended within prepare_slot_timeout = ",
                                                 absl::FormatDuration(self->env_.options.prepare_slot_timeout),
                                                 "; raise it in postgresql.conf and restart the server"));
      error.retryable = true;
      self->SetDoom({.error = std::move(error)});
    }
    self->PumpSoon();
  });
}

// ---- One segment ----------------------------------------------------------------------------------------------------

void SqlBranch::SendSegment() {
  in_flight_ = true;
  segment_prepares_ = false;
  segment_ends_read_only_ = false;
  segment_resets_ = false;
  segment_was_refused_ = false;
  end_answer_ = Answer::Kind::kLost;
  if (!std::exchange(has_begun_, true)) SendBegin();
  SendOperations();
  WatchWork();
  if (MayEndWithThisSegment()) {
    if (!sent_.empty()) connection_->RequestFlush();
    if (options_.read_only()) {
      SendReadOnlyEnd();
    } else {
      SendPrepare();
    }
    SendResetWithEnd();
  }
  connection_->Sync([self = shared_from_this()](bool lost) { self->HandleSegmentEnd(lost); });
}

void SqlBranch::SendBegin() {
  const auto handle = [self = shared_from_this()](const Answer& answer) {
    // Without a transaction nothing may follow, not even a savepoint's undoing.
    if (answer.kind == Answer::Kind::kError) {
      self->segment_was_refused_ = true;
      self->SetDoom({.error = answer.error});
    }
  };
  connection_->Send(BeginStatement(options_), handle);
  if (!options_.has_statement_timeout()) return;
  const absl::Duration timeout =
      absl::Seconds(options_.statement_timeout().seconds()) + absl::Nanoseconds(options_.statement_timeout().nanos());
  connection_->Send(absl::StrCat("SET LOCAL statement_timeout = ",
                                 absl::ToInt64Milliseconds(absl::Ceil(timeout, absl::Milliseconds(1)))),
                    handle);
}

void SqlBranch::SendOperations() {
  while (!queue_.empty()) {
    const RunPtr run = queue_.front();
    // It may have to undo what is in this segment, and would be skipped there.
    if (run->traits().undoes_errors && !sent_.empty()) return;
    queue_.pop_front();
    sent_.push_back(run);
    may_prepare_ |= run->traits().may_prepare;
    run->Send(
        *connection_,
        [self = shared_from_this()](const Doom& doom) {
          self->segment_was_refused_ |= doom.is_undoable;
          self->SetDoom(doom);
        },
        [self = shared_from_this(), run = run.get()] {
          // Its failure was the branch's before, or is now.
          const RunPtr answered = run->shared_from_this();
          ExecuteOutcome outcome = answered->TakeOutcome();
          if (outcome.ok && answered->traits().undoes_errors && self->doom_ && self->doom_->is_undoable) {
            self->doom_.reset();
            self->doom_was_told_ = false;
          }
          if (!outcome.ok && outcome.error.message.empty() && self->doom_) {
            outcome = self->OutcomeOfNotRun();
          }
          self->doom_was_told_ |= !outcome.ok;
          self->Complete(answered->TakeDone(), std::move(outcome));
        });
  }
}

bool SqlBranch::MayEndWithThisSegment() {
  // An operation that undoes errors runs while the branch is doomed; what comes of it is not known yet.
  if (!prepare_asked_ || !queue_.empty() || doom_) return false;
  for (const RunPtr& run : sent_) {
    if (run->traits().has_expectations) return false;
  }
  if (options_.read_only() || has_slot_) return true;
  has_slot_ = env_.slots.TryTake();
  return has_slot_;
}

void SqlBranch::SendPrepare() {
  segment_prepares_ = true;
  if (sent_.empty()) WatchPrepare();
  static const Parameters no_parameters;
  connection_->Send(
      {.sql = kSeal, .parameters = no_parameters, .keep_plan = !connection_->tainted(), .comes_often = true},
      [self = shared_from_this()](const Answer& answer) {
        self->WatchPrepare();
        if (answer.kind == Answer::Kind::kDone) {
          self->transaction_id_ = std::strtoull(PQgetvalue(answer.result, 0, 0), nullptr, 10);
        } else if (answer.kind == Answer::Kind::kError) {
          self->segment_was_refused_ = true;
          self->SetDoom({.error = answer.error});
        }
      });
  connection_->Send(absl::StrCat("PREPARE TRANSACTION ", Quoted(id_.ToGid())),
                    [self = shared_from_this()](const Answer& answer) { self->HandlePrepareAnswer(answer); });
}

// In the same segment it costs a third of what it costs in one of its own: no process wakes up for it.
void SqlBranch::SendResetWithEnd() {
  segment_resets_ = !may_prepare_ && !connection_->tainted();
  if (segment_resets_) connection_->SendReset();
}

void SqlBranch::HandlePrepareAnswer(const Answer& answer) {
  end_answer_ = answer.kind;
  end_tag_ = std::string(answer.tag());
  end_error_ = answer.error;
  replicas_unknown_ = answer.replicas_unknown;
}

void SqlBranch::SendReadOnlyEnd() {
  segment_ends_read_only_ = true;
  connection_->Send(kAskReadOnly, [self = shared_from_this()](const Answer& answer) {
    self->was_read_only_ =
        answer.kind == Answer::Kind::kDone && std::string_view(PQgetvalue(answer.result, 0, 0)) == "on";
  });
  connection_->Send("ROLLBACK",
                    [self = shared_from_this()](const Answer& answer) { self->HandlePrepareAnswer(answer); });
}

void SqlBranch::WatchWork() {
  alarm_ = env_.tasks.After(deadline_ - env_.clock.Now(), [self = shared_from_this()] {
    self->alarm_ = 0;
    self->Interrupt(
        MakeError(absl::StatusCode::kDeadlineExceeded, "the transaction's deadline passed while a statement ran"));
  });
}

void SqlBranch::WatchPrepare() {
  env_.tasks.Cancel(alarm_);
  alarm_ = env_.tasks.After(env_.options.prepare_timeout, [self = shared_from_this()] {
    self->alarm_ = 0;
    self->Interrupt(MakeError(absl::StatusCode::kUnavailable,
                              absl::StrCat("no answer to PREPARE TRANSACTION within prepare_timeout = ",
                                           absl::FormatDuration(self->env_.options.prepare_timeout))));
  });
}

void SqlBranch::Interrupt(BranchError why) {
  if (!in_flight_) return;
  env_.pool.Terminate(connection_, std::move(why));  // answers everything that is in flight
}

void SqlBranch::HandleSegmentEnd(bool lost) {
  in_flight_ = false;
  sent_.clear();
  env_.tasks.Cancel(alarm_);
  env_.tasks.Cancel(abort_alarm_);
  if (lost) {
    end_error_ = connection_->why_ended();
    NoteLostConnection();
  }
  if (segment_prepares_) return ConcludePrepare();
  if (segment_ends_read_only_) return ConcludeReadOnly();
  Pump();
}

// ---- Votes ----------------------------------------------------------------------------------------------------------

void SqlBranch::ConcludePrepare() {
  const bool done = end_answer_ == Answer::Kind::kDone && end_tag_ == "PREPARE TRANSACTION";
  // After a refusal the server skips to the end of the segment: PREPARE TRANSACTION was not run, whatever came then.
  const bool unanswered = end_answer_ == Answer::Kind::kLost && !segment_was_refused_;
  if (unanswered || (done && (replicas_unknown_ || doom_))) {
    Vote unknown{.kind = Vote::Kind::kUnknown, .token = Token().SerializeAsString()};
    if (done && doom_) {
      unknown.error = doom_->error;
    } else if (done) {
      unknown.error = MakeError(absl::StatusCode::kUnavailable,
                                "PREPARE TRANSACTION did not wait for the synchronous standby: a wait was cancelled");
      unknown.error.retryable = true;
    } else {
      unknown.error = end_error_;
      unknown.error.message = absl::StrCat("PREPARE TRANSACTION was not answered: ", end_error_.message);
    }
    ReleaseConnection(segment_resets_ ? ConnectionPool::Reset::kRest : ConnectionPool::Reset::kAllAndPrepared);
    return SetVote(std::move(unknown));
  }
  if (!done) {
    if (end_answer_ == Answer::Kind::kError) SetDoom({.error = end_error_});
    return VoteNo(doom_ ? doom_->error
                        : MakeError(absl::StatusCode::kAborted, absl::StrCat("PREPARE TRANSACTION was answered with \"",
                                                                             end_tag_, "\": it was rolled back")));
  }
  v1::PostgresToken token = Token();
  token.set_transaction_id(transaction_id_);
  token.set_system_identifier(server_.system_identifier);
  token.set_timeline(server_.timeline);
  ReleaseConnection(segment_resets_ ? ConnectionPool::Reset::kRest : ConnectionPool::Reset::kAllAndPrepared);
  SetVote({.kind = Vote::Kind::kYes, .token = token.SerializeAsString()});
}

void SqlBranch::ConcludeReadOnly() {
  if (end_answer_ != Answer::Kind::kDone || doom_) {
    return VoteNo(doom_ ? doom_->error : MakeError(absl::StatusCode::kUnavailable, "the branch could not be ended"));
  }
  ReleaseConnection(segment_resets_ ? ConnectionPool::Reset::kRest : ConnectionPool::Reset::kAllAndPrepared);
  if (!was_read_only_) {
    return VoteNo(MakeError(absl::StatusCode::kFailedPrecondition,
                            "the branch was declared read_only, and a statement has made it read-write"));
  }
  SetVote({.kind = Vote::Kind::kReadOnly});
}

void SqlBranch::VoteNo(BranchError error) {
  GiveBackSlot();
  RollBackAndRelease();
  SetVote({.kind = Vote::Kind::kNo, .error = std::move(error)});
}

void SqlBranch::SetVote(Vote vote) {
  vote_ = std::move(vote);
  for (Participant::PrepareDone& done : std::exchange(prepares_, {})) Complete(std::move(done), *vote_);
  for (Participant::FinishDone& done : std::exchange(aborts_, {})) AbortVoted(std::move(done));
}

// ---- Rolling back ---------------------------------------------------------------------------------------------------

void SqlBranch::RollBackAndRelease() {
  if (connection_ == nullptr) return;
  if (connection_->is_in_transaction()) {
    connection_->Send("ROLLBACK", [](const Answer&) {});
    connection_->Sync([](bool) {});
  }
  ReleaseConnection(may_prepare_ ? ConnectionPool::Reset::kAllAndPrepared : ConnectionPool::Reset::kAll);
}

void SqlBranch::ReleaseConnection(ConnectionPool::Reset reset) {
  if (connection_ != nullptr) env_.pool.Release(std::exchange(connection_, nullptr), reset);
}

void SqlBranch::RollBackForAbort() {
  env_.pool.CancelWaiter(waiter_);
  env_.slots.CancelWaiter(slot_waiter_);
  const BranchError error = MakeError(absl::StatusCode::kAborted, "the branch was aborted");
  for (const RunPtr& run : std::exchange(queue_, {})) {
    ExecuteOutcome not_run;
    not_run.error = error;
    Complete(run->TakeDone(), std::move(not_run));
  }
  // What is rolled back here was never asked to prepare: it cannot commit, whether the server answers or not.
  VoteNo(error);
}

}  // namespace assent::postgres
