#include "participants/postgres/postgres_participant.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "participants/postgres/conninfo.h"
#include "participants/postgres/sql_branch.h"

namespace assent::postgres {
namespace {

std::uint32_t ShareOf(std::uint32_t bound, const ParticipantContext& context) {
  return bound / context.shard_count + (context.shard < bound % context.shard_count ? 1 : 0);
}

// The port's implementation: finds the branch, and hands the call on.
class PostgresParticipant : public Participant {
 public:
  PostgresParticipant(const PostgresOptions& options, const ParticipantContext& context)
      : options_(options),
        context_(context),
        tasks_(context.loop),
        pool_(options_, context_, tasks_, ShareOf(options.max_connections, context),
              std::max(1u, ShareOf(options.max_waiting_branches, context))),
        slots_(tasks_, [this] { return PrepareLimit(); }),
        phase_two_(options_, context_, tasks_, pool_) {}

  std::string_view name() const override { return options_.name; }
  ParticipantKind kind() const override { return ParticipantKind::kDatabase; }

  // Prepared transactions pin nothing here: the tokens are of no use to us.
  void Start(std::vector<std::string>, std::function<void()> on_available) override {
    pool_.Start(std::move(on_available));
  }

  // Nor is there anything to end here: prepared transactions are found by ListOwn().
  void TakeOver() override {}

  absl::Status Open(const BranchId& branch, const v1::BranchOptions& options, absl::Time deadline) override;
  void Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) override;
  void Prepare(const BranchId& branch, PrepareDone done) override;
  void Commit(const BranchId& branch, const std::string& token, FinishDone done) override;
  void Abort(const BranchId& branch, const std::string& token, FinishDone done) override;
  void Forget(const BranchId& branch, const std::string& token) override;
  void ListOwn(ListDone done) override { phase_two_.List(std::move(done)); }
  ParticipantHealth health() const override { return pool_.health(); }
  void Inspect(InspectDone done) override { phase_two_.Inspect(std::move(done)); }
  std::string DescribeToken(const std::string& bytes) const override;

 private:
  SqlBranch* Find(const BranchId& branch) const {
    const auto found = branches_.find(branch);
    return found == branches_.end() ? nullptr : found->second.get();
  }

  // At 0 the server itself says what to do.
  std::int64_t PrepareLimit() const {
    const std::int64_t limit = pool_.max_prepared_transactions();
    return limit <= 0 ? -1 : std::max<std::int64_t>(1, limit / context_.shard_count);
  }

  static v1::PostgresToken Parse(const BranchId& branch, const std::string& bytes) {
    v1::PostgresToken token;
    if (!token.ParseFromString(bytes)) token.Clear();
    if (token.gid().empty()) token.set_gid(branch.ToGid());
    return token;
  }

  BranchError NotOpen(const BranchId& branch) const {
    BranchError error;
    error.code = absl::StatusCode::kFailedPrecondition;
    error.message = absl::StrCat("participant \"", options_.name, "\": branch ", branch.ToGid(), " is not open");
    return error;
  }

  const PostgresOptions options_;
  const ParticipantContext context_;
  LoopTasks tasks_;
  ConnectionPool pool_;
  PrepareSlots slots_;
  PhaseTwo phase_two_;
  absl::flat_hash_map<BranchId, std::shared_ptr<SqlBranch>> branches_;  // until Forget()
};

absl::Status PostgresParticipant::Open(const BranchId& branch, const v1::BranchOptions& options, absl::Time deadline) {
  if (options.kind_case() == v1::BranchOptions::kKafka) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options_.name, "\" is PostgreSQL: it has no Kafka options"));
  }
  const v1::SqlBranchOptions& sql = options.sql();
  if (!v1::IsolationLevel_IsValid(sql.isolation())) {
    return absl::InvalidArgumentError(absl::StrCat("participant \"", options_.name, "\": isolation ", sql.isolation(),
                                                   " is none that this coordinator knows"));
  }
  const std::int64_t seconds = sql.statement_timeout().seconds();
  if (sql.has_statement_timeout() && (seconds < 0 || sql.statement_timeout().nanos() < 0 || seconds > 86'400 ||
                                      (seconds == 0 && sql.statement_timeout().nanos() == 0))) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options_.name, "\": statement_timeout must be positive and at most a day"));
  }
  auto& opened = branches_[branch];
  if (opened != nullptr) return absl::OkStatus();  // a repeat
  opened = std::make_shared<SqlBranch>(BranchSurroundings{options_, context_.clock, tasks_, pool_, slots_, phase_two_},
                                       branch, sql, deadline);
  return absl::OkStatus();
}

void PostgresParticipant::Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) {
  if (SqlBranch* const open = Find(branch)) return open->Execute(std::move(operation), std::move(done));
  ExecuteOutcome outcome;
  outcome.error = NotOpen(branch);
  done(std::move(outcome));
}

void PostgresParticipant::Prepare(const BranchId& branch, PrepareDone done) {
  if (SqlBranch* const open = Find(branch)) return open->Prepare(std::move(done));
  done(Vote{.kind = Vote::Kind::kNo, .error = NotOpen(branch)});
}

void PostgresParticipant::Commit(const BranchId& branch, const std::string& token, FinishDone done) {
  if (SqlBranch* const open = Find(branch)) return open->Commit(Parse(branch, token), std::move(done));
  phase_two_.Commit(Parse(branch, token), std::move(done));
}

void PostgresParticipant::Abort(const BranchId& branch, const std::string& token, FinishDone done) {
  if (SqlBranch* const open = Find(branch)) return open->Abort(std::move(done));
  phase_two_.RollBack(Parse(branch, token), std::move(done));
}

void PostgresParticipant::Forget(const BranchId& branch, const std::string&) {
  const auto found = branches_.find(branch);
  if (found == branches_.end()) return;
  found->second->Forget();
  branches_.erase(found);
}

std::string PostgresParticipant::DescribeToken(const std::string& bytes) const {
  v1::PostgresToken token;
  if (!token.ParseFromString(bytes)) return DescribeUnknownToken(bytes);
  std::string text = absl::StrCat("gid '", token.gid(), "'");
  if (token.transaction_id() != 0) absl::StrAppend(&text, ", transaction ", token.transaction_id());
  if (!token.database().empty()) absl::StrAppend(&text, ", database ", token.database());
  if (token.system_identifier() != 0) {
    absl::StrAppend(&text, ", system ", token.system_identifier(), ", timeline ", token.timeline());
  }
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Participant>> MakePostgresParticipant(const PostgresOptions& options,
                                                                     const ParticipantContext& context) {
  if (const absl::Status valid = CheckConninfo(options.conninfo); !valid.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options.name, "\": ", std::string(valid.message())));
  }
  if (ShareOf(options.max_connections, context) < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options.name, "\": max_connections = ", options.max_connections, " for ",
                     context.shard_count, " shards: each needs two, one of them for recovery"));
  }
  return std::make_unique<PostgresParticipant>(options, context);
}

}  // namespace assent::postgres
