#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/log/log_format.h"
#include "rocksdb/db.h"

namespace assent {

// How RocksDB is used for a decision log.
struct LogDatabaseOptions {
  std::string path;
  std::uint64_t max_wal_bytes = 0;
  std::uint64_t write_buffer_bytes = 0;
  std::uint64_t block_cache_bytes = 0;
  rocksdb::Env* env = nullptr;  // null: RocksDB's default
};

// A RocksDB database with the column families of log_format. Statuses name the database: UNAVAILABLE where the file
// system failed, DATA_LOSS for anything else. Thread-safe, as RocksDB is.
class LogDatabase {
 public:
  // A database that is not there yet.
  static absl::StatusOr<std::unique_ptr<LogDatabase>> Create(const LogDatabaseOptions& options);
  // One that CheckLog() has found sound, and whose torn end, if any, has been cut off.
  static absl::StatusOr<std::unique_ptr<LogDatabase>> Open(const LogDatabaseOptions& options);
  // What stands in its tables alone, without the write-ahead log. Changes nothing. `folder_without_wal` is any folder
  // that has no file of a write-ahead log.
  static absl::StatusOr<std::unique_ptr<LogDatabase>> OpenTables(const LogDatabaseOptions& options,
                                                                 const std::string& folder_without_wal);

  // The whole of one that CheckLog() has found sound, whatever torn end it has. Changes nothing.
  static absl::StatusOr<std::unique_ptr<LogDatabase>> OpenReadOnly(const LogDatabaseOptions& options);

  ~LogDatabase();

  rocksdb::ColumnFamilyHandle* family(log_format::Family family) const { return families_[family]; }

  absl::StatusOr<std::optional<std::string>> Get(log_format::Family family, std::string_view key) const;
  absl::StatusOr<std::optional<std::uint64_t>> GetNumber(std::string_view meta_key) const;
  // False: surely not there. Looks into memory only: memtables, and the Bloom filters of the tables.
  bool KeyMayExist(log_format::Family family, std::string_view key) const;
  // In the order of the keys. Look at ToStatus(iterator->status()) when it ends.
  std::unique_ptr<rocksdb::Iterator> Scan(log_format::Family family) const;

  // Writes and syncs.
  absl::Status Write(rocksdb::WriteBatch& batch);

  // Flushes what is in memory into tables (tests).
  absl::Status Flush();

  absl::Status ToStatus(const rocksdb::Status& status) const;

 private:
  LogDatabase(std::string path, std::unique_ptr<rocksdb::Env> env) : path_(std::move(path)), env_(std::move(env)) {}

  enum class Mode { kCreate, kOpen, kTablesOnly, kReadOnly };
  static absl::StatusOr<std::unique_ptr<LogDatabase>> OpenAs(Mode mode, const LogDatabaseOptions& options,
                                                             const std::string& wal_folder);

  const std::string path_;
  const std::unique_ptr<rocksdb::Env> env_;  // outlives the database
  std::unique_ptr<rocksdb::DB> database_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;  // by Family
};

}  // namespace assent
