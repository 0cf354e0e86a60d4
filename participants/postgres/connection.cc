#include "participants/postgres/connection.h"

#include <array>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/postgres/conninfo.h"
#include "participants/postgres/errors.h"

namespace assent::postgres {
namespace {

using boost::asio::posix::stream_descriptor;

constexpr std::string_view kDuplicatePreparedStatement = "42P05";
constexpr std::size_t kMaxCachedStatementBytes = 16 << 10;  // longer ones are rarely sent twice, and fill the cache

const std::string kAskSettings =
    "SELECT pg_catalog.current_database(), pg_catalog.current_setting('server_version'),"
    " pg_catalog.current_setting('max_prepared_transactions'), pg_catalog.current_setting('fsync'),"
    " pg_catalog.current_setting('full_page_writes'), pg_catalog.current_setting('synchronous_commit'),"
    " pg_catalog.current_setting('is_superuser'),"
    " (SELECT extract(epoch FROM backend_start)::text"
    " FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())),"
    " pg_catalog.pg_postmaster_start_time()";
const std::string kAskSystemIdentifier = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
// The control file still names the old timeline for a while after a promotion; the WAL does not.
const std::string kAskTimeline =
    "SELECT ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))"
    "::pg_catalog.bit(32)::pg_catalog.int4";

// What DISCARD ALL does, less what is ours (prepared statements) and what no branch can leave behind (temporary
// tables, held cursors, LISTEN: PREPARE TRANSACTION refuses them, ROLLBACK undoes them). 7 us against 1 ms, measured.
const std::array<std::string, 4> kResetCommands = {"SET SESSION AUTHORIZATION DEFAULT", "RESET ALL",
                                                   "DISCARD SEQUENCES", "SELECT pg_catalog.pg_advisory_unlock_all()"};
// 25 us where the cache is full: asked only after what can prepare a statement behind our back.
const std::string kFindPrepared = "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)";

template <typename Number>
Number NumberOf(std::string_view text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string KeyOf(const std::string& sql, const Parameters& parameters) {
  std::string key = sql;
  key.push_back('\0');
  for (int i = 0; i < parameters.count(); ++i) key.push_back(parameters.formats()[i] == 0 ? 't' : 'b');
  return key;
}

}  // namespace

Connection::Connection(boost::asio::io_context& loop, LoopTasks& tasks, Settings settings, Events events)
    : tasks_(tasks),
      settings_(std::move(settings)),
      events_(std::move(events)),
      socket_(loop),
      statements_(settings_.max_prepared_statements) {}

Connection::~Connection() { Abandon(); }

void Connection::Abandon() {
  state_ = State::kEnded;
  ReleaseSocket();
  if (libpq_ != nullptr) PQfinish(std::exchange(libpq_, nullptr));
  pending_.clear();
  events_ = {};
}

// ---- Coming up ------------------------------------------------------------------------------------------------------

void Connection::Open() {
  state_ = State::kConnecting;
  libpq_ = StartConnecting(settings_.conninfo, settings_.application_name);
  if (libpq_ == nullptr || PQstatus(libpq_) == CONNECTION_BAD) {
    CloseSoon();
    return;
  }
  PQsetNoticeReceiver(libpq_, &Connection::OnNotice, this);
  AssignSocket();
  WaitForSocket(stream_descriptor::wait_write, &Connection::PollConnect);
}

void Connection::PollConnect() {
  if (state_ != State::kConnecting || broken_) return;
  // libpq may close the socket and open another one while it polls.
  ReleaseSocket();
  switch (PQconnectPoll(libpq_)) {
    case PGRES_POLLING_READING:
      AssignSocket();
      return WaitForSocket(stream_descriptor::wait_read, &Connection::PollConnect);
    case PGRES_POLLING_WRITING:
    case PGRES_POLLING_ACTIVE:
      AssignSocket();
      return WaitForSocket(stream_descriptor::wait_write, &Connection::PollConnect);
    case PGRES_POLLING_OK:
      AssignSocket();
      return AskServer();
    case PGRES_POLLING_FAILED:
      return Close(Unavailable(LibpqMessage()));
  }
}

void Connection::AskServer() {
  state_ = State::kAsking;
  if (PQsetnonblocking(libpq_, 1) != 0 || PQenterPipelineMode(libpq_) != 1) {
    return Close(Unavailable(LibpqMessage()));
  }
  backend_.pid = PQbackendPID(libpq_);
  WaitForSocket(stream_descriptor::wait_read, &Connection::OnReadable);
  Send(kAskSettings, [this](const Answer& answer) {
    if (answer.kind == Answer::Kind::kDone) HandleSettings(answer.result);
    if (answer.kind == Answer::Kind::kError) Close(answer.error);
  });
  Sync([](bool) {});
  Send(kAskSystemIdentifier, [this](const Answer& answer) {
    if (answer.kind != Answer::Kind::kDone) return;
    server_.system_identifier = static_cast<std::uint64_t>(NumberOf<std::int64_t>(PQgetvalue(answer.result, 0, 0)));
  });
  Sync([](bool) {});
  Send(kAskTimeline, [this](const Answer& answer) {
    if (answer.kind == Answer::Kind::kDone) {
      server_.timeline = static_cast<std::uint32_t>(NumberOf<std::int32_t>(PQgetvalue(answer.result, 0, 0)));
    }
  });
  Sync([this](bool lost) {
    if (lost || state_ != State::kAsking) return;
    state_ = State::kReady;
    if (const auto ready = std::exchange(events_.ready, nullptr)) ready();
  });
}

void Connection::HandleSettings(const PGresult* result) {
  const auto text = [&](int column) { return std::string(PQgetvalue(result, 0, column)); };
  server_.database = text(0);
  server_settings_.version = text(1);
  server_settings_.max_prepared_transactions = NumberOf<std::int64_t>(text(2));
  server_settings_.fsync = text(3) == "on";
  server_settings_.full_page_writes = text(4) == "on";
  server_settings_.synchronous_commit = text(5);
  server_settings_.is_superuser = text(6) == "on";
  backend_.started = text(7);
  server_.started_at = text(8);
}

// ---- Commands -------------------------------------------------------------------------------------------------------

void Connection::Send(const std::string& sql, OnAnswer done) {
  static const Parameters no_parameters;
  Send(Command{.sql = sql, .parameters = no_parameters}, std::move(done));
}

void Connection::Send(const Command& command, OnAnswer done) {
  if (has_ended()) {
    tasks_.Soon([done = std::move(done)]() mutable { done(Answer{.error = Unavailable("the connection has ended")}); });
    return;
  }
  const Parameters& parameters = command.parameters;
  if (command.keep_plan && command.sql.size() <= kMaxCachedStatementBytes) {
    const StatementCache::Use use = statements_.Next(KeyOf(command.sql, parameters), command.comes_often);
    if (!use.name.empty()) return SendPrepared(command, use, std::move(done));
  }
  const int sent = PQsendQueryParams(libpq_, command.sql.c_str(), parameters.count(), parameters.types(),
                                     parameters.values(), parameters.lengths(), parameters.formats(), 0);
  Append(Pending{.on_answer = std::move(done), .rows = command.rows}, sent);
}

void Connection::SendPrepared(const Command& command, const StatementCache::Use& use, OnAnswer done) {
  const Parameters& parameters = command.parameters;
  if (use.prepare) {
    const int sent =
        PQsendPrepare(libpq_, use.name.c_str(), command.sql.c_str(), parameters.count(), parameters.types());
    // Its failure is kept for the command itself, which is skipped then: a caller knows of one command only.
    auto failure = std::make_shared<BranchError>();
    Append(Pending{.on_answer =
                       [failure](const Answer& answer) {
                         if (answer.kind == Answer::Kind::kError) *failure = answer.error;
                       },
                   .prepares = true,
                   .statement = use.name},
           sent);
    done = [failure, done = std::move(done)](const Answer& answer) mutable {
      if (answer.kind != Answer::Kind::kSkipped || failure->message.empty()) return done(answer);
      done(Answer{.kind = Answer::Kind::kError, .error = *failure});
    };
  }
  const int sent = PQsendQueryPrepared(libpq_, use.name.c_str(), parameters.count(), parameters.values(),
                                       parameters.lengths(), parameters.formats(), 0);
  Append(Pending{.on_answer = std::move(done), .rows = command.rows, .statement = use.name}, sent);
}

void Connection::RequestFlush() {
  if (!has_ended() && PQsendFlushRequest(libpq_) != 1) CloseSoon();
}

void Connection::Sync(OnSync done) {
  if (has_ended()) {
    tasks_.Soon([done = std::move(done)]() mutable { done(true); });
    return;
  }
  const int sent = PQpipelineSync(libpq_);
  Append(Pending{.on_sync = std::move(done), .is_sync = true}, sent);
  Flush();
}

void Connection::Append(Pending pending, int sent) {
  pending_.push_back(std::move(pending));
  if (sent != 1) return CloseSoon();
  if (pending_.size() == 1) BeginFront();
}

void Connection::CloseSoon() {
  if (std::exchange(broken_, true)) return;
  tasks_.Soon([weak = weak_from_this(), message = LibpqMessage()] {
    if (const auto self = weak.lock()) self->Close(Unavailable(message));
  });
}

void Connection::SendReset() {
  static const Parameters no_parameters;
  for (const std::string& command : kResetCommands) {
    Send(Command{.sql = command, .parameters = no_parameters, .keep_plan = !tainted_, .comes_often = true},
         [this](const Answer& answer) {
           if (answer.kind == Answer::Kind::kError) Close(answer.error);
         });
  }
}

void Connection::ResetRest() {
  for (const std::string& name : statements_.TakeEvicted()) {
    Send(absl::StrCat("DEALLOCATE ", name), [](const Answer&) {});
    Sync([](bool) {});
  }
}

void Connection::ResetSession(bool find_prepared, OnSync done) {
  SendReset();
  if (find_prepared) FindPrepared();
  Sync(std::move(done));
  ResetRest();
}

void Connection::FindPrepared() {
  Send(kFindPrepared, [this](const Answer& answer) {
    // Nothing but the end of the session makes sure that its name is free again.
    if (answer.kind == Answer::Kind::kDone && *PQgetvalue(answer.result, 0, 0) == 't') Taint();
  });
}

bool Connection::is_in_transaction() const { return libpq_ != nullptr && PQtransactionStatus(libpq_) != PQTRANS_IDLE; }

// ---- Answers --------------------------------------------------------------------------------------------------------

void Connection::BeginFront() {
  // libpq wants to be told just before the first result of each command.
  if (!pending_.empty() && pending_.front().rows) PQsetSingleRowMode(libpq_);
}

void Connection::ReadAnswers() {
  bool ended_before = false;
  while (!has_ended() && !broken_ && !pending_.empty() && !PQisBusy(libpq_)) {
    PGresult* const result = PQgetResult(libpq_);
    if (result != nullptr) {
      ended_before = false;
      // libpq leaves out the end of a failed command when another one was sent from its callback.
      if (pending_.front().answered) pending_.pop_front();
      DeliverToFront(result);
      PQclear(result);
      continue;
    }
    if (pending_.front().answered) {
      pending_.pop_front();
      BeginFront();
    } else if (std::exchange(ended_before, true)) {
      return Close(Unavailable("the server's answers do not fit the commands sent"));
    }
  }
}

void Connection::DeliverToFront(const PGresult* result) {
  if (pending_.empty()) return CloseSoon();
  switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
      return DeliverSync();
    case PGRES_SINGLE_TUPLE:
      return pending_.front().on_answer(Answer{.kind = Answer::Kind::kRow, .result = result});
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
      return DeliverLast(Answer{.kind = Answer::Kind::kDone, .result = result});
    case PGRES_PIPELINE_ABORTED: {
      Answer skipped{.kind = Answer::Kind::kSkipped};
      NoteStatementFailed(pending_.front(), skipped, nullptr);
      return DeliverLast(std::move(skipped));
    }
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: {
      BranchError error;
      error.code = absl::StatusCode::kInvalidArgument;
      error.message = "COPY from or to the client is not possible in a branch; use INSERT, or COPY of a server's file";
      return Close(error);
    }
    case PGRES_BAD_RESPONSE:
    case PGRES_FATAL_ERROR:
    case PGRES_NONFATAL_ERROR:
      return DeliverFailure(result);
  }
}

void Connection::DeliverSync() {
  if (!pending_.front().is_sync) return CloseSoon();
  OnSync done = std::move(pending_.front().on_sync);
  pending_.pop_front();
  BeginFront();
  done(false);
}

void Connection::DeliverFailure(const PGresult* result) {
  BranchError error = ErrorOf(result);
  // An error at a Sync, or one without SQLSTATE, comes from libpq or from the end of the connection.
  if (SqlstateOf(result).empty() || IsFatal(result) || pending_.front().is_sync) {
    error.code = absl::StatusCode::kUnavailable;
    error.retryable = true;
    return Close(std::move(error));
  }
  Answer failed{.kind = Answer::Kind::kError, .error = std::move(error)};
  if (failed.error.sqlstate == kDuplicatePreparedStatement) {
    // A function of an earlier branch has prepared something under that name: on another connection it is free.
    Taint();
    failed.error.retryable = true;
  }
  NoteStatementFailed(pending_.front(), failed, result);
  DeliverLast(std::move(failed));
}

void Connection::DeliverLast(Answer answer) {
  answer.replicas_unknown = std::exchange(replicas_unknown_, false);
  pending_.front().answered = true;
  OnAnswer done = std::move(pending_.front().on_answer);
  done(answer);
}

void Connection::NoteStatementFailed(Pending& pending, Answer& answer, const PGresult* result) {
  if (pending.statement.empty()) return;
  if (pending.prepares) return statements_.Drop(pending.statement);
  if (result == nullptr) return;
  const char* const function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
  const bool plan_is_stale = function != nullptr && std::string_view(function) == "RevalidateCachedQuery";
  if (!plan_is_stale && SqlstateOf(result) != "26000") return;
  // The table has changed, or somebody deallocated it: a new attempt prepares it anew.
  statements_.Drop(pending.statement);
  answer.error.retryable = true;
}

void Connection::OnNotice(void* self, const PGresult* notice) {
  const char* const function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
  if (function != nullptr && std::string_view(function) == "SyncRepWaitForLSN") {
    static_cast<Connection*>(self)->replicas_unknown_ = true;
  }
}

// ---- The socket -----------------------------------------------------------------------------------------------------

void Connection::AssignSocket() {
  boost::system::error_code error;
  socket_.assign(PQsocket(libpq_), error);
  if (error) CloseSoon();
}

// The descriptor is libpq's: it must be closed there.
void Connection::ReleaseSocket() {
  if (socket_.is_open()) socket_.release();
}

void Connection::WaitForSocket(stream_descriptor::wait_type what, void (Connection::*then)()) {
  socket_.async_wait(what, [weak = weak_from_this(), then](const boost::system::error_code& error) {
    if (error) return;
    if (const auto self = weak.lock()) (self.get()->*then)();
  });
}

void Connection::OnReadable() {
  if (has_ended()) return;
  const bool consumed = PQconsumeInput(libpq_) == 1;
  const std::string message = consumed ? "" : LibpqMessage();
  ReadAnswers();
  if (has_ended()) return;
  if (!consumed) return Close(Unavailable(message));
  while (PGnotify* const notification = PQnotifies(libpq_)) PQfreemem(notification);
  WaitForSocket(stream_descriptor::wait_read, &Connection::OnReadable);
}

void Connection::OnWritable() {
  waits_to_write_ = false;
  if (!has_ended()) Flush();
}

void Connection::Flush() {
  if (waits_to_write_ || broken_) return;
  switch (PQflush(libpq_)) {
    case 0:
      return;
    case 1:
      waits_to_write_ = true;
      return WaitForSocket(stream_descriptor::wait_write, &Connection::OnWritable);
    default:  // libpq says so when it next reads, with what the server said before it went
      return;
  }
}

std::string Connection::LibpqMessage() const {
  const std::string message = OneLine(libpq_ == nullptr ? "out of memory" : PQerrorMessage(libpq_));
  return message.empty() ? "the connection was lost" : message;
}

void Connection::Close(BranchError why) {
  if (has_ended()) return;
  const auto self = shared_from_this();  // a callback may drop the last reference
  state_ = State::kEnded;
  why_ended_ = why;
  ReleaseSocket();
  if (libpq_ != nullptr) PQfinish(std::exchange(libpq_, nullptr));
  std::deque<Pending> pending = std::exchange(pending_, {});
  for (Pending& command : pending) {
    if (command.is_sync) {
      command.on_sync(true);
    } else if (!command.answered) {
      command.on_answer(Answer{.error = why});
    }
  }
  const Events events = std::exchange(events_, {});
  if (events.ended) events.ended(why);
}

}  // namespace assent::postgres
