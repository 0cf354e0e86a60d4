#include "tests/coordinator/log/crash_file_system.h"

#include <algorithm>
#include <filesystem>

#include "tests/coordinator/log/log_testing.h"

namespace assent {

namespace fs = std::filesystem;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

// A file that is being written; counts what has been written and what has been synced.
class CrashFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  CrashFile(CrashFileSystem& system, std::shared_ptr<CrashFileSystem::State> state,
            std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), system_(system), state_(std::move(state)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    const std::lock_guard lock(system_.mutex_);
    if (system_.fail_writes_ && is_wal()) return IOStatus::NoSpace("this disk is full");
    IOStatus status = FSWritableFileOwnerWrapper::Append(data, options, debug);
    if (status.ok()) state_->written += data.size();
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    const std::lock_guard lock(system_.mutex_);
    state_->written = std::min(state_->written, size);
    state_->synced = std::min(state_->synced, size);
    return FSWritableFileOwnerWrapper::Truncate(size, options, debug);
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return NoteSync(); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return NoteSync(); }

 private:
  bool is_wal() const { return state_->name.ends_with(".log"); }

  IOStatus NoteSync() {
    const std::lock_guard lock(system_.mutex_);
    if (is_wal()) {
      if (system_.fail_syncs_) return IOStatus::IOError("this disk is broken");
      ++system_.wal_syncs_;
    }
    state_->synced = state_->written;
    return IOStatus::OK();
  }

  CrashFileSystem& system_;
  const std::shared_ptr<CrashFileSystem::State> state_;
};

class CrashFolder : public rocksdb::FSDirectory {
 public:
  CrashFolder(CrashFileSystem& system, std::string name) : system_(system), name_(std::move(name)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(system_.mutex_);
    for (auto& [name, state] : system_.files_) {
      if (fs::path(name).parent_path() == fs::path(name_ + "/").parent_path()) state->linked = true;
    }
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  CrashFileSystem& system_;
  const std::string name_;
};

CrashFileSystem::CrashFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

IOStatus CrashFileSystem::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<rocksdb::FSWritableFile> opened;
  IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &opened, debug);
  if (!status.ok()) return status;
  auto state = std::make_shared<State>(State{.name = name, .written = 0, .synced = 0, .linked = false});
  files_[name] = state;
  *file = std::make_unique<CrashFile>(*this, std::move(state), std::move(opened));
  return status;
}

IOStatus CrashFileSystem::NewDirectory(const std::string& name, const IOOptions&,
                                       std::unique_ptr<rocksdb::FSDirectory>* folder, IODebugContext*) {
  *folder = std::make_unique<CrashFolder>(*this, name);
  return IOStatus::OK();
}

IOStatus CrashFileSystem::RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                                     IODebugContext* debug) {
  const std::lock_guard lock(mutex_);
  IOStatus status = FileSystemWrapper::RenameFile(from, to, options, debug);
  const auto found = files_.find(from);
  if (status.ok() && found != files_.end()) {
    found->second->name = to;
    found->second->linked = true;  // file systems keep renames in order; RocksDB syncs the folder anyway
    files_[to] = found->second;
    files_.erase(found);
  }
  return status;
}

IOStatus CrashFileSystem::DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) {
  const std::lock_guard lock(mutex_);
  files_.erase(name);
  return FileSystemWrapper::DeleteFile(name, options, debug);
}

// The synced bytes, and of those behind them: none, all, a part, or any of their sectors; and perhaps the space that
// the file has ahead.
std::string CrashFileSystem::WhatIsLeft(const State& state, std::mt19937& random) const {
  std::string bytes = ReadFile(state.name);
  const std::size_t ahead = bytes.size() - state.written;
  bytes.resize(state.written);
  bytes = WhatIsWritten(state, std::move(bytes), random);
  if (random() % 2 == 0) bytes.append(ahead, '\0');
  return bytes;
}

std::string CrashFileSystem::WhatIsWritten(const State& state, std::string bytes, std::mt19937& random) {
  const std::uint64_t unsynced = state.written - state.synced;
  if (unsynced == 0) return bytes;
  switch (random() % 4) {
    case 0:
      return bytes.substr(0, state.synced);
    case 1:
      return bytes;
    case 2:
      return bytes.substr(0, state.synced + random() % unsynced);
    default:
      break;
  }
  for (std::uint64_t begin = state.synced; begin < bytes.size();) {
    const std::uint64_t end = std::min<std::uint64_t>(bytes.size(), (begin / 512 + 1) * 512);
    if (random() % 2 == 0)
      std::fill(bytes.begin() + static_cast<long>(begin), bytes.begin() + static_cast<long>(end), '\0');
    begin = end;
  }
  return bytes;
}

void CrashFileSystem::Snapshot(const std::string& from, const std::string& to, std::mt19937& random) {
  const std::lock_guard lock(mutex_);
  fs::create_directories(to + "/log");
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    if (!entry.is_regular_file()) continue;
    const std::string copy = to + "/" + fs::relative(entry.path(), from).string();
    const auto found = files_.find(entry.path().string());
    if (found == files_.end()) {
      fs::copy_file(entry.path(), copy);
    } else if (found->second->linked || random() % 2 == 0) {
      WriteFile(copy, WhatIsLeft(*found->second, random));
    }
  }
}

}  // namespace assent
