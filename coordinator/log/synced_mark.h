#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/log/file_io.h"

namespace assent {

// The file `synced`: the number of a group that is known to be on disk. It is written after each group's sync and not
// synced itself, which costs a microsecond: a killed process leaves it exact, a power cut may leave an older number,
// and a number in it is never too high. A log that ends before it has lost something that was durable.
//
// Owned by the log; used by one thread at a time.
class SyncedMark {
 public:
  static constexpr char kFileName[] = "synced";

  // Makes the file in `folder`, with number 0, durably but for its folder's entry.
  static absl::Status Create(const std::string& folder);

  // Reads the number. DATA_LOSS where the file is missing or damaged. Changes nothing.
  static absl::StatusOr<std::uint64_t> Read(const std::string& folder);

  // For writing.
  static absl::StatusOr<std::unique_ptr<SyncedMark>> Open(const std::string& folder);

  absl::Status Write(std::uint64_t group_number);
  absl::Status Sync();

 private:
  SyncedMark(std::string path, FileDescriptor file) : path_(std::move(path)), file_(std::move(file)) {}

  const std::string path_;
  const FileDescriptor file_;
};

}  // namespace assent
