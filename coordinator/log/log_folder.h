#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"
#include "coordinator/log/file_io.h"

namespace assent {

// The text file `identity`: whose log a folder holds.
struct LogIdentity {
  // A log is kCreating until its first group is durable: no process has ever worked with it, and it may be made anew.
  enum class State { kCreating, kReady };

  std::uint32_t format = 0;
  CoordinatorId coordinator;
  State state = State::kCreating;

  // The file's text. Its last line is the checksum of the others, in every format.
  std::string ToText() const;
};

// The inverse of LogIdentity::ToText(). `path` is for the messages: DATA_LOSS for a damaged text, FAILED_PRECONDITION
// for one of a newer format.
absl::StatusOr<LogIdentity> ParseLogIdentity(const std::string& path, std::string_view text);

// A decision log's folder, held against every other process:
//
//   LOCK      locked with flock for as long as a process has the log; holds that process's id
//   identity  LogIdentity
//   synced    SyncedMark
//   log/      the RocksDB database
//
// Owned by the log that is open in it.
class LogFolder {
 public:
  // Locks the folder and reads whose it is; makes it where it is missing. Refuses with FAILED_PRECONDITION or
  // DATA_LOSS, as OpenDecisionLog says, and has then changed nothing.
  static absl::StatusOr<std::unique_ptr<LogFolder>> Open(const std::string& path, const std::string& coordinator);

  ~LogFolder();

  const std::string& path() const { return path_; }
  std::string database_path() const { return path_ + "/log"; }

  // The folder holds no log yet, or one that no process has worked with.
  bool is_new() const { return identity_.state == LogIdentity::State::kCreating; }

  // Of the log, or of the log to be made.
  const CoordinatorId& coordinator() const { return identity_.coordinator; }

  // Of a new folder: writes an identity that says so, removes what an unfinished creation left, and makes an empty
  // database folder and a SyncedMark.
  absl::Status BeginCreation();
  // Makes it a log, durably.
  absl::Status EndCreation();

  // The folder is sound, and this process goes on to change it: its id goes into LOCK.
  absl::Status WriteHolder();

 private:
  LogFolder(std::string path, FileDescriptor lock, bool made_lock);

  // Reads the identity, and compares what there is with what there should be.
  absl::Status Inspect(const std::string& coordinator);

  const std::string path_;
  const FileDescriptor lock_;
  bool remove_lock_;  // made by this process, which has not taken the folder yet
  LogIdentity identity_;
};

}  // namespace assent
