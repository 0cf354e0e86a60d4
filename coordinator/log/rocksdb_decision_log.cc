#include "coordinator/log/rocksdb_decision_log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "coordinator/log/group_committer.h"
#include "coordinator/log/log_check.h"
#include "coordinator/log/log_database.h"
#include "coordinator/log/log_failure.h"
#include "coordinator/log/log_folder.h"
#include "coordinator/log/log_format.h"
#include "coordinator/log/log_reader.h"
#include "coordinator/log/lookup_thread.h"
#include "coordinator/log/outcome_pruner.h"
#include "coordinator/log/synced_mark.h"
#include "coordinator/log/uptime.h"

namespace assent {
namespace {

using log_format::DecodeUint64;
using log_format::EncodeUint64;

// What is found and made at the opening, in the order in which it has to be destroyed in reverse.
struct OpenedLog {
  std::unique_ptr<LogFolder> folder;
  std::unique_ptr<SyncedMark> mark;
  std::unique_ptr<LogDatabase> database;
  LogStart start;
  log_format::Group last;
  std::uint64_t reserved_sequences = 0;  // by this process too
  std::uint64_t forgotten_before = 0;
  std::uint64_t requests_forgotten_before_us = 0;
};

class RocksdbDecisionLog final : public DecisionLog {
 public:
  RocksdbDecisionLog(DecisionLogOptions options, OpenedLog opened);
  ~RocksdbDecisionLog() override;

  const LogStart& start() const override { return opened_.start; }
  void Decide(const v1::DecisionRecord& decision, Done done) override;
  void End(const TxnId& txn, Done done) override;
  void RecordTakeOver(const std::string& participant, std::uint32_t epoch, Done done) override;
  void RecordHeuristic(const v1::HeuristicRecord& heuristic, Done done) override;
  std::uint64_t NextSequence() override;
  std::uint64_t last_sequence() const override { return last_sequence_; }
  bool RequestMayExist(std::string_view request_id) const override;
  void FindTransaction(const TxnId& txn, FindDone done) override;
  void FindRequest(std::string_view request_id, FindDone done) override;
  void ListAudit(std::string after, std::size_t limit, AuditDone done) override;
  void Drain() override;
  std::uint64_t forgotten_before() const override { return forgotten_before_; }
  absl::Time requests_forgotten_before() const override;

 private:
  void ReserveSequences();
  // Runs `find` where the disk may be waited for.
  template <typename Result>
  void LookUp(absl::AnyInvocable<absl::StatusOr<Result>()> find, absl::AnyInvocable<void(absl::StatusOr<Result>)> done);
  absl::Duration PruneStep();
  void WritePlan(PrunePlan plan);

  const DecisionLogOptions options_;
  OpenedLog opened_;
  const LogReader reader_;
  const Uptime uptime_;
  LogFailure failure_;

  std::atomic<std::uint64_t> last_sequence_;
  std::atomic<std::uint64_t> reserved_sequences_;  // durably
  std::atomic<bool> reserving_ = false;
  std::atomic<std::uint64_t> forgotten_before_;
  std::atomic<std::uint64_t> requests_forgotten_before_us_;  // 0: nothing was pruned

  OutcomePruner pruner_;  // the look-up thread only
  std::atomic<bool> plan_in_flight_ = false;

  // Destroyed in reverse: look-ups may still append what they prune.
  std::unique_ptr<GroupCommitter> committer_;
  std::unique_ptr<LookupThread> lookups_;
};

RocksdbDecisionLog::RocksdbDecisionLog(DecisionLogOptions options, OpenedLog opened)
    : options_(std::move(options)),
      opened_(std::move(opened)),
      reader_(*opened_.database),
      uptime_(*options_.clock, opened_.last.uptime_us),
      failure_(options_.on_failure),
      last_sequence_(opened_.start.reserved_sequences),
      reserved_sequences_(opened_.reserved_sequences),
      forgotten_before_(opened_.forgotten_before),
      requests_forgotten_before_us_(opened_.requests_forgotten_before_us),
      pruner_({.outcome_retention = options_.outcome_retention,
               .max_outcome_bytes = options_.max_outcome_bytes,
               .max_pruned_per_step = options_.max_pruned_per_step},
              *opened_.database) {
  committer_ =
      std::make_unique<GroupCommitter>(GroupCommitter::Options{.max_group_bytes = options_.max_group_bytes,
                                                               .max_queued_entries = options_.max_queued_entries,
                                                               .end_sync_delay = options_.end_sync_delay},
                                       opened_.last, uptime_, *opened_.database, *opened_.mark, failure_);
  lookups_ = std::make_unique<LookupThread>(options_.max_queued_lookups, [this] { return PruneStep(); });
}

RocksdbDecisionLog::~RocksdbDecisionLog() {
  lookups_.reset();
  committer_.reset();
  if (absl::Status synced = opened_.mark->Sync(); !synced.ok()) failure_.Report(synced);
}

void RocksdbDecisionLog::Decide(const v1::DecisionRecord& decision, Done done) {
  const std::optional<TxnId> txn = ParseTxnId(decision.txn_id());
  ASSENT_CHECK(txn && txn->coordinator == opened_.start.coordinator, "a decision about another coordinator's id");
  ASSENT_CHECK(decision.outcome() == v1::COMMITTED || decision.outcome() == v1::ABORTED, "a decision that is none");
  const std::string key = EncodeUint64(txn->sequence);
  const std::string outcome = log_format::EncodeOutcome(uptime_.now_us(), decision);
  const std::string& request_id = decision.request_id();
  // An abort, and a commit of no branches, have ended with their decision.
  const bool unfinished = decision.outcome() == v1::COMMITTED && !decision.branches().empty();
  const std::string record = unfinished ? decision.SerializeAsString() : std::string();

  std::size_t bytes = key.size() + outcome.size();
  if (!request_id.empty()) bytes += request_id.size() + key.size();
  const LogDatabase& database = *opened_.database;
  committer_->Append(
      GroupCommitter::Urgency::kNow,
      [&](rocksdb::WriteBatch& batch) {
        if (unfinished) batch.Put(database.family(log_format::kActive), key, record);
        batch.Put(database.family(log_format::kOutcomes), key, outcome);
        if (!request_id.empty()) batch.Put(database.family(log_format::kRequests), request_id, key);
      },
      static_cast<std::int64_t>(bytes), std::move(done));
}

void RocksdbDecisionLog::End(const TxnId& txn, Done done) {
  ASSENT_CHECK(txn.coordinator == opened_.start.coordinator, "the end of another coordinator's transaction");
  const auto urgency = done ? GroupCommitter::Urgency::kSoon : GroupCommitter::Urgency::kRide;
  committer_->Append(
      urgency,
      [&](rocksdb::WriteBatch& batch) {
        batch.Delete(opened_.database->family(log_format::kActive), EncodeUint64(txn.sequence));
      },
      0, std::move(done));
}

void RocksdbDecisionLog::RecordTakeOver(const std::string& participant, std::uint32_t epoch, Done done) {
  committer_->Append(
      GroupCommitter::Urgency::kNow,
      [&](rocksdb::WriteBatch& batch) {
        batch.Put(opened_.database->family(log_format::kMeta),
                  absl::StrCat(std::string(log_format::kTakenOverPrefix), participant), EncodeUint64(epoch));
      },
      0, std::move(done));
}

void RocksdbDecisionLog::RecordHeuristic(const v1::HeuristicRecord& heuristic, Done done) {
  const std::optional<TxnId> txn = ParseTxnId(heuristic.txn_id());
  ASSENT_CHECK(txn.has_value(), "a heuristic record without a transaction's id");
  committer_->Append(
      GroupCommitter::Urgency::kNow,
      [&](rocksdb::WriteBatch& batch) {
        batch.Put(opened_.database->family(log_format::kAudit), log_format::AuditKey(txn->sequence, heuristic),
                  heuristic.SerializeAsString());
      },
      0, std::move(done));
}

std::uint64_t RocksdbDecisionLog::NextSequence() {
  const std::uint64_t sequence = ++last_sequence_;
  const std::uint64_t reserved = reserved_sequences_;
  if (reserved - std::min(sequence, reserved) < options_.sequence_reservation / 2) ReserveSequences();
  ASSENT_CHECK(sequence <= reserved || sequence <= reserved_sequences_,
               "sequences are used faster than they are reserved: raise DecisionLogOptions::sequence_reservation");
  return sequence;
}

void RocksdbDecisionLog::ReserveSequences() {
  if (reserving_.exchange(true)) return;
  const std::uint64_t reserved = reserved_sequences_ + options_.sequence_reservation;
  committer_->Append(
      GroupCommitter::Urgency::kNow,
      [&](rocksdb::WriteBatch& batch) {
        batch.Put(opened_.database->family(log_format::kMeta), std::string(log_format::kReservedKey),
                  EncodeUint64(reserved));
      },
      0,
      [this, reserved] {
        reserved_sequences_ = reserved;
        reserving_ = false;
      });
}

bool RocksdbDecisionLog::RequestMayExist(std::string_view request_id) const {
  return opened_.database->KeyMayExist(log_format::kRequests, request_id);
}

void RocksdbDecisionLog::FindTransaction(const TxnId& txn, FindDone done) {
  LookUp<LogReader::Found>([this, txn] { return reader_.FindTransaction(txn); }, std::move(done));
}

void RocksdbDecisionLog::FindRequest(std::string_view request_id, FindDone done) {
  LookUp<LogReader::Found>([this, request_id = std::string(request_id)] { return reader_.FindRequest(request_id); },
                           std::move(done));
}

void RocksdbDecisionLog::ListAudit(std::string after, std::size_t limit, AuditDone done) {
  LookUp<AuditPage>([this, after = std::move(after), limit] { return reader_.ReadAudit(after, limit); },
                    std::move(done));
}

template <typename Result>
void RocksdbDecisionLog::LookUp(absl::AnyInvocable<absl::StatusOr<Result>()> find,
                                absl::AnyInvocable<void(absl::StatusOr<Result>)> done) {
  const auto shared_done = std::make_shared<absl::AnyInvocable<void(absl::StatusOr<Result>)>>(std::move(done));
  LookupThread::Task task = [this, find = std::move(find), shared_done]() mutable {
    absl::StatusOr<Result> found = find();
    // "Cannot be read" must not become "was never decided", which means aborted.
    if (!found.ok()) failure_.Report(found.status());
    if (!failure_.happened()) (*shared_done)(std::move(found));
  };
  if (lookups_->Run(task)) return;
  (*shared_done)(absl::UnavailableError(absl::StrCat(options_.max_queued_lookups,
                                                     " questions about earlier transactions wait for the disk "
                                                     "already; ask again")));
}

void RocksdbDecisionLog::Drain() {
  lookups_->Drain();
  committer_->Drain();
}

absl::Time RocksdbDecisionLog::requests_forgotten_before() const {
  const std::uint64_t before_us = requests_forgotten_before_us_;
  return before_us == 0 ? absl::InfinitePast() : absl::FromUnixMicros(static_cast<std::int64_t>(before_us));
}

absl::Duration RocksdbDecisionLog::PruneStep() {
  if (failure_.happened() || plan_in_flight_) return options_.prune_interval;
  absl::StatusOr<PrunePlan> plan = pruner_.Plan(options_.clock->Now(), uptime_.now_us(), committer_->outcome_bytes());
  if (!plan.ok()) {
    failure_.Report(plan.status());
    return options_.prune_interval;
  }
  const bool more = plan->more;
  if (!plan->sequences.empty()) {
    WritePlan(*std::move(plan));
    // The write takes about this long; the next step has to see it.
    return more ? std::min(options_.prune_interval, absl::Milliseconds(1)) : options_.prune_interval;
  }
  return more ? absl::ZeroDuration() : options_.prune_interval;
}

void RocksdbDecisionLog::WritePlan(PrunePlan plan) {
  plan_in_flight_ = true;
  const std::uint64_t forgotten_before = std::max<std::uint64_t>(forgotten_before_, plan.forgotten_before);
  const std::uint64_t requests_us = std::max<std::uint64_t>(
      requests_forgotten_before_us_, static_cast<std::uint64_t>(plan.requests_forgotten_before_us));
  const LogDatabase& database = *opened_.database;
  // Known here before it is durable: an id whose record may be gone is never taken for one that was not decided.
  forgotten_before_ = forgotten_before;
  requests_forgotten_before_us_ = requests_us;
  committer_->Append(
      GroupCommitter::Urgency::kSoon,
      [&](rocksdb::WriteBatch& batch) {
        plan.AppendTo(batch, database);
        rocksdb::ColumnFamilyHandle* meta = database.family(log_format::kMeta);
        batch.Put(meta, std::string(log_format::kForgottenBeforeKey), EncodeUint64(forgotten_before));
        batch.Put(meta, std::string(log_format::kRequestsForgottenBeforeKey), EncodeUint64(requests_us));
      },
      -static_cast<std::int64_t>(plan.bytes), [this] { plan_in_flight_ = false; });
}

// ---- Opening --------------------------------------------------------------------------------------------------------

// This process's first group: its epoch, and its first sequences.
absl::Status WriteStart(const DecisionLogOptions& options, const LogFolder& folder, OpenedLog& opened) {
  const CoordinatorId& coordinator = folder.coordinator();
  rocksdb::ColumnFamilyHandle* meta = opened.database->family(log_format::kMeta);
  rocksdb::WriteBatch batch;
  const auto put = [&](std::string_view key, const std::string& value) { batch.Put(meta, std::string(key), value); };
  if (opened.start.epoch == 1) {
    put(log_format::kVersionKey, EncodeUint64(log_format::kVersion));
    put(log_format::kCoordinatorKey, coordinator.name);
    put(log_format::kIncarnationKey, EncodeUint64(coordinator.incarnation));
  }
  opened.reserved_sequences = opened.start.reserved_sequences + options.sequence_reservation;
  put(log_format::kEpochKey, EncodeUint64(opened.start.epoch));
  put(log_format::kReservedKey, EncodeUint64(opened.reserved_sequences));
  ++opened.last.number;
  put(log_format::kGroupKey, log_format::EncodeGroup(opened.last));
  HitFailpoint(Failpoint::kStartUnwritten);
  if (absl::Status written = opened.database->Write(batch); !written.ok()) return written;
  if (absl::Status marked = opened.mark->Write(opened.last.number); !marked.ok()) return marked;
  absl::Status synced = opened.mark->Sync();
  HitFailpoint(Failpoint::kStartWritten);
  return synced;
}

// Reads what the log knew before this process.
absl::Status ReadStart(OpenedLog& opened) {
  const LogReader reader(*opened.database);
  absl::StatusOr<LogStart> start = reader.ReadStart(opened.folder->coordinator());
  if (!start.ok()) return start.status();
  opened.start = *std::move(start);
  for (const auto& [key, value] :
       {std::pair{log_format::kForgottenBeforeKey, &opened.forgotten_before},
        std::pair{log_format::kRequestsForgottenBeforeKey, &opened.requests_forgotten_before_us}}) {
    const absl::StatusOr<std::uint64_t> number = reader.ReadNumber(key);
    if (!number.ok()) return number.status();
    *value = *number;
  }
  return absl::OkStatus();
}

LogDatabaseOptions ToDatabaseOptions(const DecisionLogOptions& options, const LogFolder& folder) {
  return {.path = folder.database_path(),
          .max_wal_bytes = options.max_wal_bytes,
          .write_buffer_bytes = options.write_buffer_bytes,
          .block_cache_bytes = options.block_cache_bytes,
          .env = options.env};
}

absl::Status OpenDatabase(const DecisionLogOptions& options, OpenedLog& opened) {
  const LogDatabaseOptions database_options = ToDatabaseOptions(options, *opened.folder);
  const absl::StatusOr<CheckedLog> checked = CheckLog(*opened.folder, database_options);
  if (!checked.ok()) return checked.status();
  if (absl::Status held = opened.folder->WriteHolder(); !held.ok()) return held;
  if (absl::Status cut = CutExcess(*checked); !cut.ok()) return cut;
  absl::StatusOr<std::unique_ptr<LogDatabase>> database = LogDatabase::Open(database_options);
  if (!database.ok()) return database.status();
  opened.database = *std::move(database);
  opened.last = checked->newest;
  return CheckNewestGroup(*opened.database, checked->newest);
}

absl::Status CreateDatabase(const DecisionLogOptions& options, OpenedLog& opened) {
  if (absl::Status held = opened.folder->WriteHolder(); !held.ok()) return held;
  if (absl::Status begun = opened.folder->BeginCreation(); !begun.ok()) return begun;
  absl::StatusOr<std::unique_ptr<LogDatabase>> database =
      LogDatabase::Create(ToDatabaseOptions(options, *opened.folder));
  if (!database.ok()) return database.status();
  opened.database = *std::move(database);
  return absl::OkStatus();
}

}  // namespace

void EndProcess(const absl::Status& status) {
  const std::string text = status.ToString();
  std::fprintf(
      stderr,
      "assent: the decision log failed, and the process ends, because what a later one will read is not known: "
      "%s\n",
      text.c_str());
  // No destructors: they would go on with a log that has failed.
  ::_exit(EXIT_FAILURE);
}

absl::StatusOr<std::unique_ptr<DecisionLog>> OpenDecisionLog(DecisionLogOptions options) {
  OpenedLog opened;
  absl::StatusOr<std::unique_ptr<LogFolder>> folder = LogFolder::Open(options.data_dir, options.coordinator);
  if (!folder.ok()) return folder.status();
  opened.folder = *std::move(folder);
  const bool is_new = opened.folder->is_new();
  absl::Status status = is_new ? CreateDatabase(options, opened) : OpenDatabase(options, opened);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<SyncedMark>> mark = SyncedMark::Open(opened.folder->path());
  if (!mark.ok()) return mark.status();
  opened.mark = *std::move(mark);
  status = ReadStart(opened);
  if (status.ok()) status = WriteStart(options, *opened.folder, opened);
  if (status.ok() && is_new) status = opened.folder->EndCreation();
  if (!status.ok()) return status;
  return std::make_unique<RocksdbDecisionLog>(std::move(options), std::move(opened));
}

}  // namespace assent
