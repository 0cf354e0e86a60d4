#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>

namespace assent {

// A file system that knows what a power cut would leave of RocksDB's files: what was synced, anything of what was
// written behind that, and new files only once their folder was synced. It writes through to the machine's own, without
// syncing there. Thread-safe.
class CrashFileSystem : public rocksdb::FileSystemWrapper {
 public:
  CrashFileSystem();

  const char* Name() const override { return "CrashFileSystem"; }

  // Makes `to` what a power cut at this moment would leave of `from`. Files that RocksDB did not write are copied as
  // they are.
  void Snapshot(const std::string& from, const std::string& to, std::mt19937& random);

  // From now on, the write-ahead log's writes, or their syncs, fail.
  void FailWrites() { fail_writes_ = true; }
  void FailSyncs() { fail_syncs_ = true; }

  std::uint64_t wal_syncs() const { return wal_syncs_; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* folder,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  friend class CrashFile;
  friend class CrashFolder;

  struct State {
    std::string name;
    std::uint64_t written = 0;
    std::uint64_t synced = 0;
    bool linked = false;  // its folder was synced after it was made
  };

  std::string WhatIsLeft(const State& state, std::mt19937& random) const;
  static std::string WhatIsWritten(const State& state, std::string bytes, std::mt19937& random);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<State>> files_;  // by name
  std::atomic<bool> fail_writes_ = false;
  std::atomic<bool> fail_syncs_ = false;
  std::atomic<std::uint64_t> wal_syncs_ = 0;
};

}  // namespace assent
