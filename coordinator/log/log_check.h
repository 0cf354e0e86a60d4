#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "assent/v1/log.pb.h"
#include "coordinator/log/log_database.h"
#include "coordinator/log/log_folder.h"
#include "coordinator/log/log_format.h"

namespace assent {

// A decision log that may be opened.
struct CheckedLog {
  log_format::Group newest;  // the last group in it
  // What a write-ahead log has behind its last whole group: zeros, or a group that was being written when the last
  // process ended, and that nobody was told of.
  struct Excess {
    std::string path;
    std::uint64_t sound_size = 0;
  };
  std::vector<Excess> excess;
};

// Reads a closed log, changing nothing, and refuses it unless everything is there that was ever durable: every group
// from the first on, the newest that SyncedMark knows included, each with its bytes as they were written. DATA_LOSS
// with the name of the file and what was found in it, or FAILED_PRECONDITION for what a newer version has made.
absl::StatusOr<CheckedLog> CheckLog(const LogFolder& folder, const LogDatabaseOptions& options);

// Cuts it off, so that RocksDB finds nothing to be lenient about.
absl::Status CutExcess(const CheckedLog& log);

// RocksDB has recovered what CheckLog() read; anything else is DATA_LOSS.
absl::Status CheckNewestGroup(const LogDatabase& database, const log_format::Group& newest);

// An entry of `active`.
absl::StatusOr<v1::DecisionRecord> ParseActive(std::string_view key, std::string_view value);

}  // namespace assent
