#include "coordinator/log/read_only_log.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "coordinator/log/log_check.h"
#include "coordinator/log/log_database.h"
#include "coordinator/log/log_folder.h"
#include "coordinator/log/log_format.h"
#include "coordinator/log/log_reader.h"

namespace assent {
namespace {

class ReadOnlyLog final : public DecisionLog {
 public:
  ReadOnlyLog(std::unique_ptr<LogFolder> folder, std::unique_ptr<LogDatabase> database)
      : folder_(std::move(folder)), database_(std::move(database)), reader_(*database_) {}

  absl::Status ReadStart() {
    absl::StatusOr<LogStart> start = reader_.ReadStart(folder_->coordinator());
    if (!start.ok()) return start.status();
    start_ = *std::move(start);
    const absl::StatusOr<std::uint64_t> forgotten = reader_.ReadNumber(log_format::kForgottenBeforeKey);
    if (!forgotten.ok()) return forgotten.status();
    forgotten_before_ = *forgotten;
    return absl::OkStatus();
  }

  const LogStart& start() const override { return start_; }
  void FindTransaction(const TxnId& txn, FindDone done) override { done(reader_.FindTransaction(txn)); }
  void FindRequest(std::string_view request_id, FindDone done) override {
    done(reader_.FindRequest(std::string(request_id)));
  }
  void ListAudit(std::string after, std::size_t limit, AuditDone done) override {
    done(reader_.ReadAudit(after, limit));
  }
  bool RequestMayExist(std::string_view) const override { return true; }
  std::uint64_t last_sequence() const override { return start_.reserved_sequences; }
  std::uint64_t forgotten_before() const override { return forgotten_before_; }
  // Of no consequence where no request is taken.
  absl::Time requests_forgotten_before() const override { return absl::InfinitePast(); }
  void Drain() override {}

  // Nothing is done at a participant on the strength of it.
  void RecordTakeOver(const std::string&, std::uint32_t, Done done) override { done(); }

  void Decide(const v1::DecisionRecord&, Done) override { Refuse(); }
  void End(const TxnId&, Done) override { Refuse(); }
  void RecordHeuristic(const v1::HeuristicRecord&, Done) override { Refuse(); }
  std::uint64_t NextSequence() override {
    Refuse();
    return 0;
  }

 private:
  static void Refuse() { ASSENT_CHECK(false, "a log that was opened to be read only is written to"); }

  const std::unique_ptr<LogFolder> folder_;  // its lock is held for as long as the database is open
  const std::unique_ptr<LogDatabase> database_;
  const LogReader reader_;
  LogStart start_;
  std::uint64_t forgotten_before_ = 0;
};

absl::Status NoLog(const std::string& data_dir) {
  return absl::FailedPreconditionError(
      absl::StrCat("there is no decision log in ", data_dir, ": is data_dir the coordinator's?"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DecisionLog>> OpenDecisionLogReadOnly(const DecisionLogOptions& options) {
  // LogFolder would begin one.
  std::error_code error;
  if (!std::filesystem::exists(options.data_dir + "/identity", error)) return NoLog(options.data_dir);
  absl::StatusOr<std::unique_ptr<LogFolder>> folder = LogFolder::Open(options.data_dir, options.coordinator);
  if (!folder.ok()) return folder.status();
  if ((*folder)->is_new()) return NoLog(options.data_dir);
  const LogDatabaseOptions database_options{.path = (*folder)->database_path(),
                                            .max_wal_bytes = options.max_wal_bytes,
                                            .write_buffer_bytes = options.write_buffer_bytes,
                                            .block_cache_bytes = options.block_cache_bytes,
                                            .env = options.env};
  const absl::StatusOr<CheckedLog> checked = CheckLog(**folder, database_options);
  if (!checked.ok()) return checked.status();
  absl::StatusOr<std::unique_ptr<LogDatabase>> database = LogDatabase::OpenReadOnly(database_options);
  if (!database.ok()) return database.status();
  if (absl::Status same = CheckNewestGroup(**database, checked->newest); !same.ok()) return same;
  auto log = std::make_unique<ReadOnlyLog>(*std::move(folder), *std::move(database));
  if (absl::Status read = log->ReadStart(); !read.ok()) return read;
  return log;
}

}  // namespace assent
