#include "coordinator/log/log_database.h"

#include <spdlog/spdlog.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rocksdb/cache.h"
#include "rocksdb/file_system.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"

namespace assent {
namespace {

using log_format::Family;

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

// What RocksDB warns of goes where our own words go. Its own file LOG would stand on the disk of the decision log: when
// that is full, RocksDB 7.8 aborts the process at the second line that cannot be written.
class OurLogger : public rocksdb::Logger {
 public:
  OurLogger() : rocksdb::Logger(rocksdb::WARN_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    std::array<char, 1024> line;
    std::vsnprintf(line.data(), line.size(), format, arguments);
    spdlog::warn("RocksDB: {}", line.data());
  }
  void LogHeader(const char*, va_list) override {}  // its version and options
};

// A reader may meet what the next start mends, and does not speak of it.
class NoLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Makes the space that RocksDB gives the write-ahead log ahead a part of the file, which reads as zeros: a sync that
// has to write the file's new size too takes longer (11 to 20 % of a decision's time, measured on ext4).
class SpaceAhead : public rocksdb::FileSystemWrapper {
 public:
  explicit SpaceAhead(const std::shared_ptr<rocksdb::FileSystem>& target) : FileSystemWrapper(target) {}

  const char* Name() const override { return "SpaceAhead"; }

  rocksdb::FileOptions OptimizeForLogWrite(const rocksdb::FileOptions& options,
                                           const rocksdb::DBOptions& database_options) const override {
    rocksdb::FileOptions result = FileSystemWrapper::OptimizeForLogWrite(options, database_options);
    result.fallocate_with_keep_size = false;
    return result;
  }
};

std::unique_ptr<rocksdb::Env> MakeEnv(rocksdb::Env* target) {
  return rocksdb::NewCompositeEnv(
      std::make_shared<SpaceAhead>(target == nullptr ? rocksdb::FileSystem::Default() : target->GetFileSystem()));
}

rocksdb::DBOptions ToDatabaseOptions(const LogDatabaseOptions& options) {
  rocksdb::DBOptions result;

  // CheckLog() has read the write-ahead log before, and what is torn has been cut off: nothing may be skipped any more.
  result.wal_recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  result.paranoid_checks = true;
  // A recycled file has old records behind its end: a torn end could not be told from a damaged one.
  result.recycle_log_file_num = 0;
  result.manual_wal_flush = false;
  result.max_total_wal_size = options.max_wal_bytes;
  // The tables hold all column families up to one and the same group, so that a gap behind them shows (CheckLog).
  result.atomic_flush = true;
  result.avoid_flush_during_recovery = false;

  // The filters of every table stay in memory: RequestMayExist does no I/O.
  result.max_open_files = -1;
  result.max_background_jobs = 2;
  // One thread writes.
  result.allow_concurrent_memtable_write = false;
  result.enable_write_thread_adaptive_yield = false;

  result.max_manifest_file_size = 4 << 20;
  result.stats_dump_period_sec = 0;
  result.stats_persist_period_sec = 0;
  return result;
}

rocksdb::ColumnFamilyOptions ToFamilyOptions(const LogDatabaseOptions& options,
                                             const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = false;

  rocksdb::ColumnFamilyOptions result;
  result.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  result.write_buffer_size = options.write_buffer_bytes;
  result.compression = rocksdb::kLZ4Compression;
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogDatabase>> LogDatabase::Create(const LogDatabaseOptions& options) {
  return OpenAs(Mode::kCreate, options, "");
}

absl::StatusOr<std::unique_ptr<LogDatabase>> LogDatabase::Open(const LogDatabaseOptions& options) {
  return OpenAs(Mode::kOpen, options, "");
}

absl::StatusOr<std::unique_ptr<LogDatabase>> LogDatabase::OpenTables(const LogDatabaseOptions& options,
                                                                     const std::string& folder_without_wal) {
  return OpenAs(Mode::kTablesOnly, options, folder_without_wal);
}

absl::StatusOr<std::unique_ptr<LogDatabase>> LogDatabase::OpenReadOnly(const LogDatabaseOptions& options) {
  return OpenAs(Mode::kReadOnly, options, "");
}

absl::StatusOr<std::unique_ptr<LogDatabase>> LogDatabase::OpenAs(Mode mode, const LogDatabaseOptions& options,
                                                                 const std::string& wal_folder) {
  std::unique_ptr<LogDatabase> database(new LogDatabase(options.path, MakeEnv(options.env)));
  rocksdb::DBOptions database_options = ToDatabaseOptions(options);
  database_options.env = database->env_.get();
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  const rocksdb::ColumnFamilyOptions family_options = ToFamilyOptions(options, cache);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(log_format::kFamilyNames.size());
  for (const char* name : log_format::kFamilyNames) descriptors.emplace_back(name, family_options);

  rocksdb::DB* opened = nullptr;
  rocksdb::Status status;
  switch (mode) {
    case Mode::kCreate:
      database_options.create_if_missing = true;
      database_options.create_missing_column_families = true;
      database_options.error_if_exists = true;
      [[fallthrough]];
    case Mode::kOpen:
      database_options.info_log = std::make_shared<OurLogger>();
      status = rocksdb::DB::Open(database_options, options.path, descriptors, &database->families_, &opened);
      break;
    case Mode::kReadOnly:
      // The torn end, which must not be cut off here, is what RocksDB then stops at: CheckLog() knows that nothing else
      // is wrong, and CheckNewestGroup() that nothing else was passed over.
      database_options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
      database_options.info_log = std::make_shared<NoLogger>();
      status = rocksdb::DB::OpenForReadOnly(database_options, options.path, descriptors, &database->families_, &opened);
      break;
    case Mode::kTablesOnly:
      database_options.wal_dir = wal_folder;
      database_options.info_log = std::make_shared<NoLogger>();
      status = rocksdb::DB::OpenForReadOnly(database_options, options.path, descriptors, &database->families_, &opened);
      break;
  }
  if (!status.ok()) return database->ToStatus(status);
  database->database_.reset(opened);
  for (std::uint32_t id = 0; id < log_format::kFamilyNames.size(); ++id) {
    if (database->families_[id]->GetID() == id) continue;
    return absl::DataLossError(absl::StrCat(options.path, ": column family ", log_format::kFamilyNames[id], " has id ",
                                            database->families_[id]->GetID(), ", expected ", id));
  }
  return database;
}

LogDatabase::~LogDatabase() {
  if (database_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : families_) database_->DestroyColumnFamilyHandle(family);
  database_->Close();
}

absl::StatusOr<std::optional<std::string>> LogDatabase::Get(Family family, std::string_view key) const {
  std::string value;
  const rocksdb::Status status = database_->Get(rocksdb::ReadOptions(), families_[family], ToSlice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return ToStatus(status);
  return std::optional<std::string>(std::move(value));
}

absl::StatusOr<std::optional<std::uint64_t>> LogDatabase::GetNumber(std::string_view meta_key) const {
  const absl::StatusOr<std::optional<std::string>> value = Get(log_format::kMeta, meta_key);
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  const std::optional<std::uint64_t> number = log_format::DecodeUint64(**value);
  if (number) return number;
  return absl::DataLossError(
      absl::StrCat(path_, ": meta/", std::string(meta_key), " has ", (*value)->size(), " bytes, expected 8"));
}

bool LogDatabase::KeyMayExist(Family family, std::string_view key) const {
  std::string value;
  return database_->KeyMayExist(rocksdb::ReadOptions(), families_[family], ToSlice(key), &value);
}

std::unique_ptr<rocksdb::Iterator> LogDatabase::Scan(Family family) const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  return std::unique_ptr<rocksdb::Iterator>(database_->NewIterator(options, families_[family]));
}

absl::Status LogDatabase::Write(rocksdb::WriteBatch& batch) {
  rocksdb::WriteOptions options;
  options.sync = true;
  return ToStatus(database_->Write(options, &batch));
}

absl::Status LogDatabase::Flush() { return ToStatus(database_->Flush(rocksdb::FlushOptions(), families_)); }

absl::Status LogDatabase::ToStatus(const rocksdb::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat("decision log ", path_, ": ", status.ToString());
  if (status.IsIOError() || status.IsNoSpace()) return absl::UnavailableError(message);
  return absl::DataLossError(message);
}

}  // namespace assent
