#include "tests/simulation/database_participant.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/mutant.h"

namespace assent::simulation {
namespace {

constexpr absl::Duration kStatementTimeout = absl::Seconds(2);

using Command = DatabaseServer::Command;
using Answer = DatabaseServer::Answer;

}  // namespace

absl::Status DatabaseParticipant::Open(const BranchId& branch, const v1::BranchOptions&, absl::Time) {
  branches_.emplace(branch.ToGid(), Branch());
  return absl::OkStatus();
}

void DatabaseParticipant::Reached(bool is_reached) {
  if (is_reached && !is_reached_) loop_.Post([this] { on_available_(); });
  is_reached_ = is_reached;
}

// ---- Work and vote --------------------------------------------------------------------------------------------------

void DatabaseParticipant::Send(Branch& branch, Command command, absl::AnyInvocable<void(std::optional<Answer>)> done) {
  if (branch.connection == 0) branch.connection = ++last_connection_;
  const std::uint64_t number = ++branch.messages;
  calls_.Call<Answer>(
      server_.machine(), kStatementTimeout,
      [&server = server_, connection = branch.connection, number, command = std::move(command)](auto reply) {
        server.Receive(connection, number, command, reply);
      },
      [this, done = std::move(done)](std::optional<Answer> answer) mutable {
        Reached(answer.has_value());
        done(std::move(answer));
      });
}

void DatabaseParticipant::Execute(const BranchId& id, v1::Operation operation, ExecuteDone done) {
  const auto found = branches_.find(id.ToGid());
  if (found == branches_.end() || found->second.is_doomed) {
    return done({.error = {.code = absl::StatusCode::kAborted, .message = "the branch has failed"}});
  }
  judge_.SqlStarted(id.txn);
  Send(found->second, {Command::Kind::kWork, operation.sql().statements(0).sql()},
       [this, id, done = std::move(done)](std::optional<Answer> answer) mutable {
         judge_.SqlReturned(id.txn);
         if (answer && answer->kind == Answer::Kind::kOk) return done({.ok = true});
         if (const auto branch = branches_.find(id.ToGid()); branch != branches_.end()) branch->second.is_doomed = true;
         done({.error = {.code = absl::StatusCode::kAborted, .message = answer ? "it failed" : "connection lost"}});
       });
}

void DatabaseParticipant::Prepare(const BranchId& id, PrepareDone done) {
  const std::string gid = id.ToGid();
  Branch& branch = branches_[gid];
  if (branch.is_doomed) {
    Send(branch, {Command::Kind::kRollback, ""}, [](std::optional<Answer>) {});
    return done({.kind = Vote::Kind::kNo, .error = {.message = "an operation failed"}});
  }
  if (branch.connection == 0) return done({.kind = Vote::Kind::kReadOnly});
  Send(branch, {Command::Kind::kPrepare, gid},
       [this, gid, done = std::move(done)](std::optional<Answer> answer) mutable { done(Judged(gid, answer)); });
}

Vote DatabaseParticipant::Judged(const std::string& gid, const std::optional<Answer>& answer) {
  if (!answer || answer->kind == Answer::Kind::kGone) {
    judge_.Reached("votes unknown");
    branches_[gid].is_in_doubt = true;
    return {.kind = Vote::Kind::kUnknown, .error = {.message = "connection lost"}};
  }
  const bool is_prepared = answer->tag == "PREPARE TRANSACTION" || ASSENT_MUTANT(command_tag_ignored);
  if (answer->kind == Answer::Kind::kOk && is_prepared) {
    return {.kind = Vote::Kind::kYes, .token = absl::StrCat(answer->transaction_id)};
  }
  return {.kind = Vote::Kind::kNo, .error = {.message = absl::StrCat(gid, " was rolled back")}};
}

// ---- Phase two ------------------------------------------------------------------------------------------------------

template <typename Result>
void DatabaseParticipant::Ask(std::function<Result(DatabaseServer&)> statement,
                              absl::AnyInvocable<void(std::optional<Result>)> done) {
  calls_.Call<Result>(
      server_.machine(), kStatementTimeout,
      [&server = server_, statement = std::move(statement)](auto reply) {
        if (server.is_up()) reply(statement(server));
      },
      [this, done = std::move(done)](std::optional<Result> result) mutable {
        Reached(result.has_value());
        done(std::move(result));
      });
}

void DatabaseParticipant::Commit(const BranchId& id, const std::string& token, FinishDone done) {
  Ask<DatabaseServer::Ended>(
      [gid = id.ToGid()](DatabaseServer& server) { return server.CommitPrepared(gid); },
      [this, token, done = std::move(done)](std::optional<DatabaseServer::Ended> ended) mutable {
        if (!ended) return done({.kind = Finish::Kind::kRetry, .message = "connection lost"});
        if (*ended == DatabaseServer::Ended::kDone) return done({.kind = Finish::Kind::kDone});
        judge_.Reached("commits repeated at a database");
        std::uint64_t transaction_id = 0;
        if (!absl::SimpleAtoi(token, &transaction_id)) {
          return done({.kind = Finish::Kind::kHeuristic, .message = absl::StrCat("no transaction id: ", token)});
        }
        AskWhatBecame(transaction_id, std::move(done));
      });
}

void DatabaseParticipant::AskWhatBecame(std::uint64_t transaction_id, FinishDone done) {
  Ask<DatabaseServer::Status>([transaction_id](DatabaseServer& server) { return server.StatusOf(transaction_id); },
                              [done = std::move(done)](std::optional<DatabaseServer::Status> status) mutable {
                                if (!status) return done({.kind = Finish::Kind::kRetry, .message = "connection lost"});
                                switch (*status) {
                                  case DatabaseServer::Status::kCommitted:
                                    return done({.kind = Finish::Kind::kDone});
                                  case DatabaseServer::Status::kInProgress:
                                    return done({.kind = Finish::Kind::kRetry, .message = "in progress"});
                                  case DatabaseServer::Status::kAborted:
                                    return done({.kind = Finish::Kind::kHeuristic, .message = "it was rolled back"});
                                }
                              });
}

void DatabaseParticipant::Abort(const BranchId& id, const std::string&, FinishDone done) {
  const auto found = branches_.find(id.ToGid());
  const auto connection = found == branches_.end() ? 0 : found->second.connection;
  if (found != branches_.end() && connection == 0) return done({.kind = Finish::Kind::kDone});
  // First the backend, which may still prepare; what it has prepared then.
  Ask<bool>(
      [gid = id.ToGid(), connection](DatabaseServer& server) {
        const bool is_gone = connection == 0 || server.Terminate(connection);
        if (is_gone) server.RollbackPrepared(gid);
        return is_gone;
      },
      [this, gid = id.ToGid(), done = std::move(done)](std::optional<bool> is_gone) mutable {
        if (const auto branch = branches_.find(gid); is_gone.value_or(false) && branch != branches_.end()) {
          branch->second.is_in_doubt = false;
        }
        if (is_gone.value_or(false)) return done({.kind = Finish::Kind::kDone});
        done({.kind = Finish::Kind::kRetry, .message = is_gone ? "its backend is still there" : "connection lost"});
      });
}

void DatabaseParticipant::Forget(const BranchId& id, const std::string&) {
  const auto branch = branches_.extract(id.ToGid());
  if (!branch.empty() && branch.mapped().is_in_doubt) judge_.Broken("forgotten while in doubt: ", id.ToGid());
}

void DatabaseParticipant::ListOwn(ListDone done) {
  using List = std::vector<std::pair<std::string, DatabaseServer::Prepared>>;
  Ask<List>([](DatabaseServer& server) { return List(server.prepared().begin(), server.prepared().end()); },
            [this, done = std::move(done)](std::optional<List> list) mutable {
              if (!list) return done(absl::UnavailableError("connection lost"));
              OwnWork work;
              for (const auto& [gid, prepared] : *list) {
                const auto branch = ParseGid(gid);
                if (!branch) continue;
                const std::string& theirs = branch->txn.coordinator.name;
                const bool is_ours = ASSENT_MUTANT(names_compared_by_prefix) ? theirs.starts_with(coordinator_.name)
                                                                             : theirs == coordinator_.name;
                if (!is_ours) continue;
                work.branches.push_back({.branch = *branch,
                                         .token = absl::StrCat(prepared.transaction_id),
                                         .prepared_at = absl::UnixEpoch() + prepared.since});
              }
              done(std::move(work));
            });
}

}  // namespace assent::simulation
