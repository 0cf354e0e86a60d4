#include "participants/postgres/phase_two.h"

#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/postgres/server_findings.h"

namespace assent::postgres {
namespace {

constexpr absl::Duration kFenceInterval = absl::Milliseconds(5);  // between two looks whether a backend is gone
constexpr int kFenceLooks = 40;                                   // then the caller asks again

// The snapshot is asked for once, and not for each row: it holds what is prepared, sorted, of which there may be
// thousands.
const std::string kListPrepared =
    "SELECT gid, transaction::pg_catalog.text::pg_catalog.int8,"
    " (extract(epoch FROM prepared) * 1000000)::pg_catalog.int8,"
    " (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8)"
    " FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()";

const std::string kInspect =
    "SELECT pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8,"
    " (SELECT count(*) FROM pg_catalog.pg_prepared_xacts), pg_catalog.current_setting('fsync'),"
    " pg_catalog.current_setting('full_page_writes'), pg_catalog.current_setting('synchronous_commit')";

Finish Done() { return {.kind = Finish::Kind::kDone}; }
Finish Retry(std::string why) { return {.kind = Finish::Kind::kRetry, .message = std::move(why)}; }
Finish Heuristic(std::string what) { return {.kind = Finish::Kind::kHeuristic, .message = std::move(what)}; }

std::uint64_t NumberIn(const PGresult* result, int row, int column) {
  const std::string_view text(PQgetvalue(result, row, column));
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The full id of a transaction of which 32 bits are known, and that is older than `next`.
std::uint64_t FullTransactionId(std::uint32_t id, std::uint64_t next) {
  const std::uint64_t full = (next & ~std::uint64_t{0xffffffff}) | id;
  return full >= next && full >= (std::uint64_t{1} << 32) ? full - (std::uint64_t{1} << 32) : full;
}

}  // namespace

std::string Quoted(const std::string& gid) {
  std::string quoted = "'";
  for (const char c : gid) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

// One attempt to end one branch.
struct PhaseTwo::Attempt {
  Verb verb = Verb::kCommit;
  v1::PostgresToken token;
  Participant::FinishDone done;
  ConnectionPool::ConnectionPtr connection;

  std::string_view tag() const { return verb == Verb::kCommit ? "COMMIT PREPARED" : "ROLLBACK PREPARED"; }
};

void PhaseTwo::Commit(const v1::PostgresToken& token, Participant::FinishDone done) {
  End(Verb::kCommit, token, std::move(done));
}

void PhaseTwo::RollBack(const v1::PostgresToken& token, Participant::FinishDone done) {
  End(Verb::kRollBack, token, std::move(done));
}

std::string PhaseTwo::What(const Attempt& attempt) const {
  return absl::StrCat("participant \"", options_.name, "\": ", std::string(attempt.tag()), " ",
                      Quoted(attempt.token.gid()));
}

void PhaseTwo::End(Verb verb, const v1::PostgresToken& token, Participant::FinishDone done) {
  auto attempt = std::make_shared<Attempt>(Attempt{verb, token, std::move(done), pool_.ForFinish()});
  if (attempt->connection == nullptr) {
    return attempt->done(Retry(absl::StrCat(What(*attempt), " waits: ", pool_.health().message)));
  }
  if (attempt->connection->unanswered() >= 2 * std::size_t{options_.max_unanswered_finishes}) {
    return attempt->done(Retry(absl::StrCat(
        What(*attempt), " waits: max_unanswered_finishes = ", options_.max_unanswered_finishes, " are in flight")));
  }
  const std::string& database = attempt->connection->server().database;
  if (!token.database().empty() && token.database() != database) {
    return attempt->done(Retry(absl::StrCat(What(*attempt), " belongs to database \"", token.database(),
                                            "\", but conninfo leads to \"", database, "\": correct it")));
  }
  Send(attempt, absl::StrCat(std::string(attempt->tag()), " ", Quoted(token.gid())),
       [this, attempt](const Answer& answer) { HandleEnded(attempt, answer); });
}

void PhaseTwo::Send(const AttemptPtr& attempt, const std::string& sql, Connection::OnAnswer done) {
  const auto alarm = std::make_shared<LoopTasks::AlarmId>(0);
  attempt->connection->Send(sql, [this, alarm, done = std::move(done)](const Answer& answer) mutable {
    tasks_.Cancel(*alarm);
    done(answer);
  });
  attempt->connection->Sync([](bool) {});
  *alarm = tasks_.After(options_.finish_timeout, [this, attempt, connection = attempt->connection] {
    BranchError error;
    error.code = absl::StatusCode::kUnavailable;
    error.message = absl::StrCat(What(*attempt),
                                 ": no answer within finish_timeout = ", absl::FormatDuration(options_.finish_timeout));
    connection->Close(std::move(error));
  });
}

void PhaseTwo::HandleEnded(const AttemptPtr& attempt, const Answer& answer) {
  switch (answer.kind) {
    case Answer::Kind::kDone:
      if (answer.replicas_unknown) {
        return attempt->done(Retry(
            absl::StrCat(What(*attempt), " was done here, but the wait for the synchronous standby was cancelled")));
      }
      if (answer.tag() == attempt->tag()) return attempt->done(Done());
      return attempt->done(
          Retry(absl::StrCat(What(*attempt), " was answered with \"", std::string(answer.tag()), "\"")));
    case Answer::Kind::kError:
      if (answer.error.sqlstate == "42704") return AskStatus(attempt);
      return attempt->done(Retry(absl::StrCat(What(*attempt), ": ", answer.error.message)));
    case Answer::Kind::kLost:
      return attempt->done(Retry(absl::StrCat(What(*attempt), " was not answered: ", answer.error.message)));
    case Answer::Kind::kRow:
    case Answer::Kind::kSkipped:
      return attempt->done(Retry(absl::StrCat(What(*attempt), " was skipped")));
  }
}

// The gid has vanished: somebody has ended the branch, perhaps we ourselves before an answer got lost.
void PhaseTwo::AskStatus(const AttemptPtr& attempt) {
  const v1::PostgresToken& token = attempt->token;
  // No answer to PREPARE ever came, and now there is nothing: it never happened, or was rolled back.
  if (attempt->verb == Verb::kRollBack && token.transaction_id() == 0) return attempt->done(Done());
  const ServerIdentity& server = attempt->connection->server();
  if (token.transaction_id() == 0 || token.system_identifier() == 0 || token.timeline() == 0 ||
      token.system_identifier() != server.system_identifier || token.timeline() != server.timeline) {
    return attempt->done(Heuristic(
        absl::StrCat(What(*attempt),
                     " found no such prepared transaction, and this server cannot say what became of it: it was "
                     "prepared as transaction ",
                     token.transaction_id(), " of system ", token.system_identifier(), ", timeline ", token.timeline(),
                     "; this is system ", server.system_identifier, ", timeline ", server.timeline)));
  }
  Send(attempt, absl::StrCat("SELECT pg_catalog.pg_xact_status('", token.transaction_id(), "')"),
       [this, attempt](const Answer& answer) { HandleStatus(attempt, answer); });
}

void PhaseTwo::HandleStatus(const AttemptPtr& attempt, const Answer& answer) {
  const bool commits = attempt->verb == Verb::kCommit;
  if (answer.kind == Answer::Kind::kDone) {
    const std::string_view status =
        PQgetisnull(answer.result, 0, 0) ? "unknown" : std::string_view(PQgetvalue(answer.result, 0, 0));
    if (status == "committed" && commits) return attempt->done(Done());
    if (status == "aborted" && !commits) return attempt->done(Done());
    if (status == "in progress") {
      return attempt->done(Retry(absl::StrCat(What(*attempt), " waits: its transaction is still in progress")));
    }
    return attempt->done(Heuristic(absl::StrCat(What(*attempt), " found no such prepared transaction; transaction ",
                                                attempt->token.transaction_id(), " is ", std::string(status),
                                                status == "unknown" ? ": too old to be known" : ": ended by others")));
  }
  if (answer.kind == Answer::Kind::kError && answer.error.sqlstate == "22023") {
    return attempt->done(Heuristic(absl::StrCat(What(*attempt), " found no such prepared transaction; ",
                                                answer.error.message, ": the server has lost its past")));
  }
  attempt->done(Retry(absl::StrCat(What(*attempt), ": ", answer.error.message)));
}

// ---- Branches that may be prepared ----------------------------------------------------------------------------------

void PhaseTwo::RollBackUnknown(const v1::PostgresToken& token, const BackendIdentity& backend,
                               Participant::FinishDone done) {
  auto attempt = std::make_shared<Attempt>(Attempt{Verb::kRollBack, token, std::move(done), nullptr});
  Fence(attempt, backend, kFenceLooks);
}

void PhaseTwo::Fence(const AttemptPtr& attempt, const BackendIdentity& backend, int looks) {
  attempt->connection = pool_.ForFinish();
  if (attempt->connection == nullptr) {
    return attempt->done(Retry(absl::StrCat(What(*attempt), " waits: ", pool_.health().message)));
  }
  // Whose start time we may not see is taken for it.
  const std::string sql = absl::StrCat(
      "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_get_activity(", backend.pid,
      ") WHERE backend_start IS NULL OR extract(epoch FROM backend_start)::pg_catalog.text = '", backend.started, "'");
  Send(attempt, sql, [this, attempt, backend, looks](const Answer& answer) {
    if (answer.kind != Answer::Kind::kDone) {
      return attempt->done(Retry(absl::StrCat(What(*attempt), ": ", answer.error.message)));
    }
    if (PQntuples(answer.result) == 0) return End(Verb::kRollBack, attempt->token, std::move(attempt->done));
    if (looks == 0) {
      return attempt->done(Retry(absl::StrCat(What(*attempt), " waits: backend ", backend.pid,
                                              ", which may still prepare it, was terminated and is not gone")));
    }
    tasks_.After(kFenceInterval, [this, attempt, backend, looks] { Fence(attempt, backend, looks - 1); });
  });
}

// ---- The sweep ------------------------------------------------------------------------------------------------------

void PhaseTwo::List(Participant::ListDone done) {
  auto attempt = std::make_shared<Attempt>(Attempt{Verb::kRollBack, {}, nullptr, pool_.ForFinish()});
  if (attempt->connection == nullptr) {
    return done(absl::UnavailableError(
        absl::StrCat("participant \"", options_.name, "\" cannot be reached: ", pool_.health().message)));
  }
  const ServerIdentity server = attempt->connection->server();
  Send(attempt, kListPrepared, [this, server, done = std::move(done)](const Answer& answer) mutable {
    if (answer.kind != Answer::Kind::kDone) {
      const bool is_refused = answer.kind == Answer::Kind::kError;
      return done(absl::Status(is_refused ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kUnavailable,
                               absl::StrCat("participant \"", options_.name, "\": ", answer.error.message)));
    }
    // Copies of a cluster have its system identifier; no two servers have started at the same microsecond.
    OwnWork work{.identity = absl::StrCat("database \"", server.database,
                                          "\" of the PostgreSQL server that started at ", server.started_at)};
    for (int row = 0; row < PQntuples(answer.result); ++row) {
      const std::optional<BranchId> branch = ParseGid(PQgetvalue(answer.result, row, 0));
      if (!branch || branch->txn.coordinator.name != context_.coordinator.name) continue;
      v1::PostgresToken token;
      token.set_gid(PQgetvalue(answer.result, row, 0));
      token.set_transaction_id(FullTransactionId(static_cast<std::uint32_t>(NumberIn(answer.result, row, 1)),
                                                 NumberIn(answer.result, row, 3)));
      token.set_system_identifier(server.system_identifier);
      token.set_timeline(server.timeline);
      token.set_database(server.database);
      work.branches.push_back(
          {.branch = *branch,
           .token = token.SerializeAsString(),
           .prepared_at = absl::FromUnixMicros(static_cast<std::int64_t>(NumberIn(answer.result, row, 2)))});
    }
    done(std::move(work));
  });
}

// ---- For operators --------------------------------------------------------------------------------------------------

void PhaseTwo::Inspect(Participant::InspectDone done) {
  auto attempt = std::make_shared<Attempt>(Attempt{Verb::kRollBack, {}, nullptr, pool_.ForFinish()});
  if (attempt->connection == nullptr) {
    return done(absl::UnavailableError(
        absl::StrCat("participant \"", options_.name, "\" cannot be reached: ", pool_.health().message)));
  }
  Send(attempt, kInspect, [this, done = std::move(done)](const Answer& answer) mutable {
    if (answer.kind != Answer::Kind::kDone) {
      return done(absl::UnavailableError(absl::StrCat("participant \"", options_.name, "\": ", answer.error.message)));
    }
    const auto is_on = [&](int column) { return std::string_view(PQgetvalue(answer.result, 0, column)) == "on"; };
    Inspection inspection;
    inspection.prepared_limit = static_cast<std::int64_t>(NumberIn(answer.result, 0, 0));
    inspection.prepared = static_cast<std::int64_t>(NumberIn(answer.result, 0, 1));
    inspection.findings = FindingsOf({.max_prepared_transactions = inspection.prepared_limit,
                                      .fsync = is_on(2),
                                      .full_page_writes = is_on(3),
                                      .synchronous_commit = PQgetvalue(answer.result, 0, 4)});
    for (v1::Finding& finding :
         FindingsOfRoom(inspection.prepared_limit, inspection.prepared, options_.max_connections)) {
      inspection.findings.push_back(std::move(finding));
    }
    done(std::move(inspection));
  });
}

}  // namespace assent::postgres
